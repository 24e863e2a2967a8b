//! Tests that discard the controller at random points: the next controller continues from the
//! stored state and the reports of the node, and the outcome is the same as with a single
//! controller.
#![allow(unreachable_pub, reason = "a handle has the public methods, and a test no public face")]

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tokio::runtime::Handle as Tokio;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::{Parts, Runtime};
use crate::call::runtime_context::{InPlace, RuntimeContext};
use crate::controller::{
    ApplicationStatus, ControlStore, DeployError, DeploymentStatus, Entry, Expected, MemoryStore,
    ReplicaState, Resources, StoreError, StoreRevision, Watch, WriteBatch,
};
use crate::node::NoSubstitutes;
use crate::prelude::*;

/// A time longer than anything in this file takes.
const HOURS: Duration = Duration::from_secs(4 * 3_600);
/// A time longer than any call that is served takes.
const MINUTES: Duration = Duration::from_secs(600);

/// The point at which a controller is stopped.
#[derive(Clone, Copy, Debug)]
struct Stop {
    /// The number of writes that the controller makes before it is stopped.
    after: usize,
    /// True if the next write is applied but the controller does not learn of it.
    written: bool,
}

/// A store that stops the controllers which write to it.
#[derive(Debug)]
struct StoppingStore {
    store: MemoryStore,
    stops: Mutex<VecDeque<Stop>>,
    stopped: Arc<Notify>,
    /// The number of controllers that were stopped.
    count: AtomicUsize,
}

impl ControlStore for StoppingStore {
    fn get(&self, key: &str) -> BoxFuture<'_, Result<Option<Entry>, StoreError>> {
        self.store.get(key)
    }

    fn put(&self, batch: WriteBatch) -> BoxFuture<'_, Result<StoreRevision, StoreError>> {
        let fenced = batch.fence.clone();
        let Some((key, _)) = fenced else { return self.store.put(batch) };
        let stop = {
            let mut stops = self.stops.lock();
            match stops.front_mut() {
                Some(Stop { after: 0, .. }) => stops.pop_front(),
                Some(stop) => {
                    stop.after -= 1;
                    None
                }
                None => None,
            }
        };
        let Some(stop) = stop else { return self.store.put(batch) };
        self.count.fetch_add(1, Ordering::Relaxed);
        async move {
            if stop.written {
                self.store.put(batch).await?;
            }
            self.stopped.notify_one();
            Err(StoreError::Fenced(key))
        }
        .boxed()
    }

    fn create(
        &self,
        key: &str,
        value: Bytes,
        ttl: Option<Duration>,
    ) -> BoxFuture<'_, Result<StoreRevision, StoreError>> {
        self.store.create(key, value, ttl)
    }

    fn renew(
        &self,
        key: &str,
        revision: StoreRevision,
        ttl: Duration,
    ) -> BoxFuture<'_, Result<StoreRevision, StoreError>> {
        self.store.renew(key, revision, ttl)
    }

    fn delete(&self, key: &str, expected: Expected) -> BoxFuture<'_, Result<(), StoreError>> {
        self.store.delete(key, expected)
    }

    fn keys(&self, prefix: &str) -> BoxFuture<'_, Result<Vec<String>, StoreError>> {
        self.store.keys(prefix)
    }

    fn watch(&self, prefix: &str) -> Box<dyn Watch> {
        self.store.watch(prefix)
    }
}

/// The behavior of a version of a deployment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Version {
    number: u32,
    starts: bool,
    /// The start time in milliseconds.
    start: u64,
}

/// A user config, and whether it is accepted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Config {
    number: u32,
    taken: bool,
}

#[deployment]
struct Leaf {
    version: Version,
    config: Mutex<Option<u32>>,
    alive: Arc<AtomicIsize>,
}

impl Drop for Leaf {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::SeqCst);
    }
}

#[handle]
impl Leaf {
    async fn new(version: Version, alive: Arc<AtomicIsize>) -> Result<Self, String> {
        sleep(Duration::from_millis(version.start)).await;
        if !version.starts {
            return Err("it never starts".to_owned());
        }
        alive.fetch_add(1, Ordering::SeqCst);
        Ok(Self { version, config: Mutex::new(None), alive })
    }

    pub async fn serve(&self, work: u64) -> (u32, Option<u32>) {
        sleep(Duration::from_millis(work)).await;
        (self.version.number, *self.config.lock())
    }

