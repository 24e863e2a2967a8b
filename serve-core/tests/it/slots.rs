//! Slots are freed however calls end, on any schedule.

use crate::support::cases::cases;
use crate::support::gauges::Gauge;
use crate::support::runtimes::paused;
use crate::support::status;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use proptest::prelude::*;
use serve_core::prelude::*;
use tokio::time::sleep;

const REPLICAS: usize = 2;
const SLOTS: usize = 2;
const PLACES: usize = 3;

/// The most that any replica ever ran at once.
type Most = Arc<AtomicUsize>;

#[deployment]
struct Back {
    gauge: Gauge,
    most: Most,
}

impl Drop for Back {
    fn drop(&mut self) {
        self.most.fetch_max(self.gauge.most(), Ordering::SeqCst);
    }
}

#[handle]
impl Back {
    fn new(most: Most) -> Self {
        Self { gauge: Gauge::default(), most }
    }

    pub async fn work(&self, ms: u64, panics: bool) -> u64 {
        let _running = self.gauge.enter();
        sleep(Duration::from_millis(ms)).await;
        assert!(!panics, "told to");
        ms
    }

    pub fn items(&self, ms: u64, panics: bool) -> impl Stream<Item = u64> {
        let running = self.gauge.enter();
        futures::stream::iter(0..20).then(move |item| {
            let _running = &running;
            async move {
                sleep(Duration::from_millis(ms)).await;
                assert!(!(panics && item == 3), "told to");
                item
            }
        })
    }

    #[blocking]
    pub fn compute(&self, panics: bool) -> u64 {
        let _running = self.gauge.enter();
        assert!(!panics, "told to");
        1
    }
}

#[deployment]
struct Front(BackHandle);

#[handle]
impl Front {
    fn new(back: BackHandle) -> Self {
        Self(back)
    }

    pub async fn work(&self, ms: u64, panics: bool) -> Result<u64> {
        let one = self.0.work(ms, panics);
        let two = self.0.work(one, false);
        Ok(two.await? + self.0.compute(panics).await?)
    }

    pub fn items(&self, ms: u64, panics: bool) -> impl Stream<Item = Result<u64>> {
        self.0.items(ms, panics).map(|item| Ok(item?))
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// A call of the front or the back, perhaps one that panics or has a deadline.
    Call {
        front: bool,
        kind: Kind,
        ms: u64,
        panics: bool,
        deadline: Option<u64>,
    },
    Drop(usize),
    Cancel(usize),
    Detach(usize),
    /// Reads an item of a stream, or waits a while for a value.
    Poll(usize),
    Wait(u64),
    /// Replaces every replica; those that still run after this time are ended.
    Redeploy {
        grace: u64,
    },
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Value,
    Fed,
    Items,
    Compute,
}

fn step() -> impl Strategy<Value = Step> {
    let kind =
        prop_oneof![Just(Kind::Value), Just(Kind::Fed), Just(Kind::Items), Just(Kind::Compute)];
    let deadline = prop::option::weighted(0.3, 0..30_u64);
    let call = (any::<bool>(), kind, 0..20_u64, prop::bool::weighted(0.15), deadline).prop_map(
        |(front, kind, ms, panics, deadline)| Step::Call { front, kind, ms, panics, deadline },
    );
    prop_oneof![
        10 => call,
        3 => any::<usize>().prop_map(Step::Drop),
        2 => any::<usize>().prop_map(Step::Cancel),
        1 => any::<usize>().prop_map(Step::Detach),
        3 => any::<usize>().prop_map(Step::Poll),
        4 => (0..15_u64).prop_map(Step::Wait),
        1 => (0..10_u64).prop_map(|grace| Step::Redeploy { grace }),
    ]
}

/// A call that was made.
enum Made {
    Value(Response<u64>),
    Fallible(Response<u64, Error>),
    Items(ResponseStream<u64>),
    FallibleItems(ResponseStream<u64, Error>),
}

impl Made {
    fn cancel(&self) {
        match self {
            Self::Value(call) => call.cancel(),
            Self::Fallible(call) => call.cancel(),
            Self::Items(call) => call.cancel(),
            Self::FallibleItems(call) => call.cancel(),
        }
    }

