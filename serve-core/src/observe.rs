//! Spans and events of deployments and their calls.
//!
//! This module is near the top of the order of modules, so that every module below it may record.

use tracing::Span;
use tracing::level_filters::LevelFilter;
use tracing::span::EnteredSpan;

/// Creates the span of a deployment. Its fields are set here, once for all events in the span.
///
/// The span has the level `ERROR`, so that a filter that lets an event through does not drop the
/// event's span.
pub(crate) fn deployment_span(deployment: &str, application: &str) -> Span {
    tracing::error_span!(parent: None, "deployment", deployment, application)
}

/// Enters the span of a deployment for a poll of its code, so that the user's own events are
/// recorded in the span, wherever the code is polled. If nothing is recorded, this function only
/// reads one number.
#[inline]
pub(crate) fn enter<'a>(span: impl FnOnce() -> Option<&'a Span>) -> Option<EnteredSpan> {
    if LevelFilter::current() == LevelFilter::OFF { None } else { enter_recorded(span()) }
}

#[cold]
#[inline(never)]
fn enter_recorded(span: Option<&Span>) -> Option<EnteredSpan> {
    span.filter(|span| !span.is_disabled()).map(|span| span.clone().entered())
}

/// Returns `true` if the events of a callee would be recorded in a span of its caller when the
/// callee is polled in place. This is the case if a filter disables the deployment's own span,
/// because a span cannot be left temporarily.
#[inline]
pub(crate) fn would_mix(has_span: impl FnOnce() -> bool) -> bool {
    LevelFilter::current() != LevelFilter::OFF && !has_span() && !Span::current().is_none()
}

/// Returns `true` if a subscriber records the level `TRACE`, at which the decisions on a call's
/// path are events. This function only reads one number, so that a call without such a subscriber
/// costs no more.
#[inline]
pub(crate) fn traces_calls() -> bool {
    LevelFilter::current() >= LevelFilter::TRACE
}
