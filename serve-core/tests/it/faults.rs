//! Replicas that die at any moment, and the faults that a test can inject.

use crate::support::cases::cases;
use crate::support::clocks::until;
use crate::support::events::Events;
use crate::support::panics::panic_message;
use crate::support::runtimes::paused;
use crate::support::status::{deployment, load};

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use parking_lot::Mutex;
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng};
use serve_core::prelude::*;
use serve_core::status::ReplicaState;
use tokio::runtime::Handle as Tokio;
use tokio::task::{JoinSet, yield_now};
use tokio::time::{Instant, sleep, timeout};

const RUNS: u32 = 20;
const CALLS: u64 = 100;
/// Replicas that are killed in a run, on average.
const KILLS: usize = 16;

const REPLICAS: usize = 3;
const SLOTS: usize = 2;
const PLACES: usize = 4;

/// The number of times that the method of each call began, which the error of the call must agree with.
#[derive(Default)]
struct Ledger(Mutex<HashMap<u64, usize>>);

impl Ledger {
    fn begun(&self, id: u64) {
        *self.0.lock().entry(id).or_default() += 1;
    }

    fn times(&self, id: u64) -> usize {
        self.0.lock().get(&id).copied().unwrap_or_default()
    }

    /// Checks the rules that hold for a call however it ended.
    fn check<T, E: std::fmt::Debug>(
        &self,
        id: u64,
        most: usize,
        outcome: &Result<T, CallError<E>>,
    ) {
        let times = self.times(id);
        assert!(times <= most, "call {id} ran {times} times, of at most {most}");
        let Err(error) = outcome else {
            assert!(times > 0, "call {id} has a result and never ran");
            return;
        };
        assert!(error.may_have_run() || times == 0, "call {id} ran: {error:?}");
        assert!(!(error.is_retryable() && error.may_have_run()), "call {id}: {error:?}");
        match error {
            CallError::Unavailable { started, .. } => {
                assert_eq!(*started, times > 0, "call {id} ran {times} times: {error:?}");
            }
            CallError::App(_)
            | CallError::Cancelled
            | CallError::DeadlineExceeded
            | CallError::Overloaded { .. }
            | CallError::Upstream(_) => {}
            other => panic!("call {id} was not to fail so: {other:?}"),
        }
    }
}

#[deployment]
struct Back(Arc<Ledger>);

#[handle]
impl Back {
    fn new(ledger: Arc<Ledger>) -> Self {
        Self(ledger)
    }

    pub async fn work(&self, id: u64, ms: u64) -> u64 {
        self.0.begun(id);
        sleep(Duration::from_millis(ms)).await;
        ms
    }

    #[retry(max = 2)]
    pub async fn again(&self, id: u64, ms: u64) -> u64 {
        self.work(id, ms).await
    }

    pub fn items(&self, id: u64, ms: u64) -> impl Stream<Item = u64> {
        self.0.begun(id);
        futures::stream::iter(0..5).then(move |item| async move {
            sleep(Duration::from_millis(ms)).await;
            item
        })
    }

    #[batch(max_batch_size = 3, batch_wait_timeout = "4ms")]
    pub async fn together(&self, ids: Vec<u64>, ms: Vec<u64>) -> Vec<u64> {
        ids.iter().for_each(|id| self.0.begun(*id));
        sleep(Duration::from_millis(ms.iter().copied().max().unwrap_or_default())).await;
        ms
    }
}

#[deployment]
struct Tally(u64, Arc<Ledger>);

#[handle]
impl Tally {
    fn new(ledger: Arc<Ledger>) -> Self {
        Self(0, ledger)
    }

    pub async fn add(&mut self, id: u64, ms: u64) -> u64 {
        self.1.begun(id);
        sleep(Duration::from_millis(ms)).await;
        self.0 += ms;
        self.0
    }
}

#[deployment]
struct Front {
    back: BackHandle,
    tally: TallyHandle,
    ledger: Arc<Ledger>,
}

#[handle]
impl Front {
    fn new(back: BackHandle, tally: TallyHandle, ledger: Arc<Ledger>) -> Self {
        Self { back, tally, ledger }
    }

