//! The answer to a request: a value, a stream, or an error.

pub(crate) mod call_failure;
pub(crate) mod chunk;
pub(crate) mod error_format;
pub(crate) mod event;
pub(crate) mod framing;
pub(crate) mod grpc;
pub(crate) mod http_error;
pub(crate) mod into_response;
pub(crate) mod json;
pub(crate) mod rejection;
pub(crate) mod reply;
pub(crate) mod result_kind;
pub(crate) mod streaming;
