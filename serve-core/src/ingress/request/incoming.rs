//! `Incoming`: the head of one HTTP request, as the HTTP service has read it.

use std::net::IpAddr;
use std::sync::Arc;

use http::request::Parts;

use crate::call::deadline::Deadline;
use crate::call::request::Request;
use crate::ingress::connection::Connection;

/// One HTTP request on its way to its endpoint. The body is passed separately, because only one
/// task may hold a body.
pub(crate) struct Incoming {
    pub(crate) head: Parts,
    /// The state that the request shares with the tree of calls that it leads to.
    pub(crate) request: Request,
    pub(crate) id: Arc<str>,
    pub(crate) deadline: Option<Arc<Deadline>>,
    /// The values of the path's parameters, in order.
    pub(crate) path: Vec<String>,
    /// The address of the client; `None` if the request came without a socket.
    pub(crate) client: Option<IpAddr>,
    /// The path under which a proxy publishes the port, if there is one.
    pub(crate) root: Option<Arc<str>>,
    /// The connection of the request; `None` if the request came without a socket.
    pub(crate) connection: Option<Arc<Connection>>,
}
