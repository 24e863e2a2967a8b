//! [`NodeDirectory`]: the deployments of a node and their routers, which handles, routes and the
//! controller's view of the load look up.

use std::any::TypeId;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::hosted_deployment::{HostedDeployment, ReplicaEvent};
use super::routes::{Route, Routes};
use crate::application::{Blueprints, Plan};
use crate::call::Directory;
use crate::call::runtime_context::RuntimeContext;
use crate::controller::{
    AssignedApplication, Assignment, DeployError, DeploymentDetails, DeploymentId, Loads,
    MethodDetails,
};
use crate::deployment::{Aggregation, CustomRouting, Link, MadeRouter, Wiring};
use crate::method::AnyMethod;
use crate::router::{BegunCalls, Load, Router};

/// The deployments of a node.
pub(crate) struct NodeDirectory {
    runtime: Arc<RuntimeContext>,
    seed: u64,
    next_router: AtomicU64,
    /// The routers that a hosted deployment or a handle still holds.
    routers: Mutex<HashMap<RouterKey, Weak<Router>>>,
    known: Mutex<Known>,
    load_changes: Mutex<BTreeSet<DeploymentId>>,
    load_changed: Notify,
}

/// The key by which handles find a deployment: its application, its name and its type.
type RouterKey = (Arc<str>, Arc<str>, TypeId);

#[derive(Default)]
struct Known {
    /// True once the directory is closed for good.
    closed: bool,
    applications: BTreeMap<String, AssignedApplication>,
    hosted: BTreeMap<DeploymentId, HostedDeployment>,
}

impl NodeDirectory {
    pub(crate) fn new(runtime: Arc<RuntimeContext>, seed: u64) -> Self {
        Self {
            runtime,
            seed,
            next_router: AtomicU64::new(0),
            routers: Mutex::default(),
            known: Mutex::default(),
            load_changes: Mutex::default(),
            load_changed: Notify::new(),
        }
    }

    /// Returns the router of a deployment: the router that handles already hold, or a new one.
    pub(crate) fn router(
        &self,
        application: &str,
        deployment: &str,
        type_id: TypeId,
    ) -> Arc<Router> {
        let key: RouterKey = (application.into(), deployment.into(), type_id);
        let mut routers = self.routers.lock();
        if let Some(router) = routers.get(&key).and_then(Weak::upgrade) {
            return router;
        }
        routers.retain(|_, router| router.strong_count() > 0);
        let number = self.next_router.fetch_add(1, Ordering::Relaxed);
        let router = Router::new(deployment, application, &self.runtime, self.seed, number);
        let router = router.registered();
        routers.insert(key, Arc::downgrade(&router));
        router
    }

    /// Returns the links from which the constructors of a plan obtain their handles.
    pub(super) fn wiring(&self, plan: &Plan) -> Wiring {
        let mut wiring = Wiring::default();
        for node in &plan.nodes {
            let router = self.router(&plan.application, &node.name, node.deployment_type.type_id());
            wiring.insert(node.bound.id(), Link::new(router));
        }
        wiring
    }

    /// Waits until the loops have applied all assignments that were sent to them.
    pub(super) async fn has_applied(&self) {
        let waiting: Vec<_> = {
            let known = self.known.lock();
            let sent = |hosted: &HostedDeployment| hosted.assignment.borrow().0;
            let behind = |hosted: &&HostedDeployment| *hosted.applied.borrow() < sent(hosted);
            let behind = known.hosted.values().filter(behind);
            behind.map(|hosted| (hosted.applied.clone(), sent(hosted))).collect()
        };
        for (mut applied, sent) in waiting {
            // A loop that has ended has applied everything.
            let _ = applied.wait_for(|applied| *applied >= sent).await;
        }
    }

    pub(super) fn is_hosted(&self, id: DeploymentId) -> bool {
        self.known.lock().hosted.contains_key(&id)
    }

    /// Adds a deployment, or a new loop for a deployment. Returns `false` if the directory is
    /// closed.
    pub(super) fn host(&self, id: DeploymentId, hosted: HostedDeployment) -> bool {
        let mut known = self.known.lock();
        if known.closed {
            return false;
        }
        known.hosted.insert(id, hosted);
        true
    }

