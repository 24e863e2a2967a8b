//! `#[blocking] fn new`: a constructor that computes, on a thread of its own.

use crate::by_environment;

use std::sync::{Arc, mpsc};
use std::thread;

use parking_lot::Mutex;
use serve_core::prelude::*;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::Instant;

type Go = Arc<Mutex<mpsc::Receiver<Step>>>;

/// How a constructor is to end.
enum Step {
    Made,
    Refused,
    Panic,
}

#[deployment(max_constructor_retry_count = 1)]
struct Model {
    events: UnboundedSender<String>,
    made_on: thread::ThreadId,
    replica: String,
}

impl Drop for Model {
    fn drop(&mut self) {
        let _ = self.events.send("dropped".to_owned());
    }
}

#[handle]
impl Model {
    /// Loads until it is told how that ends.
    #[blocking]
    fn new(events: UnboundedSender<String>, go: Go) -> Result<Self> {
        let replica = replica_context().expect("a constructor has its replica");
        let _ = events.send("loading".to_owned());
        let step = go.lock().recv();
        drop(go);
        match step {
            Ok(Step::Refused) => return Err(Error::msg("no weights")),
            Ok(Step::Panic) => panic!("bad weights"),
            Ok(Step::Made) | Err(_) => {}
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

fn model() -> (Bound<Model>, UnboundedReceiver<String>, mpsc::Sender<Step>) {
    let (sender, events) = unbounded_channel();
    let (go, gone) = mpsc::channel();
    (Model::bind(sender, Arc::new(Mutex::new(gone))), events, go)
}

/// The one async worker of the test goes on while it loads.
#[tokio::test]
async fn it_runs_off_the_async_workers() -> Result<()> {
    let (bound, mut events, go) = model();
    let runtime = by_environment::runtime().await?;
    let told = tokio::spawn(async move {
        assert_eq!(events.recv().await.as_deref(), Some("loading"));
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
        let runtime = by_environment::runtime().await?;
        let failed = runtime.run(bound).await.expect_err("it cannot start");
        assert!(failed.to_string().contains(said), "{failed}");
    }
    Ok(())
}

#[tokio::test]
async fn an_abandoned_deploy_does_not_wait_for_it() -> Result<()> {
    let (bound, mut events, go) = model();
    let runtime = by_environment::runtime().await?;
    let mut deploy = Box::pin(runtime.run(bound));
    tokio::select! {
        _ = &mut deploy => panic!("it is loading"),
        event = events.recv() => assert_eq!(event.as_deref(), Some("loading")),
    }
    drop(deploy);
    runtime.shutdown().await;
    go.send(Step::Made)?;
    assert_eq!(events.recv().await.as_deref(), Some("dropped"), "on its own thread");
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