    /// Two calls, of which the second takes the result of the first.
    pub async fn chain(&self, id: u64, ms: u64) -> Result<u64> {
        self.ledger.begun(id);
        let first = self.back.work(id + 1, ms);
        let second = self.tally.add(id + 2, first).await;
        self.ledger.check(id + 2, 1, &second);
        Ok(second?)
    }

    /// Passes a stream on.
    pub fn items(&self, id: u64, ms: u64) -> impl Stream<Item = Result<u64>> {
        self.ledger.begun(id);
        self.back.items(id + 1, ms).map(|item| Ok(item?))
    }
}

/// Cancels a call some time after it was made, or never.
#[derive(Clone, Copy)]
struct Patience(Option<u64>);

impl Patience {
    /// The outcome of the call; none if it was dropped.
    async fn wait<T>(self, call: impl Future<Output = T>) -> Option<T> {
        match self.0 {
            None => Some(call.await),
            Some(ms) => timeout(Duration::from_millis(ms), call).await.ok(),
        }
    }
}

async fn read<T, E>(mut items: ResponseStream<T, E>) -> Result<(), CallError<E>> {
    while let Some(item) = items.next().await {
        item?;
    }
    Ok(())
}

struct Load {
    runtime: MockRuntime,
    front: FrontHandle,
    back: BackHandle,
    tally: TallyHandle,
    ledger: Arc<Ledger>,
}

impl Load {
    async fn start(seed: u64) -> Result<Self> {
        let runtime = MockRuntime::builder().seed(seed).start();
        let ledger = Arc::<Ledger>::default();
        let back = Back::bind(Arc::clone(&ledger))
            .num_replicas(REPLICAS)
            .max_ongoing_requests(SLOTS)
            .max_queued_requests(PLACES);
        let tally = Tally::bind(Arc::clone(&ledger)).num_replicas(2);
        let front = Front::bind(back, tally, Arc::clone(&ledger)).num_replicas(2);
        let front = runtime.run(front).await?;
        let back = runtime.get_deployment_handle::<Back>("default", "Back")?;
        let tally = runtime.get_deployment_handle::<Tally>("default", "Tally")?;
        Ok(Self { runtime, front, back, tally, ledger })
    }

    /// Makes a call and sees to its end, in a task.
    fn call(&self, tasks: &mut JoinSet<()>, id: u64, random: &mut SmallRng) {
        let ms = random.random_range(0..12);
        let patience = Patience(random.random_bool(0.25).then(|| random.random_range(0..15)));
        let ledger = Arc::clone(&self.ledger);
        macro_rules! see {
            ($call:expr, $most:expr) => {{
                let call = $call;
                tasks.spawn(async move {
                    if let Some(outcome) = patience.wait(call).await {
                        ledger.check(id, $most, &outcome);
                    }
                });
            }};
        }
        match random.random_range(0..8) {
            0 => see!(self.back.work(id, ms), 1),
            1 => see!(self.back.again(id, ms), 3),
            2 => see!(read(self.back.items(id, ms)), 1),
            3 => see!(self.back.together(id, ms), 1),
            4 => see!(self.tally.add(id, ms), 1),
            5 => see!(self.front.chain(id, ms), 1),
            6 => see!(read(self.front.items(id, ms)), 1),
            _ => {
                // Cancelled without being dropped: it ends all the same.
                let call = self.back.work(id, ms);
                tasks.spawn(async move {
                    sleep(Duration::from_millis(ms / 2)).await;
                    call.cancel();
                    ledger.check(id, 1, &call.await);
                });
            }
        }
    }

    fn kill(&self, random: &mut SmallRng) -> usize {
        let killed = match random.random_range(0..4) {
            0 => self.runtime.kill_replica::<Front>(random.random_range(0..2)),
            1 => self.runtime.kill_replica::<Tally>(random.random_range(0..2)),
            _ => self.runtime.kill_replica::<Back>(random.random_range(0..REPLICAS)),
        };
        usize::from(killed)
    }

