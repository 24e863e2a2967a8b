//! Calls that are retried, and calls that are not.

use crate::support::clocks::ms;
use crate::support::events::Events;
use crate::support::status::load;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use serve_core::prelude::*;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout};

/// The rank and the id of each replica that a method began on, in order.
type Begun = Events<(usize, String)>;

/// How many copies of a `Text` were made.
static COPIES: AtomicUsize = AtomicUsize::new(0);

#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct Text(String);

impl Clone for Text {
    fn clone(&self) -> Self {
        COPIES.fetch_add(1, Ordering::SeqCst);
        Self(self.0.clone())
    }
}

#[deployment]
struct Worker {
    begun: Begun,
}

#[handle]
impl Worker {
    /// Each replica takes one of `starts`.
    async fn new(begun: Begun, starts: Arc<Semaphore>) -> Self {
        starts.acquire().await.expect("it is never closed").forget();
        Self { begun }
    }

    async fn begin(&self, ms: u64) {
        let replica = replica_context().expect("a method runs in a replica");
        self.begun.note((replica.rank(), replica.replica_id().to_owned()));
        sleep(Duration::from_millis(ms)).await;
    }

    pub async fn once(&self, ms: u64) -> u64 {
        self.begin(ms).await;
        ms
    }

    #[retry(max = 2)]
    pub async fn again(&self, ms: u64) -> u64 {
        self.begin(ms).await;
        ms
    }

    #[retry]
    pub async fn fails(&self, how: String) -> Result<u64> {
        self.begin(10).await;
        assert!(how != "panic", "told to");
        Err(Error::msg(how))
    }

    pub async fn copied_never(&self, text: Text) -> Text {
        self.begin(10).await;
        text
    }

    #[retry(max = 2)]
    pub async fn copied(&self, text: Text) -> Text {
        self.begin(10).await;
        text
    }

    /// The failure of a callee is not a reason to retry.
    #[retry(max = 2)]
    pub async fn asks(&self, other: CalleeHandle) -> Result<u64> {
        self.begin(0).await;
        Ok(other.slow().await?)
    }
}

/// What a worker calls, in another application.
#[deployment]
#[derive(Default)]
struct Callee;

#[handle]
impl Callee {
    pub async fn slow(&self) -> u64 {
        sleep(Duration::from_millis(10)).await;
        10
    }
}

struct Test {
    runtime: MockRuntime,
    worker: WorkerHandle,
    begun: Begun,
    starts: Arc<Semaphore>,
}

impl Test {
    async fn start(replicas: usize, slots: usize) -> Result<Self> {
        let (begun, starts) = (Begun::default(), Arc::new(Semaphore::new(1_000)));
        let runtime = MockRuntime::builder().start();
        let worker = Worker::bind(Arc::clone(&begun), Arc::clone(&starts))
            .num_replicas(replicas)
            .max_ongoing_requests(slots)
            .max_queued_requests(2);
        let worker = runtime.run(worker).await?;
        Ok(Self { runtime, worker, begun, starts })
    }

    fn times(&self) -> usize {
        self.begun.len()
    }

    /// Kills the replica that a method last began on.
    fn kill_last(&self) {
        let rank = self.begun.seen().last().expect("a method has begun").0;
        assert!(self.runtime.kill_replica::<Worker>(rank));
    }

    /// Replicas that are killed from now on are not replaced.
    fn replace_none(&self) {
        self.starts.forget_permits(usize::MAX);
    }

    fn queued(&self) -> usize {
        load(&self.runtime, "Worker").1
    }
}

