//! Applications end although calls wait for a replica, nobody awaits the delete, or code blocks its
//! thread.

use crate::support::clocks::SECOND;
use crate::support::events::Events;
use crate::support::gates::{Gate, gate};
use crate::support::runtimes;

use std::sync::Arc;
use std::time::Duration;

use serve_core::prelude::*;
use tokio::time::{Instant, sleep, timeout};

/// Takes a while to start.
#[deployment]
struct Slow;

#[handle]
impl Slow {
    async fn new(pause: Duration) -> Self {
        sleep(pause).await;
        Self
    }

    pub async fn hi(&self) -> u32 {
        1
    }
}

/// Its first call has to wait for its first replica.
fn from_zero() -> Bound<Slow> {
    let autoscaling = AutoscalingConfig::new().min_replicas(0).initial_replicas(0).max_replicas(1);
    Slow::bind(SECOND).autoscaling(autoscaling)
}

#[tokio::test(start_paused = true)]
async fn delete_waits_for_the_waking_call() -> Result<()> {
    let runtime = runtimes::by_environment().await?;
    let slow = runtime.run(from_zero()).await?;
    let call = slow.hi();
    sleep(Duration::from_millis(10)).await;
    let began = Instant::now();
    runtime.delete("default").await?;
    assert_eq!(call.await, Ok(1));
    assert!(began.elapsed() < 3 * SECOND, "it took {:?}", began.elapsed());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_deployment_being_deleted_takes_no_calls() -> Result<()> {
    let runtime = runtimes::by_environment().await?;
    let slow = runtime.run(from_zero()).await?;
    let call = slow.hi();
    sleep(Duration::from_millis(10)).await;
    let late = async {
        sleep(2 * SECOND).await;
        slow.hi().await
    };
    let (deleted, late) = futures::join!(runtime.delete("default"), late);
    deleted?;
    assert_eq!(call.await, Ok(1));
    assert!(matches!(late, Err(CallError::Unavailable { started: false, .. })), "{late:?}");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn calls_to_a_deleted_deployment_end() -> Result<()> {
    for run in 0..32 {
        let runtime = MockRuntime::builder().seed(run).start();
        let slow = runtime.run(Slow::bind(SECOND)).await?;
        runtime.kill_replica::<Slow>(0);
        // The next one is there just now.
        sleep(SECOND).await;
        runtime.delete("default").await?;
        let late = timeout(60 * SECOND, slow.hi()).await;
        assert!(late.is_ok(), "run {run}: a call of a deleted deployment hangs");
    }
    Ok(())
}

#[deployment]
#[derive(Default)]
struct Work;

#[handle]
impl Work {
    pub async fn work(&self, time: Duration) -> u32 {
        sleep(time).await;
        7
    }
}

#[tokio::test(start_paused = true)]
async fn a_dropped_delete_completes() -> Result<()> {
    let runtime = runtimes::by_environment().await?;
    let work = runtime.run(Work::bind()).await?;
    let _call = work.work(5 * SECOND);
    sleep(Duration::from_millis(1)).await;
    assert!(timeout(SECOND, runtime.delete("default")).await.is_err(), "it drains");
    sleep(30 * SECOND).await;
    assert!(runtime.status().applications.is_empty());
    let again = runtime.run(Work::bind()).await?;
    assert_eq!(again.work(SECOND).await, Ok(7));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_dropped_shutdown_completes() -> Result<()> {
    let runtime = runtimes::by_environment().await?;
    let work = runtime.run(Work::bind()).await?;
    let _call = work.work(5 * SECOND);
    sleep(Duration::from_millis(1)).await;
    assert!(timeout(SECOND, runtime.shutdown()).await.is_err(), "it drains");
    sleep(30 * SECOND).await;
    assert!(runtime.status().applications.is_empty());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_endless_grace_lets_calls_end() -> Result<()> {
    let runtime = runtimes::by_environment().await?;
    let work = runtime.run(Work::bind().graceful_shutdown_timeout(Duration::MAX)).await?;
    let call = work.work(SECOND);
    sleep(Duration::from_millis(1)).await;
    runtime.delete("default").await?;
    assert_eq!(call.await, Ok(7));
    Ok(())
}

/// Blocks the thread that it is made on, as only a `#[blocking]` constructor should.
#[deployment(graceful_shutdown_timeout = "100ms")]
struct Loads;

#[handle]
impl Loads {
    fn new(events: Events, gate: Gate) -> Self {
        events.note("blocked");
        gate.pass();
        Self
    }

    pub async fn hi(&self) {}
}

/// The constructor continues only after the shutdown, so a shutdown that returns did not wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn shutdown_ignores_a_blocking_constructor() -> Result<()> {
    let runtime = runtimes::by_environment().await?;
    let events = Events::default();
    let (gate, go) = gate();
    let (other, loads) = (runtime.clone(), Loads::bind(Arc::clone(&events), gate));
    let deploying = tokio::spawn(async move { other.run(loads).await.is_ok() });
    events.next().await;
    runtime.shutdown().await;
    assert!(!deploying.await.expect("it does not panic"));
    drop(go);
    Ok(())
}

/// Blocks its thread when it is shut down.
#[deployment(graceful_shutdown_timeout = "100ms")]
struct Saves(Events, Gate);

#[handle]
impl Saves {
    fn new(events: Events, gate: Gate) -> Self {
        Self(events, gate)
    }

    pub async fn hi(&self) -> u32 {
        1
    }

    #[shutdown]
    fn save(&self) {
        self.0.note("blocked");
        self.1.pass();
    }
}

/// The thread continues only after the delete.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn delete_ignores_a_blocking_shutdown_method() -> Result<()> {
    let runtime = runtimes::by_environment().await?;
    let events = Events::default();
    let (gate, go) = gate();
    let saves = runtime.run(Saves::bind(Arc::clone(&events), gate)).await?;
    assert_eq!(saves.hi().await, Ok(1));
    runtime.delete("default").await?;
    events.next().await;
    assert!(runtime.status().applications.is_empty());
    drop(go);
    Ok(())
}
