//! [`Controller`]: every application that runs in this process.

use std::any::TypeId;
use std::collections::{BTreeMap, HashMap};
use std::panic::catch_unwind;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures::future::join_all;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::application::{Hosted, RunningApplication};
use super::decide::Deploys;
use super::directory::WeakDirectory;
use super::error::DeployError;
use super::reconcile::Order;
use super::replicas::Nursery;
use super::resources::{NodeResources, Resources};
use super::status::{ApplicationStatus, Status};
use super::world::World;
use crate::application::{AnyApplication, Plan, PlanNode};
use crate::call::pending::panic_message;
use crate::call::spawner::Spawner;
use crate::deployment::{Link, RequestRouting};
use crate::replica::Kind;
use crate::router::Router;

/// Every application that runs in this process.
pub(crate) struct Controller {
    spawner: Arc<Spawner>,
    seed: u64,
    pub(super) nursery: Arc<Nursery>,
    pub(super) resources: Arc<NodeResources>,
    next_router: AtomicU64,
    /// The routers that a reconciler or a handle still has.
    routers: Mutex<HashMap<RouterKey, Weak<Router>>>,
    next_serial: AtomicU64,
    pub(super) applications: Mutex<BTreeMap<String, RunningApplication>>,
    shut_down: AtomicBool,
    /// What a new version has left, on its way out.
    stopping: Mutex<JoinSet<()>>,
    /// Told after every change of what is routed.
    on_routes: Box<dyn Fn(Routes) + Send + Sync>,
}

/// The key by which handles find a deployment: its application, its name and its type.
type RouterKey = (Arc<str>, Arc<str>, TypeId);

/// What is reached over HTTP, for the front door.
pub(crate) struct Routes {
    pub(crate) open: Vec<Route>,
    /// The applications that will be reached once they run, by route prefix.
    pub(crate) starting: Vec<(String, String)>,
}

/// An application that has a route prefix.
pub(crate) struct Route {
    pub(crate) application: String,
    pub(crate) prefix: String,
    pub(crate) ingress: Arc<dyn Kind>,
    pub(crate) link: Link,
}

impl Controller {
    pub(crate) fn new(
        spawner: Arc<Spawner>,
        seed: u64,
        world: Arc<dyn World>,
        resources: Resources,
        incarnation: Option<String>,
        on_routes: Box<dyn Fn(Routes) + Send + Sync>,
    ) -> Arc<Self> {
        Arc::new_cyclic(|this| {
            let nursery = Nursery {
                spawner: Arc::clone(&spawner),
                world,
                directory: Arc::new(WeakDirectory(this.clone())),
                next_id: AtomicU64::new(0),
                incarnation,
                node: "local".into(),
                changes: watch::Sender::new(0),
            };
            Self {
                spawner,
                seed,
                nursery: Arc::new(nursery),
                resources: Arc::new(NodeResources::new(resources)),
                next_router: AtomicU64::new(0),
                routers: Mutex::default(),
                next_serial: AtomicU64::new(0),
                applications: Mutex::default(),
                shut_down: AtomicBool::new(false),
                stopping: Mutex::default(),
                on_routes,
            }
        })
    }

    pub(crate) fn spawner(&self) -> &Arc<Spawner> {
        &self.spawner
    }

    /// Deploys an application, or redeploys the one that has its name. Returns the link
    /// to its ingress once all of it runs.
    ///
    /// Dropping the future does not stop a deploy: it goes on to its end, or back.
    pub(crate) async fn deploy(
        self: &Arc<Self>,
        application: &AnyApplication,
        hidden: bool,
    ) -> Result<Link, DeployError> {
        let mut plan = Plan::of(application, |kind| self.nursery.world.may_mock(kind))?;
        self.nursery.world.deploying(&plan.nodes);
        #[cfg(feature = "http")]
        if plan.route_prefix.is_some() {
            crate::ingress::check(&*plan.nodes[0].kind).map_err(|error| DeployError::Endpoint {
                application: plan.application.clone(),
                error,
            })?;
        }
        if let Some((place, shortage)) =
            self.resources.shortage(plan.nodes.iter().map(PlanNode::options))
        {
            let (application, deployment) = (plan.application, plan.nodes[place].name.clone());
            return Err(DeployError::NeverFits { application, deployment, shortage });
        }
        self.make_request_routers(&mut plan)?;
        let this = Arc::clone(self);
        let rolling = self.spawner.tokio.spawn(async move { this.roll_out(plan, hidden).await });
        // Only a tokio runtime that ends drops it.
        rolling.await.unwrap_or(Err(DeployError::ShutDown))
    }

