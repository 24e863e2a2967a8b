//! [`RunningReplica`]: a replica that takes calls, and the way it stops.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::replica_starter::run_hook;
use crate::method::Hook;
use crate::replica::Replica;
use crate::router::Router;
use crate::time;

/// A replica that takes calls, and its place in the router.
///
/// Dropping the value without calling [`stop`](RunningReplica::stop) ends the calls of the replica.
/// This happens when the runtime is gone or when the replica is killed.
#[derive(Debug)]
pub(super) struct RunningReplica {
    key: usize,
    pub(super) replica: Arc<Replica>,
    router: Arc<Router>,
}

impl Drop for RunningReplica {
    fn drop(&mut self) {
        self.router.discard(self.key, &self.replica);
    }
}

impl RunningReplica {
    /// Adds a replica to the router, so that it takes calls. If `ordered` is true, calls begin in
    /// the order of their admission.
    pub(super) fn admit(
        router: &Arc<Router>,
        replica: Arc<Replica>,
        slots: usize,
        ordered: bool,
    ) -> Self {
        let key = router.add(Arc::clone(&replica), slots, ordered);
        Self { key, replica, router: Arc::clone(router) }
    }

    /// Directs new calls to other replicas from now on.
    pub(super) fn retire(&self) {
        self.replica.begin_draining();
        self.router.retire(self.key, &self.replica);
    }

    /// Sets the number of concurrent calls from now on.
    pub(super) fn set_slots(&self, slots: usize) {
        self.router.set_slots(self.key, &self.replica, slots);
    }

    /// Stops the replica: takes no new calls, waits for running calls and for WebSockets, runs
    /// `#[shutdown]`, and drops the instance, all within `grace`.
    pub(super) async fn stop(self, grace: Duration) {
        let give_up = time::after_at_most(Instant::now(), grace);
        if timeout_at(give_up, self.replica.sockets_closed()).await.is_err() {
            // Before the router forgets the replica, whose remaining WebSockets end now.
            self.replica.end();
        }
        let grace = give_up.saturating_duration_since(Instant::now());
        self.router.drain(self.key, &self.replica, grace).await;
        if self.replica.has_ended() {
            // The grace period is over, and the remaining calls were ended.
            return;
        }
        // Those that routed requests have opened meanwhile, which are closed at once.
        if timeout_at(give_up, self.replica.sockets_closed()).await.is_err() {
            return self.replica.end();
        }
        let id = self.replica.context.replica_id();
        match timeout_at(give_up, run_hook(&self.replica, Hook::Shutdown)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!("`#[shutdown]` of replica {id} failed: {error:#}"),
            Err(_) => tracing::warn!("`#[shutdown]` of replica {id} timed out"),
        }
        self.replica.end();
    }
}
