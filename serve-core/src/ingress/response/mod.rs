//! The answer to a request: a value, a stream, a failed call, or a rejected request.

pub(crate) mod call_failure;
pub(crate) mod framing;
pub(crate) mod into_response;
pub(crate) mod json;
pub(crate) mod rejection;
pub(crate) mod streaming;
