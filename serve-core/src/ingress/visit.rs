//! [`Visit`]: one HTTP request, once the front door has read its head.

use std::sync::Arc;

use axum::body::Body;
use http::request::Parts;

use super::connection::Connection;
use crate::call::context::Request;
use crate::call::deadline::Deadline;

/// One HTTP request on its way to what answers it. Dropping it, or the future that
/// answers it, is how a client that goes away cancels everything.
pub(super) struct Visit {
    pub(super) head: Parts,
    pub(super) body: Body,
    /// What the tree of calls that it leads to shares.
    pub(super) request: Request,
    pub(super) id: Arc<str>,
    pub(super) deadline: Option<Arc<Deadline>>,
    /// The values of the path's parameters, in order.
    pub(super) path: Vec<String>,
    /// What it came on, if that is a socket.
    pub(super) connection: Option<Arc<Connection>>,
}
