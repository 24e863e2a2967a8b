//! Spans and events of deployments and their calls.
//!
//! Nearly at the top of the order of modules, so that every module below may record.

use tracing::Span;
use tracing::level_filters::LevelFilter;
use tracing::span::EnteredSpan;

/// The span of a deployment. Its fields are set here, once for all events in the span.
///
/// The span has the level `ERROR`, so that a filter that lets an event through does not drop
/// the event's span.
pub(crate) fn deployment_span(deployment: &str, application: &str) -> Span {
    tracing::error_span!(parent: None, "deployment", deployment, application)
}

/// Enters the span of a deployment for a poll of its code, so that the user's own events stand in
/// it, wherever the code is polled. Only reads one number if nothing is recorded.
#[inline]
pub(crate) fn enter<'a>(span: impl FnOnce() -> Option<&'a Span>) -> Option<EnteredSpan> {
    if LevelFilter::current() == LevelFilter::OFF { None } else { enter_recorded(span()) }
}

#[cold]
#[inline(never)]
fn enter_recorded(span: Option<&Span>) -> Option<EnteredSpan> {
    span.filter(|span| !span.is_disabled()).map(|span| span.clone().entered())
}

/// True if the events of a callee would stand in a span of its caller's, were the callee polled in
/// place: where a filter turns the deployment's own span off. There is no way to leave a span.
#[inline]
pub(crate) fn would_mix(has_span: impl FnOnce() -> bool) -> bool {
    LevelFilter::current() != LevelFilter::OFF && !has_span() && !Span::current().is_none()
}

/// True if a subscriber takes the level `TRACE`, at which the decisions on a call's path are
/// events. Only reads one number, so that a call without such a subscriber costs no more.
#[inline]
pub(crate) fn traces_calls() -> bool {
    LevelFilter::current() >= LevelFilter::TRACE
}
