//! `CallFailure`: the failure of a call, as an HTTP client may know it.
//!
//! No internals leak: a failure without a status of its own is 500 `Internal Server Error`, and the
//! log has the details.

use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use axum::body::Body;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};

use crate::call::CallError;
use crate::call::wire::echo::shown_log;
use crate::error::{CallErrorKind, Error};
use crate::ingress::response::rejection::ErrorBody;
use crate::method::Method;

/// A call that failed.
#[derive(Debug)]
pub(crate) struct CallFailure {
    pub(crate) status: StatusCode,
    message: Cow<'static, str>,
    retry_after: Option<Duration>,
}

impl CallFailure {
    /// Creates the failure of a method. The details that the client does not receive are logged.
    pub(crate) fn of<M: Method>(
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
                Self { status, message: error.to_string().into(), retry_after }
            }
            _ => {
                let method = M::INFO.name;
                tracing::error!(request_id, method, "the method failed: {}", logged(&error));
                Self::internal()
            }
        }
    }

    /// Creates the failure of a call that is not the method's own error.
    pub(crate) fn of_call<E: fmt::Display + 'static>(
        error: &CallError<E>,
        method: &str,
        request_id: &str,
    ) -> Self {
        let retry_after = match error {
            CallError::Overloaded { retry_after, .. } => *retry_after,
            error => error.fault().and_then(CallErrorKind::retry_after),
        };
        match StatusCode::from_u16(error.status()) {
            Ok(status) if status != StatusCode::INTERNAL_SERVER_ERROR => {
                let status_sent = status.as_u16();
                tracing::warn!(request_id, method, status = status_sent, "{}", logged(error));
                Self { status, message: error.to_string().into(), retry_after }
            }
            _ => {
                tracing::error!(request_id, method, "the call failed: {}", logged(error));
                Self::internal()
            }
        }
    }

    /// Creates a 500 without details.
    pub(crate) fn internal() -> Self {
        let message = Cow::Borrowed("Internal Server Error");
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, message, retry_after: None }
    }

    /// Creates a failure with a custom message.
    pub(crate) fn new(status: StatusCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, message: message.into(), retry_after: None }
    }

    /// Creates a 503, for something that will be available soon.
    pub(crate) fn not_yet(message: impl Into<Cow<'static, str>>) -> Self {
        let retry_after = CallErrorKind::Overloaded.retry_after();
        Self { status: StatusCode::SERVICE_UNAVAILABLE, message: message.into(), retry_after }
    }

    /// Encodes the failure for a stream: a JSON object without line breaks.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        ErrorBody::new(self.status, &self.message).to_json()
    }

    /// Converts the failure into a response of its own, with the message as text.
    pub(crate) fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::from(self.message));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        if let Some(retry_after) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds(retry_after)));
        }
        response
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

/// Returns whole seconds, rounded up, as `Retry-After` requires.
fn seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `retry_after.json` of the conformance vectors.
    #[test]
    fn retry_after_is_rounded_up_as_in_ray_serve() {
        let rows: Vec<(Option<f64>, Option<String>)> =
            serde_json::from_str(include_str!("../../../tests/vectors/retry_after.json")).unwrap();
        for (given, expected) in rows {
            let retry_after = given.map(Duration::from_secs_f64);
            let failure = CallFailure { retry_after, ..CallFailure::internal() };
            let response = failure.into_response();
            let header = response.headers().get(RETRY_AFTER).map(|value| value.to_str().unwrap());
            assert_eq!(header, expected.as_deref(), "{given:?}");
        }
    }
}
