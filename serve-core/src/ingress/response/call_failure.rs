//! The errors of failed calls, as an HTTP client may know them.
//!
//! No internals leak: a failure without a status of its own is 500 `Internal Server Error`, and the
//! log has the details.

use std::any::Any;
use std::borrow::Cow;
use std::fmt;

use http::StatusCode;

use crate::call::CallError;
use crate::call::wire::echo::shown_log;
use crate::error::{CallErrorKind, Error};
use crate::ingress::response::http_error::HttpError;
use crate::method::Method;

impl HttpError {
    /// Creates the error of a method. The details that the client does not receive are logged.
    pub(crate) fn of_method<M: Method>(
        error: CallError<M::Err>,
        status: fn(&M::Err) -> Option<u16>,
        request_id: &str,
    ) -> Self {
        let CallError::App(error) = error else {
            // The method's own error is gone, so its type does not matter any more.
            return Self::of_call(
                &error.map_app(|error| error.to_string()),
                M::INFO.name,
                request_id,
            );
        };
        let any: &dyn Any = &error;
        let (status, retry_after) = match any.downcast_ref::<Error>() {
            Some(error) => (error.status(), error.retry_after()),
            None => (status(&error), None),
        };
        match status.and_then(|status| StatusCode::from_u16(status).ok()) {
            // An informational status cannot be a final response.
            Some(status) if !status.is_informational() => {
                if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT {
                    let (method, status) = (M::INFO.name, status.as_u16());
                    tracing::warn!(request_id, method, status, "{}", logged(&error));
                }
                Self::of_status(status, error.to_string()).with_retry_after(retry_after)
            }
            _ => {
                let method = M::INFO.name;
                tracing::error!(request_id, method, "the method failed: {}", logged(&error));
                Self::internal()
            }
        }
    }

    /// Creates the error of a call that is not the method's own error.
    pub(crate) fn of_call<E: fmt::Display + 'static>(
        error: &CallError<E>,
        method: &str,
        request_id: &str,
    ) -> Self {
        let fault = error.fault();
        let retry_after = match error {
            CallError::Overloaded { retry_after, .. } => *retry_after,
            _ => fault.and_then(CallErrorKind::retry_after),
        };
        match StatusCode::from_u16(error.status()) {
            Ok(status) if status != StatusCode::INTERNAL_SERVER_ERROR => {
                let status_sent = status.as_u16();
                tracing::warn!(request_id, method, status = status_sent, "{}", logged(error));
                let sent = Self::of_status(status, error.to_string()).with_retry_after(retry_after);
                match fault.map(code) {
                    Some(code) => sent.with_code(code),
                    None => sent,
                }
            }
            _ => {
                tracing::error!(request_id, method, "the call failed: {}", logged(error));
                Self::internal()
            }
        }
    }

    /// Creates a 500 without details.
    pub(crate) fn internal() -> Self {
        Self::of_status(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
            .with_code(code(CallErrorKind::Internal))
    }

    /// Creates a 503, for something that will be available.
    pub(crate) fn unavailable(message: impl Into<Cow<'static, str>>) -> Self {
        Self::of_status(StatusCode::SERVICE_UNAVAILABLE, message)
            .with_code(code(CallErrorKind::Unavailable))
    }

    /// Creates a 503, for something that will be available soon.
    pub(crate) fn not_yet(message: impl Into<Cow<'static, str>>) -> Self {
        Self::unavailable(message).with_retry_after(CallErrorKind::Overloaded.retry_after())
    }
}

/// The word for a kind of failure.
fn code(kind: CallErrorKind) -> &'static str {
    match kind {
        CallErrorKind::DeadlineExceeded => "deadline_exceeded",
        CallErrorKind::Cancelled => "cancelled",
        CallErrorKind::Overloaded => "overloaded",
        CallErrorKind::Unavailable => "unavailable",
        CallErrorKind::Internal => "internal",
    }
}

/// Formats an error for the log; an [`Error`] is shown with its causes. Errors of user code may repeat
/// anything of a request.
fn logged<E: fmt::Display + 'static>(error: &E) -> String {
    let text = match (error as &dyn Any).downcast_ref::<Error>() {
        Some(error) => format!("{error:?}"),
        None => error.to_string(),
    };
    shown_log(&text).into_owned()
}
