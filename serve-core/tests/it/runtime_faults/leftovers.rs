//! Two changes at once: whatever else happens meanwhile, deploys end, handles find what they call, and
//! batches and values arrive as they were sent.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use futures::stream;
use parking_lot::Mutex;
use serde_json::{Value, json};
use serve_core::DeployError;
use serve_core::batching::batch_contexts;
use serve_core::dynamic::AnyHandle;
use serve_core::prelude::*;
use serve_core::status::{ApplicationStatus, DeploymentDetails, ReplicaState};
use tokio::time::{Instant, sleep, timeout};

/// Longer than any deploy here takes.
const A_DAY: Duration = Duration::from_secs(86_400);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The constructors that are to fail, by version.
type Failing = Arc<Mutex<Vec<u32>>>;

#[deployment]
struct Model {
    version: u32,
    threshold: AtomicUsize,
}

#[handle]
impl Model {
    async fn new(version: u32, failing: Failing) -> Result<Self> {
        sleep(seconds(30)).await;
        if failing.lock().contains(&version) {
            return Err(Error::msg("no licence"));
        }
        Ok(Self { version, threshold: AtomicUsize::new(0) })
    }

    pub async fn version(&self) -> u32 {
        self.version
    }

    pub async fn threshold(&self) -> usize {
        sleep(Duration::from_millis(1)).await;
        self.threshold.load(Ordering::SeqCst)
    }

    pub async fn fall(&self) {
        panic!("bad input");
    }

    #[reconfigure]
    async fn configure(&self, threshold: usize) {
        sleep(seconds(20)).await;
        self.threshold.store(threshold, Ordering::SeqCst);
    }
}

fn details(runtime: &MockRuntime) -> DeploymentDetails {
    runtime.status().application("default").unwrap().deployment("Model").unwrap().clone()
}

fn running(runtime: &MockRuntime) -> usize {
    let replicas = details(runtime).replicas.into_iter();
    replicas.filter(|replica| replica.state == ReplicaState::Running).count()
}

async fn run(runtime: &MockRuntime, bound: Bound<Model>) -> Result<ModelHandle, DeployError> {
    timeout(A_DAY, runtime.run(bound)).await.expect("a deploy ends")
}

/// Scaled to zero, updated, and a replica dies at the same time, at every moment.
#[tokio::test(start_paused = true)]
async fn an_update_ends_at_every_moment_of_scaling_to_zero_though_replicas_die() -> Result<()> {
    let config = AutoscalingConfig::auto().min_replicas(0).max_replicas(3);
    let config = config.initial_replicas(3).downscale_delay(seconds(60));
    for moment in (0..=150).step_by(5) {
        for good in [true, false] {
            let (runtime, failing) = (MockRuntime::builder().start(), Failing::default());
            let model = |version: u32| {
                let bound = Model::bind(version, Arc::clone(&failing)).autoscaling(config.clone());
                bound.max_surge_percent(if moment % 2 == 0 { 0.0 } else { 100.0 })
            };
            let handle = run(&runtime, model(1)).await?;
            sleep(seconds(moment)).await;
            if !good {
                failing.lock().push(2);
            }
            let dying = async {
                sleep(seconds(10)).await;
                runtime.kill_replica::<Model>(0);
                // A call needs a replica just now, which a bad version never gives it.
                timeout(seconds(3_600), handle.version()).await.is_ok_and(|it| it.is_ok())
            };
            let (updated, called) = futures::join!(run(&runtime, model(2)), dying);
            let context = format!("after {moment} s, good: {good}");
            assert!(called || !good, "{context}");
            // A version that was scaled to zero is only tried once a call needs it.
            let version = timeout(A_DAY, handle.version());
            match updated {
                Ok(_) if good => {
                    assert_eq!(version.await.expect("it is answered")?, 2, "{context}");
                    let status = runtime.status().application("default").unwrap().status;
                    assert_eq!(status, ApplicationStatus::Running, "{context}");
                }
                Ok(_) => {}
                Err(refused) => {
                    assert!(!good, "{context}: {refused}");
                    assert_eq!(version.await.expect("it is answered")?, 1, "{context}");
                }
            }
        }
    }
    Ok(())
}

