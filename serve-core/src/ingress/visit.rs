//! `Visit`: the head of one HTTP request, once the front door has read it.

use std::sync::Arc;

use http::request::Parts;

use super::connection::Connection;
use crate::call::deadline::Deadline;
use crate::call::request::Request;

/// One HTTP request on its way to what answers it. Its body goes beside it, because only
/// one task may hold that.
pub(super) struct Visit {
    pub(super) head: Parts,
    /// What the tree of calls that it leads to shares.
    pub(super) request: Request,
    pub(super) id: Arc<str>,
    pub(super) deadline: Option<Arc<Deadline>>,
    /// The values of the path's parameters, in order.
    pub(super) path: Vec<String>,
    /// What it came on, if that is a socket.
    pub(super) connection: Option<Arc<Connection>>,
}
