//! [`ApiError`]: what is wrong, in the form that clients of OpenAI read.

use std::time::Duration;

use serde_json::json;
use serve_core::axum::Json;
use serve_core::axum::http::header::RETRY_AFTER;
use serve_core::axum::http::{HeaderValue, StatusCode};
use serve_core::axum::response::{IntoResponse, Response};
use serve_core::prelude::*;

use crate::generate::GenerateError;

/// An error as `{"error": {"message", "type", "param", "code"}}`, with its status.
#[derive(Debug)]
pub struct ApiError {
    /// The HTTP status.
    pub status: StatusCode,
    /// For people.
    pub message: String,
    /// Which field of the request it is about.
    pub param: Option<String>,
    /// For programs.
    pub code: &'static str,
    /// When it is worth trying again.
    pub retry_after: Option<Duration>,
}

impl ApiError {
    /// An error that has no field and after which trying again is no use.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), param: None, code, retry_after: None }
    }

    /// A field of the request is wrong.
    pub fn field(param: impl Into<String>, code: &'static str, message: impl Into<String>) -> Self {
        let error = Self::new(StatusCode::BAD_REQUEST, code, message);
        Self { param: Some(param.into()), ..error }
    }

    /// No model has this id.
    pub fn no_model(id: &str) -> Self {
        let message =
            format!("The model `{id}` does not exist. GET /v1/models lists those that do.");
        let error = Self::new(StatusCode::NOT_FOUND, "model_not_found", message);
        Self { param: Some("model".to_owned()), ..error }
    }

    /// The call of the model failed.
    pub fn of_call(error: CallError<GenerateError>) -> Self {
        let status = StatusCode::from_u16(error.status());
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        match error {
            CallError::App(error @ GenerateError::TooLong { .. }) => {
                Self::field("messages", "context_length_exceeded", error.to_string())
            }
            CallError::Overloaded { queued, retry_after, .. } => {
                let message = format!(
                    "The server is overloaded: {queued} requests are waiting already. Try again later."
                );
                Self { retry_after, ..Self::new(status, "overloaded", message) }
            }
            CallError::DeadlineExceeded => {
                let message = "The deadline passed before the answer was complete: that of the \
                               header X-Request-Timeout-Seconds, or the server's own.";
                Self::new(status, "deadline_exceeded", message)
            }
            CallError::Unavailable { .. } => {
                let message = "The model is not available right now. Try again later.";
                Self::new(status, "unavailable", message)
            }
            error => {
                // What is inside stays inside; the log has it.
                tracing::error!("no answer: {error}");
                let message = "The server failed to compute an answer.";
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", message)
            }
        }
    }

    /// As JSON.
    #[must_use]
    pub fn body(&self) -> serde_json::Value {
        let client = self.status.is_client_error() && self.status != StatusCode::REQUEST_TIMEOUT;
        let kind = if client { "invalid_request_error" } else { "server_error" };
        json!({"error": {
            "message": self.message, "type": kind, "param": self.param, "code": self.code,
        }})
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body())).into_response();
        let headers = response.headers_mut();
        if let Some(after) = self.retry_after {
            // Whole seconds, and none too early.
            let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
            headers.insert(RETRY_AFTER, seconds.max(1).into());
        }
        if self.status == StatusCode::REQUEST_TIMEOUT {
            // OpenAI's own clients would try again, and wait in vain once more.
            headers.insert("x-should-retry", HeaderValue::from_static("false"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_has_its_status_and_code() {
        let too_long = GenerateError::TooLong { context: 8, prompt: 9, answer: 1 };
        let overloaded = CallError::Overloaded {
            queued: 3,
            limit: 3,
            retry_after: Some(Duration::from_millis(1_200)),
        };
        for (error, status, code) in [
            (CallError::App(too_long), 400, "context_length_exceeded"),
            (overloaded, 503, "overloaded"),
            (CallError::DeadlineExceeded, 408, "deadline_exceeded"),
            (CallError::Panicked("secret".into()), 500, "server_error"),
            (CallError::App(GenerateError::Failed("secret".into())), 500, "server_error"),
        ] {
            let error = ApiError::of_call(error);
            assert_eq!((error.status.as_u16(), error.code), (status, code));
            assert!(!error.message.contains("secret"), "{error:?}");
        }
    }

    #[test]
    fn who_is_overloaded_says_when_to_come_back() {
        let retry_after = Some(Duration::from_millis(1_200));
        let error = CallError::Overloaded { queued: 3, limit: 3, retry_after };
        let response = ApiError::of_call(error).into_response();
        assert_eq!(response.headers()[RETRY_AFTER], "2");
    }
}