/// A config, another number of replicas, and a replica that dies or panics.
#[tokio::test(start_paused = true)]
async fn a_config_arrives_everywhere_whatever_else_changes() -> Result<()> {
    for moment in (0..60).step_by(3) {
        for (before, after) in [(1, 1), (3, 1), (1, 3), (3, 3)] {
            for dies in [true, false] {
                let (runtime, failing) = (MockRuntime::builder().start(), Failing::default());
                let model = |replicas: usize, threshold: usize| {
                    let bound = Model::bind(1_u32, Arc::clone(&failing));
                    bound.num_replicas(replicas).user_config(threshold)
                };
                let handle = run(&runtime, model(before, 1)).await?;
                let other = async {
                    sleep(seconds(moment)).await;
                    if dies {
                        runtime.kill_replica::<Model>(0);
                    } else {
                        for _ in 0..3 * before {
                            let _ = handle.fall().await;
                        }
                    }
                };
                // The second config comes while the first is being taken.
                let changes = async {
                    let first = run(&runtime, model(before, 2));
                    let second = async {
                        sleep(seconds(7)).await;
                        run(&runtime, model(after, 3)).await
                    };
                    futures::join!(first, second).1
                };
                let (changed, ()) = futures::join!(changes, other);
                changed?;
                sleep(seconds(600)).await;
                let context = format!("{before} to {after}, dies: {dies}, after {moment} s");
                for _ in 0..12 {
                    assert_eq!(handle.threshold().await?, 3, "{context}");
                }
                assert_eq!(running(&runtime), after, "{context}");
                let status = runtime.status().application("default").unwrap().status;
                assert_eq!(status, ApplicationStatus::Running, "{context}");
            }
        }
    }
    Ok(())
}

/// Some replicas start and others fail, while the number of replicas changes or one of them dies.
#[tokio::test(start_paused = true)]
async fn a_deploy_of_which_some_replicas_fail_ends_whatever_else_changes() -> Result<()> {
    /// Has a licence, and gives it back.
    #[deployment]
    struct Licensed(Arc<Mutex<usize>>);

    impl Drop for Licensed {
        fn drop(&mut self) {
            *self.0.lock() += 1;
        }
    }

    #[handle]
    impl Licensed {
        async fn new(licences: Arc<Mutex<usize>>) -> Result<Self> {
            sleep(seconds(1)).await;
            let left = licences.lock().checked_sub(1).ok_or_else(|| Error::msg("no licence"))?;
            *licences.lock() = left;
            Ok(Self(licences))
        }

        pub async fn hi(&self) -> u32 {
            1
        }
    }

    let scaling = AutoscalingConfig::new().min_replicas(4).max_replicas(6);
    for change in ["kill", "fewer", "autoscaled", "more licences"] {
        let (runtime, licences) = (MockRuntime::builder().start(), Arc::new(Mutex::new(2)));
        let bound = Licensed::bind(Arc::clone(&licences));
        let first = match change {
            "autoscaled" => bound.clone().autoscaling(scaling.clone()),
            _ => bound.clone().num_replicas(4),
        };
        let changes = async {
            sleep(seconds(2)).await;
            match change {
                "kill" => drop(runtime.kill_replica::<Licensed>(0)),
                // The first deploy gives way: its replicas stop, and others start in their place.
                "fewer" => return Some(runtime.run(bound.clone().num_replicas(2)).await.map(drop)),
                "more licences" => *licences.lock() = 10,
                _ => {}
            }
            None
        };
        let deploy = timeout(A_DAY, runtime.run(first));
        let (deployed, changed) = futures::join!(deploy, changes);
        let deployed = deployed.expect("a deploy ends").map(drop);
        match change {
            "more licences" => assert!(deployed.is_ok(), "{deployed:?}"),
            "fewer" => assert!(matches!(changed, Some(Ok(()))), "{changed:?}"),
            _ => assert!(deployed.is_err_and(|error| error.to_string().contains("no licence"))),
        }
        let handle = runtime.get_app_handle::<Licensed>("default")?;
        assert_eq!(handle.hi().await?, 1, "{change}: what is healthy serves");
    }
    Ok(())
}

#[deployment]
struct Caller {
    model: ModelHandle,
}

#[handle]
impl Caller {
    fn new(model: ModelHandle) -> Self {
        Self { model }
    }