    /// Makes the request routers of the user's own that the plan names, but for those that
    /// the running deployments have already.
    fn make_request_routers(&self, plan: &mut Plan) -> Result<(), DeployError> {
        let application = &plan.application;
        for node in &mut plan.nodes {
            let Some(RequestRouting::Custom(custom)) = &node.options().request_router else {
                continue;
            };
            let running = {
                let applications = self.applications.lock();
                let running = applications.get(application);
                let hosted = running.and_then(|running| running.deployments.get(&node.name));
                hosted
                    .filter(|hosted| hosted.type_id() == node.kind.type_id())
                    .and_then(|hosted| hosted.spec.node.request_router.clone())
            };
            let made = match running.filter(|running| running.is_of(custom)) {
                Some(running) => running,
                None => {
                    catch_unwind(|| custom.make()).map_err(|panic| DeployError::RequestRouter {
                        application: application.clone(),
                        deployment: node.name.clone(),
                        router: custom.type_name(),
                        panic: panic_message(&*panic),
                    })?
                }
            };
            node.request_router = Some(made);
        }
        Ok(())
    }

    /// Stops an application, callers before callees.
    ///
    /// Dropping the future does not stop that: it goes on to its end, as a deploy does.
    pub(crate) async fn delete(self: &Arc<Self>, name: &str) -> Result<(), DeployError> {
        let (this, name) = (Arc::clone(self), name.to_owned());
        let deleting = self.spawner.tokio.spawn(async move { this.stop(&name).await });
        // Only a tokio runtime that ends drops it.
        deleting.await.unwrap_or(Err(DeployError::ShutDown))
    }

    async fn stop(&self, name: &str) -> Result<(), DeployError> {
        let unknown = || DeployError::UnknownApplication(name.to_owned());
        let change = {
            let applications = self.applications.lock();
            let application = applications.get(name).ok_or_else(unknown)?;
            // A deploy that waits gives way.
            application.deploys.send_modify(Deploys::ask_for_deletion);
            Arc::clone(&application.change)
        };
        let _changing = Arc::clone(&change).lock_owned().await;
        let tiers = {
            let mut applications = self.applications.lock();
            let application = applications
                .get_mut(name)
                .filter(|application| Arc::ptr_eq(&application.change, &change))
                .ok_or_else(unknown)?;
            application.deploys.send_modify(Deploys::delete);
            application.tiers()
        };
        self.publish_routes();
        for tier in tiers {
            join_all(tier.into_iter().map(|name_of_deployment| async move {
                self.retire(name, &name_of_deployment, "its application was deleted").await;
            }))
            .await;
        }
        self.applications.lock().remove(name);
        self.changed();
        Ok(())
    }

    async fn retire(&self, application: &str, deployment: &str, reason: &str) {
        let retiring = {
            let applications = self.applications.lock();
            let hosted =
                applications.get(application).and_then(|app| app.deployments.get(deployment));
            hosted.map(|hosted| hosted.retire(reason))
        };
        if let Some(retiring) = retiring {
            retiring.await;
        }
    }

    /// Stops everything, and lets nothing start again. Goes on to its end though the future
    /// is dropped.
    pub(crate) async fn shut_down(self: &Arc<Self>) {
        self.shut_down.store(true, Ordering::Release);
        let this = Arc::clone(self);
        let stopping = self.spawner.tokio.spawn(async move { this.stop_all().await });
        // Only a tokio runtime that ends drops it.
        let _ = stopping.await;
    }

    async fn stop_all(&self) {
        let names: Vec<String> = self.applications.lock().keys().cloned().collect();
        join_all(names.iter().map(|name| async move {
            // Only fails for a name that is not there any more.
            let _ = self.stop(name).await;
        }))
        .await;
        let mut stopping = std::mem::take(&mut *self.stopping.lock());
        while stopping.join_next().await.is_some() {}
    }

    pub(super) fn is_shut_down(&self) -> bool {
        self.shut_down.load(Ordering::Acquire)
    }

    /// Stops deployments, tier by tier, once those who may still call them have `drained`,
    /// while other things go on.
    pub(super) fn stop_in_background(
        &self,
        drained: Vec<impl Future<Output = ()> + Send + 'static>,
        tiers: Vec<Vec<Hosted>>,
        reason: &'static str,
    ) {
        if tiers.iter().all(Vec::is_empty) {
            return;
        }
        let mut stopping = self.stopping.lock();
        while stopping.try_join_next().is_some() {}
        let stop = async move {
            join_all(drained).await;
            for tier in tiers {
                join_all(tier.iter().map(|hosted| hosted.retire(reason))).await;
            }
        };
        stopping.spawn_on(stop, &self.spawner.tokio);
    }

