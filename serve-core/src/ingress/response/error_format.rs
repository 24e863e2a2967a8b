//! [`ErrorFormat`]: the form of error bodies, by the name that the option `error_format` has; and what
//! a client accepts.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use axum::body::Body;
use futures::FutureExt;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Response};
use http_body_util::BodyExt;
use serde::Serialize;
use serde_json::{Value, json};

use crate::application::{ERROR_FORMATS, HttpSettings};
use crate::call::pending::panic_message;
use crate::call::wire::echo::shown_log;
use crate::ingress::response::http_error::{HttpError, seconds};

/// A function that makes a response of an error.
type Form = fn(&HttpError) -> Response<Body>;

/// An error format that is registered under a name. See
/// [`register_error_format!`](crate::http::register_error_format).
#[derive(Debug)]
pub struct NamedErrorFormat {
    /// The name of the format.
    pub name: &'static str,
    /// Makes a response of an error.
    pub form: Form,
}

inventory::collect!(NamedErrorFormat);

/// The form of error bodies.
#[derive(Clone, Copy)]
pub(crate) struct ErrorFormat {
    name: &'static str,
    form: Form,
}

impl fmt::Debug for ErrorFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl ErrorFormat {
    /// Returns the format that the option names. Names are checked at the deploy.
    pub(crate) fn of(settings: &HttpSettings) -> Self {
        let name = settings.error_format.as_deref().unwrap_or_default();
        let registered = || inventory::iter::<NamedErrorFormat>();
        match registered().find(|known| known.name == name) {
            Some(NamedErrorFormat { name, form }) => Self { name, form: *form },
            None => match ERROR_FORMATS.iter().position(|known| *known == name) {
                Some(1) => Self { name: "openai", form: openai },
                Some(2) => Self { name: "problem", form: problem },
                _ => Self { name: "serve", form: serve },
            },
        }
    }

    /// Completes a response: if it is an error without a body, writes the body.
    pub(crate) fn complete(
        self,
        mut response: Response<Body>,
        complete: impl FnOnce(HttpError) -> HttpError,
    ) -> Response<Body> {
        match response.extensions_mut().remove::<HttpError>() {
            None => response,
            Some(error) => self.completed(response, &complete(error)),
        }
    }

    #[cold]
    fn completed(self, bare: Response<Body>, error: &HttpError) -> Response<Body> {
        let mut response = self.formed(error);
        let (bare, _) = bare.into_parts();
        for (name, value) in &bare.headers {
            // The length is that of the empty body.
            if name != CONTENT_LENGTH && !response.headers().contains_key(name) {
                response.headers_mut().append(name, value.clone());
            }
        }
        *response.extensions_mut() = bare.extensions;
        response
    }

    fn formed(self, error: &HttpError) -> Response<Body> {
        catch_unwind(AssertUnwindSafe(|| (self.form)(error))).unwrap_or_else(|panic| {
            let (request_id, panic) = (error.request_id(), panic_message(&*panic));
            let (format, panic) = (self.name, shown_log(&panic));
            tracing::error!(request_id, "the error format `{format}` panicked: {panic}");
            serve(error)
        })
    }

    /// Encodes an error for a stream that has begun: as JSON without line breaks.
    pub(crate) fn to_json(self, error: &HttpError) -> Vec<u8> {
        let response = self.formed(error);
        let is_json = content_type(response.headers()).is_some_and(|it| it.contains("json"));
        let body = response.into_body().collect().now_or_never().and_then(Result::ok);
        let mut json = match body.filter(|_| is_json) {
            Some(body) => body.to_bytes().to_vec(),
            // A format that has no JSON at hand.
            None => ErrorBody::of(error).to_json(),
        };
        // In JSON, a line break is never part of a text.
        for byte in &mut json {
            if matches!(byte, b'\n' | b'\r') {
                *byte = b' ';
            }
        }
        json
    }

