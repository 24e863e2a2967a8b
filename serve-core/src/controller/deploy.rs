//! [`Controller`]: deploys, redeploys, deletes and looks up applications.

use std::any::TypeId;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::future::join_all;
use parking_lot::Mutex;
use tokio::task::JoinSet;

use super::application::{RunningApplication, RunningDeployment};
use super::directory::WeakDirectory;
use super::error::DeployError;
use super::replicas::{self, Nursery, RunningReplica};
use super::status::{ApplicationStatus, Status};
use super::world::World;
use crate::application::{AnyApplication, Plan, PlanNode};
use crate::call::Directory;
use crate::call::spawner::Spawner;
use crate::deployment::{Link, Wiring};
use crate::error::Error;
use crate::replica::{Kind, Replica};
use crate::router::Router;

/// Every application that runs in this process.
pub(crate) struct Controller {
    spawner: Arc<Spawner>,
    seed: u64,
    world: Arc<dyn World>,
    directory: Arc<dyn Directory>,
    next_replica: AtomicU64,
    next_router: AtomicU64,
    applications: Mutex<BTreeMap<String, RunningApplication>>,
    /// Held while applications change: one change at a time.
    change: tokio::sync::Mutex<Life>,
    /// Told after every change of what is routed.
    on_routes: Box<dyn Fn(Vec<Route>) + Send + Sync>,
}

/// Whether applications may still be deployed, and what is being stopped meanwhile.
#[derive(Default)]
struct Life {
    shut_down: bool,
    stopping: JoinSet<()>,
}

/// An application that has a route prefix, for the front door.
pub(crate) struct Route {
    pub(crate) application: String,
    pub(crate) prefix: String,
    pub(crate) ingress: Arc<dyn Kind>,
    pub(crate) link: Link,
}

/// One deployment on its way into a running application.
struct Rollout<'a> {
    node: &'a PlanNode,
    router: Arc<Router>,
    /// True if the router serves already, by replicas of the version before.
    redeploy: bool,
    started: Vec<Arc<Replica>>,
    admitted: Vec<RunningReplica>,
}

