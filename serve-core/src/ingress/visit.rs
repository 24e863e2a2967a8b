//! `Visit`: the head of one HTTP request, after the front door has read it.

use std::sync::Arc;

use http::request::Parts;

use super::connection::Connection;
use crate::call::deadline::Deadline;
use crate::call::request::Request;

/// One HTTP request on its way to its endpoint. The body is passed separately, because only one
/// task may hold a body.
pub(super) struct Visit {
    pub(super) head: Parts,
    /// The state that the request shares with the tree of calls that it leads to.
    pub(super) request: Request,
    pub(super) id: Arc<str>,
    pub(super) deadline: Option<Arc<Deadline>>,
    /// The values of the path's parameters, in order.
    pub(super) path: Vec<String>,
    /// The connection of the request; `None` if the request came without a socket.
    pub(super) connection: Option<Arc<Connection>>,
}
