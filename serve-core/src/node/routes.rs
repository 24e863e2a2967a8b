//! What is reached over HTTP on this node.

use std::sync::Arc;

use crate::deployment::Link;
use crate::replica::Kind;

/// What is reached over HTTP on this node.
pub(crate) struct Routes {
    pub(crate) open: Vec<Route>,
    /// The applications that will be reached once they run, by route prefix.
    pub(crate) starting: Vec<(String, String)>,
}

/// An application that has a route prefix.
pub(crate) struct Route {
    pub(crate) application: String,
    pub(crate) prefix: String,
    pub(crate) ingress: Arc<dyn Kind>,
    pub(crate) link: Link,
}
