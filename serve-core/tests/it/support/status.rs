//! Look-ups in the status of a runtime. Unless a name says otherwise, they are of the application
//! `default`, and panic if there is none.

use serve_core::Runtime;
use serve_core::status::{ApplicationDetails, DeploymentDetails, ReplicaDetails, ReplicaState};

/// The status of the application.
pub(crate) fn application(runtime: &Runtime) -> ApplicationDetails {
    runtime.status().applications["default"].clone()
}

/// The status of a deployment.
pub(crate) fn deployment(runtime: &Runtime, name: &str) -> DeploymentDetails {
    application(runtime).deployments[name].clone()
}

/// The status of a deployment of any application.
pub(crate) fn deployment_of(runtime: &Runtime, application: &str, name: &str) -> DeploymentDetails {
    runtime.status().applications[application].deployments[name].clone()
}

/// The calls of a deployment that run, and those that wait for a slot.
pub(crate) fn load(runtime: &Runtime, name: &str) -> (usize, usize) {
    let deployment = deployment(runtime, name);
    (deployment.ongoing, deployment.queued)
}

/// The calls of all deployments that run, and those that wait for a slot.
pub(crate) fn total_load(runtime: &Runtime) -> (usize, usize) {
    let application = application(runtime);
    let deployments = application.deployments.values();
    deployments.fold((0, 0), |(ongoing, queued), one| (ongoing + one.ongoing, queued + one.queued))
}

/// The WebSockets that are open, of all applications.
pub(crate) fn sockets(runtime: &Runtime) -> usize {
    let status = runtime.status();
    let deployments = status.applications.values().flat_map(|one| one.deployments.values());
    deployments.flat_map(|one| &one.replicas).map(|replica| replica.websockets).sum()
}

/// The replicas of a deployment in some states, by rank.
pub(crate) fn replicas_in(
    runtime: &Runtime,
    name: &str,
    state: impl Fn(ReplicaState) -> bool,
) -> Vec<ReplicaDetails> {
    let mut replicas = deployment(runtime, name).replicas;
    replicas.retain(|replica| state(replica.state));
    replicas.sort_by_key(|replica| replica.rank);
    replicas
}

/// The ids of the replicas that are not stopping, by rank.
pub(crate) fn ids(runtime: &Runtime, name: &str) -> Vec<String> {
    let lasting = replicas_in(runtime, name, |state| state != ReplicaState::Stopping);
    lasting.into_iter().map(|replica| replica.replica_id).collect()
}

/// The ids of the replicas that take calls, by rank.
pub(crate) fn running_ids(runtime: &Runtime, name: &str) -> Vec<String> {
    let running = replicas_in(runtime, name, |state| state == ReplicaState::Running);
    running.into_iter().map(|replica| replica.replica_id).collect()
}
