//! gRPC: the requests that are gRPC, and the answers that their clients understand where Serve refuses
//! a call.
//!
//! A gRPC client reads the outcome of a call from `grpc-status`, and takes every HTTP status but 200 as
//! a broken connection. An error that is known before the answer begins is therefore a response without
//! a body whose headers have the outcome (*trailers-only*); an error after that is the trailers of the
//! response. The protocol is `PROTOCOL-HTTP2.md` in the repository of gRPC.

use std::fmt::Display;

use axum::body::Body;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::call::CallError;
use crate::error::GrpcCode;
use crate::ingress::response::http_error::HttpError;

pub(crate) const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// The characters that a message may not have as they are: all but printable ASCII, and `%`.
const NOT_IN_MESSAGE: &AsciiSet = &CONTROLS.add(b'%');

/// Returns the content type of a gRPC request.
pub(crate) fn content_type(headers: &HeaderMap) -> Option<&HeaderValue> {
    headers.get(CONTENT_TYPE).filter(|content_type| is_grpc(content_type))
}

/// True for the content type of a gRPC request: `application/grpc`, with `+proto` and the like, or that
/// of gRPC-Web.
pub(crate) fn is_grpc(content_type: &HeaderValue) -> bool {
    const GRPC: &[u8] = b"application/grpc";
    content_type.as_bytes().split_at_checked(GRPC.len()).is_some_and(|(name, rest)| {
        name.eq_ignore_ascii_case(GRPC) && matches!(rest.first(), None | Some(b'+' | b';' | b'-'))
    })
}

/// Completes a response to a gRPC request: if it is an error without a body, sets the outcome.
pub(crate) fn complete(mut response: Response<Body>, content_type: &HeaderValue) -> Response<Body> {
    match response.extensions_mut().remove::<HttpError>() {
        None => response,
        Some(error) => refused(response, &error, content_type),
    }
}

/// Returns the trailers-only response of an error. The headers that belong to the error, such as
/// `Retry-After`, stay.
#[cold]
fn refused(bare: Response<Body>, error: &HttpError, content_type: &HeaderValue) -> Response<Body> {
    let (bare, _) = bare.into_parts();
    let mut response = Response::new(Body::empty());
    *response.headers_mut() = bare.headers;
    *response.extensions_mut() = bare.extensions;
    response.headers_mut().remove(CONTENT_LENGTH);
    response.headers_mut().insert(CONTENT_TYPE, content_type.clone());
    response.headers_mut().extend(outcome(code(error), error.message()));
    response
}

/// Returns the trailers of a response that a failure of its call has cut off.
#[cold]
pub(crate) fn trailers<E: Display + 'static>(
    error: &CallError<E>,
    method: &str,
    request_id: &str,
) -> HeaderMap {
    let error = HttpError::of_call(error, method, request_id);
    outcome(code(&error), error.message())
}

fn outcome(code: GrpcCode, message: &str) -> HeaderMap {
    let mut outcome = HeaderMap::with_capacity(2);
    outcome.insert(GRPC_STATUS, HeaderValue::from(code.number()));
    let message = utf8_percent_encode(message, NOT_IN_MESSAGE).to_string();
    if let Ok(message) = HeaderValue::try_from(message) {
        outcome.insert(GRPC_MESSAGE, message);
    }
    outcome
}

/// Returns the code of an error: that of its cause where a status has several causes, else that of its
/// status.
fn code(error: &HttpError) -> GrpcCode {
    match error.code() {
        // In gRPC, a path is the name of a method.
        Some("not_found") => GrpcCode::Unimplemented,
        Some("overloaded") => GrpcCode::ResourceExhausted,
        _ => GrpcCode::of_status(error.status().as_u16()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::CallErrorKind;

    fn header(value: &'static str) -> HeaderMap {
        [(CONTENT_TYPE, HeaderValue::from_static(value))].into_iter().collect()
    }

    #[test]
    fn the_content_type_tells_grpc() {
        for grpc in [
            "application/grpc",
            "application/grpc+proto",
            "Application/GRPC;x=y",
            "application/grpc-web+proto",
        ] {
            assert!(content_type(&header(grpc)).is_some(), "{grpc}");
        }
        for other in ["application/json", "application/grpcx", "application/grp", ""] {
            assert!(content_type(&header(other)).is_none(), "{other}");
        }
        assert!(content_type(&HeaderMap::new()).is_none());
    }

    #[test]
    fn a_message_of_any_characters_is_a_header() {
        let outcome = outcome(GrpcCode::Internal, "100 % für\r\n`x`");
        assert_eq!(outcome["grpc-message"], "100 %25 f%C3%BCr%0D%0A`x`");
        assert_eq!(outcome["grpc-status"], "13");
    }

    #[test]
    fn a_failed_call_has_one_code_whoever_answers_it() {
        let errors: [CallError; 5] = [
            CallError::Overloaded { queued: 1, limit: 1, retry_after: None },
            CallError::Unavailable {
                deployment: "A".to_owned(),
                started: false,
                reason: "it stopped".to_owned(),
            },
            CallError::DeadlineExceeded,
            CallError::Cancelled,
            CallError::Panicked("no".to_owned()),
        ];
        for error in errors {
            let answered = code(&HttpError::of_call(&error, "method", "id"));
            assert_eq!(answered.number(), error.grpc_code(), "{error}");
            let own = crate::Error::from(error.clone());
            assert_eq!(own.grpc_code(), error.grpc_code(), "{error}, after `?`");
            assert_eq!(error.fault().map(CallErrorKind::grpc_code), Some(error.grpc_code()));
        }
    }
}