    pub async fn ask(&self) -> Result<u32> {
        Ok(self.model.version().await?)
    }

    pub async fn model(&self) -> ModelHandle {
        self.model.clone()
    }
}

/// Handles of every kind, from before, find what comes back: scaled to zero, under another plan, while
/// calls wait.
#[tokio::test(start_paused = true)]
async fn every_handle_finds_what_comes_back_in_another_form() -> Result<()> {
    for mode in [Mode::Local, Mode::Wire] {
        let (runtime, failing) = (MockRuntime::builder().mode(mode).start(), Failing::default());
        let model = |version: u32| Model::bind(version, Arc::clone(&failing));
        let zero = AutoscalingConfig::auto().min_replicas(0).max_replicas(2);
        let typed = run(&runtime, model(1)).await?;
        let by_name: AnyHandle = runtime.run_any(Application::new(model(1)).into()).await?;
        let caller = Application::new(Caller::bind(typed.clone())).name("caller").without_route();
        let caller = runtime.run(caller).await?;
        // One that has crossed a call.
        let returned = caller.model().await?;
        let hasty = typed.options(CallOptions::new().session_id("7"));
        for version in 2..5 {
            runtime.delete("default").await?;
            let again = async {
                match version {
                    2 => runtime.run(model(version).autoscaling(zero.clone())).await.map(drop),
                    3 => runtime.run(model(version).num_replicas(3)).await.map(drop),
                    // As a callee this time, beside another one of its type.
                    _ => {
                        let bound = Caller::bind(model(version));
                        runtime.run(bound).await.map(drop)
                    }
                }
            };
            again.await?;
            let all = [&typed, &returned, &hasty].map(ModelHandle::version);
            for one in join_all(all).await {
                assert_eq!(one?, version, "{mode:?}");
            }
            assert_eq!(caller.ask().await?, version, "{mode:?}");
            let called = by_name.call("version", &BTreeMap::new()).expect("such a method");
            let called: Vec<_> = called.collect().await;
            assert_eq!(called, [Ok(json!(version))], "{mode:?}");
        }
    }
    Ok(())
}

/// What an update asks for never fits, while the load changes and a replica waits for room.
#[tokio::test(start_paused = true)]
async fn what_never_fits_is_refused_at_once_whatever_waits() -> Result<()> {
    let failing = Failing::default();
    let runtime = MockRuntime::builder().num_cpus(4.0).num_gpus(0).memory(1 << 30).start();
    let model = |version: u32| Model::bind(version, Arc::clone(&failing)).num_cpus(2.0);
    let scaling = AutoscalingConfig::new().min_replicas(1).max_replicas(9);
    let handle = run(&runtime, model(1).autoscaling(scaling.clone())).await?;
    // Another application takes the rest, and a third one waits.
    let rest = Application::new(model(5)).name("rest").without_route();
    runtime.run(rest).await?;
    let waiting = Application::new(model(6)).name("waiting").without_route();
    let waiting = runtime.run(waiting);
    let refused = async {
        sleep(seconds(50)).await;
        let began = Instant::now();
        let floor = scaling.clone().min_replicas(3);
        let bounds = [
            model(2).autoscaling(floor),
            model(2).num_replicas(3),
            model(2).memory(2 << 30),
            model(2).num_gpus(0.5),
            model(2).resource("tpu", 0.5).num_cpus(4.5),
        ];
        for bound in bounds {
            let refused = run(&runtime, bound).await.map(drop);
            assert!(matches!(refused, Err(DeployError::NeverFits { .. })), "{refused:?}");
        }
        // Two deployments of one application, each of which fits alone.
        let pair = Caller::bind(model(2).num_cpus(3.0)).num_cpus(2.0);
        let refused = runtime.run(pair).await.map(drop);
        assert!(matches!(refused, Err(DeployError::NeverFits { .. })), "{refused:?}");
        assert_eq!(began.elapsed(), Duration::ZERO);
        assert_eq!(handle.version().await, Ok(1));
        runtime.delete("rest").await
    };
    let (waiting, refused) = futures::join!(timeout(A_DAY, waiting), refused);
    refused?;
    assert_eq!(waiting.expect("it gets the room")?.version().await?, 6);
    Ok(())
}

type Seen = (u64, String, Option<String>);