impl Controller {
    pub(crate) fn new(
        spawner: Arc<Spawner>,
        seed: u64,
        world: Arc<dyn World>,
        on_routes: Box<dyn Fn(Vec<Route>) + Send + Sync>,
    ) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            spawner,
            seed,
            world,
            directory: Arc::new(WeakDirectory(this.clone())),
            next_replica: AtomicU64::new(0),
            next_router: AtomicU64::new(0),
            applications: Mutex::default(),
            change: tokio::sync::Mutex::default(),
            on_routes,
        })
    }

    pub(crate) fn spawner(&self) -> &Arc<Spawner> {
        &self.spawner
    }

    /// Deploys an application, or redeploys the one that has its name. Returns the link
    /// to its ingress once all of it runs.
    pub(crate) async fn deploy(
        &self,
        application: &AnyApplication,
        hidden: bool,
    ) -> Result<Link, DeployError> {
        let plan = Plan::of(application, |kind| self.world.may_mock(kind))?;
        let mut life = self.change.lock().await;
        if life.shut_down {
            return Err(DeployError::ShutDown);
        }
        self.check_route(&plan)?;
        self.begin(&plan, hidden);
        let mut rollouts = self.rollouts(&plan);
        if let Err((deployment, error)) = self.start(&plan, &mut rollouts).await {
            let failed = DeployError::Constructor {
                application: plan.application.clone(),
                deployment,
                error,
            };
            self.roll_back(&plan, rollouts, &failed).await;
            return Err(failed);
        }
        let link = Link::new(Arc::clone(&rollouts[0].router));
        self.commit(&plan, rollouts, &mut life);
        self.publish_routes();
        Ok(link)
    }

    fn check_route(&self, plan: &Plan) -> Result<(), DeployError> {
        let Some(prefix) = &plan.route_prefix else { return Ok(()) };
        // An application without endpoints claims no route.
        if plan.nodes[0].kind.http().is_none() {
            return Ok(());
        }
        #[cfg(feature = "http")]
        crate::ingress::check(&*plan.nodes[0].kind).map_err(|error| DeployError::Endpoint {
            application: plan.application.clone(),
            error,
        })?;
        let applications = self.applications.lock();
        let taken = applications.iter().find(|(name, other)| {
            **name != plan.application && routed(other).is_some_and(|taken| taken == prefix)
        });
        match taken {
            Some((name, _)) => Err(DeployError::RouteTaken {
                application: plan.application.clone(),
                prefix: prefix.clone(),
                taken_by: name.clone(),
            }),
            None => Ok(()),
        }
    }

    /// Says that the application is being deployed.
    fn begin(&self, plan: &Plan, hidden: bool) {
        let mut applications = self.applications.lock();
        let application =
            applications.entry(plan.application.clone()).or_insert_with(|| RunningApplication {
                plan: Plan { nodes: Vec::new(), ..plan.clone() },
                status: ApplicationStatus::Deploying,
                message: String::new(),
                deployments: BTreeMap::new(),
                hidden,
            });
        application.status = ApplicationStatus::Deploying;
        application.message.clear();
    }

    /// A router for each deployment: the one that it has, if it is of the same type.
    fn rollouts<'a>(&self, plan: &'a Plan) -> Vec<Rollout<'a>> {
        let applications = self.applications.lock();
        let running = &applications[&plan.application].deployments;
        let rollout = |node: &'a PlanNode| {
            let before = running.get(&node.name);
            let same = before.filter(|before| before.type_id == node.kind.type_id());
            let router = same.map_or_else(
                || {
                    let number = self.next_router.fetch_add(1, Ordering::Relaxed);
                    let (name, spawner) = (&node.name, &self.spawner);
                    Arc::new(Router::new(name, &plan.application, spawner, self.seed, number))
                },
                |before| Arc::clone(&before.router),
            );
            let redeploy = same.is_some_and(|before| !before.replicas.is_empty());
            Rollout { node, router, redeploy, started: Vec::new(), admitted: Vec::new() }
        };
        plan.nodes.iter().map(rollout).collect()
    }

    /// Starts the replicas, callees first, so that constructors may call them.
    async fn start(
        &self,
        plan: &Plan,
        rollouts: &mut [Rollout<'_>],
    ) -> Result<(), (String, Error)> {
        let mut wiring = Wiring::default();
        for rollout in &*rollouts {
            wiring.insert(rollout.node.bound.id(), Link::new(Arc::clone(&rollout.router)));
        }
        let nursery = Nursery {
            application: &plan.application,
            spawner: &self.spawner,
            world: &*self.world,
            directory: &self.directory,
            next_id: &self.next_replica,
        };
        for tier in plan.tiers().into_iter().rev() {
            let starts = tier.iter().map(|place| {
                let (nursery, wiring) = (&nursery, &wiring);
                let (node, router) = (rollouts[*place].node, Arc::clone(&rollouts[*place].router));
                async move {
                    let started = nursery.start(node, &router, wiring).await;
                    started.map_err(|error| (node.name.clone(), error))
                }
            });
            for (place, started) in tier.iter().zip(join_all(starts).await) {
                let rollout = &mut rollouts[*place];
                rollout.started = started?;
                if !rollout.redeploy {
                    rollout.configure();
                    rollout.admit();
                }
            }
        }
        Ok(())
    }

    /// The new version did not start: what ran before goes on, and the status says why.
    async fn roll_back(&self, plan: &Plan, rollouts: Vec<Rollout<'_>>, why: &DeployError) {
        for rollout in rollouts {
            let timeout = rollout.node.options().graceful_shutdown_timeout();
            if !rollout.redeploy {
                rollout.router.close("its application failed to deploy");
            }
            replicas::stop(&rollout.router, rollout.admitted, timeout).await;
        }
        let mut applications = self.applications.lock();
        if let Some(application) = applications.get_mut(&plan.application) {
            application.status = ApplicationStatus::DeployFailed;
            application.message = why.to_string();
        }
    }

    /// The new version runs: it takes over, and the old one drains meanwhile.
    fn commit(&self, plan: &Plan, rollouts: Vec<Rollout<'_>>, life: &mut Life) {
        let mut deployments = BTreeMap::new();
        for mut rollout in rollouts {
            rollout.configure();
            rollout.admit();
            let Rollout { node, router, admitted, .. } = rollout;
            let deployment = RunningDeployment {
                type_id: node.kind.type_id(),
                type_name: node.kind.type_name(),
                router,
                replicas: admitted,
                target_num_replicas: node.options().num_replicas(),
                graceful_shutdown_timeout: node.options().graceful_shutdown_timeout(),
            };
            deployments.insert(node.name.clone(), deployment);
        }
        let mut applications = self.applications.lock();
        let application = applications
            .get_mut(&plan.application)
            .expect("`begin` put it in, under the same lock");
        let kept: Vec<Arc<Router>> =
            deployments.values().map(|deployment| Arc::clone(&deployment.router)).collect();
        let old = application.take_tiers();
        for replaced in old.iter().flatten().flat_map(|deployment| &deployment.replicas) {
            replaced.retire();
        }
        application.plan = plan.clone();
        application.deployments = deployments;
        application.status = ApplicationStatus::Running;
        drop(applications);
        while life.stopping.try_join_next().is_some() {}
        if old.iter().any(|tier| !tier.is_empty()) {
            life.stopping.spawn_on(stop_replaced(old, kept), &self.spawner.tokio);
        }
    }

    /// Stops an application, callers before callees.
    pub(crate) async fn delete(&self, name: &str) -> Result<(), DeployError> {
        let _life = self.change.lock().await;
        self.delete_now(name).await
    }

    async fn delete_now(&self, name: &str) -> Result<(), DeployError> {
        let tiers = {
            let mut applications = self.applications.lock();
            let Some(application) = applications.get_mut(name) else {
                return Err(DeployError::UnknownApplication(name.to_owned()));
            };
            application.status = ApplicationStatus::Deleting;
            application.take_tiers()
        };
        self.publish_routes();
        for tier in tiers {
            let stops = tier.into_iter().map(|deployment| {
                replicas::stop_deployment(deployment, "its application was deleted")
            });
            join_all(stops).await;
        }
        self.applications.lock().remove(name);
        Ok(())
    }

    /// Stops everything, and lets nothing start again.
    pub(crate) async fn shut_down(&self) {
        let mut life = self.change.lock().await;
        life.shut_down = true;
        let names: Vec<String> = self.applications.lock().keys().cloned().collect();
        join_all(names.iter().map(|name| async move {
            // Only fails for a name that is not there.
            let _ = self.delete_now(name).await;
        }))
        .await;
        while life.stopping.join_next().await.is_some() {}
    }

    /// The link of a deployment, if one of that type runs under that name.
    pub(crate) fn link(
        &self,
        application: &str,
        deployment: &str,
        type_id: TypeId,
    ) -> Option<Link> {
        let applications = self.applications.lock();
        let deployment = applications.get(application)?.deployments.get(deployment)?;
        (deployment.type_id == type_id).then(|| Link::new(Arc::clone(&deployment.router)))
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
        let running =
            found.deployments.get(name).ok_or_else(|| DeployError::UnknownDeployment {
                application: application.to_owned(),
                deployment: name.to_owned(),
            })?;
        if running.type_id != expected.0 {
            return Err(DeployError::WrongType {
                application: application.to_owned(),
                deployment: name.to_owned(),
                actual: running.type_name,
                expected: expected.1,
            });
        }
        Ok(Link::new(Arc::clone(&running.router)))
    }

    /// The longest that any running deployment may take to drain.
    pub(crate) fn longest_grace(&self) -> Duration {
        let applications = self.applications.lock();
        let deployments = applications.values().flat_map(|app| app.deployments.values());
        deployments.map(|deployment| deployment.graceful_shutdown_timeout).max().unwrap_or_default()
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

    fn publish_routes(&self) {
        let applications = self.applications.lock();
        let route = |(name, application): (&String, &RunningApplication)| {
            let prefix = routed(application)?.to_owned();
            let ingress = application.plan.nodes.first()?;
            let router = &application.deployments.get(&ingress.name)?.router;
            Some(Route {
                application: name.clone(),
                prefix,
                ingress: Arc::clone(&ingress.kind),
                link: Link::new(Arc::clone(router)),
            })
        };
        let routes = applications.iter().filter_map(route).collect();
        drop(applications);
        (self.on_routes)(routes);
    }
}

/// The prefix under which an application is reached, if it is.
fn routed(application: &RunningApplication) -> Option<&String> {
    application.plan.nodes.first()?.kind.http()?;
    application.plan.route_prefix.as_ref()
}

impl Rollout<'_> {
    fn configure(&self) {
        let options = self.node.options();
        self.router.configure(options.max_queued_requests, options.request_timeout);
    }

    fn admit(&mut self) {
        let started = std::mem::take(&mut self.started);
        self.admitted.extend(replicas::admit(&self.router, self.node, started));
    }
}

/// Stops what a new version replaced: single replicas where the router lives on, whole
/// deployments where it does not.
async fn stop_replaced(tiers: Vec<Vec<RunningDeployment>>, kept: Vec<Arc<Router>>) {
    for tier in tiers {
        join_all(tier.into_iter().map(|deployment| async {
            if kept.iter().any(|router| Arc::ptr_eq(router, &deployment.router)) {
                let timeout = deployment.graceful_shutdown_timeout;
                replicas::stop(&deployment.router, deployment.replicas, timeout).await;
            } else {
                replicas::stop_deployment(deployment, "a new version of its application has none")
                    .await;
            }
        }))
        .await;
    }
}