#[tokio::test(start_paused = true)]
async fn begun_calls_move_only_with_retry() -> Result<()> {
    let test = Test::start(3, 10).await?;
    let (unmarked, marked) = (test.worker.once(10), test.worker.again(10));
    sleep(ms(5)).await;
    for rank in 0..3 {
        test.runtime.kill_replica::<Worker>(rank);
    }
    let error = unmarked.await.unwrap_err();
    assert!(matches!(error, CallError::Unavailable { started: true, .. }), "{error:?}");
    assert!(error.may_have_run() && !error.is_retryable());
    assert_eq!(marked.await?, 10);
    let begun = test.begun.seen();
    assert_eq!(begun.len(), 3, "once, and twice");
    assert!(begun[2].1 != begun[0].1 && begun[2].1 != begun[1].1, "elsewhere: {begun:?}");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn max_limits_the_retries() -> Result<()> {
    let test = Test::start(2, 10).await?;
    let call = test.worker.again(10);
    for time in 1..=3 {
        sleep(ms(5)).await;
        assert_eq!(test.times(), time);
        test.kill_last();
    }
    let error = call.await.unwrap_err();
    assert!(matches!(error, CallError::Unavailable { started: true, .. }), "{error:?}");
    assert_eq!(test.times(), 3);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn unbegun_calls_always_move() -> Result<()> {
    let test = Test::start(1, 2).await?;
    // They have slots, and their tasks have not run.
    let calls: Vec<_> = (0..4).map(|_| test.worker.once(10)).collect();
    assert!(test.runtime.kill_replica::<Worker>(0));
    assert_eq!(test.times(), 0);
    for call in calls {
        assert_eq!(call.await?, 10);
    }
    assert_eq!(test.times(), 4, "each once");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn rerouted_calls_keep_their_order() -> Result<()> {
    let test = Test::start(2, 1).await?;
    let order = Arc::<Mutex<Vec<u64>>>::default();
    let calls: Vec<_> = (0..4)
        .map(|number| {
            let (call, order) = (test.worker.once(10 + number), Arc::clone(&order));
            tokio::spawn(async move {
                let served = call.await;
                order.lock().extend(served.ok());
            })
        })
        .collect();
    // The first two have slots, the others wait. Only one slot comes back.
    test.replace_none();
    test.starts.add_permits(1);
    for rank in [0, 1] {
        assert!(test.runtime.kill_replica::<Worker>(rank));
    }
    futures::future::join_all(calls).await;
    assert_eq!(*order.lock(), [10, 11, 12, 13]);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn the_methods_own_failures_are_not_retried() -> Result<()> {
    let test = Test::start(2, 10).await?;
    let error = test.worker.fails("no").await.unwrap_err();
    assert!(matches!(&error, CallError::App(own) if own.to_string() == "no"), "{error:?}");
    assert_eq!(test.times(), 1);
    let error = test.worker.fails("panic").await.unwrap_err();
    assert!(matches!(error, CallError::Panicked(_)), "{error:?}");
    assert_eq!(test.times(), 2);

    // Nor that a replica died which it had called.
    let callee = Application::new(Callee::bind()).name("callee");
    let callee = test.runtime.run(callee).await?;
    let call = test.worker.asks(callee);
    sleep(ms(5)).await;
    assert!(test.runtime.kill_replica::<Callee>(0));
    let error = call.await.unwrap_err();
    assert!(matches!(&error, CallError::App(own) if own.status() == Some(503)), "{error:?}");
    assert_eq!(test.times(), 3);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn overload_is_not_retried() -> Result<()> {
    let test = Test::start(1, 1).await?;
    let mut calls: Vec<_> = (0..3).map(|_| test.worker.again(10)).collect();
    let refused = test.worker.again(10).await.unwrap_err();
    assert!(matches!(refused, CallError::Overloaded { queued: 2, limit: 2, .. }), "{refused:?}");
    assert!(refused.is_retryable() && !refused.may_have_run());

    // One that runs again had a place, and is never overloaded: it is the first in line.
    sleep(ms(5)).await;
    test.kill_last();
    let began = Instant::now();
    assert_eq!(calls.remove(0).await?, 10);
    assert_eq!(began.elapsed(), Duration::from_millis(10), "nobody was served before it");
    for call in calls {
        assert_eq!(call.await?, 10);
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn all_tries_share_one_deadline() -> Result<()> {
    let test = Test::start(2, 10).await?;
    let hasty = test.worker.options(CallOptions::new().timeout(Duration::from_millis(15)));
    let began = Instant::now();
    let call = hasty.again(10);
    sleep(ms(9)).await;
    test.kill_last();
    assert_eq!(call.await, Err(CallError::DeadlineExceeded));
    assert_eq!(began.elapsed(), Duration::from_millis(15));
    assert_eq!(test.times(), 2);

    // Also while it waits for a replica to run on.
    let test = Test::start(1, 10).await?;
    let hasty = test.worker.options(CallOptions::new().timeout(Duration::from_millis(15)));
    let call = hasty.again(10);
    sleep(ms(5)).await;
    test.replace_none();
    test.kill_last();
    let error = call.await.unwrap_err();
    assert_eq!(error, CallError::DeadlineExceeded);
    assert_eq!((test.times(), test.queued()), (1, 0));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_call_is_not_retried() -> Result<()> {
    let test = Test::start(1, 1).await?;
    test.replace_none();
    let call = test.worker.again(10);
    sleep(ms(5)).await;
    test.kill_last();
    sleep(ms(1)).await;
    assert_eq!(test.queued(), 1, "it waits for another replica");
    drop(call);
    assert_eq!(test.queued(), 0, "its place is free before the drop returns");
    test.starts.add_permits(1);
    sleep(ms(1_000)).await;
    assert_eq!(test.times(), 1);

    let call = test.worker.again(10);
    sleep(ms(5)).await;
    test.starts.add_permits(1);
    test.kill_last();
    call.cancel();
    assert_eq!(call.await, Err(CallError::Cancelled));
    sleep(ms(1_000)).await;
    assert_eq!(test.times(), 2);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_deleted_deployments_calls_report_started() -> Result<()> {
    // While it waits for another replica.
    let test = Test::start(1, 1).await?;
    test.replace_none();
    let call = test.worker.again(10);
    sleep(ms(5)).await;
    test.kill_last();
    sleep(ms(1)).await;
    let (deleted, outcome) = tokio::join!(test.runtime.delete("default"), call);
    deleted?;
    let error = outcome.unwrap_err();
    assert!(matches!(error, CallError::Unavailable { started: true, .. }), "{error:?}");

    // When its time to drain is over, and nothing is left to run on.
    let test = Test::start(1, 1).await?;
    let call = test.worker.again(3_600_000);
    sleep(ms(5)).await;
    let (deleted, outcome) =
        tokio::join!(test.runtime.delete("default"), timeout(Duration::from_secs(60), call));
    deleted?;
    let error = outcome.expect("it does not wait for ever").unwrap_err();
    assert!(matches!(error, CallError::Unavailable { started: true, .. }), "{error:?}");
    assert_eq!(test.times(), 1);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn arguments_are_copied_only_for_retries() -> Result<()> {
    let test = Test::start(2, 10).await?;
    let copies = || COPIES.swap(0, Ordering::SeqCst);
    let text = || Text("hello".to_owned());
    assert_eq!(test.worker.copied_never(text()).await?, text());
    assert_eq!(copies(), 0);
    assert_eq!(test.worker.copied(text()).await?, text());
    assert_eq!(copies(), 1);
    for deaths in 1..=2 {
        let call = test.worker.copied(text());
        for _ in 0..deaths {
            sleep(ms(5)).await;
            test.kill_last();
        }
        assert_eq!(call.await?, text());
        assert_eq!(copies(), 2, "none for a try that is the last");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn arguments_from_calls_are_made_once() -> Result<()> {
    let test = Test::start(2, 10).await?;
    let first = test.worker.once(20);
    let call = test.worker.again(first);
    sleep(ms(30)).await;
    assert_eq!(test.times(), 2);
    test.kill_last();
    assert_eq!(call.await?, 20);
    assert_eq!(test.times(), 3);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn detached_calls_are_retried() -> Result<()> {
    let test = Test::start(2, 10).await?;
    test.worker.again(10).detach();
    sleep(ms(5)).await;
    test.kill_last();
    sleep(ms(5)).await;
    assert_eq!(test.times(), 2);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn mocks_of_retry_methods_are_asked_again() -> Result<()> {
    let died = || CallError::Unavailable {
        deployment: "Worker".to_owned(),
        started: true,
        reason: "told to".to_owned(),
    };
    let mock =
        WorkerMock::new().once(|ms: u64| async move { ms }).again(|ms: u64| async move { ms + 1 });
    let runtime = MockRuntime::builder().mock(mock).start();
    let worker = runtime.run(Worker::bind(Begun::default(), Arc::new(Semaphore::new(0)))).await?;
    runtime.fail_next::<Worker>("again", died());
    runtime.fail_next::<Worker>("again", CallError::Transport("cut".to_owned()));
    runtime.fail_next::<Worker>("once", died());
    assert_eq!(worker.again(1).await?, 2);
    assert_eq!(runtime.calls::<Worker>(), ["again"; 3]);
    assert_eq!(worker.once(1).await, Err(died()));
    // What says that nothing ran is for the caller to act on.
    runtime.fail_next::<Worker>("again", CallError::ObjectLost);
    assert_eq!(worker.again(1).await, Err(CallError::ObjectLost));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn retries_have_a_budget() -> Result<()> {
    let died = || CallError::Unavailable {
        deployment: "Worker".to_owned(),
        started: true,
        reason: "told to".to_owned(),
    };
    let mock = WorkerMock::new().fails(|_: String| async move { Ok(1) });
    let runtime = MockRuntime::builder().mock(mock).start();
    let worker = runtime.run(Worker::bind(Begun::default(), Arc::new(Semaphore::new(0)))).await?;
    let mut seen = 0;
    let mut tries = |runtime: &MockRuntime| {
        let now = runtime.calls::<Worker>().len();
        now - std::mem::replace(&mut seen, now)
    };
    (0..1_000).for_each(|_| runtime.fail_next::<Worker>("fails", died()));
    for _ in 0..200 {
        let outcome = worker.fails("").await;
        assert!(matches!(outcome, Err(CallError::Unavailable { started: true, .. })));
    }
    // A hundred that are free (ten a second, for ten seconds), and one for each five calls.
    assert_eq!(tries(&runtime), 200 + 100 + 40);
    sleep(ms(1_000)).await;
    for _ in 0..20 {
        assert!(worker.fails("").await.is_err());
    }
    assert_eq!(tries(&runtime), 20 + 10 + 4);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_waiting_retry_leaves_when_cancelled() -> Result<()> {
    let test = Test::start(1, 1).await?;
    let (running, waiting) = (test.worker.once(10), test.worker.again(10));
    assert_eq!(test.queued(), 1);
    drop(waiting);
    assert_eq!(test.queued(), 0);
    // The same where its argument came first.
    let other = Test::start(1, 1).await?;
    let waiting = test.worker.again(other.worker.once(1));
    sleep(ms(2)).await;
    assert_eq!(test.queued(), 1);
    drop(waiting);
    assert_eq!(test.queued(), 0);
    running.await?;
    assert_eq!(test.times(), 1);
    Ok(())
}