fn weigh(item: &u64) -> usize {
    if item.is_multiple_of(2) { 1 } else { 2 }
}

/// Batches of one model each, by weight.
#[deployment(max_ongoing_requests = 64)]
struct Batcher {
    batches: Arc<Mutex<Vec<Vec<Seen>>>>,
}

#[handle]
impl Batcher {
    fn new(batches: Arc<Mutex<Vec<Vec<Seen>>>>) -> Self {
        Self { batches }
    }

    #[batch(max_batch_size = 6, batch_wait_timeout = "5ms", batch_size_fn = weigh)]
    pub async fn embed(&self, items: Vec<u64>) -> Vec<u64> {
        let seen = items.iter().zip(batch_contexts()).map(|(item, context)| {
            let model = context.multiplexed_model_id().map(str::to_owned);
            (*item, context.request_id().to_owned(), model)
        });
        self.batches.lock().push(seen.collect());
        sleep(Duration::from_millis(1)).await;
        items
    }
}

/// Of different models, on a runtime that sends them, and a replica dies under those that wait.
#[tokio::test(start_paused = true)]
async fn items_keep_order_and_context_by_model_though_their_replica_dies() -> Result<()> {
    for mode in [Mode::Local, Mode::Wire] {
        for dies_after in [0, 1, 6] {
            let (runtime, batches) = (MockRuntime::builder().mode(mode).start(), Arc::default());
            let batcher = runtime.run(Batcher::bind(Arc::clone(&batches))).await?;
            let calls: Vec<_> = (0..60)
                .map(|item: u64| {
                    let options = CallOptions::new().request_id(format!("request {item}"));
                    let options = options.multiplexed_model_id(if item.is_multiple_of(2) {
                        "a"
                    } else {
                        "b"
                    });
                    (item, batcher.options(options).embed(item))
                })
                .collect();
            sleep(Duration::from_millis(dies_after)).await;
            assert!(runtime.kill_replica::<Batcher>(0));
            let mut lost = 0;
            for (item, call) in calls {
                match call.await {
                    Ok(got) => assert_eq!(got, item),
                    Err(CallError::Unavailable { started: true, .. }) => lost += 1,
                    Err(other) => return Err(other.into()),
                }
            }
            assert!(lost <= 24, "{lost} were lost: no more than had begun");
            for model in ["a", "b"] {
                let mut last = None;
                for batch in &*batches.lock() {
                    if batch[0].2.as_deref() != Some(model) {
                        continue;
                    }
                    for (item, id, its_model) in batch {
                        assert_eq!(its_model.as_deref(), Some(model), "one model each: {batch:?}");
                        assert_eq!(*id, format!("request {item}"), "{mode:?}");
                        assert!(last < Some(*item), "{mode:?} {dies_after}: {:?}", batches.lock());
                        last = Some(*item);
                    }
                }
            }
        }
    }
    Ok(())
}

type Nested = Option<Option<u8>>;

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Fields {
    nested: Nested,
    unit: Option<()>,
    deep: Vec<Option<Option<Option<()>>>>,
    map: BTreeMap<u8, Option<Option<String>>>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, thiserror::Error)]
#[error("{0:?}")]
struct Failed(Fields);

#[deployment]
#[derive(Default)]
struct Mirror;

#[handle]
impl Mirror {
    pub async fn error(&self, fields: Fields) -> Result<(), Failed> {
        Err(Failed(fields))
    }

    pub fn items(&self, fields: Vec<Fields>) -> impl Stream<Item = Fields> {
        stream::iter(fields)
    }

    pub async fn object(&self, fields: Fields) -> ObjectRef<Fields> {
        ObjectRef::put(fields)
    }

    pub async fn sum(
        &self,
        items: InputStream<Fields>,
        object: ObjectRef<Fields>,
    ) -> Result<Vec<Fields>> {
        let mut all: Vec<Fields> = items.try_collect().await?;
        all.push(object.await?);
        Ok(all)
    }

    #[batch(max_batch_size = 4, batch_wait_timeout = "1ms")]
    pub async fn batch(&self, fields: Vec<Fields>) -> Vec<Result<Fields, Failed>> {
        fields.into_iter().map(Ok).collect()
    }
}

