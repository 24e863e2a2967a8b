//! What the controller asks of a node, and what the node reports back: data in the store, under
//! keys that each of them watches.
//!
//! Both are levels, not events: an assignment lists all replicas that a node is to have, and a
//! report is the last that is known of a replica. Whoever misses some of them goes on from the
//! newest.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::shared;
use super::spec::{DeploymentId, Spec};
use crate::application::BlueprintId;
use crate::error::Error;

/// The keys of assignments: this, and the deployment's number.
pub(crate) const ASSIGNMENTS: &str = "assign.deployment.";
/// The keys of what a node knows of applications: this, and the application's name.
pub(crate) const ROUTES: &str = "assign.application.";
/// What all keys that a node watches begin with.
pub(crate) const ASSIGNED: &str = "assign.";
/// The config version of a replica that may have part of one.
pub(crate) const UNKNOWN_CONFIG: u64 = u64::MAX;

/// The replicas of one deployment that a node is to have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Assignment {
    pub(crate) application: String,
    pub(crate) deployment: String,
    pub(crate) spec: AssignedSpec,
    /// Why the deployment takes no new calls, once it is to go: calls that wait are served, and
    /// then its replicas stop.
    pub(crate) retired: Option<String>,
    /// By their numbers. A replica that is not listed any more is to be forgotten.
    pub(crate) replicas: BTreeMap<u64, AssignedReplica>,
}

/// What holds for all replicas of a deployment. The options are in the blueprint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AssignedSpec {
    pub(crate) blueprint: BlueprintId,
    pub(crate) serial: u64,
    pub(crate) version: u64,
    pub(crate) config_version: u64,
    /// Why nothing of it is to run, if nothing is.
    pub(crate) suspended: Option<String>,
}

impl From<&Spec> for AssignedSpec {
    fn from(spec: &Spec) -> Self {
        Self {
            blueprint: spec.blueprint,
            serial: spec.serial,
            version: spec.version,
            config_version: spec.config_version,
            suspended: spec.suspended.clone(),
        }
    }
}

/// A replica that a node is to have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AssignedReplica {
    #[serde(with = "shared")]
    pub(crate) id: Arc<str>,
    pub(crate) rank: usize,
    pub(crate) version: u64,
    /// The version of the user config that it is to have, or [`UNKNOWN_CONFIG`] for any.
    pub(crate) config_version: u64,
    /// True once it is to stop.
    pub(crate) stops: bool,
}

/// How an application is found on a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AssignedApplication {
    /// The deployment that handles of the application lead to, once the application was deployed.
    pub(crate) ingress: Option<String>,
    /// The prefix below which HTTP requests reach the ingress, if they do.
    pub(crate) route: Option<AssignedRoute>,
    /// The prefix below which HTTP requests will reach it, once it runs.
    pub(crate) starting_at: Option<String>,
    /// The deployments of the application, by their names.
    pub(crate) deployments: BTreeMap<String, DeploymentId>,
}

/// The deployment that HTTP requests below a prefix reach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AssignedRoute {
    pub(crate) prefix: String,
    pub(crate) ingress: DeploymentId,
}

/// What a node reports of a deployment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DeploymentReport {
    /// The serial of the spec that holds on the node.
    pub(crate) serial: u64,
    /// True once no call waits any more, for a deployment that is to go.
    pub(crate) drained: bool,
    /// True once the node has given up to wait for what does not stop.
    pub(crate) abandoned: bool,
    /// How often code of the node itself has panicked.
    pub(crate) faults: u64,
    pub(crate) last_fault: String,
}

/// What a node reports of a replica.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ReplicaReport {
    /// It fits nowhere, for this reason.
    Waiting(String),
    Starting,
    Running {
        /// The version of the user config that it has, or [`UNKNOWN_CONFIG`].
        config_version: u64,
        /// The version of a user config that it has refused last, and why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        refused: Option<(u64, Error)>,
        /// Why it must be replaced, if it must.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unfit: Option<String>,
    },
    Stopping,
    /// It did not start.
    Failed(Error),
    /// It ended by itself.
    Died(String),
    /// It has stopped, as it was to, or never began.
    Stopped,
}

impl ReplicaReport {
    /// True if nothing more will be reported of the replica.
    pub(crate) fn is_final(&self) -> bool {
        matches!(self, Self::Failed(_) | Self::Died(_) | Self::Stopped)
    }
}

/// The key of the report of a deployment.
pub(crate) fn deployment_report(deployment: DeploymentId) -> String {
    deployment.key(REPORTS)
}

/// The key of the report of a replica.
pub(crate) fn replica_report(deployment: DeploymentId, number: u64) -> String {
    format!("{}.{number:016x}", deployment.key(REPORTS))
}

/// The keys of reports: this, the deployment's number and, of replicas, the replica's.
pub(crate) const REPORTS: &str = "report.";

/// What a key of a report is about: a deployment, or one replica of it.
pub(crate) fn report_of(key: &str) -> Option<(DeploymentId, Option<u64>)> {
    let (deployment, rest) = DeploymentId::in_key(REPORTS, key)?;
    match rest.strip_prefix('.') {
        None => rest.is_empty().then_some((deployment, None)),
        Some(number) => Some((deployment, Some(u64::from_str_radix(number, 16).ok()?))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_say_what_they_are_about_and_keep_the_order_of_numbers() {
        let (second, tenth) = (DeploymentId(2), DeploymentId(10));
        assert!(second.key(ASSIGNMENTS) < tenth.key(ASSIGNMENTS));
        let key = tenth.key(ASSIGNMENTS);
        assert_eq!(DeploymentId::in_key(ASSIGNMENTS, &key), Some((tenth, "")));
        assert_eq!(report_of(&deployment_report(tenth)), Some((tenth, None)));
        assert_eq!(report_of(&replica_report(tenth, 17)), Some((tenth, Some(17))));
        assert_eq!(report_of("lead"), None);
    }
}