    /// Returns the content type and the schema of the format's JSON.
    pub(crate) fn described(self) -> (&'static str, Value) {
        match self.name {
            "serve" => (JSON, serve_schema()),
            "openai" => (JSON, openai_schema()),
            "problem" => (PROBLEM, problem_schema()),
            _ => (JSON, json!({ "type": "object", "description": "An error." })),
        }
    }
}

const JSON: &str = "application/json";
const PROBLEM: &str = "application/problem+json";
const TEXT: &str = "text/plain; charset=utf-8";

/// The JSON of an error in Serve's own format.
#[derive(Serialize)]
struct ErrorBody<'a> {
    error: ErrorFields<'a>,
}

#[derive(Serialize)]
struct ErrorFields<'a> {
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    #[serde(rename = "in", skip_serializing_if = "Option::is_none")]
    place: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
    #[serde(skip_serializing_if = "str::is_empty")]
    request_id: &'a str,
}

impl<'a> ErrorBody<'a> {
    fn of(error: &'a HttpError) -> Self {
        Self {
            error: ErrorFields {
                status: error.status().as_u16(),
                code: error.code(),
                message: error.message(),
                field: error.field(),
                place: error.place(),
                retry_after: error.retry_after().map(seconds),
                request_id: error.request_id(),
            },
        }
    }

    fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("an error body holds only text and numbers")
    }
}

/// `{"error": {"status": .., "code": .., "message": .., "request_id": ..}}`
fn serve(error: &HttpError) -> Response<Body> {
    text_or(error, JSON, |error| ErrorBody::of(error).to_json())
}

/// The form of OpenAI's API, which its clients read: `{"error": {"message": .., "type": .., "param":
/// .., "code": ..}}`.
fn openai(error: &HttpError) -> Response<Body> {
    text_or(error, JSON, |error| {
        let kind = match error.status().as_u16() {
            401 => "authentication_error",
            403 => "permission_error",
            429 => "rate_limit_error",
            503 => "service_unavailable_error",
            500.. => "server_error",
            _ => "invalid_request_error",
        };
        let code = match error.code() {
            Some("unauthorized") => Some("invalid_api_key"),
            Some("rate_limited") => Some("rate_limit_exceeded"),
            code => code,
        };
        let (message, param) = (error.message(), error.field());
        let body =
            json!({ "error": { "message": message, "type": kind, "param": param, "code": code } });
        body.to_string().into_bytes()
    })
}

/// Problem details (RFC 9457).
fn problem(error: &HttpError) -> Response<Body> {
    text_or(error, PROBLEM, |error| {
        let status = error.status();
        let mut body = json!({
            "type": "about:blank",
            "title": status.canonical_reason().unwrap_or("Error"),
            "status": status.as_u16(),
            "detail": error.message(),
        });
        let more = [
            ("code", error.code()),
            ("field", error.field()),
            ("in", error.place()),
            ("request_id", Some(error.request_id()).filter(|id| !id.is_empty())),
        ];
        for (name, value) in more {
            if let Some(value) = value {
                body[name] = value.into();
            }
        }
        body.to_string().into_bytes()
    })
}

