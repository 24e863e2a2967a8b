//! What answers a request: a typed endpoint, or the `#[routes]` of a replica.

pub(crate) mod interface;
pub(crate) mod method_endpoint;
pub(crate) mod routed;
