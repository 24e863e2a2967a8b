//! [`ControlPlane`]: the controller and the node of one process, and the stores between them.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::catch_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::application::{AnyApplication, Blueprints, Graph, HttpOptions, Outline, Plan, PlanNode};
use crate::call::pending::panic_message;
use crate::call::runtime_context::RuntimeContext;
use crate::controller::{
    ApplicationOverview, ApplicationStatus, AppliedConfiguration, ChangeOrigin, Changes,
    ConfigurationError, ControlStore, Controller, DeployEffect, DeployEnd, DeployError, Deposed,
    MemoryStore, Resources, Status, Surroundings,
};
use crate::deployment::{Link, RequestRouting};
use crate::node::{Agent, NodeDirectory, NodeResources, OnRoutes, Substitutes};
use crate::time::WallClock;

/// The controller and the node of one process, and the stores between them.
pub(crate) struct ControlPlane {
    context: Arc<RuntimeContext>,
    substitutes: Arc<dyn Substitutes>,
    resources: Arc<NodeResources>,
    surroundings: Surroundings,
    build_id: String,
    directory: Arc<NodeDirectory>,
    agent: Agent,
    controller: Mutex<Arc<Controller>>,
}

/// The parts of a control plane.
pub(crate) struct Parts {
    pub(crate) context: RuntimeContext,
    pub(crate) seed: u64,
    pub(crate) substitutes: Arc<dyn Substitutes>,
    pub(crate) resources: Resources,
    /// Distinguishes this runtime from others, and from the same program before it was restarted.
    pub(crate) incarnation: Option<String>,
    /// The build of this process. Empty if no other process uses the store, because determining the
    /// build takes as long as reading the executable.
    pub(crate) build_id: String,
    pub(crate) store: Arc<dyn ControlStore>,
    pub(crate) clock: WallClock,
    pub(crate) on_routes: OnRoutes,
    /// The options of HTTP. They have been checked.
    pub(crate) http_options: HttpOptions,
}

impl Parts {
    /// Returns parts that work within one process and are the same in each run.
    pub(crate) fn in_memory(
        context: RuntimeContext,
        seed: u64,
        substitutes: Arc<dyn Substitutes>,
        resources: Resources,
    ) -> Self {
        Self {
            context,
            seed,
            substitutes,
            resources,
            incarnation: None,
            build_id: String::new(),
            store: Arc::new(MemoryStore::default()),
            clock: WallClock::of_a_test(),
            on_routes: Box::new(drop),
            http_options: HttpOptions::new(),
        }
    }
}

impl ControlPlane {
    pub(crate) fn start(parts: Parts) -> Self {
        let Parts { context, seed, substitutes, resources, store, .. } = parts;
        let context = Arc::new(context);
        let directory = Arc::new(NodeDirectory::new(Arc::clone(&context), seed));
        let resources = Arc::new(NodeResources::new(resources));
        let surroundings = Surroundings {
            tokio: context.tokio.clone(),
            store,
            reports: Arc::new(MemoryStore::default()),
            loads: Arc::clone(&directory) as _,
            blueprints: Arc::new(Blueprints::default()),
            clock: parts.clock,
            incarnation: parts.incarnation,
            changes: watch::Sender::new(0),
        };
        let agent = Agent::start(
            Arc::clone(&context),
            Arc::clone(&substitutes),
            Arc::clone(&resources),
            Arc::clone(&directory),
            &surroundings,
            parts.on_routes,
        );
        let controller = Mutex::new(Arc::new(Controller::start(&surroundings)));
        Self {
            context,
            substitutes,
            resources,
            surroundings,
            build_id: parts.build_id,
            directory,
            agent,
            controller,
        }
    }

    pub(crate) fn context(&self) -> &Arc<RuntimeContext> {
        &self.context
    }

    /// Returns the string that distinguishes this runtime from others, or `None` in tests.
    pub(crate) fn incarnation(&self) -> Option<&str> {
        self.surroundings.incarnation.as_deref()
    }

    pub(crate) fn directory(&self) -> &Arc<NodeDirectory> {
        &self.directory
    }

    fn controller(&self) -> Arc<Controller> {
        Arc::clone(&self.controller.lock())
    }

    /// Discards the controller at any point, and starts another one that takes over.
    #[cfg(test)]
    pub(crate) fn replace_controller(&self) {
        *self.controller.lock() = Arc::new(Controller::start(&self.surroundings));
        self.surroundings.changes.send_modify(|changes| *changes += 1);
    }

