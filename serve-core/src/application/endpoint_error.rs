//! [`EndpointError`]: the reasons why the endpoints of an ingress cannot be served.

use thiserror::Error;

/// The error of endpoints that cannot be served together.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndpointError {
    /// Two methods have the same path and HTTP method.
    #[error("`{first}` and `{second}` are both the endpoint {verb} {path}; change one of them")]
    Twice {
        /// The first method.
        first: String,
        /// The second method.
        second: String,
        /// The HTTP method.
        verb: String,
        /// The path.
        path: String,
    },
    /// The path is invalid, or conflicts with another path.
    #[error("the path {path:?} of `{method}` cannot be routed: {reason}")]
    Path {
        /// The deployment's method.
        method: String,
        /// The path of the method.
        path: String,
        /// The reason why the path cannot be routed.
        reason: String,
    },
}
