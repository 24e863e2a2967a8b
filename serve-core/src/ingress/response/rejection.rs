//! `Rejection`: a rejected request, answered with a body that names the fault and what was
//! expected.
//!
//! ```json
//! {"error": {"status": 422, "field": "language", "in": "body",
//!            "message": "unknown variant `german`, expected `spanish` or `french`"}}
//! ```
//!
//! `field` is a path into the input (`items[2].name`), `in` is `path`, `query` or `body`; both are
//! left out if the whole request is at fault. What both repeat of the request is shortened, and has
//! no invisible characters.

use std::borrow::Cow;
use std::fmt;

use axum::body::Body;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use serde::Serialize;

use crate::call::wire::echo::{shown, shown_message};

/// A rejected request. Except for 507, a request is rejected before any method runs.
#[derive(Debug, PartialEq)]
pub(crate) struct Rejection {
    pub(crate) status: StatusCode,
    pub(crate) message: Cow<'static, str>,
    pub(crate) field: Option<String>,
    pub(crate) place: Option<&'static str>,
    allow: Option<HeaderValue>,
}

/// The JSON of every error that is sent as JSON: of a rejected request, and in a stream.
#[derive(Serialize)]
pub(crate) struct ErrorBody<'a> {
    error: ErrorFields<'a>,
}

#[derive(Serialize)]
struct ErrorFields<'a> {
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    #[serde(rename = "in", skip_serializing_if = "Option::is_none")]
    place: Option<&'static str>,
    message: &'a str,
}

impl<'a> ErrorBody<'a> {
    pub(crate) fn new(status: StatusCode, message: &'a str) -> Self {
        let error = ErrorFields { status: status.as_u16(), field: None, place: None, message };
        Self { error }
    }

    pub(crate) fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("an error body holds only text and numbers")
    }
}

impl Rejection {
    fn new(status: StatusCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, message: message.into(), field: None, place: None, allow: None }
    }

    /// 400: the input should be JSON, but is not.
    pub(crate) fn not_json(message: impl Into<Cow<'static, str>>) -> Self {
        Self { place: Some("body"), ..Self::new(StatusCode::BAD_REQUEST, message) }
    }

    /// 400: the `Host` header is missing or invalid.
    pub(crate) fn bad_host(message: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// 421: the request names a host that is not one of the allowed ones.
    pub(crate) fn misdirected(host: &str) -> Self {
        let message = format!("no application is served for the host `{}`", shown(host));
        Self::new(StatusCode::MISDIRECTED_REQUEST, message)
    }

    /// 403: the request comes from a page of another host.
    pub(crate) fn foreign_origin(origin: &HeaderValue, host: Option<&str>) -> Self {
        let origin = String::from_utf8_lossy(origin.as_bytes());
        let message = format!(
            "the request comes from a page of `{}` (`Origin`), expected one of `{}` (`Host`); other \
             pages may only send JSON, with its content type",
            shown(&origin),
            shown(host.unwrap_or_default()),
        );
        Self::new(StatusCode::FORBIDDEN, message)
    }

    /// 422: a parameter is missing, unknown or ill-typed.
    pub(crate) fn unfit(
        place: &'static str,
        field: impl Into<Option<String>>,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            field: field.into(),
            place: Some(place),
            ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, message)
        }
    }

    /// 400: the body ended early.
    pub(crate) fn broken_body() -> Self {
        Self { place: Some("body"), ..Self::new(StatusCode::BAD_REQUEST, "the body ended early") }
    }

    /// 408: the body arrives too slowly.
    pub(crate) fn too_slow(fault: impl fmt::Display) -> Self {
        Self { place: Some("body"), ..Self::new(StatusCode::REQUEST_TIMEOUT, fault.to_string()) }
    }

    /// 413: the body is larger than the limit.
    pub(crate) fn too_large(limit: usize) -> Self {
        let message = format!("the body is larger than {limit} bytes");
        Self { place: Some("body"), ..Self::new(StatusCode::PAYLOAD_TOO_LARGE, message) }
    }

    /// 415: the body is not sent as JSON.
    pub(crate) fn not_sent_as_json(content_type: &HeaderValue) -> Self {
        let sent = String::from_utf8_lossy(content_type.as_bytes());
        let message =
            format!("the body is sent as `{}`, expected `application/json`", shown(&sent));
        Self { place: Some("body"), ..Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message) }
    }

    /// 507: a stream that was asked for as one JSON array is too long for one.
    pub(crate) fn too_long_for_an_array(limit: usize) -> Self {
        let message = format!(
            "the stream is longer than the {} MiB that one `application/json` array may have: ask \
             for it with `Accept: application/x-ndjson` or `Accept: text/event-stream`",
            limit >> 20
        );
        Self::new(StatusCode::INSUFFICIENT_STORAGE, message)
    }

    /// 405: the method is not allowed; `allow` lists the methods that are.
    pub(crate) fn wrong_method(method: &http::Method, allow: HeaderValue) -> Self {
        let allowed = String::from_utf8_lossy(allow.as_bytes());
        let method = shown(method.as_str());
        let message = format!("the method {method} is not allowed here, expected {allowed}");
        Self { allow: Some(allow), ..Self::new(StatusCode::METHOD_NOT_ALLOWED, message) }
    }

    pub(crate) fn into_response(self) -> Response<Body> {
        let message = shown_message(&self.message);
        let field = self.field.as_deref().map(shown);
        let mut body = ErrorBody::new(self.status, &message);
        body.error.field = field.as_deref();
        body.error.place = self.place;
        let mut response = Response::new(Body::from(body.to_json()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(allow) = self.allow {
            headers.insert(ALLOW, allow);
        }
        response
    }
}
