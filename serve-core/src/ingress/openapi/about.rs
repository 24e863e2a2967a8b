//! [`About`]: what the description of an application says besides its endpoints.

use crate::ingress::response::error_format::ErrorFormat;

/// An application, as its description names it.
#[derive(Debug)]
pub(crate) struct About {
    pub(crate) application: String,
    pub(crate) prefix: String,
    /// The ingress deployment.
    pub(crate) deployment: String,
    /// The limit of a body whose endpoint sets none, in bytes.
    pub(crate) max_body: usize,
    pub(crate) error_format: ErrorFormat,
    /// True if requests need an API key.
    pub(crate) needs_key: bool,
    /// True if the number of requests is limited.
    pub(crate) has_rate_limit: bool,
}