    /// Replicas that run, calls that run, and calls that wait: of the back, the front and the
    /// tally.
    fn counts(&self) -> [(usize, usize, usize); 3] {
        let status = self.runtime.status();
        let deployments = &status.applications["default"].deployments;
        ["Back", "Front", "Tally"].map(|name| {
            let one = &deployments[name];
            let running = |replica: &&_| -> bool {
                let replica: &serve_core::status::ReplicaDetails = replica;
                replica.state == ReplicaState::Running
            };
            (one.replicas.iter().filter(running).count(), one.ongoing, one.queued)
        })
    }
}

fn alive() -> usize {
    Tokio::current().metrics().num_alive_tasks()
}

/// One run. Returns the number of replicas that were killed.
async fn run(seed: u64) -> Result<usize> {
    let before = alive();
    let mut random = SmallRng::seed_from_u64(seed);
    let load = Load::start(seed).await?;
    sleep(Duration::from_secs(1)).await;
    let idle = alive();
    let (mut tasks, mut kills) = (JoinSet::new(), 0);
    for number in 0..CALLS {
        // Ids of their own for the calls that it leads to.
        load.call(&mut tasks, 10 * number, &mut random);
        for _ in 0..random.random_range(0..4) {
            yield_now().await;
        }
        if random.random_bool(0.2) {
            kills += load.kill(&mut random);
        }
        sleep(Duration::from_millis(random.random_range(0..4))).await;
    }
    // A call that hangs hangs for ever.
    let ended = timeout(Duration::from_secs(3_600), tasks.join_all()).await;
    assert!(ended.is_ok(), "a call never ended");
    sleep(Duration::from_secs(600)).await;
    assert_eq!(load.counts(), [(REPLICAS, 0, 0), (2, 0, 0), (2, 0, 0)]);
    assert_eq!(alive(), idle, "a task was left behind");

    // All slots and places are there, and no more.
    let first = 10 * CALLS;
    let calls: Vec<_> = (0..20).map(|n| load.back.work(first + n, 5)).collect();
    assert_eq!(load.counts()[0], (REPLICAS, REPLICAS * SLOTS, PLACES));
    let served = join_all(calls).await.iter().filter(|outcome| outcome.is_ok()).count();
    assert_eq!(served, REPLICAS * SLOTS + PLACES);
    load.runtime.shutdown().await;
    drop(load);
    sleep(Duration::from_secs(600)).await;
    assert_eq!(alive(), before, "a task outlived its runtime");
    Ok(kills)
}

#[test]
fn killed_replicas_leak_nothing() {
    let runs = cases(RUNS);
    let kills: usize = (0..u64::from(runs))
        .map(|seed| {
            let ran = catch_unwind(AssertUnwindSafe(|| paused().block_on(run(seed))));
            ran.unwrap_or_else(|_| panic!("with seed {seed}")).expect("a mock runtime starts")
        })
        .sum();
    assert!(kills >= KILLS * runs as usize, "only {kills} replicas were killed");
}

#[deployment(num_replicas = 2)]
#[derive(Default)]
struct Echo;

#[handle]
impl Echo {
    pub async fn echo(&self, text: String) -> Result<String> {
        Ok(text)
    }

    pub fn letters(&self, text: String) -> impl Stream<Item = u8> {
        futures::stream::iter(text.into_bytes())
    }

    pub async fn rank(&self) -> usize {
        sleep(Duration::from_millis(10)).await;
        replica_context().expect("a method runs in a replica").rank()
    }

    #[blocking]
    pub fn compute(&self) -> u64 {
        7
    }
}

