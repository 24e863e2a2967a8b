//! [`RunningApplication`]: what the controller holds of one application.

use std::any::TypeId;
use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{oneshot, watch};

use super::decide::{Deploys, application_status};
use super::reconcile::{Order, Outcome, Reconciling, Shown, Unmet};
use super::spec::Spec;
use super::status::{
    ApplicationDetails, ApplicationStatus, DeploymentDetails, DeploymentStatus, MethodDetails,
};
use crate::application::Plan;
use crate::error::Error;
use crate::method::AnyMethod;
use crate::replica::Kind;
use crate::router::{BegunCalls, Router};

/// One application: what was asked for, and what runs of it.
#[derive(Debug)]
pub(super) struct RunningApplication {
    /// What runs, or was the first to be asked for.
    pub(super) plan: Plan,
    pub(super) deployments: BTreeMap<String, Hosted>,
    /// True if `status` and the like leave it out.
    pub(super) hidden: bool,
    /// Held while it changes: one change at a time.
    pub(super) change: Arc<tokio::sync::Mutex<()>>,
    /// The deploys of the application. A deploy that is under way watches them, because it may have to give way.
    pub(super) deploys: watch::Sender<Deploys>,
}

/// One deployment and its reconciler. Dropping it ends both, and the calls that run.
#[derive(Debug)]
pub(super) struct Hosted {
    pub(super) kind: Arc<dyn Kind>,
    pub(super) router: Arc<Router>,
    pub(super) spec: Arc<Spec>,
    pub(super) reconciling: Reconciling,
}

impl RunningApplication {
    pub(super) fn new(plan: &Plan, hidden: bool) -> Self {
        Self {
            plan: Plan { nodes: Vec::new(), ..plan.clone() },
            deployments: BTreeMap::new(),
            hidden,
            change: Arc::default(),
            deploys: watch::Sender::default(),
        }
    }

    pub(super) fn details(&self) -> ApplicationDetails {
        let deployments: BTreeMap<String, DeploymentDetails> = self
            .deployments
            .iter()
            .map(|(name, hosted)| (name.clone(), hosted.details()))
            .collect();
        let status = self.status();
        let unhealthy = |(name, details): (&String, &DeploymentDetails)| {
            let unhealthy = details.status == DeploymentStatus::Unhealthy;
            unhealthy.then(|| format!("deployment `{name}`: {}", details.message))
        };
        let message = match status {
            ApplicationStatus::Running => None,
            ApplicationStatus::Deploying => {
                let awaited: Vec<String> =
                    deployments.iter().filter_map(|(name, details)| details.awaits(name)).collect();
                Some(format!("waits for {}", awaited.join("; "))).filter(|_| !awaited.is_empty())
            }
            _ => self.deploys.borrow().failure().map(str::to_owned),
        };
        ApplicationDetails {
            status,
            message: message.or_else(|| deployments.iter().find_map(unhealthy)).unwrap_or_default(),
            route_prefix: self.plan.route_prefix.clone(),
            deployments,
        }
    }

    pub(super) fn status(&self) -> ApplicationStatus {
        self.deploys.borrow().status(self.status_of_deployments())
    }

    fn status_of_deployments(&self) -> ApplicationStatus {
        let standings: Vec<_> = self
            .deployments
            .values()
            .map(|hosted| hosted.reconciling.shown.borrow().standing.clone())
            .collect();
        application_status(&standings)
    }

    /// True if every deployment has a replica that takes calls.
    pub(super) fn serves_in_part(&self) -> bool {
        self.deployments.values().all(|hosted| hosted.reconciling.shown.borrow().serves())
    }

    /// True if nothing of it was ever deployed.
    pub(super) fn is_blank(&self) -> bool {
        self.plan.nodes.is_empty() && self.deployments.is_empty()
    }

    /// The ingress that is reached over HTTP, and below which prefix.
    pub(super) fn routed(&self) -> Option<(&str, &Hosted)> {
        let prefix = self.plan.claim().filter(|_| self.deploys.borrow().is_routed())?;
        Some((prefix, self.deployments.get(&self.plan.nodes[0].name)?))
    }

