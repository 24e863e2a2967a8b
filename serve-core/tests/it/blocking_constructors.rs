//! `#[blocking] fn new`: a constructor that computes on its own thread.

use crate::support::events::Events;
use crate::support::gates::{Gate, gate};
use crate::support::runtimes;

use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread;

use serve_core::prelude::*;
use tokio::time::Instant;

/// How a constructor is to end.
enum Step {
    Made,
    Refused,
    Panic,
}

#[deployment(max_constructor_retry_count = 1)]
struct Model {
    events: Events,
    made_on: thread::ThreadId,
    replica: String,
}

impl Drop for Model {
    fn drop(&mut self) {
        self.events.note("dropped");
    }
}

#[handle]
impl Model {
    /// Loads until the test says how the load ends.
    #[blocking]
    fn new(events: Events, gate: Gate<Step>) -> Result<Self> {
        let replica = replica_context().expect("a constructor has its replica");
        events.note("loading");
        match gate.pass() {
            Some(Step::Refused) => return Err(Error::msg("no weights")),
            Some(Step::Panic) => panic!("bad weights"),
            Some(Step::Made) | None => {}
        }
        let made_on = thread::current().id();
        let replica = format!("{} {}", replica.deployment(), replica.rank());
        Ok(Self { events, made_on, replica })
    }

    pub async fn replica(&self) -> String {
        assert_ne!(self.made_on, thread::current().id(), "no async worker made it");
        self.replica.clone()
    }
}

fn model() -> (Bound<Model>, Events, Sender<Step>) {
    let events = Events::default();
    let (gate, go) = gate();
    (Model::bind(Arc::clone(&events), gate), events, go)
}

/// The only async worker of the test keeps running during the load.
#[tokio::test]
async fn it_runs_off_the_async_workers() -> Result<()> {
    let (bound, events, go) = model();
    let runtime = runtimes::by_environment().await?;
    let told = tokio::spawn(async move {
        assert_eq!(events.next().await, "loading");
        go.send(Step::Made).unwrap();
    });
    let model = runtime.run(bound).await?;
    told.await?;
    assert_eq!(model.replica().await?, "Model 0");
    Ok(())
}

#[tokio::test]
async fn errors_and_panics_are_failed_starts() -> Result<()> {
    for (step, said) in [(Step::Refused, "no weights"), (Step::Panic, "panicked: bad weights")] {
        let (bound, _events, go) = model();
        go.send(step)?;
        let runtime = runtimes::by_environment().await?;
        let failed = runtime.run(bound).await.expect_err("it cannot start");
        assert!(failed.to_string().contains(said), "{failed}");
    }
    Ok(())
}

#[tokio::test]
async fn an_abandoned_deploy_does_not_wait_for_it() -> Result<()> {
    let (bound, events, go) = model();
    let runtime = runtimes::by_environment().await?;
    let mut deploy = Box::pin(runtime.run(bound));
    tokio::select! {
        _ = &mut deploy => panic!("it is loading"),
        event = events.next() => assert_eq!(event, "loading"),
    }
    drop(deploy);
    runtime.shutdown().await;
    go.send(Step::Made)?;
    assert_eq!(events.next().await, "dropped", "on its own thread");
    Ok(())
}

#[deployment]
struct Quick(u64);

#[handle]
impl Quick {
    #[blocking]
    fn new(start: u64) -> Self {
        Self(start)
    }

    #[blocking]
    pub fn count(&self) -> impl Iterator<Item = u64> {
        0..self.0
    }
}

#[tokio::test(start_paused = true)]
async fn paused_clock_waits_for_it() -> Result<()> {
    let began = Instant::now();
    let runtime = MockRuntime::builder().start();
    let quick = runtime.run(Quick::bind(3_u64).num_replicas(4)).await?;
    assert_eq!(quick.count().try_collect::<Vec<_>>().await?, [0, 1, 2]);
    assert_eq!(began.elapsed(), std::time::Duration::ZERO);
    assert_eq!(Quick::new(2).count().count(), 2, "a plain struct without a runtime");
    Ok(())
}
