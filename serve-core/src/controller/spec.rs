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
    /// True if it ran before another that failed, and runs again.
    pub(super) restored: bool,
    /// True if it failed in part, and the replicas that run go on. Those that do not start are
    /// tried again.
    pub(super) in_part: bool,
}

impl Spec {
    pub(super) fn options(&self) -> &DeploymentOptions {
        self.node.options()
    }

    /// True if it differs from `before` at most in what Ray Serve calls lightweight: the
    /// number of replicas, who may wait, and how an update goes.
    pub(super) fn is_scaled(&self, before: &Self) -> bool {
        self.version == before.version
            && self.config_version == before.config_version
            && self.suspended == before.suspended
            && self.options().differ_in_scale_only(before.options())
    }
}