    #[reconfigure]
    async fn configure(&self, config: Config) -> Result<(), String> {
        sleep(Duration::from_millis(500)).await;
        if !config.taken {
            return Err("it is never taken".to_owned());
        }
        *self.config.lock() = Some(config.number);
        Ok(())
    }
}

#[deployment]
struct Top {
    leaf: LeafHandle,
    number: u32,
}

#[handle]
impl Top {
    fn new(leaf: LeafHandle, number: u32) -> Self {
        Self { leaf, number }
    }

    pub async fn serve(&self, work: u64) -> Result<(u32, u32, Option<u32>)> {
        let (version, config) = self.leaf.serve(work).await?;
        Ok((self.number, version, config))
    }
}

/// An action on a runtime.
#[derive(Clone, Debug)]
enum Action {
    Deploy { top: u32, version: Version, config: Config, scaling: Scaling },
    Call { work: u64 },
    Kill { rank: usize },
    Delete,
    Wait { milliseconds: u64 },
}

#[derive(Clone, Debug)]
enum Scaling {
    Fixed(usize),
    FromZero,
}

fn action() -> impl Strategy<Value = Action> {
    let version = (1..4_u32, 0..5_u32, prop_oneof![Just(0), 1..8_000_u64]);
    let version =
        version.prop_map(|(number, starts, start)| Version { number, starts: starts > 0, start });
    let config = (1..4_u32, 0..6_u32);
    let config = config.prop_map(|(number, taken)| Config { number, taken: taken > 0 });
    let scaling = prop_oneof![
        3 => (1..4_usize).prop_map(Scaling::Fixed),
        1 => Just(Scaling::FromZero),
    ];
    prop_oneof![
        4 => (1..3_u32, version, config, scaling).prop_map(|(top, version, config, scaling)| {
            Action::Deploy { top, version, config, scaling }
        }),
        3 => (0..4_000_u64).prop_map(|work| Action::Call { work }),
        2 => (0..3_usize).prop_map(|rank| Action::Kill { rank }),
        1 => Just(Action::Delete),
        5 => prop_oneof![0..2_000_u64, 10_000..200_000_u64]
            .prop_map(|milliseconds| Action::Wait { milliseconds }),
    ]
}

fn stop() -> impl Strategy<Value = Stop> {
    (0..9_usize, any::<bool>()).prop_map(|(after, written)| Stop { after, written })
}

/// The observable state at the end.
#[derive(Debug, PartialEq)]
struct End {
    /// The outcome of each deploy.
    deploys: Vec<Result<(), String>>,
    status: Option<ApplicationStatus>,
    message: String,
    deployments: BTreeMap<String, DeploymentEnd>,
    served: Option<(u32, u32, Option<u32>)>,
    alive: isize,
    calls_lost: usize,
}

/// The status of a deployment, its target, and its replicas by rank.
type DeploymentEnd = (DeploymentStatus, usize, Vec<(usize, ReplicaState)>);

type Deploy = JoinHandle<Result<TopHandle, DeployError>>;

