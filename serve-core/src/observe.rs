//! What is recorded of deployments and their calls.
//!
//! Low in the order of modules, so that every other one may record.

use tracing::Span;
use tracing::level_filters::LevelFilter;

/// The span of a deployment. Its fields are set once, here, and hold for every event in it.
///
/// At the level of errors, so that a filter that lets an event through lets its span
/// through.
pub(crate) fn deployment_span(deployment: &str, application: &str) -> Span {
    tracing::error_span!(parent: None, "deployment", deployment, application)
}

/// True if somebody listens to the decisions on a call's path, which are events of the level
/// `trace`. Looks at one number, so that a call costs the same while nobody does.
#[inline]
pub(crate) fn traces_calls() -> bool {
    LevelFilter::current() >= LevelFilter::TRACE
}