#[tokio::test(start_paused = true)]
async fn a_killed_replica_is_replaced() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let echo = runtime.run(Echo::bind()).await?;
    assert!(!runtime.kill_replica::<Echo>(2), "there are 0 and 1");
    assert!(!runtime.kill_replica::<Back>(0), "none of that type runs");
    let calls: Vec<_> = (0..4).map(|_| echo.rank()).collect();
    sleep(Duration::from_millis(5)).await;
    assert!(runtime.kill_replica::<Echo>(0));
    assert!(!runtime.kill_replica::<Echo>(0), "it is gone at once");
    let (mut served, mut ended) = (0, 0);
    for call in calls {
        match call.await {
            Ok(rank) => {
                assert_eq!(rank, 1);
                served += 1;
            }
            Err(error) => {
                let text = error.to_string();
                assert!(text.contains("`Echo` became unavailable while the call ran"), "{text}");
                assert!(error.may_have_run() && !error.is_retryable());
                assert_eq!(error.status(), 503);
                ended += 1;
            }
        }
    }
    assert!(served > 0 && ended > 0, "{served} were served, {ended} ended");
    sleep(Duration::from_secs(60)).await;
    let details = deployment(&runtime, "Echo");
    let mut ranks: Vec<_> = details.replicas.iter().map(|replica| replica.rank).collect();
    ranks.sort_unstable();
    assert_eq!(ranks, [0, 1]);
    assert_eq!(details.recent_dead_replicas.len(), 1);
    Ok(())
}

/// Calls a deployment, or is without it.
#[deployment]
struct Perhaps;

#[handle]
impl Perhaps {
    fn new(back: Option<BackHandle>) -> Self {
        drop(back);
        Self
    }

    pub async fn nothing(&self) {}
}

