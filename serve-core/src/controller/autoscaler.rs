//! Autoscaling of a deployment: calls `decide::autoscale`, which computes the target, with the load
//! that the nodes observe.

use std::fmt;
use std::time::Duration;

use futures::future::BoxFuture;

use super::decide::{self, Asked, Decision, Observed, Scaling};
use super::deployment::DeploymentState;
use super::spec::DeploymentId;
use crate::deployment::Aggregation;
use crate::router::Load;
use crate::time::Moment;

/// The controller's source of the load of deployments.
pub(crate) trait Loads: fmt::Debug + Send + Sync {
    /// Returns the current load of a deployment, or `None` if no node has the deployment.
    fn load(&self, deployment: DeploymentId, aggregation: Aggregation) -> Option<Load>;

    /// Requests a notification of the next change of the load, relative to `seen`.
    fn watch(&self, deployment: DeploymentId, seen: &Load);

    /// Waits for changes of watched loads and returns their deployments. Cancel safe.
    fn changed(&self) -> BoxFuture<'_, Vec<DeploymentId>>;
}

/// A decision on the load of a deployment.
pub(super) struct Weighed {
    scaling: Scaling,
    decision: Decision,
}

impl DeploymentState {
    /// Decides how many replicas the load requires, if the deployment autoscales. Runs the policy,
    /// which may be a custom policy.
    pub(super) fn weigh(
        &self,
        id: DeploymentId,
        loads: &dyn Loads,
        now: Moment,
    ) -> Option<Weighed> {
        let record = &self.record;
        let options = &record.spec.options;
        let config = options.autoscaling.as_ref()?;
        let mut scaling = record.scaling.clone()?;
        let load = loads.load(id, config.aggregation)?;
        let observed = Observed {
            running: self.serving(),
            ongoing: load.ongoing,
            queued: load.queued,
            load: load.aggregated,
            steady: load.steady,
        };
        let policy = options.autoscaling_policy.clone().unwrap_or_default();
        let asked = Asked {
            application: &record.application,
            deployment: &record.name,
            config,
            policy: policy.get(),
        };
        let since_deployed: Duration = now.since(record.deployed_at);
        let decision = decide::autoscale(&asked, &mut scaling, &observed, since_deployed);
        if decision.tell {
            loads.watch(id, &load);
        }
        Some(Weighed { scaling, decision })
    }

    /// Applies a decision to the target of the deployment.
    pub(super) fn take_up(&mut self, weighed: Option<Weighed>) {
        self.look_again = None;
        let Some(Weighed { scaling, decision }) = weighed else { return };
        let record = &mut self.record;
        let Some(before) = record.scaling.replace(scaling).map(|before| before.target()) else {
            return;
        };
        self.look_again = decision.again.map(|again| record.deployed_at + again);
        if decision.logged && decision.target == before {
            tracing::warn!(
                deployment = &*record.name,
                application = &*record.application,
                "the number of replicas stays {before}: {}",
                decision.reason
            );
        }
        if decision.target == before {
            return;
        }
        let from = record.target;
        if decision.target != from {
            tracing::info!(
                deployment = &*record.name,
                application = &*record.application,
                "scales from {from} to {} replicas: {}",
                decision.target,
                decision.reason
            );
        }
        let reason = decision.reason.to_string();
        self.scale(decision.target, &reason);
    }
}
