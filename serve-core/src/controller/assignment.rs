//! Assignments from the controller to a node, and reports from the node to the controller: data in
//! the store, under keys that the other side watches.
//!
//! Both are levels, not events: an assignment lists all replicas that a node must have, and a
//! report is the latest known state of a replica. A watcher that misses some of them continues from
//! the newest.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::serde_arc;
use super::spec::{DeploymentId, Spec};
use crate::application::{BlueprintId, HttpOptions};
use crate::error::Error;
use crate::time::Moment;

/// The prefix of the keys of assignments. The deployment's number follows.
pub(crate) const ASSIGNMENTS: &str = "assign.deployment.";
/// The prefix of the keys under which nodes find applications. The application's name follows.
pub(crate) const ROUTES: &str = "assign.application.";
/// The common prefix of all keys that a node watches.
pub(crate) const ASSIGNED: &str = "assign.";
/// The config version of a replica that may have applied only a part of a config.
pub(crate) const UNKNOWN_CONFIG: u64 = u64::MAX;

/// The replicas of one deployment that a node must have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Assignment {
    pub(crate) application: String,
    pub(crate) deployment: String,
    pub(crate) spec: AssignedSpec,
    /// The reason why the deployment takes no new calls, once the deployment is to be removed.
    /// Queued calls are served, and then the replicas stop.
    pub(crate) retired: Option<String>,
    /// The replicas by their numbers. The node forgets a replica that is no longer listed.
    pub(crate) replicas: BTreeMap<u64, AssignedReplica>,
}

/// The settings that apply to all replicas of a deployment. The options are in the blueprint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AssignedSpec {
    pub(crate) blueprint: BlueprintId,
    pub(crate) serial: u64,
    pub(crate) version: u64,
    pub(crate) config_version: u64,
    /// The reason why no replica of the deployment may run, if none may.
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

/// A replica that a node must have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AssignedReplica {
    #[serde(with = "serde_arc")]
    pub(crate) id: Arc<str>,
    pub(crate) rank: usize,
    /// The time at which the replica was assigned.
    pub(crate) assigned_at: Moment,
    pub(crate) version: u64,
    /// The version of the user config that the replica must have, or [`UNKNOWN_CONFIG`] for any
    /// version.
    pub(crate) config_version: u64,
    /// True once the replica must stop.
    pub(crate) stops: bool,
}

/// The data by which a node finds an application.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct AssignedApplication {
    /// The deployment to which handles of the application lead, once the application was deployed.
    pub(crate) ingress: Option<String>,
    /// The route by which HTTP requests reach the ingress, if the application has a route.
    pub(crate) route: Option<AssignedRoute>,
    /// The prefix under which HTTP requests will reach the application once it runs.
    pub(crate) starting_at: Option<String>,
    /// The deployments of the application, by their names.
    pub(crate) deployments: BTreeMap<String, DeploymentId>,
}

/// The deployment that HTTP requests under a prefix reach.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct AssignedRoute {
    pub(crate) prefix: String,
    pub(crate) ingress: DeploymentId,
    pub(crate) http_options: HttpOptions,
    /// The registered function that the application was built by, as `package:function`.
    pub(crate) function: Option<String>,
}

/// The report of a node on a deployment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DeploymentReport {
    /// The serial of the spec that is in effect on the node.
    pub(crate) serial: u64,
    /// True once no calls are queued, for a deployment that is to be removed.
    pub(crate) drained: bool,
    /// True once the node has stopped waiting for replicas that do not stop.
    pub(crate) abandoned: bool,
    /// The number of tasks of the node that have panicked, including panics in the drop of an
    /// instance.
    pub(crate) faults: u64,
    pub(crate) last_fault: String,
}

/// The report of a node on a replica.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ReplicaReport {
    /// The replica waits for room on the node, for this reason.
    Waiting(String),
    Starting,
    Running {
        /// The version of the user config that the replica has, or [`UNKNOWN_CONFIG`].
        config_version: u64,
        /// The version of the user config that the replica refused last, and the reason.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        refused: Option<(u64, Error)>,
        /// The reason why the replica must stop and be replaced, if it must.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unfit: Option<String>,
        /// The reason why the replica must be replaced, but may serve until then.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        worn: Option<String>,
    },
    Stopping,
    /// The replica did not start.
    Failed(Error),
    /// The replica ended by itself.
    Died(String),
    /// The replica stopped as requested, or never began.
    Stopped,
}

impl ReplicaReport {
    /// Returns the report on a replica that runs and is well.
    pub(crate) fn running(config_version: u64) -> Self {
        Self::Running { config_version, refused: None, unfit: None, worn: None }
    }

    /// Returns `true` if no further report on the replica follows.
    pub(crate) fn is_final(&self) -> bool {
        matches!(self, Self::Failed(_) | Self::Died(_) | Self::Stopped)
    }
}

/// Returns the key of the report on a deployment.
pub(crate) fn deployment_report(deployment: DeploymentId) -> String {
    deployment.key(REPORTS)
}

/// Returns the key of the report on a replica.
pub(crate) fn replica_report(deployment: DeploymentId, number: u64) -> String {
    format!("{}.{number:016x}", deployment.key(REPORTS))
}

/// The prefix of the keys of reports. The deployment's number follows and, for the report on a
/// replica, the replica's number.
pub(crate) const REPORTS: &str = "report.";

/// Parses the key of a report: returns the deployment and, for the report on a replica, the
/// replica's number.
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
