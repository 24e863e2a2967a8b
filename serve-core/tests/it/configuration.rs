//! Configurations of running instances: what a configuration changes, and what it leaves alone.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use serve_core::config::Config;
use serve_core::prelude::*;
use serve_core::status::{
    ApplicationSource, ApplicationStatus, ApplyError, ConfigurationError, DeploymentStatus,
    ReplicaState,
};
use tokio::time::{sleep, timeout};

use crate::support::cases::cases;
use crate::support::clocks::{ms, seconds};
use crate::support::status::deployment_of;

/// The longest time that a deploy may take, on the paused clock.
const LONG: Duration = Duration::from_secs(24 * 60 * 60);

/// Adds a number, which its arguments and its user config decide.
#[deployment(num_replicas = 2)]
struct Adder {
    by: i64,
    more: parking_lot::Mutex<i64>,
}

#[derive(Clone, Deserialize)]
struct More {
    more: i64,
}

#[handle]
impl Adder {
    pub fn new(by: i64) -> Result<Self> {
        match by {
            0 => Err(Error::msg("adds nothing")),
            by => Ok(Self { by, more: parking_lot::Mutex::new(0) }),
        }
    }

    #[reconfigure]
    async fn reconfigure(&self, config: More) -> Result<()> {
        *self.more.lock() = config.more;
        Ok(())
    }

    pub async fn add(&self, to: i64) -> i64 {
        to + self.by + *self.more.lock()
    }
}

/// Has an argument of its own.
#[deployment]
struct Label {
    text: String,
}

#[handle]
impl Label {
    pub fn new(text: String) -> Self {
        Self { text }
    }

    pub async fn text(&self) -> String {
        self.text.clone()
    }
}

#[deployment]
struct Sums {
    adder: AdderHandle,
    label: LabelHandle,
}

#[handle]
impl Sums {
    pub fn new(adder: AdderHandle, label: LabelHandle) -> Self {
        Self { adder, label }
    }