    fn detach(self) {
        match self {
            Self::Value(call) => call.detach(),
            Self::Fallible(call) => call.detach(),
            Self::Items(call) => call.detach(),
            Self::FallibleItems(call) => call.detach(),
        }
    }

    /// Waits for at most 5 ms. False once there is nothing to wait for any more.
    async fn poll(&mut self) -> bool {
        let limit = Duration::from_millis(5);
        match self {
            Self::Value(call) => tokio::time::timeout(limit, call).await.is_err(),
            Self::Fallible(call) => tokio::time::timeout(limit, call).await.is_err(),
            Self::Items(items) => {
                !matches!(tokio::time::timeout(limit, items.next()).await, Ok(None))
            }
            Self::FallibleItems(items) => {
                !matches!(tokio::time::timeout(limit, items.next()).await, Ok(None))
            }
        }
    }
}

fn application(most: &Most, grace: Duration) -> Bound<Front> {
    let back = Back::bind(Arc::clone(most))
        .num_replicas(REPLICAS)
        .max_ongoing_requests(SLOTS)
        .max_queued_requests(PLACES)
        .graceful_shutdown_timeout(grace);
    Front::bind(back).max_ongoing_requests(4).graceful_shutdown_timeout(grace)
}

fn load(runtime: &Runtime) -> Vec<(usize, usize)> {
    let deployments = status::application(runtime).deployments;
    deployments.values().map(|one| (one.ongoing, one.queued)).collect()
}

async fn run(steps: Vec<Step>) -> Result<()> {
    let most = Most::default();
    let runtime = MockRuntime::builder().seed(steps.len() as u64).start();
    let front = runtime.run(application(&most, Duration::from_secs(1))).await?;
    let back = runtime.get_deployment_handle::<Back>("default", "Back")?;
    let mut made: Vec<Made> = Vec::new();
    for step in steps {
        match step {
            Step::Call { front: is_front, kind, ms, panics, deadline } => {
                let mut options = CallOptions::new();
                options.timeout = deadline.map(Duration::from_millis);
                let (front, back) = (front.options(options.clone()), back.options(options));
                made.push(match (is_front, kind) {
                    (true, Kind::Items) => Made::FallibleItems(front.items(ms, panics)),
                    (true, _) => Made::Fallible(front.work(ms, panics)),
                    (false, Kind::Items) => Made::Items(back.items(ms, panics)),
                    (false, Kind::Value) => Made::Value(back.work(ms, panics)),
                    (false, Kind::Fed) => Made::Value(back.work(back.work(ms, panics), false)),
                    (false, Kind::Compute) => Made::Value(back.compute(panics)),
                });
            }
            Step::Wait(ms) => sleep(Duration::from_millis(ms)).await,
            Step::Redeploy { grace } => {
                runtime.run(application(&most, Duration::from_millis(grace))).await?;
            }
            Step::Drop(n) if !made.is_empty() => drop(made.swap_remove(n % made.len())),
            Step::Cancel(n) if !made.is_empty() => made[n % made.len()].cancel(),
            Step::Detach(n) if !made.is_empty() => made.swap_remove(n % made.len()).detach(),
            Step::Poll(n) if !made.is_empty() => {
                let at = n % made.len();
                if !made[at].poll().await {
                    drop(made.swap_remove(at));
                }
            }
            Step::Drop(_) | Step::Cancel(_) | Step::Detach(_) | Step::Poll(_) => {}
        }
        assert!(load(&runtime)[0].1 <= PLACES, "more wait than may");
    }
    drop(made);
    // Longer than any detached call runs.
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(load(&runtime), [(0, 0), (0, 0)]);
    // All slots and places are there, and no more.
    let calls: Vec<_> = (0..20).map(|_| back.work(5, false)).collect();
    assert_eq!(load(&runtime)[0], (REPLICAS * SLOTS, PLACES));
    let served = join_all(calls).await.into_iter().filter(std::result::Result::is_ok).count();
    assert_eq!(served, REPLICAS * SLOTS + PLACES);
    runtime.shutdown().await;
    assert!(most.load(Ordering::SeqCst) <= SLOTS, "a replica ran more than it may");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(60)))]

    #[test]
    fn slots_are_freed_however_calls_end(steps in prop::collection::vec(step(), 1..60)) {
        paused().block_on(run(steps)).map_err(|error| TestCaseError::fail(format!("{error:#}")))?;
    }
}
