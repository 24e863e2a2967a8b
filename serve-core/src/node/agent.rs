//! [`Agent`]: brings a node to the state that is assigned to it.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::directory::{NodeDirectory, WeakDirectory};
use super::hosted;
use super::replica_starter::ReplicaStarter;
use super::resources::NodeResources;
use super::routes::Routes;
use super::substitutes::Substitutes;
use crate::application::{BlueprintId, Blueprints, Plan};
use crate::call::runtime_context::RuntimeContext;
use crate::controller::{
    ASSIGNED, ASSIGNMENTS, Assignment, ControlStore, DeploymentId, ROUTES, StoreRevision,
    Surroundings, Watch, read,
};
use crate::deployment::Wiring;

/// The data that all hosted deployments of a node share.
pub(super) struct Node {
    pub(super) starter: ReplicaStarter,
    pub(super) resources: Arc<NodeResources>,
    pub(super) directory: Arc<NodeDirectory>,
    pub(super) blueprints: Arc<Blueprints>,
    /// The store that the node reports to.
    pub(super) reports: Arc<dyn ControlStore>,
    /// The wirings of the plans that are in use.
    wirings: Mutex<HashMap<BlueprintId, Weak<Wiring>>>,
    /// The number of panics in the node's own tasks.
    pub(super) faults: AtomicU64,
}

impl Node {
    pub(super) fn runtime(&self) -> &Arc<RuntimeContext> {
        &self.starter.runtime
    }

    /// Returns the wiring of a plan, which the plan's deployments share.
    pub(super) fn wiring(&self, blueprint: BlueprintId, plan: &Plan) -> Arc<Wiring> {
        let mut wirings = self.wirings.lock();
        if let Some(wiring) = wirings.get(&blueprint).and_then(Weak::upgrade) {
            return wiring;
        }
        wirings.retain(|_, wiring| wiring.strong_count() > 0);
        let wiring = Arc::new(self.directory.wiring(plan));
        wirings.insert(blueprint, Arc::downgrade(&wiring));
        wiring
    }
}

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
        let node = Arc::new(Node {
            starter,
            resources,
            directory: Arc::clone(&directory),
            blueprints: Arc::clone(&surroundings.blueprints),
            reports: Arc::clone(&surroundings.reports),
            wirings: Mutex::default(),
            faults: AtomicU64::new(0),
        });
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
    node: Arc<Node>,
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

fn assign(node: &Arc<Node>, id: DeploymentId, assignment: Option<Assignment>) {
    match assignment.map(Arc::new) {
        None => node.directory.forget(id),
        Some(assignment) if node.directory.is_hosted(id) => node.directory.assign(id, assignment),
        Some(assignment) => hosted::start(node, id, assignment),
    }
}
