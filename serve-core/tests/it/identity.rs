//! The identity of deployments: which content counts as equal, within a process and across
//! processes.

use std::collections::BTreeMap;
use std::env;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Map, json};
use serve_core::autoscaling::{AutoscalingConfig, AutoscalingContext, AutoscalingPolicy};
use serve_core::dynamic::{AnyApplication, Graph, registered};
use serve_core::options::{ContentHash, OPTIONS, build_id};
use serve_core::prelude::*;
use serve_core::routing::RequestRouting;

#[derive(Clone, Serialize, Deserialize, JsonSchema)]
struct Weights {
    path: String,
    layers: Vec<u32>,
    by_name: BTreeMap<String, f64>,
}

fn weights() -> Weights {
    let by_name = [("a".to_owned(), 0.5), ("b".to_owned(), 1e300)].into();
    Weights { path: "model.onnx".to_owned(), layers: vec![1, 2, 3], by_name }
}

#[deployment]
struct Model {
    made: usize,
}

static MADE: AtomicUsize = AtomicUsize::new(0);

#[handle]
impl Model {
    fn new(weights: Weights, threshold: Option<f32>) -> Self {
        let _ = (weights, threshold);
        Self { made: MADE.fetch_add(1, Ordering::SeqCst) }
    }

    pub async fn made(&self) -> usize {
        self.made
    }
}

#[deployment]
struct Front {
    models: Vec<ModelHandle>,
}

#[handle]
impl Front {
    fn new(models: Vec<ModelHandle>) -> Self {
        Self { models }
    }

    pub async fn made(&self) -> Result<Vec<usize>> {
        let mut made = Vec::new();
        for model in &self.models {
            made.push(model.made().await?);
        }
        Ok(made)
    }
}

fn front(models: impl IntoIterator<Item = Bound<Model>>) -> Application<Front> {
    Application::new(Front::bind(models.into_iter().collect::<Vec<_>>()))
}

fn model() -> Bound<Model> {
    Model::bind(weights(), Some(0.5))
}

/// The hashes of an application's deployments, by name.
fn hashes(application: impl Into<AnyApplication>) -> BTreeMap<String, ContentHash> {
    let Graph { deployments, .. } = application.into().graph().expect("a good graph");
    deployments.into_iter().map(|node| (node.name, node.content_hash)).collect()
}

fn hash(bound: Bound<Model>) -> ContentHash {
    hashes(Application::new(bound))["Model"]
}

#[test]
fn equal_content_has_one_hash_everywhere() {
    let hashes = hashes(front([model(), model().num_replicas(2)]));
    let told: BTreeMap<String, String> =
        hashes.into_iter().map(|(name, hash)| (name, hash.to_string())).collect();
    // Written down, so that another clone, another profile and another machine are compared.
    let expected = [
        ("Front", "73dcdbff5e98ef63f23286474e9bbee9"),
        ("Model", "4e6704af2551ce7d358d1b8d1fb912fc"),
        ("Model_1", "e26b29c2cadd02c697dc5978998dc516"),
    ];
    let expected = expected.map(|(name, hash)| (name.to_owned(), hash.to_owned()));
    assert_eq!(told, expected.into());

    if env::var_os("SERVE_TEST_SECOND_PROCESS").is_none() {
        let this = env::current_exe().expect("a test is a program");
        let mut second = Command::new(this);
        second.args(["--exact", "identity::equal_content_has_one_hash_everywhere"]);
        let status = second.env("SERVE_TEST_SECOND_PROCESS", "1").output().expect("it runs").status;
        assert!(status.success());
    }
}

struct Steps;

impl AutoscalingPolicy for Steps {
    fn desired_replicas(&self, context: &AutoscalingContext<'_>) -> f64 {
        context.load
    }
}

#[test]
fn each_option_changes_the_hash() {
    let autoscaled = || model().autoscaling(AutoscalingConfig::new());
    let second = Duration::from_secs(1);
    for option in &OPTIONS {
        let (before, after) = match option.name {
            "name" => {
                let named = hashes(Application::new(model().name("other")));
                assert_ne!(named["other"], hash(model()));
                continue;
            }
            "num_replicas" => (model(), model().num_replicas(2)),
            "autoscaling" => (model(), autoscaled()),
            "autoscaling_policy" => (autoscaled(), autoscaled().autoscaling_policy(Steps)),
            "max_ongoing_requests" => (model(), model().max_ongoing_requests(2)),
            "max_queued_requests" => (model(), model().max_queued_requests(2)),
            "request_timeout" => (model(), model().request_timeout(second)),
            "num_cpus" => (model(), model().num_cpus(0.5)),
            "num_gpus" => (model(), model().num_gpus(0.5)),
            "memory" => (model(), model().memory(1)),
            "resources" => (model(), model().resource("npu", 1.0)),
            "max_replicas_per_node" => (model(), model().max_replicas_per_node(2)),
            "health_check_period" => (model(), model().health_check_period(second)),
            "health_check_timeout" => (model(), model().health_check_timeout(second)),
            "graceful_shutdown_timeout" => (model(), model().graceful_shutdown_timeout(second)),
            "max_constructor_retry_count" => (model(), model().max_constructor_retry_count(2)),
            "rolling_update_percentage" => (model(), model().rolling_update_percentage(0.5)),
            "max_surge_percent" => (model(), model().max_surge_percent(50.0)),
            "request_router" => (model(), model().request_router(RequestRouting::RoundRobin)),
            // The plan checks that the deployment takes one.
            "user_config" => continue,
            other => panic!("say here how `{other}` is changed"),
        };
        assert_ne!(hash(before), hash(after), "{}", option.name);
    }
}

