//! Spans and events of deployments and their calls.
//!
//! Nearly at the top of the order of modules, so that every module below may record.

use tracing::Span;
use tracing::level_filters::LevelFilter;

/// The span of a deployment. Its fields are set here, once for all events in the span.
///
/// The span has the level `ERROR`, so that a filter that lets an event through does not drop
/// the event's span.
pub(crate) fn deployment_span(deployment: &str, application: &str) -> Span {
    tracing::error_span!(parent: None, "deployment", deployment, application)
}

/// True if the running code has a span of its own, in which the events of a call that is polled
/// in place must not stand.
#[inline]
pub(crate) fn is_in_a_span() -> bool {
    LevelFilter::current() != LevelFilter::OFF && !Span::current().is_none()
}

/// True if a subscriber takes the level `TRACE`, at which the decisions on a call's path are
/// events. Only reads one number, so that a call without such a subscriber costs no more.
#[inline]
pub(crate) fn traces_calls() -> bool {
    LevelFilter::current() >= LevelFilter::TRACE
}
