//! Runtimes of Serve and of tokio.

use serve_core::__private::Handlers;
use serve_core::prelude::*;

/// The real runtime, or, if `SERVE_TEST_MODE` is set, a `MockRuntime` in that mode. Polls calls in
/// place as `SERVE_TEST_IN_PLACE` says, if that is set. For tests that need nothing that only a
/// `MockRuntime` has.
///
/// Not always a `MockRuntime`: it records every call on its way, so the direct call of a method,
/// which is what the real runtime makes, would have no test.
pub(crate) async fn by_environment() -> Result<Runtime> {
    if std::env::var_os("SERVE_TEST_MODE").is_some() {
        return Ok(MockRuntime::builder().start().clone());
    }
    let builder = match std::env::var("SERVE_TEST_IN_PLACE").as_deref() {
        Ok(value) => Runtime::builder().in_place(value == "true"),
        Err(_) => Runtime::builder(),
    };
    Ok(builder.start().await?)
}

/// A `MockRuntime` that runs an application, and the handle of the application.
pub(crate) async fn mock_runtime<A>(
    application: A,
) -> Result<(MockRuntime, <A::Deployment as Deployment>::Handle)>
where
    A: IntoApplication,
    A::Deployment: Handlers,
    <A::Deployment as Deployment>::Handle: DeploymentHandle,
{
    let runtime = MockRuntime::builder().start();
    let handle = runtime.run(application).await?;
    Ok((runtime, handle))
}

/// A tokio runtime of one thread on a paused clock, for tests that start many runtimes.
pub(crate) fn paused() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().start_paused(true).build().expect("a runtime can start")
}

/// A tokio runtime on the real clock: of this thread alone, or of several workers.
pub(crate) fn threads(workers: usize) -> tokio::runtime::Runtime {
    let mut builder = match workers {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    builder.worker_threads(workers).enable_all().build().expect("threads can start")
}
