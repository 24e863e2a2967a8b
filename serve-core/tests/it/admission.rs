//! Which calls run, which are queued and which are rejected.

use crate::support::events::Events;
use crate::support::gauges::Gauge;
use crate::support::runtimes;

use std::time::Duration;

use futures::FutureExt;
use futures::future::join_all;
use serve_core::prelude::*;
use tokio::time::sleep;

/// The calls of a test: their order, and how many ran at a time.
#[derive(Clone, Default)]
struct Log {
    order: Events<usize>,
    running: Gauge,
}

#[deployment]
struct Worker {
    log: Log,
}

#[handle]
impl Worker {
    fn new(log: Log) -> Self {
        Self { log }
    }

    pub async fn work(&self, number: usize) -> usize {
        let _running = self.log.running.enter();
        self.log.order.note(number);
        sleep(Duration::from_millis(10)).await;
        number
    }
}

#[tokio::test(start_paused = true)]
async fn calls_are_served_in_the_order_made() -> Result<()> {
    let log = Log::default();
    let runtime = runtimes::by_environment().await?;
    let worker = runtime.run(Worker::bind(log.clone())).await?;
    let calls: Vec<_> = (0..1000).map(|number| worker.work(number)).collect();
    for (number, call) in calls.into_iter().enumerate() {
        assert_eq!(call.await?, number);
    }
    assert_eq!(log.order.seen(), (0..1000).collect::<Vec<_>>());
    assert_eq!(log.running.most(), 100);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn one_slot_runs_one_call_at_a_time() -> Result<()> {
    let log = Log::default();
    let runtime = MockRuntime::builder().start();
    let worker = runtime.run(Worker::bind(log.clone()).max_ongoing_requests(1)).await?;
    let calls = (0..10).map(|number| worker.work(number));
    join_all(calls.collect::<Vec<_>>()).await;
    assert_eq!(log.order.seen(), (0..10).collect::<Vec<_>>());
    assert_eq!(log.running.most(), 1);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn slots_plus_queue_is_the_most_accepted() -> Result<()> {
    let runtime = runtimes::by_environment().await?;
    let bound = Worker::bind(Log::default()).num_replicas(2).max_ongoing_requests(3);
    let worker = runtime.run(bound.max_queued_requests(5)).await?;
    let results = join_all((0..40).map(|number| worker.work(number)).collect::<Vec<_>>()).await;
    let accepted = results.iter().filter(|result| result.is_ok()).count();
    assert_eq!(accepted, 2 * 3 + 5);
    for error in results.into_iter().filter_map(std::result::Result::err) {
        assert!(matches!(error, CallError::Overloaded { queued: 5, limit: 5, .. }), "{error:?}");
        assert!(error.is_retryable() && !error.may_have_run());
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn dropping_a_queued_response_frees_its_place() -> Result<()> {
    let log = Log::default();
    let runtime = runtimes::by_environment().await?;
    let bound = Worker::bind(log.clone()).max_ongoing_requests(1).max_queued_requests(1);
    let worker = runtime.run(bound).await?;
    let running = worker.work(0);
    let queued = worker.work(1);
    let refused = worker.work(2).now_or_never();
    assert!(matches!(refused, Some(Err(CallError::Overloaded { .. }))));
    drop(queued);
    // No await since the drop: the place is free already.
    let in_its_place = worker.work(3);
    assert_eq!(running.await?, 0);
    assert_eq!(in_its_place.await?, 3);
    assert_eq!(log.order.seen(), [0, 3]);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn cancelled_calls_report_it_and_free_their_slots() -> Result<()> {
    let log = Log::default();
    let runtime = runtimes::by_environment().await?;
    let worker = runtime.run(Worker::bind(log.clone()).max_ongoing_requests(1)).await?;
    let (running, queued) = (worker.work(0), worker.work(1));
    sleep(Duration::from_millis(1)).await;
    running.cancel();
    queued.cancel();
    assert_eq!(running.await, Err(CallError::Cancelled));
    assert_eq!(queued.await, Err(CallError::Cancelled));
    assert_eq!(worker.work(2).await?, 2);
    assert_eq!(log.order.seen(), [0, 2]);
    Ok(())
}

#[deployment(max_ongoing_requests = 1)]
#[derive(Default)]
struct Fragile;

#[handle]
impl Fragile {
    pub async fn call(&self, fail: bool) -> u32 {
        assert!(!fail, "told to");
        7
    }
}

#[tokio::test]
async fn a_panic_fails_only_its_own_call() -> Result<()> {
    let runtime = runtimes::by_environment().await?;
    let fragile = runtime.run(Fragile::bind()).await?;
    assert_eq!(fragile.call(true).await, Err(CallError::Panicked("told to".to_owned())));
    assert_eq!(fragile.call(false).await, Ok(7));
    Ok(())
}

#[deployment]
struct Counter(i64);

#[handle]
impl Counter {
    fn new(start: i64) -> Self {
        Self(start)
    }

    pub async fn add(&mut self, by: i64) -> i64 {
        let before = self.0;
        // Another call in between would be lost.
        sleep(Duration::from_millis(1)).await;
        self.0 = before + by;
        self.0
    }
}

#[tokio::test(start_paused = true)]
async fn mut_self_methods_run_one_at_a_time() -> Result<()> {
    let runtime = runtimes::by_environment().await?;
    let counter = runtime.actor(Counter::bind(10)).await?;
    let calls = join_all((0..50).map(|_| counter.add(1)).collect::<Vec<_>>()).await;
    let results: Vec<i64> = calls.into_iter().collect::<std::result::Result<_, _>>()?;
    assert_eq!(results, (11..=60).collect::<Vec<_>>());
    Ok(())
}
