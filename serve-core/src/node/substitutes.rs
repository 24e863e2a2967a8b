//! [`Substitutes`]: the parts of a node that a test may replace.

use std::sync::Arc;

use crate::application::PlanNode;
use crate::call::ReplicaContext;
use crate::replica::{AnyDeployment, Target};

/// The source of the targets that replicas consist of. Outside tests, the user's code is used as it
/// is.
pub(crate) trait Substitutes: Send + Sync {
    /// Returns `true` if some deployments of this deployment_type are mocked, so that the deployments that
    /// they would have called do not have to run.
    fn may_mock(&self, deployment_type: &dyn AnyDeployment) -> bool;

    /// Notes that an application with these deployments is about to be deployed.
    fn deploying(&self, nodes: &[PlanNode]);

    /// Returns the target that replaces an instance of this deployment, if the deployment is
    /// mocked.
    fn mock(&self, node: &PlanNode) -> Option<Arc<dyn Target>>;

    /// Wraps the target that serves the calls of a replica.
    fn wrap(
        &self,
        node: &PlanNode,
        replica: &ReplicaContext,
        target: Arc<dyn Target>,
    ) -> Arc<dyn Target>;
}

/// Substitutes that replace nothing.
#[derive(Debug)]
pub(crate) struct NoSubstitutes;

impl Substitutes for NoSubstitutes {
    fn may_mock(&self, _: &dyn AnyDeployment) -> bool {
        false
    }

    fn deploying(&self, _: &[PlanNode]) {}

    fn mock(&self, _: &PlanNode) -> Option<Arc<dyn Target>> {
        None
    }

    fn wrap(&self, _: &PlanNode, _: &ReplicaContext, target: Arc<dyn Target>) -> Arc<dyn Target> {
        target
    }
}