#[tokio::test(start_paused = true)]
async fn a_killed_replica_is_replaced_though_a_predecessor_still_stops() -> Result<()> {
    let (runtime, ledger) = (MockRuntime::builder().start(), Arc::<Ledger>::default());
    let with = || Perhaps::bind(Some(Back::bind(Arc::clone(&ledger))));
    runtime.run(with()).await?;
    let back = runtime.get_deployment_handle::<Back>("default", "Back")?;
    let slow = back.work(1u64, 10_000u64);
    sleep(Duration::from_millis(1)).await;
    // The deployment goes, and comes back while its replica serves its last call.
    runtime.run(Perhaps::bind(None::<Bound<Back>>)).await?;
    runtime.run(with()).await?;
    assert!(runtime.kill_replica::<Back>(0));
    assert_eq!(timeout(Duration::from_secs(5), back.work(2u64, 1u64)).await.unwrap()?, 1);
    assert_eq!(deployment(&runtime, "Back").recent_dead_replicas.len(), 1);
    assert_eq!(slow.await?, 10_000);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_delay_holds_one_methods_calls() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let echo = runtime.run(Echo::bind()).await?;
    runtime.delay::<Echo>("echo", Duration::from_secs(2));
    runtime.delay::<Echo>("letters", Duration::from_secs(3));
    let began = Instant::now();
    assert_eq!(echo.echo("a").await?, "a");
    assert_eq!(began.elapsed(), Duration::from_secs(2));
    assert_eq!(echo.letters("ab").try_collect::<Vec<_>>().await?, b"ab");
    assert_eq!(began.elapsed(), Duration::from_secs(5), "once, not for each item");
    assert_eq!(echo.compute().await?, 7);
    assert_eq!(began.elapsed(), Duration::from_secs(5), "another method");

    let hasty = echo.options(CallOptions::new().timeout(Duration::from_secs(1)));
    let late = hasty.echo("a").await;
    assert!(matches!(late, Err(CallError::DeadlineExceeded)), "{late:?}");
    runtime.delay::<Echo>("echo", Duration::ZERO);
    assert_eq!(hasty.echo("a").await?, "a");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn the_next_calls_fail_as_told() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let echo = runtime.run(Echo::bind()).await?;
    let unavailable = CallError::Unavailable {
        deployment: "Echo".into(),
        started: false,
        reason: "told to".into(),
    };
    runtime.fail_next::<Echo>("echo", CallError::Transport("cut".to_owned()));
    runtime.fail_next::<Echo>("echo", unavailable);
    runtime.fail_next::<Echo>("letters", CallError::Panicked("told to".to_owned()));
    assert!(matches!(echo.echo("a").await, Err(CallError::Transport(text)) if text == "cut"));
    let error = echo.echo("b").await.unwrap_err();
    assert!(error.is_retryable() && !error.may_have_run(), "{error:?}");
    assert_eq!(echo.echo("c").await?, "c");
    let letters: Vec<_> = echo.letters("ab").collect().await;
    assert_eq!(letters, [Err(CallError::Panicked("told to".to_owned()))]);
    assert_eq!(echo.letters("ab").try_collect::<Vec<_>>().await?, b"ab");
    assert_eq!(runtime.calls::<Echo>().len(), 5, "they are seen, though not served");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn faults_of_unknown_methods_are_refused() {
    let runtime = MockRuntime::builder().start();
    let told = "`Echo` has no method `ecko`; its methods are `echo`, `letters`, `rank`, `compute`";
    let delay = AssertUnwindSafe(|| runtime.delay::<Echo>("ecko", Duration::from_secs(1)));
    assert_eq!(panic_message(delay), told);
    let fail = AssertUnwindSafe(|| runtime.fail_next::<Echo>("ecko", CallError::ObjectLost));
    assert_eq!(panic_message(fail), told);
}

#[tokio::test(start_paused = true)]
async fn faults_of_unknown_deployments_are_refused() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    runtime.run(Echo::bind()).await?;
    let told =
        "there is no deployment `Late`, so the fault would never fire; the deployments are `Echo`";
    let delay = AssertUnwindSafe(|| runtime.delay::<Late>("hi", Duration::from_secs(1)));
    assert_eq!(panic_message(delay), told);
    let fail = AssertUnwindSafe(|| runtime.fail_next::<Late>("hi", CallError::ObjectLost));
    assert_eq!(panic_message(fail), told);
    drop(runtime);

    // Before anything is deployed it may still come.
    let runtime = MockRuntime::builder().start();
    runtime.fail_next::<Echo>("echo", CallError::ObjectLost);
    let echo = runtime.run(Echo::bind()).await?;
    assert!(matches!(echo.echo("a").await, Err(CallError::ObjectLost)));
    drop(runtime);

    let runtime = MockRuntime::builder().start();
    runtime.fail_next::<Late>("hi", CallError::ObjectLost);
    let line = line!() - 1;
    runtime.run(Echo::bind()).await?;
    let told = panic_message(|| drop(runtime));
    assert!(told.starts_with("the fault of `Late` (at "), "{told}");
    assert!(told.contains(&format!("{}:{line}:", file!())), "{told}");
    assert!(
        told.ends_with(
            "never fired, because there was no such deployment; the deployments were `Echo`"
        ),
        "{told}"
    );
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn faults_apply_to_mocks() -> Result<()> {
    let mock = EchoMock::new().echo(|text: String| async move { Ok(text) });
    let runtime = MockRuntime::builder().mock(mock).start();
    let echo = runtime.run(Echo::bind()).await?;
    runtime.fail_next::<Echo>("echo", CallError::ObjectLost);
    runtime.delay::<Echo>("echo", Duration::from_secs(1));
    let began = Instant::now();
    assert!(matches!(echo.echo("a").await, Err(CallError::ObjectLost)));
    assert_eq!(began.elapsed(), Duration::from_secs(1));
    let call = echo.echo("a");
    yield_now().await;
    assert!(runtime.kill_replica::<Echo>(0) && runtime.kill_replica::<Echo>(1));
    let error = call.await.unwrap_err();
    assert!(matches!(error, CallError::Unavailable { started: true, .. }), "{error:?}");
    assert_eq!(echo.echo("b").await?, "b", "others take their place");
    Ok(())
}

#[deployment]
struct Batched(Events<Vec<u64>>);

#[handle]
impl Batched {
    fn new(batches: Events<Vec<u64>>) -> Self {
        Self(batches)
    }

    #[batch(max_batch_size = 10, batch_wait_timeout = "1s")]
    pub async fn one(&self, numbers: Vec<u64>) -> Vec<u64> {
        self.0.note(numbers.clone());
        sleep(Duration::from_secs(1)).await;
        numbers
    }

    #[batch(max_batch_size = 10, batch_wait_timeout = "1s")]
    #[blocking]
    pub fn compute(&self, numbers: Vec<u64>) -> Vec<u64> {
        numbers
    }

    #[batch(max_batch_size = 10, batch_wait_timeout = "1s")]
    pub fn many(&self, numbers: Vec<u64>) -> impl Stream<Item = Vec<Option<u64>>> {
        self.0.note(numbers.clone());
        let step: Vec<_> = numbers.into_iter().map(Some).collect();
        futures::stream::iter([step.clone(), step])
    }
}

#[tokio::test(start_paused = true)]
async fn calls_of_an_unstarted_batch_are_rerouted() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let batches = Events::default();
    let batched = runtime.run(Batched::bind(Arc::clone(&batches))).await?;
    let (one, two, many) = (batched.one(1), batched.one(2), batched.many(3));
    let compute = batched.compute(6);
    for _ in 0..3 {
        // Their slots are a replica's, and so is their batch, which waits for more.
        sleep(Duration::from_millis(900)).await;
        assert!(runtime.kill_replica::<Batched>(0));
    }
    sleep(Duration::from_millis(500)).await;
    let late = batched.one(4);
    assert_eq!((one.await?, two.await?, late.await?), (1, 2, 4));
    assert_eq!(many.try_collect::<Vec<_>>().await?, [3, 3]);
    assert_eq!(compute.await?, 6);
    let ran = batches.take();
    assert_eq!(ran, [vec![1, 2, 4], vec![3]], "each once");

    // One that had begun is lost.
    let call = batched.one(5);
    sleep(Duration::from_millis(1_500)).await;
    assert!(runtime.kill_replica::<Batched>(0));
    let error = call.await.unwrap_err();
    assert!(matches!(error, CallError::Unavailable { started: true, .. }), "{error:?}");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn delayed_batched_calls_leave_a_dead_replica() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let batched = runtime.run(Batched::bind(Arc::default())).await?;
    runtime.delay::<Batched>("one", Duration::from_secs(3_600));
    let call = batched.one(1);
    sleep(Duration::from_secs(1)).await;
    runtime.delay::<Batched>("one", Duration::ZERO);
    assert!(runtime.kill_replica::<Batched>(0));
    let ended = timeout(Duration::from_secs(60), call).await;
    assert_eq!(ended.expect("it goes to another one"), Ok(1));
    Ok(())
}

