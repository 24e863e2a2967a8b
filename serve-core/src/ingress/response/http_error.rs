//! [`HttpError`]: an error that leaves the ingress, before an error format has made a response of it.
//!
//! A rejected request, a failed call, a path that nobody has and an error within a stream are the same
//! type. Wherever an error arises, it travels as an extension of a response without a body
//! ([`HttpError::into_response`]); the front door knows the application's format and what the client
//! accepts, and writes the body.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::IntoResponse;
use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};

/// An error that an HTTP client receives: of a rejected request, of a failed call, or in a stream.
///
/// An error format makes a response of the error: one of the built-in formats, or a function that is
/// registered with [`register_error_format!`](crate::http::register_error_format).
///
/// A handler of `#[routes]` may return an `HttpError`, which then has the format of the application,
/// like all other errors.
#[derive(Clone, Debug)]
pub struct HttpError(Box<Fields>);

#[derive(Clone, Debug)]
struct Fields {
    status: StatusCode,
    code: Option<&'static str>,
    message: Cow<'static, str>,
    field: Option<String>,
    place: Option<&'static str>,
    retry_after: Option<Duration>,
    /// Headers that belong to the status, such as `Allow`.
    headers: HeaderMap,
    request_id: Option<Arc<str>>,
    prefers_text: bool,
}

impl HttpError {
    /// Creates an error with this status and message. A number that is not the status of an error (400
    /// to 599) becomes 500.
    pub fn new(status: u16, message: impl Into<Cow<'static, str>>) -> Self {
        let status = StatusCode::from_u16(status).ok();
        let status = status.filter(|status| status.is_client_error() || status.is_server_error());
        Self::of_status(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), message)
    }

    pub(crate) fn of_status(status: StatusCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Fields {
            status,
            code: None,
            message: message.into(),
            field: None,
            place: None,
            retry_after: None,
            headers: HeaderMap::new(),
            request_id: None,
            prefers_text: false,
        }))
    }

    /// Sets the code, a word for programs in snake case.
    #[must_use]
    pub fn with_code(mut self, code: &'static str) -> Self {
        self.0.code = Some(code);
        self
    }

    pub(crate) fn with_place(mut self, place: &'static str) -> Self {
        self.0.place = Some(place);
        self
    }

    pub(crate) fn with_field(mut self, field: Option<String>) -> Self {
        self.0.field = field;
        self
    }

    pub(crate) fn with_retry_after(mut self, retry_after: Option<Duration>) -> Self {
        self.0.retry_after = retry_after;
        self
    }

    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.insert(name, value);
        self
    }

    /// Adds what the front door knows about the request.
    pub(crate) fn of_request(mut self, request_id: &Arc<str>, prefers_text: bool) -> Self {
        self.0.request_id = Some(Arc::clone(request_id));
        self.0.prefers_text = prefers_text;
        self
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The message for people.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The code for programs, such as `overloaded`, `deadline_exceeded` or `invalid_input`. The errors
    /// of the application's own methods have none.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.0.code
    }

    /// The path to the input at fault, such as `items[2].name`, if one part of the input is.
    #[must_use]
    pub fn field(&self) -> Option<&str> {
        self.0.field.as_deref()
    }

    /// The place of the input at fault: `path`, `query`, `header`, `cookie` or `body`.
    #[must_use]
    pub fn place(&self) -> Option<&str> {
        self.0.place
    }

    /// The time after which the client may try again.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// The id of the request, which the header `x-request-id` also has.
    #[must_use]
    pub fn request_id(&self) -> &str {
        self.0.request_id.as_deref().unwrap_or_default()
    }

    /// True if the client accepts text rather than JSON, as a browser does.
    #[must_use]
    pub fn prefers_text(&self) -> bool {
        self.0.prefers_text
    }

    /// Converts the error into a response without a body, which the front door completes.
    pub(crate) fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.0.status;
        *response.headers_mut() = self.0.headers.clone();
        if let Some(retry_after) = self.0.retry_after {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds(retry_after)));
        }
        response.extensions_mut().insert(self);
        response
    }
}

impl IntoResponse for HttpError {
    /// Returns a response whose body Serve writes in the format of the application. Without Serve in
    /// front, the body is empty.
    fn into_response(self) -> Response<Body> {
        Self::into_response(self)
    }
}

/// Returns whole seconds, rounded up, as `Retry-After` requires.
pub(crate) fn seconds(duration: Duration) -> u64 {
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
            let response =
                HttpError::new(503, "later").with_retry_after(retry_after).into_response();
            let header = response.headers().get(RETRY_AFTER).map(|value| value.to_str().unwrap());
            assert_eq!(header, expected.as_deref(), "{given:?}");
        }
    }

    #[test]
    fn only_the_status_of_an_error_is_taken() {
        for (given, status) in [(404, 404), (599, 599), (200, 500), (99, 500), (600, 500)] {
            assert_eq!(HttpError::new(given, "no").status(), status);
        }
    }
}