fn text_or(
    error: &HttpError,
    content_type: &'static str,
    json: impl FnOnce(&HttpError) -> Vec<u8>,
) -> Response<Body> {
    let (content_type, body) = if error.prefers_text() {
        (TEXT, Body::from(error.message().to_owned()))
    } else {
        (content_type, Body::from(json(error)))
    };
    let mut response = Response::new(body);
    *response.status_mut() = error.status();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

fn content_type(headers: &HeaderMap) -> Option<&str> {
    headers.get(CONTENT_TYPE)?.to_str().ok()
}

/// True if the `Accept` header prefers text to JSON: `text/plain` or `text/html` has a higher quality
/// than `application/json` and `*/*`.
pub(crate) fn prefers_text(accept: &HeaderValue) -> bool {
    let Ok(accept) = accept.to_str() else { return false };
    // Most programs accept anything.
    if accept == "*/*" || accept == JSON {
        return false;
    }
    let (mut text, mut json) = (0.0_f32, 0.0_f32);
    for (range, quality) in qualities(accept) {
        let is = |name: &str| range.eq_ignore_ascii_case(name);
        if is("text/plain") || is("text/html") || is("text/*") {
            text = text.max(quality);
        } else if is("application/json") || is("application/*") || is("*/*") || is(PROBLEM) {
            json = json.max(quality);
        }
    }
    text > json
}

/// Returns the members of a list such as `a, b;q=0.5`, each with its quality.
pub(crate) fn qualities(list: &str) -> impl Iterator<Item = (&str, f32)> {
    list.split(',').filter_map(|member| {
        let mut parts = member.split(';').map(str::trim);
        let name = parts.next().filter(|name| !name.is_empty())?;
        let quality =
            parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        Some((name, quality.map_or(1.0, |quality| quality.trim().parse().unwrap_or(0.0))))
    })
}

fn serve_schema() -> Value {
    json!({
        "type": "object",
        "description": "An error.",
        "required": ["error"],
        "properties": { "error": {
            "type": "object",
            "required": ["status", "message"],
            "properties": {
                "status": { "type": "integer", "description": "The HTTP status." },
                "code": { "type": "string", "description": "A word for programs." },
                "message": { "type": "string", "description": "What is wrong, or was expected." },
                "field": {
                    "type": "string",
                    "description": "The path to the input at fault, such as `items[2].name`.",
                },
                "in": { "type": "string", "enum": ["path", "query", "header", "cookie", "body"] },
                "retry_after": { "type": "integer", "description": "Seconds until a retry helps." },
                "request_id": { "type": "string", "description": "The id of the request." },
            },
        }},
    })
}

fn openai_schema() -> Value {
    json!({
        "type": "object",
        "description": "An error.",
        "required": ["error"],
        "properties": { "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": { "type": "string" },
                "type": { "type": "string" },
                "param": { "type": ["string", "null"] },
                "code": { "type": ["string", "null"] },
            },
        }},
    })
}

fn problem_schema() -> Value {
    json!({
        "type": "object",
        "description": "Problem details (RFC 9457).",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": { "type": "string" },
            "title": { "type": "string" },
            "status": { "type": "integer" },
            "detail": { "type": "string" },
            "code": { "type": "string" },
            "field": { "type": "string" },
            "in": { "type": "string" },
            "request_id": { "type": "string" },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_client_that_prefers_text_receives_text() {
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        for accept in [browser, "text/plain", "TEXT/HTML", "text/plain, */*;q=0.1", "text/*"] {
            assert!(prefers_text(&HeaderValue::from_static(accept)), "{accept}");
        }
        for accept in [
            "",
            "*/*",
            "application/json",
            "application/json, text/plain, */*",
            "text/plain;q=0.5, application/json",
            "text/plain, */*",
            "text/event-stream",
            "text/plain;q=0",
            "text/plain;q=x",
        ] {
            assert!(!prefers_text(&HeaderValue::from_static(accept)), "{accept}");
        }
    }

    #[test]
    fn an_error_in_a_stream_is_one_line_of_json() {
        let spread = |error: &HttpError| {
            let body = format!("{{\n  \"is\": \"{}\"\r\n}}", error.message());
            Response::builder().header(CONTENT_TYPE, "application/json").body(body.into()).unwrap()
        };
        let text = |_: &HttpError| Response::new(Body::from("no"));
        let error = HttpError::new(500, "no");
        let json = ErrorFormat { name: "spread", form: spread }.to_json(&error);
        assert_eq!(String::from_utf8(json).unwrap(), "{   \"is\": \"no\"  }");
        let json = ErrorFormat { name: "text", form: text }.to_json(&error);
        assert_eq!(String::from_utf8(json).unwrap(), r#"{"error":{"status":500,"message":"no"}}"#);
    }
}
