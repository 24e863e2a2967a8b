//! Idle replicas: they start in time proportional to their number, and cost no task, no timer and no
//! wake-up.

use crate::support::runtimes;
use crate::support::status::deployment;

use std::time::Duration;

use serve_core::prelude::*;
use tokio::runtime::Handle;
use tokio::time::sleep;

#[deployment]
struct Adder {
    by: u64,
}

#[handle]
impl Adder {
    fn new(by: u64) -> Self {
        Self { by }
    }

    pub async fn add(&self, to: u64) -> u64 {
        to + self.by
    }
}

#[deployment(health_check_period = "10s")]
#[derive(Default)]
struct Checked;

#[handle]
impl Checked {
    pub async fn call(&self) {}

    #[check_health]
    fn check(&self) {}
}

/// Tasks that there are, and how often the thread went to sleep.
fn activity() -> (usize, u64) {
    let metrics = Handle::current().metrics();
    (metrics.num_alive_tasks(), metrics.worker_park_count(0))
}

/// Tasks of an application's replicas, and what an hour of idling adds to the wake-ups.
async fn idling(deploy: impl AsyncFnOnce(&Runtime) -> Result<()>) -> Result<(usize, u64)> {
    let runtime = runtimes::by_environment().await?;
    deploy(&runtime).await?;
    // What was under way has ended.
    sleep(Duration::from_secs(1)).await;
    let (tasks, before) = activity();
    sleep(Duration::from_secs(3600)).await;
    let (_, after) = activity();
    runtime.shutdown().await;
    Ok((tasks, after - before))
}

#[tokio::test(start_paused = true)]
async fn idle_replicas_have_no_task_and_no_timer() -> Result<()> {
    let adders = async |runtime: &Runtime, count| {
        runtime.run(Adder::bind(1).num_replicas(count)).await?;
        Ok(())
    };
    let (tasks, wake_ups) = idling(async |runtime| adders(runtime, 1).await).await?;
    let (tasks_of_many, wake_ups_of_many) =
        idling(async |runtime| adders(runtime, 1000).await).await?;
    assert_eq!(tasks_of_many, tasks);
    assert_eq!(wake_ups_of_many, wake_ups);
    assert!(wake_ups < 10, "{wake_ups} in an hour, for the test's own sleep");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn health_checks_are_the_only_wake_ups() -> Result<()> {
    let checked = async |runtime: &Runtime| {
        runtime.run(Checked::bind()).await?;
        Ok(())
    };
    let (_, wake_ups) = idling(checked).await?;
    let periods = 3600 / 10;
    // A check comes after a period, give or take a tenth.
    assert!(wake_ups >= periods * 10 / 11, "{wake_ups} in an hour of {periods} periods");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn thousands_of_replicas_start_and_stop() -> Result<()> {
    let runtime = runtimes::by_environment().await?;
    let adder = runtime.run(Adder::bind(1).num_replicas(5000)).await?;
    let replicas = deployment(&runtime, "Adder").replicas;
    let ranks: Vec<usize> = replicas.iter().map(|replica| replica.rank).collect();
    assert_eq!(ranks, (0..5000).collect::<Vec<_>>());
    assert_eq!(adder.add(1).await?, 2);
    runtime.delete("default").await?;
    assert!(adder.add(1).await.is_err());
    Ok(())
}
