//! [`Agent`]: brings a node to the state that is assigned to it.

use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::directory::{NodeDirectory, WeakDirectory};
use super::hosted_loop;
use super::local_node::LocalNode;
use super::replica_starter::ReplicaStarter;
use super::resources::NodeResources;
use super::routes::Routes;
use super::substitutes::Substitutes;
use crate::call::runtime_context::RuntimeContext;
use crate::controller::{
    ASSIGNED, ASSIGNMENTS, Assignment, DeploymentId, ROUTES, StoreRevision, Surroundings, Watch,
    read,
};

/// A callback that receives the HTTP routes after each change.
pub(crate) type OnRoutes = Box<dyn Fn(Routes) + Send + Sync>;

/// Brings a node to the state that is assigned to it. Dropping the agent ends everything on the
/// node at once.
pub(crate) struct Agent {
    directory: Arc<NodeDirectory>,
    seen: watch::Receiver<StoreRevision>,
    watching: AbortHandle,
}

impl Agent {
    /// Starts watching the assignments.
    pub(crate) fn start(
        runtime: Arc<RuntimeContext>,
        substitutes: Arc<dyn Substitutes>,
        resources: Arc<NodeResources>,
        directory: Arc<NodeDirectory>,
        surroundings: &Surroundings,
        on_routes: OnRoutes,
    ) -> Self {
        let tokio = runtime.tokio.clone();
        let starter = ReplicaStarter {
            runtime,
            substitutes,
            directory: Arc::new(WeakDirectory(Arc::downgrade(&directory))),
            node: "local".into(),
        };
        let node = Arc::new(LocalNode::new(
            starter,
            resources,
            Arc::clone(&directory),
            Arc::clone(&surroundings.blueprints),
            Arc::clone(&surroundings.reports),
        ));
        let (sees, seen) = watch::channel(StoreRevision::default());
        let assigned = surroundings.store.watch(ASSIGNED);
        let watching = tokio.spawn(watch_assignments(node, assigned, sees, on_routes));
        Self { directory, seen, watching: watching.abort_handle() }
    }

    /// Waits until the node has seen the store up to a revision and has applied the assignments up
    /// to that revision.
    pub(crate) async fn has_seen(&self, revision: StoreRevision) {
        let mut seen = self.seen.clone();
        // The sender is dropped only together with the tokio runtime.
        let _ = seen.wait_for(|seen| *seen >= revision).await;
        self.directory.has_applied().await;
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.watching.abort();
        self.directory.close();
    }
}

impl fmt::Debug for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Agent").field("directory", &self.directory).finish_non_exhaustive()
    }
}

async fn watch_assignments(
    node: Arc<LocalNode>,
    mut assigned: Box<dyn Watch>,
    sees: watch::Sender<StoreRevision>,
    on_routes: OnRoutes,
) {
    loop {
        let (changes, revision) = assigned.next().await;
        let mut routes_change = false;
        let (mut comes, mut goes) = (Vec::new(), Vec::new());
        for (key, entry) in &changes {
            let Some((id, _)) = DeploymentId::in_key(ASSIGNMENTS, key) else { continue };
            let assignment: Option<Assignment> = entry.as_ref().map(|entry| read(key, entry));
            let stays = assignment.as_ref().is_some_and(|it| it.retired.is_none());
            if stays { &mut comes } else { &mut goes }.push((id, assignment));
        }
        // Applications and routes refer to new deployments, and afterwards to none that is removed.
        comes.into_iter().for_each(|(id, assignment)| assign(&node, id, assignment));
        for (key, entry) in &changes {
            let Some(name) = key.strip_prefix(ROUTES) else { continue };
            node.directory.set_application(name, entry.as_ref().map(|entry| read(key, entry)));
            routes_change = true;
        }
        if routes_change {
            on_routes(node.directory.routes());
        }
        goes.into_iter().for_each(|(id, assignment)| assign(&node, id, assignment));
        sees.send_replace(revision);
    }
}

fn assign(node: &Arc<LocalNode>, id: DeploymentId, assignment: Option<Assignment>) {
    match assignment.map(Arc::new) {
        None => node.directory.forget(id),
        Some(assignment) if node.directory.is_hosted(id) => node.directory.assign(id, assignment),
        Some(assignment) => hosted_loop::start(node, id, assignment),
    }
}
