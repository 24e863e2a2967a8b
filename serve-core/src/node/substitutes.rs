//! [`Substitutes`]: what a test may replace under a node.

use std::sync::Arc;

use crate::application::PlanNode;
use crate::call::ReplicaContext;
use crate::replica::{Kind, Target};

/// What replicas are made of. The real one leaves everything to the user's code.
pub(crate) trait Substitutes: Send + Sync {
    /// True if some deployments of this kind are mocked, so that what they would have
    /// called need not run.
    fn may_mock(&self, kind: &dyn Kind) -> bool;

    /// An application is about to be deployed, of these.
    fn deploying(&self, nodes: &[PlanNode]);

    /// What serves in place of an instance of this deployment, if it is mocked.
    fn mock(&self, node: &PlanNode) -> Option<Arc<dyn Target>>;

    /// Puts something between the calls and what serves them.
    fn wrap(
        &self,
        node: &PlanNode,
        replica: &ReplicaContext,
        target: Arc<dyn Target>,
    ) -> Arc<dyn Target>;
}

/// Nothing replaced.
#[derive(Debug)]
pub(crate) struct NoSubstitutes;

impl Substitutes for NoSubstitutes {
    fn may_mock(&self, _: &dyn Kind) -> bool {
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
