//! How a deployment's target follows its load: `decide::autoscale` says how far; here it is asked,
//! with what the nodes say of the load.

use std::fmt;
use std::time::Duration;

use futures::future::BoxFuture;

use super::decide::{self, Asked, Decision, Observed, Scaling};
use super::deployment::Deployment;
use super::spec::DeploymentId;
use crate::clock::Moment;
use crate::deployment::Aggregation;
use crate::router::Load;

/// Where the controller learns of the load of deployments.
pub(crate) trait Loads: fmt::Debug + Send + Sync {
    /// Returns the load of a deployment now; none if no node has the deployment.
    fn load(&self, deployment: DeploymentId, aggregation: Aggregation) -> Option<Load>;

    /// Asks to be told of the next change of a load that is not the one seen.
    fn watch(&self, deployment: DeploymentId, seen: &Load);

    /// Waits for changes of loads that were asked for, and returns whose. Cancel safe.
    fn changed(&self) -> BoxFuture<'_, Vec<DeploymentId>>;
}

/// A decision on the load of a deployment.
pub(super) struct Weighed {
    scaling: Scaling,
    decision: Decision,
}

impl Deployment {
    /// Decides how many replicas the load asks for, if the deployment scales by itself. Runs the
    /// policy, which may be the user's own.
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

    /// Lets the target be what was decided.
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