    /// Deploys an application, or redeploys the application with the same name. Returns the link to
    /// the ingress once the whole application runs, in this version or in a version that was
    /// requested since.
    ///
    /// Dropping the future does not stop a deploy: the deploy continues until it has succeeded or
    /// was rolled back.
    pub(crate) async fn deploy(
        &self,
        application: &AnyApplication,
        hidden: bool,
    ) -> Result<Link, DeployError> {
        let plan = self.plan(application)?;
        let name = plan.application.clone();
        let (ingress, type_id) =
            (plan.nodes[0].name.clone(), plan.nodes[0].deployment_type.type_id());
        let (blueprint, plan) = self.surroundings.blueprints.add(plan);
        let outline = Outline::of(blueprint, &self.build_id, &plan);
        let number = self
            .command(|controller| {
                let (name, outline, plan) = (name.clone(), outline.clone(), Arc::clone(&plan));
                async move { controller.deploy(name, hidden, outline, plan).await }.boxed()
            })
            .await
            .map_err(|_| DeployError::ShutDown)?;
        drop(plan);
        let number = number?;
        let end = self.wait_until(|controller| controller.deploy_end(&name, number)).await;
        match end.ok_or(DeployError::ShutDown)? {
            DeployEnd::Failed(error) => Err(error),
            DeployEnd::Runs => {
                let found = self.directory.look_up(&name, Some(&ingress), (type_id, ""));
                found.map_err(|gone| match gone {
                    // The application was deleted since then.
                    DeployError::UnknownApplication(name) => DeployError::Deleted(name),
                    _ => DeployError::Superseded(name),
                })
            }
            DeployEnd::NewerRuns { ingress } => {
                let found = self.directory.look_up(&name, Some(&ingress), (type_id, ""));
                found.map_err(|_| DeployError::Superseded(name))
            }
        }
    }

    /// Deploys the applications of a configuration, and deletes those that the configuration before
    /// had besides. Returns the revision once the request is stored; the deploys go on.
    ///
    /// # Errors
    /// If something is refused. In that case, nothing was changed.
    pub(crate) async fn apply(
        &self,
        origin: ChangeOrigin,
        applied: AppliedConfiguration,
        planned: Vec<Plan>,
    ) -> Result<u64, ConfigurationError> {
        let (mut plans, mut outlines) = (Vec::new(), Vec::new());
        for plan in planned {
            let name = plan.application.clone();
            let (blueprint, plan) = self.surroundings.blueprints.add(plan);
            outlines.push((name, Outline::of(blueprint, &self.build_id, &plan)));
            plans.push(plan);
        }
        let answer = self
            .command(|controller| {
                let (origin, applied) = (origin.clone(), applied.clone());
                let (outlines, plans) = (outlines.clone(), plans.clone());
                async move { controller.apply(origin, applied, outlines, plans).await }.boxed()
            })
            .await;
        drop(plans);
        answer.map_err(|_| ConfigurationError::ShutDown)?
    }

    /// Waits until no deploy of these applications goes on.
    pub(crate) async fn settled(&self, names: Vec<String>) {
        let is_settled = |controller: &Controller| {
            let goes_on = |name: &String| {
                use ApplicationStatus::{Deleting, Deploying};
                [Deploying, Deleting].iter().any(|status| controller.has_status(name, *status))
            };
            (controller.is_stored() && !names.iter().any(goes_on)).then_some(())
        };
        self.wait_until(is_settled).await;
    }

    /// Returns the effects that the deploys of a configuration would have.
    pub(crate) fn effects(
        &self,
        planned: Vec<Plan>,
    ) -> Vec<(String, Option<String>, DeployEffect)> {
        let blueprints = &self.surroundings.blueprints;
        let (mut plans, mut outlines) = (Vec::new(), Vec::new());
        for plan in planned {
            let name = plan.application.clone();
            let (blueprint, plan) = blueprints.add(plan);
            outlines.push((name, Outline::of(blueprint, &self.build_id, &plan)));
            plans.push(plan);
        }
        let effects = self.controller().effects(&outlines);
        outlines.iter().for_each(|(_, outline)| blueprints.forget(outline.blueprint));
        effects
    }

    /// Returns the graph of an application, once the application has been deployed.
    pub(crate) fn graph(&self, application: &str) -> Option<Graph> {
        let blueprint = self.controller().blueprint(application)?;
        self.surroundings.blueprints.get(blueprint).map(|plan| plan.graph())
    }

    /// Returns the clock of the control plane.
    pub(crate) fn clock(&self) -> &WallClock {
        &self.surroundings.clock
    }

    /// Sets the number of replicas of a deployment. Returns the revision once the request is stored;
    /// replicas start and stop afterwards.
    ///
    /// # Errors
    /// If the change is refused.
    pub(crate) async fn scale(
        &self,
        origin: ChangeOrigin,
        application: &str,
        deployment: &str,
        replicas: usize,
    ) -> Result<u64, ConfigurationError> {
        let answer = self
            .command(|controller| {
                let (application, deployment) = (application.to_owned(), deployment.to_owned());
                let origin = origin.clone();
                async move { controller.scale(origin, application, deployment, replicas).await }
                    .boxed()
            })
            .await;
        answer.map_err(|_| ConfigurationError::ShutDown)?
    }

    /// Calls `look` with the changes of the desired state.
    pub(crate) fn changes<T>(&self, look: impl FnOnce(&Changes) -> T) -> T {
        self.controller().changes(look)
    }