    /// Returns the assignment of a deployment.
    pub(super) fn assignment(&self, id: DeploymentId) -> Option<Arc<Assignment>> {
        let known = self.known.lock();
        known.hosted.get(&id).map(|hosted| Arc::clone(&hosted.assignment.borrow().1))
    }

    pub(super) fn assign(&self, id: DeploymentId, assignment: Arc<Assignment>) {
        if let Some(hosted) = self.known.lock().hosted.get(&id) {
            hosted.assignment.send_modify(|newest| *newest = (newest.0 + 1, assignment));
        }
    }

    /// Sets the time that a deployment may take to drain from now on.
    pub(super) fn set_grace(&self, id: DeploymentId, grace: Duration) {
        if let Some(hosted) = self.known.lock().hosted.get_mut(&id) {
            hosted.grace = grace;
        }
    }

    /// Removes a deployment, which ends its loop.
    pub(super) fn forget(&self, id: DeploymentId) {
        let forgotten = self.known.lock().hosted.remove(&id);
        drop(forgotten);
    }

    /// Removes everything, for good.
    pub(super) fn close(&self) {
        let closed = Known { closed: true, ..Known::default() };
        let known = std::mem::replace(&mut *self.known.lock(), closed);
        drop(known);
    }

    /// Sets the data by which an application is found from now on, or removes the application.
    pub(super) fn set_application(&self, name: &str, application: Option<AssignedApplication>) {
        let applications = &mut self.known.lock().applications;
        match application {
            Some(application) => applications.insert(name.to_owned(), application),
            None => applications.remove(name),
        };
    }

    /// Returns the HTTP routes of the node.
    pub(super) fn routes(&self) -> Routes {
        let known = self.known.lock();
        let route = |(name, application): (&String, &AssignedApplication)| {
            let route = application.route.as_ref()?;
            let hosted = known.hosted.get(&route.ingress)?;
            Some(Route {
                application: name.clone(),
                prefix: route.prefix.clone(),
                ingress: Arc::clone(&hosted.deployment_type),
                link: Link::new(Arc::clone(&hosted.router)),
                http_options: route.http_options.clone(),
                function: route.function.clone(),
            })
        };
        let starting = |(name, application): (&String, &AssignedApplication)| {
            Some((application.starting_at.clone()?, name.clone()))
        };
        Routes {
            open: known.applications.iter().filter_map(route).collect(),
            starting: known.applications.iter().filter_map(starting).collect(),
        }
    }

