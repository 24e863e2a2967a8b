//! [`Autoscaler`]: lets a deployment's target follow its load. `decide::autoscale` says how
//! far; here it is asked when something changes, and when it wants to be.

use std::sync::Arc;

use tokio::time::Instant;

use super::state::State;
use crate::controller::decide::{self, Asked, LoggedDecision, Observed, Scaling};
use crate::controller::status::AutoscalingDecision;
use crate::deployment::{AutoscalingConfig, DeploymentOptions, SharedPolicy};
use crate::router::Router;

/// Lets a deployment's target follow its load.
#[derive(Debug)]
pub(super) struct Autoscaler {
    config: AutoscalingConfig,
    policy: SharedPolicy,
    scaling: Scaling,
    router: Arc<Router>,
    again: Option<Instant>,
}

impl Autoscaler {
    pub(super) fn new(
        config: &AutoscalingConfig,
        options: &DeploymentOptions,
        target: usize,
        router: &Arc<Router>,
    ) -> Self {
        Self {
            config: config.clone(),
            policy: options.autoscaling_policy.clone().unwrap_or_default(),
            scaling: Scaling::new(target),
            router: Arc::clone(router),
            again: None,
        }
    }

    /// Other options hold from now on. What it has seen and decided stays.
    pub(super) fn reconfigure(&mut self, config: &AutoscalingConfig, options: &DeploymentOptions) {
        self.config = config.clone();
        self.policy = options.autoscaling_policy.clone().unwrap_or_default();
    }

    /// The target that the load asks for now, if it is another, and why.
    pub(super) fn decide(&mut self, state: &State) -> Option<(usize, String)> {
        let before = self.scaling.target();
        let (load, now) = self.router.load(self.config.aggregation);
        let observed = Observed {
            running: state.serving(),
            ongoing: load.ongoing,
            queued: load.queued,
            load: load.aggregated,
            steady: load.steady,
        };
        let asked = Asked {
            application: self.router.application(),
            deployment: self.router.name(),
            config: &self.config,
            policy: self.policy.get(),
        };
        let decision = decide::autoscale(&asked, &mut self.scaling, &observed, now);
        self.again = decision.again.and_then(|at| self.router.moment(at));
        if decision.tell {
            self.router.tell_of_load(&load);
        }
        if decision.logged && decision.target == before {
            tracing::warn!(
                deployment = &**self.router.name(),
                application = &**self.router.application(),
                "the number of replicas stays {before}: {}",
                decision.reason
            );
        }
        (decision.target != before).then(|| (decision.target, decision.reason.to_string()))
    }

    /// When to decide again though nothing happens meanwhile.
    pub(super) fn next_at(&self) -> Option<Instant> {
        self.again
    }

    pub(super) fn decisions(&self) -> Vec<AutoscalingDecision> {
        let shown = |LoggedDecision { at, from, to, reason }: &LoggedDecision| {
            AutoscalingDecision { at: *at, from: *from, to: *to, reason: reason.clone() }
        };
        self.scaling.log().entries().map(shown).collect()
    }
}
