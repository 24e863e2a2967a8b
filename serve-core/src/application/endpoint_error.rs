//! [`EndpointError`]: why the endpoints of an ingress cannot be served.

use thiserror::Error;

/// Endpoints that cannot stand beside each other.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndpointError {
    /// Two methods were given one path and HTTP method.
    #[error("`{first}` and `{second}` are both the endpoint {verb} {path}; change one of them")]
    Twice {
        /// One method.
        first: String,
        /// The other.
        second: String,
        /// The HTTP method.
        verb: String,
        /// The path.
        path: String,
    },
    /// The path makes no sense, or not beside another.
    #[error("the path {path:?} of `{method}` cannot be routed: {reason}")]
    Path {
        /// The deployment's method.
        method: String,
        /// Its path.
        path: String,
        /// Why.
        reason: String,
    },
}
