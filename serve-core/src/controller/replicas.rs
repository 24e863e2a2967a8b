//! Starting and stopping the replicas of one deployment.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{join_all, try_join_all};

use super::application::RunningDeployment;
use super::world::World;
use crate::application::PlanNode;
use crate::call::pending::panic_message;
use crate::call::spawner::Spawner;
use crate::call::{Directory, ReplicaContext};
use crate::deployment::Wiring;
use crate::error::Error;
use crate::replica::{Release, Replica};
use crate::router::Router;

/// A replica that takes calls, and its place in the router.
///
/// Dropping it without stopping it ends its calls: what is left to do where the runtime
/// is gone.
#[derive(Debug)]
pub(super) struct RunningReplica {
    key: usize,
    replica: Arc<Replica>,
    router: Arc<Router>,
}

impl Drop for RunningReplica {
    fn drop(&mut self) {
        self.router.discard(self.key, &self.replica);
    }
}

impl RunningReplica {
    /// From now on, calls go to other replicas.
    pub(super) fn retire(&self) {
        self.router.retire(self.key);
    }

    pub(super) fn id(&self) -> &str {
        self.replica.context.replica_id()
    }
}

/// What starting replicas takes, beside the deployment itself.
pub(super) struct Nursery<'a> {
    pub(super) application: &'a str,
    pub(super) spawner: &'a Arc<Spawner>,
    pub(super) world: &'a dyn World,
    pub(super) directory: &'a Arc<dyn Directory>,
    pub(super) next_id: &'a AtomicU64,
}

impl Nursery<'_> {
    /// Starts every replica of a deployment, all at once. If one fails, those that
    /// started are dropped again.
    pub(super) async fn start(
        &self,
        node: &PlanNode,
        router: &Arc<Router>,
        wiring: &Wiring,
    ) -> Result<Vec<Arc<Replica>>, Error> {
        let ranks = 0..node.options().num_replicas();
        let starts = ranks.map(|rank| self.start_one(node, router, wiring, rank));
        try_join_all(starts).await
    }

    async fn start_one(
        &self,
        node: &PlanNode,
        router: &Arc<Router>,
        wiring: &Wiring,
        rank: usize,
    ) -> Result<Arc<Replica>, Error> {
        let number = self.next_id.fetch_add(1, Ordering::Relaxed);
        let context = ReplicaContext {
            id: format!("{}#{}#{number}", self.application, node.name).into(),
            rank,
            deployment: node.name.as_str().into(),
            application: self.application.into(),
            // One process is one node; a cluster will name it.
            node: "local".into(),
            directory: Arc::clone(self.directory),
        };
        let target = match self.world.mock(node) {
            Some(mock) => mock,
            None => {
                // The constructor itself may panic before it gives a future.
                let construct = async { node.kind.construct(&node.bound, wiring).await };
                match AssertUnwindSafe(construct).catch_unwind().await {
                    Ok(made) => made?,
                    Err(panic) => {
                        let message = panic_message(&*panic);
                        return Err(Error::msg(format!("its constructor panicked: {message}")));
                    }
                }
            }
        };
        let target = self.world.wrap(node, &context, target);
        let threads = node.options().compute_threads();
        let owner: Arc<dyn Release> = Arc::<Router>::clone(router);
        Ok(Arc::new(Replica::new(context, owner, target, self.spawner, threads)))
    }
}

/// Lets replicas take calls.
pub(super) fn admit(
    router: &Arc<Router>,
    node: &PlanNode,
    replicas: Vec<Arc<Replica>>,
) -> Vec<RunningReplica> {
    let slots = node.slots();
    let admit = |replica: Arc<Replica>| RunningReplica {
        key: router.add(Arc::clone(&replica), slots),
        replica,
        router: Arc::clone(router),
    };
    replicas.into_iter().map(admit).collect()
}

/// Stops replicas: no new calls, running ones end, `#[shutdown]`, drop; all within
/// `timeout`.
pub(super) async fn stop(router: &Router, replicas: Vec<RunningReplica>, timeout: Duration) {
    let give_up = tokio::time::Instant::now() + timeout;
    join_all(replicas.into_iter().map(|running| async move {
        router.drain(running.key, timeout).await;
        shut_down(&running.replica, give_up).await;
        running.replica.end();
    }))
    .await;
}

/// Runs the `#[shutdown]` method of a drained replica.
pub(super) async fn shut_down(replica: &Replica, give_up: tokio::time::Instant) {
    let Some(shutdown) = replica.target.shutdown() else { return };
    let id = replica.context.replica_id();
    match tokio::time::timeout_at(give_up, AssertUnwindSafe(shutdown).catch_unwind()).await {
        Ok(Ok(Ok(()))) => {}
        Ok(Ok(Err(error))) => tracing::warn!("`#[shutdown]` of replica {id} failed: {error:#}"),
        Ok(Err(panic)) => {
            tracing::warn!("`#[shutdown]` of replica {id} panicked: {}", panic_message(&*panic));
        }
        Err(_) => tracing::warn!("`#[shutdown]` of replica {id} ran out of its time"),
    }
}

/// Stops a whole deployment: what waits is served first, then the replicas stop, all
/// within the deployment's `graceful_shutdown_timeout`.
pub(super) async fn stop_deployment(deployment: RunningDeployment, reason: &str) {
    let RunningDeployment { router, replicas, graceful_shutdown_timeout: timeout, .. } = deployment;
    let started = tokio::time::Instant::now();
    router.refuse(reason);
    router.drain_queue(timeout).await;
    router.close(reason);
    stop(&router, replicas, timeout.saturating_sub(started.elapsed())).await;
}