    /// The prefix below which it will be reached over HTTP, and is not yet.
    pub(super) fn starting_at(&self) -> Option<String> {
        let claims = self.deploys.borrow().claims().map(str::to_owned);
        claims.filter(|claimed| self.plan.claim() != Some(claimed))
    }

    /// True if a prefix is its own, or about to be.
    pub(super) fn claims(&self, prefix: &str) -> bool {
        let deploys = self.deploys.borrow();
        let routed = self.plan.claim().filter(|_| deploys.is_routed());
        [routed, deploys.claims()].contains(&Some(prefix))
    }

    /// The names of the deployments in the order in which they stop: tiers of those whose
    /// callers are gone.
    pub(super) fn tiers(&self) -> Vec<Vec<String>> {
        let name = |place: usize| self.plan.nodes[place].name.clone();
        let tiers = self.plan.tiers().into_iter();
        tiers.map(|tier| tier.into_iter().map(name).collect()).collect()
    }
}

impl Hosted {
    pub(super) fn type_id(&self) -> TypeId {
        self.kind.type_id()
    }

    /// From now on, this is asked for.
    pub(super) fn ask(&mut self, spec: Arc<Spec>) {
        self.spec = Arc::clone(&spec);
        // Gone only if the runtime is.
        let _ = self.reconciling.orders.send(Order::Ask(spec));
    }

    /// Waits until it is known how a spec fared.
    pub(super) fn settles(&self, serial: u64) -> impl Future<Output = Result<(), Unmet>> + use<> {
        let mut shown = self.reconciling.shown.clone();
        async move {
            let known = shown
                .wait_for(|shown| shown.serial == serial && shown.outcome.is_some())
                .await
                .map(|shown| shown.outcome.clone());
            match known {
                Ok(Some(Outcome::Failed(unmet))) => Err(unmet),
                Ok(_) => Ok(()),
                Err(_) => Err(Unmet::DoesNotStart(Error::msg("the runtime is shut down"))),
            }
        }
    }

    /// Waits until the replicas that are stopping have stopped: they may still call others.
    pub(super) fn drained(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut shown = self.reconciling.shown.clone();
        async move {
            let stopping = shown.borrow().stopping();
            let is_gone = |shown: &Shown| !shown.has_any(&stopping);
            // Its end is the end of all of them.
            let _ = shown.wait_for(is_gone).await;
        }
    }

    /// Serves who waits, then stops everything.
    pub(super) fn retire(&self, reason: &str) -> impl Future<Output = ()> + Send + use<> {
        let (done, stopped) = oneshot::channel();
        let order = Order::Retire { reason: reason.to_owned(), done };
        // Not taken, or not answered, only if the runtime is gone.
        let _ = self.reconciling.orders.send(order);
        async move {
            let _ = stopped.await;
        }
    }

    fn details(&self) -> DeploymentDetails {
        let shown = self.reconciling.shown.borrow().clone();
        let load = self.router.status();
        DeploymentDetails {
            replicas: shown.replicas(),
            status: shown.standing.status,
            status_trigger: shown.standing.trigger,
            message: shown.standing.message,
            target_num_replicas: shown.target,
            ongoing: load.ongoing,
            queued: load.queued,
            recent_dead_replicas: shown.dead,
            autoscaling_decisions: shown.decisions,
            methods: self.methods(),
        }
    }

    fn methods(&self) -> BTreeMap<String, MethodDetails> {
        let begun = self.router.begun_calls();
        let details = |method: &'static dyn AnyMethod| {
            let BegunCalls { in_place, spawned } = *begun.get(method.index())?;
            let called = in_place + spawned > 0;
            called.then(|| (method.info().name.to_owned(), MethodDetails { in_place, spawned }))
        };
        self.kind.methods().into_iter().filter_map(details).collect()
    }
}
