//! The runtime of tests that need nothing that only a `MockRuntime` has.

use serve_core::{MockRuntime, Result, Runtime};

/// The real runtime, or, if `SERVE_TEST_MODE` is set, a `MockRuntime` in that mode. Polls calls in
/// place as `SERVE_TEST_IN_PLACE` says, if that is set.
///
/// Not always a `MockRuntime`: it records every call on its way, so the direct call of a method,
/// which is what the real runtime makes, would have no test.
pub(crate) async fn runtime() -> Result<Runtime> {
    if std::env::var_os("SERVE_TEST_MODE").is_some() {
        return Ok(MockRuntime::builder().start().clone());
    }
    let builder = match std::env::var("SERVE_TEST_IN_PLACE").as_deref() {
        Ok(value) => Runtime::builder().in_place(value == "true"),
        Err(_) => Runtime::builder(),
    };
    Ok(builder.start().await?)
}