/// As an error, an item, an object, an input, and in a batch.
#[tokio::test(start_paused = true)]
async fn nested_options_arrive_as_they_were_sent_by_every_way() -> Result<()> {
    let rows = [
        Fields { nested: None, unit: None, deep: vec![None], map: BTreeMap::new() },
        Fields {
            nested: Some(None),
            unit: Some(()),
            deep: vec![Some(None), Some(Some(None)), Some(Some(Some(()))), None],
            map: BTreeMap::from([(1, None), (2, Some(None)), (3, Some(Some("x".to_owned())))]),
        },
        Fields {
            nested: Some(Some(7)),
            unit: None,
            deep: vec![],
            map: BTreeMap::from([(1, None)]),
        },
    ];
    for mode in [Mode::Local, Mode::Wire] {
        let runtime = MockRuntime::builder().mode(mode).start();
        let mirror = runtime.run(Mirror::bind()).await?;
        for row in &rows {
            let error = mirror.error(row.clone()).await;
            assert_eq!(error, Err(CallError::App(Failed(row.clone()))), "{mode:?}");
            assert_eq!(mirror.batch(row.clone()).await?, *row, "{mode:?}");
            let object = mirror.object(row.clone()).await?;
            assert_eq!(object.clone().await?, *row, "{mode:?}");
            let passed = mirror.sum(stream::iter([row.clone()]), object).await?;
            assert_eq!(passed, [row.clone(), row.clone()], "{mode:?}");
        }
        let items: Vec<_> = mirror.items(rows.to_vec()).try_collect().await?;
        assert_eq!(items, rows, "{mode:?}");
    }
    Ok(())
}

#[deployment]
#[derive(Default)]
struct Named;

#[handle]
impl Named {
    pub async fn see(&self) -> (String, Option<u64>, Option<String>) {
        let left = context().remaining().map(|left| left.as_secs());
        (context().request_id().to_owned(), left, context().session_id().map(str::to_owned))
    }

    pub fn items(&self) -> impl Stream<Item = String> + use<> {
        stream::once(async { context().request_id().to_owned() })
    }
}

static NAMED: Mutex<Option<AnyHandle>> = Mutex::new(None);

async fn by_name(method: &str) -> Value {
    let named = NAMED.lock().clone().expect("it was set");
    let called = named.call(method, &BTreeMap::new()).expect("such a method");
    called.map(|item| item.expect("it does not fail")).next().await.expect("there is one")
}

#[task]
async fn in_a_task() -> Result<Value, CallError<String>> {
    Ok(by_name("see").await)
}

#[deployment(request_timeout = "100s")]
#[derive(Default)]
struct Places;

#[handle]
impl Places {
    #[blocking]
    pub fn on_a_thread(&self) -> Value {
        tokio::runtime::Handle::current().block_on(by_name("see"))
    }

    #[batch(max_batch_size = 1)]
    pub async fn in_a_batch(&self, numbers: Vec<u32>) -> Vec<Value> {
        vec![by_name("see").await; numbers.len()]
    }

    pub async fn spawned(&self) -> Value {
        serve_core::spawn(by_name("see")).await.expect("it does not panic")
    }

    pub fn streamed(&self) -> impl Stream<Item = Value> + use<> {
        stream::once(by_name("see"))
    }

    pub async fn of_a_stream(&self) -> Value {
        by_name("items").await
    }
}

/// From each place where code of a call may run.
#[tokio::test(start_paused = true)]
async fn a_call_by_name_keeps_request_and_deadline_wherever_it_is_made() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let named = Application::new(Named::bind()).name("named").without_route();
    *NAMED.lock() = Some(runtime.run_any(named.into()).await?);
    let places = runtime.run(Places::bind()).await?;
    let places = places.options(CallOptions::new().request_id("7").session_id("dora"));
    let expected = json!(["7", 100, "dora"]);
    assert_eq!(places.on_a_thread().await?, expected);
    assert_eq!(places.spawned().await?, expected);
    assert_eq!(places.streamed().next().await, Some(Ok(expected)));
    assert_eq!(places.in_a_batch(1_u32).await?, json!(["7", null, "dora"]), "of all its items");
    assert_eq!(places.of_a_stream().await?, json!("7"));
    *NAMED.lock() = None;
    Ok(())
}