    /// Returns the link of a deployment, or of an application's ingress.
    pub(crate) fn look_up(
        &self,
        application: &str,
        deployment: Option<&str>,
        expected: (TypeId, &'static str),
    ) -> Result<Link, DeployError> {
        let known = self.known.lock();
        let unknown = || DeployError::UnknownApplication(application.to_owned());
        let found = known.applications.get(application).ok_or_else(unknown)?;
        let name = match deployment {
            Some(name) => name,
            None => found.ingress.as_deref().ok_or_else(unknown)?,
        };
        let hosted = found.deployments.get(name).and_then(|id| known.hosted.get(id));
        let hosted = hosted.ok_or_else(|| DeployError::UnknownDeployment {
            application: application.to_owned(),
            deployment: name.to_owned(),
        })?;
        if hosted.deployment_type.type_id() != expected.0 {
            return Err(DeployError::WrongType {
                application: application.to_owned(),
                deployment: name.to_owned(),
                actual: hosted.deployment_type.type_name(),
                expected: expected.1,
            });
        }
        Ok(Link::new(Arc::clone(&hosted.router)))
    }

    /// Returns the request router of a running deployment, if the deployment has this type and the
    /// router was created from `custom`.
    pub(crate) fn made_router(
        &self,
        blueprints: &Blueprints,
        application: &str,
        deployment: (&str, TypeId),
        custom: &CustomRouting,
    ) -> Option<MadeRouter> {
        let (name, type_id) = deployment;
        let assignment = {
            let known = self.known.lock();
            let id = known.applications.get(application)?.deployments.get(name)?;
            let hosted =
                known.hosted.get(id).filter(|it| it.deployment_type.type_id() == type_id)?;
            Arc::clone(&hosted.assignment.borrow().1)
        };
        let made = blueprints
            .with_node(assignment.spec.blueprint, name, |node| node.request_router.clone())??;
        made.is_of(custom).then_some(made)
    }

    /// Ends the replica with this rank at once, as if its process had died, in every deployment of
    /// the type. Returns `false` if there is no such replica.
    pub(crate) fn kill(&self, deployment: TypeId, rank: usize) -> bool {
        let of_the_type =
            |hosted: &&HostedDeployment| hosted.deployment_type.type_id() == deployment;
        let hosted: Vec<_> = {
            let known = self.known.lock();
            let hosted = known.hosted.values().filter(of_the_type);
            hosted.map(|hosted| (Arc::clone(&hosted.router), hosted.events.clone())).collect()
        };
        let killed: Vec<_> = hosted.iter().filter_map(|(router, _)| router.kill(rank)).collect();
        // A deployment that is run again shares its router with its predecessor that still stops.
        // Each of the two ignores the other's replicas.
        for (_, events) in &hosted {
            for id in &killed {
                let _ = events.send(ReplicaEvent::Killed { id: Arc::clone(id) });
            }
        }
        !killed.is_empty()
    }

    /// Returns the longest time that any deployment may take to drain.
    pub(crate) fn longest_grace(&self) -> Duration {
        let known = self.known.lock();
        known.hosted.values().map(|hosted| hosted.grace).max().unwrap_or_default()
    }

    /// Adds the details of a deployment that only the node knows.
    pub(crate) fn complete(
        &self,
        application: &str,
        deployment: &str,
        details: &mut DeploymentDetails,
    ) {
        let (deployment_type, router) = {
            let known = self.known.lock();
            let found = known.applications.get(application);
            let id = found.and_then(|found| found.deployments.get(deployment));
            let Some(hosted) = id.and_then(|id| known.hosted.get(id)) else { return };
            (Arc::clone(&hosted.deployment_type), Arc::clone(&hosted.router))
        };
        let load = router.status();
        (details.ongoing, details.queued) = (load.ongoing, load.queued);
        #[cfg(feature = "http")]
        for (id, open) in router.open_sockets() {
            let replica = details.replicas.iter_mut().find(|replica| *replica.replica_id == *id);
            if let Some(replica) = replica {
                replica.websockets = open;
            }
        }
        let begun = router.begun_calls();
        let calls = |method: &'static dyn AnyMethod| {
            let BegunCalls { in_place, spawned } = *begun.get(method.index())?;
            let called = in_place + spawned > 0;
            called.then(|| (method.info().name.to_owned(), MethodDetails { in_place, spawned }))
        };
        details.methods = deployment_type.methods().into_iter().filter_map(calls).collect();
    }

    /// Notifies the controller that the load of a deployment has changed.
    pub(super) fn load_has_changed(&self, id: DeploymentId) {
        self.load_changes.lock().insert(id);
        self.load_changed.notify_one();
    }
}

impl Loads for NodeDirectory {
    fn load(&self, deployment: DeploymentId, aggregation: Aggregation) -> Option<Load> {
        let router = Arc::clone(&self.known.lock().hosted.get(&deployment)?.router);
        router.load(aggregation)
    }

    fn watch(&self, deployment: DeploymentId, seen: &Load) {
        let known = self.known.lock();
        let router = known.hosted.get(&deployment).map(|hosted| Arc::clone(&hosted.router));
        drop(known);
        if let Some(router) = router {
            router.tell_of_load(seen.ongoing + seen.queued);
        }
    }

    fn changed(&self) -> BoxFuture<'_, Vec<DeploymentId>> {
        Box::pin(async move {
            loop {
                let changed = std::mem::take(&mut *self.load_changes.lock());
                if !changed.is_empty() {
                    return changed.into_iter().collect();
                }
                self.load_changed.notified().await;
            }
        })
    }
}

/// The directory that replicas hold. The reference is weak, because replicas do not keep their node
/// alive.
pub(super) struct WeakDirectory(pub(super) Weak<NodeDirectory>);

impl Directory for WeakDirectory {
    fn find(&self, application: &str, deployment: &str, type_id: TypeId) -> Option<Link> {
        let directory = self.0.upgrade()?;
        directory.look_up(application, Some(deployment), (type_id, "")).ok()
    }
}

impl fmt::Debug for NodeDirectory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.known.lock();
        f.debug_struct("NodeDirectory")
            .field("applications", &known.applications.len())
            .field("deployments", &known.hosted.len())
            .finish_non_exhaustive()
    }
}
