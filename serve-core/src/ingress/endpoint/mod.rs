//! The endpoints that answer requests: a typed endpoint, or the `#[routes]` of a replica.

pub(crate) mod interface;
pub(crate) mod method_endpoint;
pub(crate) mod routed;
pub(crate) mod websocket;
