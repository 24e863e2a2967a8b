//! [`RunningApplication`]: what the controller holds of one application.

use std::any::TypeId;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::replicas::RunningReplica;
use super::status::{
    ApplicationDetails, ApplicationStatus, DeploymentDetails, DeploymentStatus, ReplicaDetails,
    ReplicaState,
};
use crate::application::Plan;
use crate::router::Router;

/// One application: what was asked for, and what runs of it.
#[derive(Debug)]
pub(super) struct RunningApplication {
    pub(super) plan: Plan,
    pub(super) status: ApplicationStatus,
    pub(super) message: String,
    pub(super) deployments: BTreeMap<String, RunningDeployment>,
    /// True if `status` and the like leave it out.
    pub(super) hidden: bool,
}

/// One deployment that runs.
#[derive(Debug)]
pub(super) struct RunningDeployment {
    pub(super) type_id: TypeId,
    pub(super) type_name: &'static str,
    pub(super) router: Arc<Router>,
    pub(super) replicas: Vec<RunningReplica>,
    pub(super) target_num_replicas: usize,
    pub(super) graceful_shutdown_timeout: Duration,
}

impl RunningApplication {
    pub(super) fn details(&self) -> ApplicationDetails {
        let deployments = self
            .deployments
            .iter()
            .map(|(name, deployment)| (name.clone(), deployment.details(self.status)))
            .collect();
        ApplicationDetails {
            status: self.status,
            message: self.message.clone(),
            route_prefix: self.plan.route_prefix.clone(),
            deployments,
        }
    }

    /// The running deployments in the order in which they stop: tiers of those whose
    /// callers are gone.
    pub(super) fn take_tiers(&mut self) -> Vec<Vec<RunningDeployment>> {
        let mut tiers = Vec::new();
        for tier in self.plan.tiers() {
            let names = tier.iter().map(|place| &self.plan.nodes[*place].name);
            tiers.push(names.filter_map(|name| self.deployments.remove(name)).collect());
        }
        // What an earlier version left, if the plan no longer knows it.
        tiers.push(std::mem::take(&mut self.deployments).into_values().collect());
        tiers
    }
}

impl RunningDeployment {
    fn details(&self, application: ApplicationStatus) -> DeploymentDetails {
        let running = self.replicas.len();
        let status = match application {
            ApplicationStatus::Deploying => DeploymentStatus::Updating,
            ApplicationStatus::Deleting => DeploymentStatus::Updating,
            _ if running == 0 => DeploymentStatus::DeployFailed,
            _ => DeploymentStatus::Healthy,
        };
        let state = match application {
            ApplicationStatus::Deleting => ReplicaState::Stopping,
            _ => ReplicaState::Running,
        };
        let load = self.router.status();
        DeploymentDetails {
            status,
            message: String::new(),
            target_num_replicas: self.target_num_replicas,
            ongoing: load.ongoing,
            queued: load.queued,
            replicas: self
                .replicas
                .iter()
                .map(|replica| ReplicaDetails { replica_id: replica.id().to_owned(), state })
                .collect(),
        }
    }
}