struct NoDrop;

impl Drop for NoDrop {
    fn drop(&mut self) {
        panic!("it cannot be dropped");
    }
}

#[deployment]
#[derive(Default)]
struct Dropped;

#[handle]
impl Dropped {
    pub async fn hold(&self) {
        let _no_drop = NoDrop;
        std::future::pending::<()>().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_panicking_drop_does_not_keep_a_killed_call() -> Result<()> {
    for mode in [Mode::Local, Mode::Wire] {
        let runtime = MockRuntime::builder().mode(mode).start();
        let dropped = runtime.run(Dropped::bind()).await?;
        let call = dropped.hold();
        sleep(Duration::from_secs(1)).await;
        assert!(runtime.kill_replica::<Dropped>(0));
        let ended = timeout(Duration::from_secs(60), call).await.expect("it does not hang");
        let panicked = Err(CallError::Panicked("it cannot be dropped".to_owned()));
        assert_eq!(ended, panicked, "{mode:?}");
    }
    Ok(())
}

/// Takes a second to start.
#[deployment]
struct Late;

#[handle]
impl Late {
    async fn new() -> Self {
        sleep(Duration::from_secs(1)).await;
        Self
    }

    pub async fn hi(&self) -> u32 {
        1
    }
}

#[tokio::test(start_paused = true)]
async fn a_requeued_call_frees_its_place_when_dropped() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let late = runtime.run(Late::bind()).await?;
    let queued = || load(&runtime, "Late").1;
    // They have not begun, and go to the next replica, which is still to come.
    let (call, other) = (late.hi(), late.hi());
    runtime.kill_replica::<Late>(0);
    until("both calls wait again", || queued() == 2).await;
    drop(call);
    assert_eq!(queued(), 1);
    assert_eq!(other.await, Ok(1));
    Ok(())
}
