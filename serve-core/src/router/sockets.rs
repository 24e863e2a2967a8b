//! The choice of a replica for a WebSocket: the one with fewer WebSockets of two.

use std::sync::Arc;

use rand::RngExt as _;

use super::router::Router;
use crate::call::request::Request;
use crate::deployment::digest;
use crate::replica::{Replica, SocketSeat};

/// The reason why a WebSocket has no seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoSeat {
    /// No replica runs now.
    NoReplica,
    /// Each replica has as many WebSockets as it may have.
    Full,
}

impl Router {
    /// Takes a seat for a WebSocket on one of the replicas that take calls, each of which may have
    /// `limit` WebSockets. The requests of one session go to one replica, as long as there is room.
    pub(crate) fn seat_socket(
        &self,
        request: &Request,
        limit: usize,
    ) -> Result<SocketSeat, NoSeat> {
        let mut state = self.lock();
        let running: Vec<Arc<Replica>> = {
            let members = state.replicas.iter().enumerate();
            let members = members.filter_map(|(key, member)| Some((key, member.as_ref()?)));
            let running = members
                .filter(|(key, member)| !state.admission.is_draining(*key) && !member.has_ended());
            running.map(|(_, member)| Arc::clone(member.replica())).collect()
        };
        if running.is_empty() {
            return Err(NoSeat::NoReplica);
        }
        let take = |replica: &Arc<Replica>| SocketSeat::take(replica, limit);
        if let Some(session) = request.session_id() {
            let mut ranked = running;
            ranked.sort_by_key(|replica| {
                std::cmp::Reverse(digest(&[session.as_bytes(), replica.context.id.as_bytes()]))
            });
            return ranked.iter().find_map(take).ok_or(NoSeat::Full);
        }
        let mut any = || &running[state.random.random_range(0..running.len())];
        let (one, other) = (any(), any());
        let fewer = if other.open_sockets() < one.open_sockets() { other } else { one };
        if let Some(seat) = take(fewer) {
            return Ok(seat);
        }
        let mut by_load: Vec<&Arc<Replica>> = running.iter().collect();
        by_load.sort_by_key(|replica| replica.open_sockets());
        by_load.into_iter().find_map(take).ok_or(NoSeat::Full)
    }

    /// Returns the replicas that have WebSockets, by their ids, with the number of them.
    pub(crate) fn open_sockets(&self) -> Vec<(Arc<str>, usize)> {
        let state = self.lock();
        let members = state.replicas.iter().flatten();
        let counts =
            members.map(|member| (Arc::clone(member.id()), member.replica().open_sockets()));
        counts.filter(|(_, open)| *open > 0).collect()
    }
}
