//! The start and the stop of deployments, and the threads of blocking methods.

use crate::support::events::Events;
use crate::support::runtimes;
use crate::support::status::application;

use std::time::Duration;

use serve_core::DeployError;
use serve_core::prelude::*;
use serve_core::status::ApplicationStatus;
use tokio::time::sleep;

#[deployment]
struct Callee(Events);

#[handle]
impl Callee {
    fn new(events: Events) -> Self {
        Self(events)
    }

    pub async fn work(&self) -> u32 {
        sleep(Duration::from_secs(1)).await;
        self.0.note("callee worked");
        7
    }

    #[shutdown]
    async fn stop(&self) {
        self.0.note("callee shut down");
    }
}

#[deployment]
struct Caller {
    callee: CalleeHandle,
    events: Events,
}

#[handle]
impl Caller {
    fn new(callee: CalleeHandle, events: Events) -> Self {
        Self { callee, events }
    }

    pub async fn work(&self) -> Result<u32> {
        // In two parts: while it drains, the caller still calls its callee.
        let first = self.callee.work().await?;
        Ok(first + self.callee.work().await?)
    }

    #[shutdown]
    fn stop(&self) {
        self.events.note("caller shut down");
    }
}

#[tokio::test(start_paused = true)]
async fn shutdown_drains_callers_before_callees() -> Result<()> {
    let events = Events::default();
    let runtime = runtimes::by_environment().await?;
    let caller = runtime.run(Caller::bind(Callee::bind(events.clone()), events.clone())).await?;
    let call = caller.work();
    sleep(Duration::from_millis(1)).await;
    runtime.shutdown().await;
    assert_eq!(call.await?, 14);
    assert_eq!(
        events.seen(),
        ["callee worked", "callee worked", "caller shut down", "callee shut down"]
    );
    let late = caller.work().await;
    assert!(matches!(late, Err(CallError::Unavailable { started: false, .. })), "{late:?}");
    assert!(matches!(
        runtime.run(Callee::bind(Events::default())).await,
        Err(DeployError::ShutDown)
    ));
    Ok(())
}

#[deployment(graceful_shutdown_timeout = "2s")]
#[derive(Default)]
struct Stubborn;

#[handle]
impl Stubborn {
    pub async fn forever(&self) {
        std::future::pending::<()>().await;
    }
}

#[tokio::test(start_paused = true)]
async fn draining_ends_at_its_timeout() -> Result<()> {
    let runtime = runtimes::by_environment().await?;
    let stubborn = runtime.run(Stubborn::bind()).await?;
    let call = stubborn.forever();
    sleep(Duration::from_millis(1)).await;
    let started = tokio::time::Instant::now();
    runtime.delete("default").await?;
    assert_eq!(started.elapsed(), Duration::from_secs(2));
    let ended = call.await;
    assert!(matches!(ended, Err(CallError::Unavailable { started: true, .. })), "{ended:?}");
    Ok(())
}

#[deployment]
struct Picky(u32);

#[handle]
impl Picky {
    async fn new(number: u32) -> Result<Self, String> {
        if number == 13 { Err("unlucky".to_owned()) } else { Ok(Self(number)) }
    }

    pub async fn number(&self) -> u32 {
        self.0
    }
}

#[tokio::test(start_paused = true)]
async fn old_handles_follow_a_redeploy() -> Result<()> {
    let runtime = runtimes::by_environment().await?;
    let picky = runtime.run(Picky::bind(1u32)).await?;
    runtime.run(Picky::bind(2u32).num_replicas(3)).await?;
    assert_eq!(picky.number().await?, 2);
    let failed = runtime.run(Picky::bind(13u32)).await.expect_err("13 is refused");
    assert!(failed.to_string().ends_with("unlucky"), "{failed}");
    assert_eq!(picky.number().await?, 2);
    let status = &application(&runtime);
    assert_eq!(status.status, ApplicationStatus::DeployFailed);
    assert!(status.message.contains("unlucky"));
    assert_eq!(status.deployments["Picky"].replicas.len(), 3);
    Ok(())
}

#[deployment(num_cpus = 2)]
#[derive(Default)]
struct Heavy;

#[handle]
impl Heavy {
    #[blocking]
    pub fn thread(&self, fail: bool) -> (String, String) {
        assert!(!fail, "told to");
        let name = std::thread::current().name().unwrap_or_default().to_owned();
        (name, context().request_id().to_owned())
    }

    pub async fn request_id(&self) -> String {
        context().request_id().to_owned()
    }
}

#[tokio::test]
async fn blocking_methods_keep_their_context() -> Result<()> {
    let runtime = runtimes::by_environment().await?;
    let heavy = runtime.run(Heavy::bind()).await?;
    let call = heavy.thread(false);
    let id = call.request_id();
    let (name, seen) = call.await?;
    assert!(name.starts_with("serve default#Heavy#"), "{name}");
    assert_eq!(seen, id);
    assert_eq!(heavy.thread(true).await, Err(CallError::Panicked("told to".to_owned())));
    assert!(heavy.thread(false).await.is_ok());
    let mock = MockRuntime::builder().start();
    let heavy = mock.run(Heavy::bind()).await?;
    assert!(heavy.thread(false).await.is_ok());
    Ok(())
}