    /// Returns everything that is known of the applications.
    pub(crate) fn overview(&self) -> BTreeMap<String, ApplicationOverview> {
        let mut applications = self.controller().overview();
        for (application, overview) in &mut applications {
            for (deployment, details) in &mut overview.details.deployments {
                self.directory.complete(application, deployment, details);
            }
        }
        applications
    }

    /// Returns the plan of an application, if the application can run here.
    pub(crate) fn plan(&self, application: &AnyApplication) -> Result<Plan, DeployError> {
        let mut plan =
            Plan::of(application, |deployment_type| self.substitutes.may_mock(deployment_type))?;
        self.substitutes.deploying(&plan.nodes);
        #[cfg(feature = "http")]
        if plan.route_prefix.is_some() {
            crate::ingress::check(&*plan.nodes[0].deployment_type).map_err(|error| {
                DeployError::Endpoint { application: plan.application.clone(), error }
            })?;
        }
        if let Some((place, shortage)) =
            self.resources.shortage(plan.nodes.iter().map(PlanNode::options))
        {
            let (application, deployment) = (plan.application, plan.nodes[place].name.clone());
            return Err(DeployError::NeverFits { application, deployment, shortage });
        }
        self.make_request_routers(&mut plan)?;
        Ok(plan)
    }

    /// Creates the custom request routers that the plan names, except for those that running
    /// deployments already have.
    fn make_request_routers(&self, plan: &mut Plan) -> Result<(), DeployError> {
        let application = &plan.application;
        for node in &mut plan.nodes {
            let Some(RequestRouting::Custom(custom)) = &node.options().request_router else {
                continue;
            };
            let running = self.directory.made_router(
                &self.surroundings.blueprints,
                application,
                (&node.name, node.deployment_type.type_id()),
                custom,
            );
            let made = match running {
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

    /// Sends a command to the controller, or to the controller that has taken over since.
    async fn command<T>(
        &self,
        command: impl Fn(Arc<Controller>) -> BoxFuture<'static, Result<T, Deposed>>,
    ) -> Result<T, Deposed> {
        let mut changes = self.surroundings.changes.subscribe();
        loop {
            let controller = self.controller();
            match command(Arc::clone(&controller)).await {
                Err(Deposed::Replaced) => {}
                answer => return answer,
            }
            while Arc::ptr_eq(&controller, &self.controller()) {
                changes.changed().await.map_err(|_| Deposed::Ended)?;
            }
        }
    }

    /// Waits until the controller knows something, and until the node has applied the assignments
    /// up to then. Returns `None` if the tokio runtime is shutting down.
    async fn wait_until<T>(&self, known: impl Fn(&Controller) -> Option<T>) -> Option<T> {
        let mut changes = self.surroundings.changes.subscribe();
        loop {
            let controller = self.controller();
            if let Some(known) = known(&controller) {
                self.agent.has_seen(controller.assigned()).await;
                return Some(known);
            }
            tokio::select! {
                // The sender belongs to this control plane.
                _ = changes.changed() => {}
                () = controller.ended() => return None,
            }
        }
    }

    /// Stops an application, callers before callees.
    ///
    /// Dropping the future does not stop the deletion: like a deploy, the deletion continues until
    /// it is complete.
    pub(crate) async fn delete(&self, origin: ChangeOrigin, name: &str) -> Result<(), DeployError> {
        let tries = AtomicUsize::new(0);
        let asked = self
            .command(|controller| {
                let (origin, name) = (origin.clone(), name.to_owned());
                tries.fetch_add(1, Ordering::Relaxed);
                async move { controller.delete(origin, name).await }.boxed()
            })
            .await
            .map_err(|_| DeployError::ShutDown)?;
        let id = match asked {
            // The previous controller stored the deletion but could not answer.
            Err(DeployError::UnknownApplication(_)) if tries.into_inner() > 1 => return Ok(()),
            asked => asked?,
        };
        let gone = |controller: &Controller| controller.is_gone(name, id).then_some(());
        self.wait_until(gone).await.ok_or(DeployError::ShutDown)
    }

    /// Stops everything and prevents anything from starting again. The shutdown continues even if
    /// the future is dropped.
    pub(crate) async fn shut_down(&self) {
        let asked = self.command(|controller| async move { controller.shut_down().await }.boxed());
        if asked.await.is_ok() {
            self.wait_until(|controller| controller.is_empty().then_some(())).await;
        }
    }

    /// Waits until an application has this status.
    pub(crate) async fn wait_for(&self, name: &str, status: ApplicationStatus) {
        self.wait_until(|controller| controller.has_status(name, status).then_some(())).await;
    }

    pub(crate) fn status(&self) -> Status {
        let mut applications = self.controller().status();
        for (application, details) in &mut applications {
            for (deployment, details) in &mut details.deployments {
                self.directory.complete(application, deployment, details);
            }
        }
        Status { applications }
    }
}

impl fmt::Debug for ControlPlane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ControlPlane")
            .field("agent", &self.agent)
            .field("controller", &self.controller())
            .finish_non_exhaustive()
    }
}
