//! The HTTP routes of this node.

use std::sync::Arc;

use crate::application::HttpOptions;
use crate::deployment::Link;
use crate::replica::AnyDeployment;

/// The HTTP routes of this node.
pub(crate) struct Routes {
    pub(crate) open: Vec<Route>,
    /// The route prefix and the name of each application that is reached only once it runs.
    pub(crate) starting: Vec<(String, String)>,
}

/// The HTTP route of an application.
pub(crate) struct Route {
    pub(crate) application: String,
    pub(crate) prefix: String,
    pub(crate) ingress: Arc<dyn AnyDeployment>,
    pub(crate) link: Link,
    pub(crate) http_options: HttpOptions,
    /// The registered function that the application was built by, as `package:function`.
    pub(crate) function: Option<String>,
}