async fn run(actions: &[Action], stops: &[Stop]) -> (End, usize) {
    let alive = Arc::<AtomicIsize>::default();
    let stopped = Arc::<Notify>::default();
    let store = Arc::new(StoppingStore {
        store: MemoryStore::default(),
        stops: Mutex::new(stops.iter().copied().collect()),
        stopped: Arc::clone(&stopped),
        count: AtomicUsize::new(0),
    });
    let mut context = RuntimeContext::new(Tokio::current(), 7);
    (context.clock_waits, context.in_place) = (true, InPlace::Never);
    let substitutes = Arc::new(NoSubstitutes);
    let parts = Parts::in_memory(context, 7, substitutes, Resources::plenty());
    let runtime = Runtime::assemble(Parts { store: Arc::clone(&store) as _, ..parts });
    let plane = Arc::clone(runtime.plane());
    let replacing = tokio::spawn(async move {
        loop {
            stopped.notified().await;
            plane.replace_controller();
        }
    });
    let mut deploys: Vec<Deploy> = Vec::new();
    let mut calls = Vec::new();
    let mut killed = false;
    for action in actions {
        match action.clone() {
            Action::Deploy { top, version, config, scaling } => {
                let leaf = Leaf::bind(version, Arc::clone(&alive)).user_config(config);
                let leaf = match scaling {
                    Scaling::Fixed(count) => leaf.num_replicas(count),
                    Scaling::FromZero => leaf.autoscaling(
                        crate::autoscaling::AutoscalingConfig::new()
                            .min_replicas(0)
                            .max_replicas(3)
                            .upscale_delay(Duration::from_secs(1))
                            .downscale_delay(Duration::from_secs(20))
                            .look_back_period(Duration::from_secs(5)),
                    ),
                };
                let leaf = leaf.max_ongoing_requests(2).rolling_update_percentage(0.5);
                let runtime = runtime.clone();
                deploys.push(tokio::spawn(async move { runtime.run(Top::bind(leaf, top)).await }));
            }
            Action::Call { work } => {
                if let Ok(handle) = runtime.get_app_handle::<Top>("default") {
                    calls.push(handle.serve(work));
                }
            }
            Action::Kill { rank } => {
                let of = std::any::TypeId::of::<Leaf>();
                killed |= runtime.plane().directory().kill(of, rank);
            }
            Action::Delete => {
                let deleted = timeout(HOURS, runtime.delete("default")).await;
                let _ = deleted.expect("a deletion ends");
            }
            Action::Wait { milliseconds } => sleep(Duration::from_millis(milliseconds)).await,
        }
        // The order of two events at the same moment is undefined.
        sleep(Duration::from_millis(1)).await;
    }
    let mut ends = Vec::new();
    for deploy in deploys {
        let end = timeout(HOURS, deploy).await.expect("a deploy ends").expect("no panic");
        ends.push(end.map(drop).map_err(|error| error.to_string()));
    }
    let mut calls_lost = 0;
    for call in calls {
        // Nothing serves a call of a version that is deployed with no replica and never starts.
        let end = timeout(MINUTES, call).await;
        calls_lost += usize::from(end.is_ok_and(|end| end.is_err()) && !killed);
    }
    // By then, everything that scales to zero has done so, and pauses after failures are over.
    sleep(Duration::from_secs(3_600)).await;
    let status = runtime.status();
    let application = status.application("default");
    let deployment = |(name, details): (&String, &crate::status::DeploymentDetails)| {
        let mut replicas: Vec<_> =
            details.replicas.iter().map(|replica| (replica.rank, replica.state)).collect();
        replicas.sort_by_key(|(rank, _)| *rank);
        (name.clone(), (details.status, details.target_num_replicas, replicas))
    };
    let end = End {
        deploys: ends,
        status: application.map(|application| application.status),
        message: application.map(|application| application.message.clone()).unwrap_or_default(),
        deployments: application
            .map(|application| application.deployments.iter().map(deployment).collect())
            .unwrap_or_default(),
        alive: alive.load(Ordering::SeqCst),
        served: match runtime.get_app_handle::<Top>("default") {
            Ok(handle) => timeout(MINUTES, handle.serve(0)).await.ok().and_then(|end| end.ok()),
            Err(_) => None,
        },
        calls_lost,
    };
    timeout(HOURS, runtime.shutdown()).await.expect("a shutdown ends");
    replacing.abort();
    assert_eq!(alive.load(Ordering::SeqCst), 0, "no instance is left");
    (end, store.count.load(Ordering::Relaxed))
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let tokio =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    tokio.expect("a runtime").block_on(future)
}

#[test]
fn another_controller_goes_on_wherever_one_stops() {
    let cases = 300;
    let config = ProptestConfig { cases, ..ProptestConfig::default() };
    let strategy = (prop::collection::vec(action(), 1..14), prop::collection::vec(stop(), 1..12));
    let stopped_in_all = AtomicUsize::new(0);
    let ran = TestRunner::new(config).run(&strategy, |(actions, stops)| {
        let (undisturbed, none) = block_on(run(&actions, &[]));
        let (disturbed, stopped) = block_on(run(&actions, &stops));
        prop_assert_eq!(none, 0);
        prop_assert_eq!(disturbed, undisturbed);
        stopped_in_all.fetch_add(stopped, Ordering::Relaxed);
        Ok(())
    });
    if let Err(error) = ran {
        panic!("{error}");
    }
    let stopped = stopped_in_all.into_inner();
    assert!(stopped > 2 * cases as usize, "{stopped} controllers were stopped");
}