    #[get("/")]
    pub async fn sum(&self, to: i64) -> Result<String> {
        Ok(format!("{} {}", self.label.text().await?, self.adder.add(to).await?))
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SumArguments {
    #[serde(default = "one")]
    by: i64,
    #[serde(default)]
    label: String,
}

fn one() -> i64 {
    1
}

#[application]
fn sums(arguments: SumArguments) -> Application<Sums> {
    Sums::bind(Adder::bind(arguments.by), Label::bind(arguments.label)).into()
}

#[application]
fn labels() -> Application<Label> {
    Label::bind("plain").into()
}

fn config(value: &Value) -> Config {
    Config::from_value(value).expect("a valid configuration")
}

/// An application `sums` with these keys besides.
fn sums_with(keys: &Value) -> Value {
    let mut application = json!({ "name": "sums", "import_path": "serve-core:sums" });
    application.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    application
}

/// Applies a configuration and waits until its applications have this status.
async fn apply(runtime: &Runtime, applications: &[Value], status: ApplicationStatus) -> u64 {
    let revision = runtime.apply(&config(&json!({ "applications": applications }))).await.unwrap();
    for application in applications {
        let name = application["name"].as_str().unwrap();
        timeout(LONG, runtime.wait_for(name, status)).await.expect("it gets there");
    }
    revision
}

async fn run(runtime: &Runtime, applications: &[Value]) -> u64 {
    apply(runtime, applications, ApplicationStatus::Running).await
}

/// The ids of the replicas that run.
fn ids(runtime: &Runtime, deployment: &str) -> BTreeSet<String> {
    let replicas = deployment_of(runtime, "sums", deployment).replicas;
    let running = replicas.into_iter().filter(|replica| replica.state == ReplicaState::Running);
    running.map(|replica| replica.replica_id).collect()
}

async fn sum(runtime: &Runtime) -> String {
    runtime.get_app_handle::<Sums>("sums").unwrap().sum(1).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn numbers_and_user_configs_change_in_place() {
    let runtime = MockRuntime::builder().start();
    run(&runtime, &[sums_with(&json!({}))]).await;
    let before = ids(&runtime, "Adder");
    assert_eq!((before.len(), sum(&runtime).await), (2, " 2".to_owned()));
    let handle = runtime.get_app_handle::<Sums>("sums").unwrap();

    let adder = json!({ "name": "Adder", "num_replicas": 3, "user_config": { "more": 10 } });
    run(&runtime, &[sums_with(&json!({ "deployments": [adder] }))]).await;
    let after = ids(&runtime, "Adder");
    assert!(after.is_superset(&before) && after.len() == 3, "{before:?} {after:?}");
    assert_eq!(handle.sum(1).await.unwrap(), " 12");

    let adder = json!({ "name": "Adder", "user_config": { "more": 20 } });
    run(&runtime, &[sums_with(&json!({ "deployments": [adder] }))]).await;
    let fewer = ids(&runtime, "Adder");
    assert!(fewer.is_subset(&after) && fewer.len() == 2, "the number is the code's again");
    assert_eq!(handle.sum(1).await.unwrap(), " 22");
}

#[tokio::test(start_paused = true)]
async fn an_argument_rolls_the_deployment_that_it_reaches() {
    let runtime = MockRuntime::builder().start();
    run(&runtime, &[sums_with(&json!({ "args": { "by": 1, "label": "a" } }))]).await;
    let handle = runtime.get_app_handle::<Sums>("sums").unwrap();
    let (adders, labels, ingress) =
        (ids(&runtime, "Adder"), ids(&runtime, "Label"), ids(&runtime, "Sums"));
    run(&runtime, &[sums_with(&json!({ "args": { "by": 1, "label": "b" } }))]).await;
    assert_eq!((ids(&runtime, "Adder"), ids(&runtime, "Sums")), (adders, ingress));
    assert!(ids(&runtime, "Label").is_disjoint(&labels));
    assert_eq!(handle.sum(1).await.unwrap(), "b 2");
}

#[tokio::test(start_paused = true)]
async fn a_version_that_does_not_start_leaves_the_old_one() {
    let runtime = MockRuntime::builder().start();
    run(&runtime, &[sums_with(&json!({ "args": { "by": 5 } }))]).await;
    let failing = sums_with(&json!({ "args": { "by": 0 } }));
    apply(&runtime, &[failing], ApplicationStatus::DeployFailed).await;
    assert_eq!(sum(&runtime).await, " 6");
    let message = runtime.status().applications["sums"].message.clone();
    assert!(message.contains("adds nothing"), "{message}");
    run(&runtime, &[sums_with(&json!({ "args": { "by": 6 } }))]).await;
    assert_eq!(sum(&runtime).await, " 7");
}

#[tokio::test(start_paused = true)]
async fn applications_that_are_missing_are_deleted_but_not_those_of_the_program() {
    let runtime = MockRuntime::builder().start();
    runtime.run(Application::new(Label::bind("own")).name("own").without_route()).await.unwrap();
    let labels = json!({ "name": "labels", "import_path": "serve-core:labels" });
    run(&runtime, &[sums_with(&json!({})), labels.clone()]).await;
    let sources = |runtime: &Runtime| {
        let applications = runtime.status().applications;
        applications.into_iter().map(|(name, it)| (name, it.source)).collect::<Vec<_>>()
    };
    let (imperative, declarative) = (ApplicationSource::Imperative, ApplicationSource::Declarative);
    assert_eq!(
        sources(&runtime),
        [
            ("labels".to_owned(), declarative),
            ("own".to_owned(), imperative),
            ("sums".to_owned(), declarative)
        ]
    );
    run(&runtime, &[labels]).await;
    timeout(LONG, runtime.wait_for("sums", ApplicationStatus::NotStarted)).await.unwrap();
    assert_eq!(
        sources(&runtime),
        [("labels".to_owned(), declarative), ("own".to_owned(), imperative)]
    );
    run(&runtime, &[]).await;
    timeout(LONG, runtime.wait_for("labels", ApplicationStatus::NotStarted)).await.unwrap();
    assert_eq!(sources(&runtime), [("own".to_owned(), imperative)]);
    // A configuration that names an application of the program takes it over.
    let own = json!({ "name": "own", "import_path": "serve-core:labels", "route_prefix": null });
    run(&runtime, &[own]).await;
    assert_eq!(sources(&runtime), [("own".to_owned(), declarative)]);
}

#[tokio::test(start_paused = true)]
async fn a_prefix_goes_from_one_application_to_another() {
    let runtime = MockRuntime::builder().start();
    let at = |name: &str, prefix: &str| {
        json!({
            "name": name,
            "import_path": "serve-core:sums",
            "route_prefix": prefix,
            "args": { "label": name },
        })
    };
    let answer = async |path: &str| {
        let response = runtime.http().get(path).send().await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        response.text().await.unwrap()
    };
    run(&runtime, &[at("a", "/one"), at("b", "/two")]).await;
    assert_eq!(answer("/one?to=1").await, "a 2");
    // The application that had the prefix goes, and another one takes it.
    run(&runtime, &[at("c", "/one"), at("b", "/two")]).await;
    assert_eq!(
        (answer("/one?to=1").await, answer("/two?to=1").await),
        ("c 2".into(), "b 2".into())
    );
    // Two applications exchange theirs.
    run(&runtime, &[at("c", "/two"), at("b", "/one")]).await;
    assert_eq!(
        (answer("/one?to=1").await, answer("/two?to=1").await),
        ("b 2".into(), "c 2".into())
    );
}

/// The faults of a configuration that is refused.
async fn faults(runtime: &Runtime, value: &Value) -> Vec<(String, String)> {
    match runtime.apply(&config(value)).await {
        Err(ApplyError::Faults(faults)) => {
            let fault = faults.iter();
            fault.map(|it| (it.path().to_owned(), it.message().to_owned())).collect()
        }
        other => panic!("not refused for its faults: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_changes_nothing_and_says_all_of_it() {
    let runtime = MockRuntime::builder().num_gpus(1).start();
    runtime
        .run(
            Application::new(Sums::bind(Adder::bind(1), Label::bind("own")))
                .name("own")
                .route_prefix("/own"),
        )
        .await
        .unwrap();
    let first = run(&runtime, &[sums_with(&json!({}))]).await;
    let cases = [
        (
            json!({ "import_path": "serve-core:sum" }),
            "import_path",
            "did you mean `serve-core:sums`?",
        ),
        (json!({ "args": { "by": "many" } }), "args", "`by`"),
        (json!({ "args": { "bye": 1 } }), "args.bye", "the application takes `by`, `label`"),
        (json!({ "deployments": [{ "name": "Adderr" }] }), "deployments[0].name", "`Adder`"),
        (
            json!({ "deployments": [{ "name": "Label" }, { "name": "Adder", "user_config": { "mroe": 1 } }] }),
            "deployments[1].user_config",
            "missing field `more`",
        ),
        (
            json!({ "deployments": [{ "name": "Label", "user_config": { "more": 1 } }] }),
            "deployments[0].user_config",
            "#[reconfigure]",
        ),
        (
            json!({ "deployments": [{ "name": "Adder", "ray_actor_options": { "num_gpus": 99 } }] }),
            "deployments[0]",
            "can never fit",
        ),
        (json!({ "route_prefix": "/own" }), "route_prefix", "taken by application `own`"),
    ];
    let labels =
        json!({ "name": "labels", "import_path": "serve-core:labels", "route_prefix": "/l" });
    for (keys, place, message) in &cases {
        let value = json!({ "applications": [labels, sums_with(keys)] });
        let found = faults(&runtime, &value).await;
        assert_eq!(found.len(), 1, "{keys}: {found:?}");
        assert_eq!(found[0].0, format!("applications[1].{place}"), "{found:?}");
        assert!(found[0].1.contains(message), "{keys}: {found:?}");
    }
    // All faults at once.
    let several = json!({ "applications": [
        { "name": "x", "import_path": "no:where" },
        { "name": "y", "import_path": "serve-core:labels", "route_prefix": "/y", "args": { "z": 1 } },
    ]});
    let found = faults(&runtime, &several).await;
    let places: Vec<&str> = found.iter().map(|(path, _)| &**path).collect();
    assert_eq!(places, ["applications[0].import_path", "applications[1].args"]);
    // Nothing was changed.
    assert_eq!(sum(&runtime).await, " 2");
    assert!(!runtime.status().applications.contains_key("labels"));
    assert_eq!(run(&runtime, &[sums_with(&json!({}))]).await, first + 1);
}

fn scalable(keys: &Value) -> Value {
    let mut application = sums_with(keys);
    application["external_scaler_enabled"] = json!(true);
    application
}

#[tokio::test(start_paused = true)]
async fn a_number_from_outside_outlives_deploys() {
    let runtime = MockRuntime::builder().start();
    run(&runtime, &[sums_with(&json!({}))]).await;
    let refused = runtime.scale("sums", "Adder", 4).await.unwrap_err();
    assert!(matches!(refused, ConfigurationError::ExternalScalerDisabled(_)), "{refused}");

    run(&runtime, &[scalable(&json!({}))]).await;
    for (application, deployment) in [("sum", "Adder"), ("sums", "Addr")] {
        let refused = runtime.scale(application, deployment, 4).await.unwrap_err();
        assert!(matches!(refused, ConfigurationError::Refused(_)), "{refused}");
    }
    runtime.scale("sums", "Adder", 4).await.unwrap();
    sleep_until_healthy(&runtime).await;
    let four = ids(&runtime, "Adder");
    assert_eq!(four.len(), 4);
    // A deploy of another number, and of other arguments for the callers.
    let adder = json!({ "name": "Adder", "num_replicas": 1, "user_config": { "more": 1 } });
    run(&runtime, &[scalable(&json!({ "args": { "label": "x" }, "deployments": [adder] }))]).await;
    assert_eq!((ids(&runtime, "Adder"), sum(&runtime).await), (four.clone(), "x 3".to_owned()));
    // A deploy that fails.
    let failing = scalable(&json!({ "args": { "by": 0 } }));
    apply(&runtime, &[failing], ApplicationStatus::DeployFailed).await;
    assert_eq!(ids(&runtime, "Adder").len(), 4);
    // To zero and back.
    runtime.scale("sums", "Adder", 0).await.unwrap();
    sleep_until_healthy(&runtime).await;
    assert_eq!(ids(&runtime, "Adder").len(), 0);
    runtime.scale("sums", "Adder", 1).await.unwrap();
    sleep_until_healthy(&runtime).await;
    assert_eq!((ids(&runtime, "Adder").len(), sum(&runtime).await), (1, "x 3".to_owned()));
    // Without the permission, the number is the code's again.
    run(&runtime, &[sums_with(&json!({}))]).await;
    assert_eq!(ids(&runtime, "Adder").len(), 2);
    run(&runtime, &[scalable(&json!({}))]).await;
    assert_eq!(ids(&runtime, "Adder").len(), 2, "and was forgotten");
}

/// Waits until no replica of `Adder` starts or stops.
async fn sleep_until_healthy(runtime: &Runtime) {
    loop {
        sleep(seconds(1)).await;
        let adder = deployment_of(runtime, "sums", "Adder");
        let settled = adder.replicas.iter().all(|replica| replica.state == ReplicaState::Running);
        if settled && adder.replicas.len() == adder.target_num_replicas {
            assert_ne!(adder.status, DeploymentStatus::Unhealthy);
            return;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn scaling_reaches_a_deploy_that_goes_on() {
    for starts_anew in [false, true] {
        let runtime = MockRuntime::builder().start();
        if !starts_anew {
            run(&runtime, &[scalable(&json!({}))]).await;
        }
        let next = scalable(&json!({ "args": { "by": 7 } }));
        runtime.apply(&config(&json!({ "applications": [next] }))).await.unwrap();
        runtime.scale("sums", "Adder", 5).await.unwrap();
        timeout(LONG, runtime.wait_for("sums", ApplicationStatus::Running)).await.unwrap();
        assert_eq!((ids(&runtime, "Adder").len(), sum(&runtime).await), (5, " 8".to_owned()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_target_capacity_limits_each_deployment() {
    let runtime = MockRuntime::builder().start();
    let with_capacity = async |capacity: Option<f64>, replicas: usize| {
        let adder = json!({ "name": "Adder", "num_replicas": replicas });
        let applications = json!([sums_with(&json!({ "deployments": [adder] }))]);
        let mut value = json!({ "applications": applications });
        if let Some(capacity) = capacity {
            value["target_capacity"] = json!(capacity);
        }
        runtime.apply(&config(&value)).await.unwrap();
        timeout(LONG, runtime.wait_for("sums", ApplicationStatus::Running)).await.unwrap();
        (ids(&runtime, "Adder").len(), ids(&runtime, "Label").len())
    };
    assert_eq!(with_capacity(Some(50.0), 5).await, (3, 1), "halves are rounded up");
    let before = ids(&runtime, "Adder");
    assert_eq!(with_capacity(Some(100.0), 5).await, (5, 1));
    assert!(ids(&runtime, "Adder").is_superset(&before), "in place");
    assert_eq!(with_capacity(Some(0.0), 5).await, (0, 0));
    assert_eq!(with_capacity(None, 5).await, (5, 1));
}

#[tokio::test(start_paused = true)]
async fn a_growing_capacity_starts_with_the_initial_replicas() {
    let runtime = MockRuntime::builder().start();
    let value = |capacity: f64| {
        let scaling = json!({ "min_replicas": 1, "initial_replicas": 6, "max_replicas": 10 });
        let adder = json!({ "name": "Adder", "autoscaling_config": scaling });
        let applications = json!([sums_with(&json!({ "deployments": [adder] }))]);
        config(&json!({ "target_capacity": capacity, "applications": applications }))
    };
    for (capacity, replicas) in [(50.0, 3), (100.0, 6)] {
        runtime.apply(&value(capacity)).await.unwrap();
        timeout(LONG, runtime.wait_for("sums", ApplicationStatus::Running)).await.unwrap();
        // Idle for hours, which without the growing capacity would leave one.
        sleep(seconds(10_000)).await;
        assert_eq!(ids(&runtime, "Adder").len(), replicas, "{capacity}");
    }
    runtime.apply(&value(50.0)).await.unwrap();
    sleep(seconds(10_000)).await;
    assert_eq!(ids(&runtime, "Adder").len(), 1, "a falling capacity");
}

/// Whatever changes, each call is answered: updates, failing versions, scaling, rollbacks.
#[tokio::test(start_paused = true)]
async fn no_call_fails_while_everything_changes() {
    for seed in 0..u64::from(cases(4)) {
        let mut random = SmallRng::seed_from_u64(seed);
        let runtime = MockRuntime::builder().seed(seed).start();
        run(&runtime, &[scalable(&json!({}))]).await;
        let stop = Arc::new(AtomicBool::new(false));
        let callers: Vec<_> = (0..4_u64)
            .map(|caller| {
                let handle = runtime.get_app_handle::<Sums>("sums").unwrap();
                let stop = Arc::clone(&stop);
                tokio::spawn(async move {
                    let mut answered = 0_u32;
                    while !stop.load(Ordering::Relaxed) {
                        let sum = handle.sum(1).await;
                        sum.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
                        answered += 1;
                        sleep(ms(97 + caller)).await;
                    }
                    answered
                })
            })
            .collect();
        let mut last = json!({});
        for _ in 0..25 {
            match random.random_range(0..6) {
                0 => {
                    let replicas = random.random_range(0..5);
                    runtime.scale("sums", "Adder", replicas).await.unwrap();
                }
                change => {
                    let by = if change == 1 { 0 } else { random.random_range(1..3) };
                    let adder = json!({
                        "name": "Adder",
                        "num_replicas": random.random_range(1..4),
                        "user_config": { "more": random.random_range(0..3) },
                    });
                    let label = ["a", "b"][random.random_range(0..2)];
                    let args = json!({ "by": by, "label": label });
                    let keys = json!({ "args": args, "deployments": [adder] });
                    let mut value = json!({ "applications": [scalable(&keys)] });
                    if change == 2 {
                        value["target_capacity"] = json!(random.random_range(1..=100));
                    }
                    runtime.apply(&config(&value)).await.unwrap();
                    last = value;
                }
            }
            sleep(ms(random.random_range(0..30_000))).await;
        }
        // In the end, the last configuration holds, and the number that was set.
        last["applications"][0]["args"]["by"] = json!(2);
        runtime.apply(&config(&last)).await.unwrap();
        runtime.scale("sums", "Adder", 3).await.unwrap();
        timeout(LONG, runtime.wait_for("sums", ApplicationStatus::Running)).await.unwrap();
        sleep_until_healthy(&runtime).await;
        let application = &last["applications"][0];
        let more = application["deployments"][0]["user_config"]["more"].as_i64().unwrap_or(0);
        let label = application["args"]["label"].as_str().unwrap_or("");
        assert_eq!(sum(&runtime).await, format!("{label} {}", 1 + 2 + more), "seed {seed}");
        assert_eq!(ids(&runtime, "Adder").len(), 3, "seed {seed}");
        stop.store(true, Ordering::Relaxed);
        for caller in callers {
            assert!(caller.await.unwrap() > 100, "seed {seed}");
        }
    }
}