#[test]
fn arguments_handles_and_name_change_the_hash() {
    let with = |change: fn(&mut Weights)| {
        let mut weights = weights();
        change(&mut weights);
        hash(Model::bind(weights, Some(0.5)))
    };
    let same = hash(model());
    assert_eq!(with(|_| {}), same);
    assert_ne!(with(|weights| weights.path.push('2')), same);
    assert_ne!(with(|weights| weights.layers.swap(0, 1)), same);
    assert_ne!(with(|weights| weights.by_name = BTreeMap::new()), same);
    assert_ne!(hash(Model::bind(weights(), None)), same);
    assert_ne!(hash(Model::bind(weights(), Some(0.6))), same);

    let (a, b) = (model().name("a"), model().name("b"));
    let order = |models: [&Bound<Model>; 2]| hashes(front(models.map(Bound::clone)))["Front"];
    assert_ne!(order([&a, &b]), order([&b, &a]));
    let named = |name: &str| hashes(Application::new(model()).name(name))["Model"];
    assert_ne!(named("one"), named("other"));
}

#[test]
fn a_build_has_an_id() {
    assert_eq!(build_id(), build_id());
    assert!(!build_id().is_empty() && build_id() != "unknown");
}

#[derive(Default)]
struct Client;

#[deployment]
struct Counter {
    hits: Arc<AtomicUsize>,
    made: usize,
}

#[handle]
impl Counter {
    fn new(hits: Arc<AtomicUsize>, client: Arc<Client>) -> Self {
        drop(client);
        Self { hits, made: MADE.fetch_add(1, Ordering::SeqCst) }
    }

    pub async fn hit(&self) -> (usize, usize) {
        (self.made, self.hits.fetch_add(1, Ordering::SeqCst) + 1)
    }
}

#[tokio::test(start_paused = true)]
async fn shared_mutable_arguments_compare_by_identity() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let (hits, client) = (Arc::<AtomicUsize>::default(), Arc::<Client>::default());
    let bound = |hits: &Arc<AtomicUsize>, client: &Arc<Client>| {
        Counter::bind(Arc::clone(hits), Arc::clone(client))
    };
    let counter = runtime.run(bound(&hits, &client)).await?;
    let (made, _) = counter.hit().await?;
    for count in 2..5 {
        // What the counter has counted meanwhile is no other argument.
        runtime.run(bound(&hits, &client)).await?;
        assert_eq!(counter.hit().await?, (made, count));
    }
    // Another counter is, though both count the same.
    let other = Arc::new(AtomicUsize::new(hits.load(Ordering::SeqCst)));
    runtime.run(bound(&other, &client)).await?;
    let (second, count) = counter.hit().await?;
    assert!(second != made && count == 5);
    assert_eq!((hits.load(Ordering::SeqCst), other.load(Ordering::SeqCst)), (4, 5));
    runtime.run(bound(&other, &Arc::default())).await?;
    assert_ne!(counter.hit().await?.0, second, "another client");
    Ok(())
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
struct CounterArguments {
    #[serde(default)]
    generation: u32,
}

/// Shares a counter and a client that are made here.
#[application]
fn counting(arguments: CounterArguments) -> Application<Counter> {
    let _ = arguments.generation;
    Counter::bind(Arc::<AtomicUsize>::default(), Arc::<Client>::default()).into()
}

#[tokio::test(start_paused = true)]
async fn registered_applications_compare_them_by_type() -> Result<()> {
    let counting = registered().into_iter().find(|app| app.name == "counting").expect("it is here");
    let build = |generation: u32| {
        let arguments: Map<_, _> =
            [("generation".to_owned(), json!(generation))].into_iter().collect();
        counting.build(arguments).map_err(|error| Error::msg(error.to_string()))
    };
    assert_eq!(hashes(build(1)?), hashes(build(1)?));
    assert_ne!(hashes(build(1)?), hashes(build(2)?), "the arguments of the application count");

    let runtime = MockRuntime::builder().start();
    runtime.run_any(build(1)?).await?;
    let counter = runtime.get_app_handle::<Counter>("default")?;
    let (made, _) = counter.hit().await?;
    runtime.run_any(build(1)?).await?;
    assert_eq!(counter.hit().await?, (made, 2), "nothing has changed");
    // Other arguments may make another client of the same type.
    runtime.run_any(build(2)?).await?;
    let (second, hits) = counter.hit().await?;
    assert!(second != made && hits == 1);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn replica_ids_are_unique_across_runtimes() -> Result<()> {
    #[deployment(num_replicas = 3)]
    #[derive(Default)]
    struct Named;

    #[handle]
    impl Named {
        pub async fn id(&self) -> String {
            replica_context().map_or_else(String::new, |replica| replica.replica_id().to_owned())
        }
    }

    let mut ids = std::collections::BTreeSet::new();
    for _ in 0..2 {
        let runtime = Runtime::builder().start().await?;
        runtime.run(Named::bind()).await?;
        let status = runtime.status();
        let replicas =
            &status.application("default").expect("it runs").deployments["Named"].replicas;
        ids.extend(replicas.iter().map(|replica| replica.replica_id.clone()));
        runtime.shutdown().await;
    }
    assert_eq!(ids.len(), 6, "{ids:?}");
    Ok(())
}
