//! [`Spec`]: what is asked of one deployment.

use std::sync::Arc;

use crate::application::PlanNode;
use crate::deployment::{DeploymentOptions, Wiring};

/// What is asked of one deployment.
#[derive(Clone, Debug)]
pub(super) struct Spec {
    pub(super) node: PlanNode,
    /// Where the handles among its arguments lead.
    pub(super) wiring: Arc<Wiring>,
    /// Tells this from earlier specs of the deployment.
    pub(super) serial: u64,
    /// Replicas of another version are replaced.
    pub(super) version: u64,
    /// Replicas that were given another user config are given this one's.
    pub(super) config_version: u64,
    /// Why nothing of it is to run, if nothing is.
    pub(super) suspended: Option<String>,
}

impl Spec {
    pub(super) fn options(&self) -> &DeploymentOptions {
        self.node.options()
    }
}