    /// The router of a deployment: the one that handles have of it already, or a new one.
    pub(super) fn router(
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
        let router = Router::new(deployment, application, &self.spawner, self.seed, number);
        let router = router.registered();
        routers.insert(key, Arc::downgrade(&router));
        router
    }

    /// Changes whenever what `status` shows does.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.nursery.changes.subscribe()
    }

    pub(super) fn changed(&self) {
        self.nursery.changes.send_modify(|changes| *changes += 1);
    }

    /// The status of an application that `status` shows.
    pub(crate) fn application_status(&self, name: &str) -> ApplicationStatus {
        let applications = self.applications.lock();
        let shown = applications.get(name).filter(|application| !application.hidden);
        shown.map_or(ApplicationStatus::NotStarted, RunningApplication::status)
    }

    pub(super) fn next_serial(&self) -> u64 {
        self.next_serial.fetch_add(1, Ordering::Relaxed)
    }

    /// The link of a deployment, if one of that type runs under that name.
    pub(crate) fn link(
        &self,
        application: &str,
        deployment: &str,
        type_id: TypeId,
    ) -> Option<Link> {
        let applications = self.applications.lock();
        let hosted = applications.get(application)?.deployments.get(deployment)?;
        (hosted.type_id() == type_id).then(|| Link::new(Arc::clone(&hosted.router)))
    }

    /// The link of a deployment, or of an application's ingress.
    pub(crate) fn look_up(
        &self,
        application: &str,
        deployment: Option<&str>,
        expected: (TypeId, &'static str),
    ) -> Result<Link, DeployError> {
        let applications = self.applications.lock();
        let unknown = || DeployError::UnknownApplication(application.to_owned());
        let found = applications.get(application).ok_or_else(unknown)?;
        let name = match deployment {
            Some(name) => name,
            None => &found.plan.nodes.first().ok_or_else(unknown)?.name,
        };
        let hosted = found.deployments.get(name).ok_or_else(|| DeployError::UnknownDeployment {
            application: application.to_owned(),
            deployment: name.to_owned(),
        })?;
        if hosted.type_id() != expected.0 {
            return Err(DeployError::WrongType {
                application: application.to_owned(),
                deployment: name.to_owned(),
                actual: hosted.kind.type_name(),
                expected: expected.1,
            });
        }
        Ok(Link::new(Arc::clone(&hosted.router)))
    }

    /// Ends the replica of this rank at once, as if its process had died, in every
    /// deployment of the type. False if there is none.
    pub(crate) fn kill(&self, deployment: TypeId, rank: usize) -> bool {
        let applications = self.applications.lock();
        let hosted = applications.values().flat_map(|app| app.deployments.values());
        let mut any = false;
        for hosted in hosted.filter(|hosted| hosted.type_id() == deployment) {
            if let Some(id) = hosted.router.kill(rank) {
                any = true;
                let _ = hosted.reconciling.orders.send(Order::Killed { id });
            }
        }
        any
    }

    /// The longest that any running deployment may take to drain.
    pub(crate) fn longest_grace(&self) -> Duration {
        let applications = self.applications.lock();
        let hosted = applications.values().flat_map(|app| app.deployments.values());
        let graces = hosted.map(|hosted| hosted.spec.options().graceful_shutdown_timeout());
        graces.max().unwrap_or_default()
    }

    pub(crate) fn status(&self) -> Status {
        let applications = self.applications.lock();
        let shown = applications.iter().filter(|(_, application)| !application.hidden);
        Status {
            applications: shown
                .map(|(name, application)| (name.clone(), application.details()))
                .collect(),
        }
    }

    pub(super) fn publish_routes(&self) {
        let applications = self.applications.lock();
        let route = |(name, application): (&String, &RunningApplication)| {
            let (prefix, ingress) = application.routed()?;
            Some(Route {
                application: name.clone(),
                prefix: prefix.to_owned(),
                ingress: Arc::clone(&ingress.kind),
                link: Link::new(Arc::clone(&ingress.router)),
            })
        };
        let starting = |(name, application): (&String, &RunningApplication)| {
            Some((application.starting_at()?, name.clone()))
        };
        let open = applications.iter().filter_map(route).collect();
        let starting = applications.iter().filter_map(starting).collect();
        // Under the lock, so that the newest is published last.
        (self.on_routes)(Routes { open, starting });
        drop(applications);
        self.changed();
    }
}
