//! The errors of rejected requests, which say what is wrong and what was expected.
//!
//! `field` is a path into the input (`items[2].name`), `in` is `path`, `query`, `header`, `cookie` or
//! `body`; both are left out if the whole request is at fault. What both repeat of the request is
//! shortened, and has no invisible characters.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use http::header::{ACCEPT_ENCODING, ALLOW, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};

use crate::call::wire::echo::{shown, shown_message};
use crate::ingress::response::http_error::HttpError;

/// Creates a rejection. Except for 507, a request is rejected before any method runs.
fn rejected(
    status: StatusCode,
    code: &'static str,
    message: impl Into<Cow<'static, str>>,
) -> HttpError {
    let message = message.into();
    let shown = match shown_message(&message) {
        Cow::Owned(shown) => Some(Cow::Owned(shown)),
        Cow::Borrowed(_) => None,
    };
    let message = shown.unwrap_or(message);
    HttpError::of_status(status, message).with_code(code)
}

impl HttpError {
    /// 400: the input should be JSON, but is not.
    pub(crate) fn not_json(message: impl Into<Cow<'static, str>>) -> Self {
        rejected(StatusCode::BAD_REQUEST, "invalid_json", message).with_place("body")
    }

    /// 400: the body is not what its headers say.
    pub(crate) fn bad_body(message: impl Into<Cow<'static, str>>) -> Self {
        rejected(StatusCode::BAD_REQUEST, "invalid_body", message).with_place("body")
    }

    /// 400: the `Host` header is missing or invalid.
    pub(crate) fn bad_host(message: &'static str) -> Self {
        rejected(StatusCode::BAD_REQUEST, "invalid_host", message)
    }

    /// 401: the request has no valid API key.
    pub(crate) fn unauthorized(message: &'static str, challenge: &'static str) -> Self {
        rejected(StatusCode::UNAUTHORIZED, "unauthorized", message)
            .with_header(WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
    }

    /// 421: the request names a host that is not one of the allowed ones.
    pub(crate) fn misdirected(host: &str) -> Self {
        let message = format!("no application is served for the host `{}`", shown(host));
        rejected(StatusCode::MISDIRECTED_REQUEST, "misdirected", message)
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
        rejected(StatusCode::FORBIDDEN, "foreign_origin", message)
    }

    /// 404: nobody has the path.
    pub(crate) fn not_found(message: impl Into<Cow<'static, str>>) -> Self {
        rejected(StatusCode::NOT_FOUND, "not_found", message)
    }

    /// 405: the method is not allowed; `allow` lists the methods that are.
    pub(crate) fn wrong_method(method: &http::Method, allow: HeaderValue) -> Self {
        let allowed = String::from_utf8_lossy(allow.as_bytes());
        let method = shown(method.as_str());
        let message = format!("the method {method} is not allowed here, expected {allowed}");
        rejected(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
            .with_header(ALLOW, allow)
    }

    /// 400: the body ended early.
    pub(crate) fn broken_body() -> Self {
        Self::bad_body("the body ended early")
    }

    /// 408: the body arrives too slowly.
    pub(crate) fn too_slow(fault: impl fmt::Display) -> Self {
        rejected(StatusCode::REQUEST_TIMEOUT, "request_timeout", fault.to_string())
            .with_place("body")
    }

    /// 413: the body is larger than the limit.
    pub(crate) fn too_large(limit: usize) -> Self {
        let message = format!("the body is larger than {limit} bytes");
        rejected(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message).with_place("body")
    }

    /// 415: the body has another content type than the endpoint reads.
    pub(crate) fn wrong_content_type(
        content_type: Option<&HeaderValue>,
        expected: &'static str,
    ) -> Self {
        let message = match content_type {
            Some(content_type) => {
                let sent = String::from_utf8_lossy(content_type.as_bytes());
                format!("the body is sent as `{}`, expected `{expected}`", shown(&sent))
            }
            None => format!("the body has no content type, expected `{expected}`"),
        };
        rejected(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message)
            .with_place("body")
    }

    /// 415: the body is compressed in an unknown way; `known` lists the ways that are known.
    pub(crate) fn wrong_coding(coding: &str, known: &'static str) -> Self {
        let message = format!(
            "the body has the content encoding `{}`, expected {}",
            shown(coding),
            if known.is_empty() { "none" } else { known },
        );
        rejected(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_encoding", message)
            .with_place("body")
            .with_header(ACCEPT_ENCODING, HeaderValue::from_static(known))
    }

    /// 422: a parameter is missing, unknown or ill-typed.
    pub(crate) fn unfit(
        place: &'static str,
        field: impl Into<Option<String>>,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        let field = field.into().map(|field| shown(&field).into_owned());
        rejected(StatusCode::UNPROCESSABLE_ENTITY, "invalid_input", message)
            .with_place(place)
            .with_field(field)
    }

    /// 429: the client sends more requests than the rate limit allows.
    pub(crate) fn too_many_requests(message: String, retry_after: Duration) -> Self {
        rejected(StatusCode::TOO_MANY_REQUESTS, "rate_limited", message)
            .with_retry_after(Some(retry_after))
    }

    /// 507: a stream that was asked for as one JSON array is too long for one.
    pub(crate) fn too_long_for_an_array(limit: usize) -> Self {
        let message = format!(
            "the stream is longer than the {} MiB that one `application/json` array may have: ask \
             for it with `Accept: application/x-ndjson` or `Accept: text/event-stream`",
            limit >> 20
        );
        rejected(StatusCode::INSUFFICIENT_STORAGE, "stream_too_long", message)
    }
}
