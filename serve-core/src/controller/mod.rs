//! The desired state and the observed state, as data: applications, deployments, assignments,
//! reports, and the decisions that bring the observed state towards the desired state.
//!
//! Nothing in this module holds a replica or a router. [`Controller`] is the loop: it receives
//! commands and the reports of nodes, advances [`ControllerState`](state::ControllerState) with the pure functions of
//! `decide`, and writes the decisions to the [`ControlStore`]. Nodes act on the assignments in the
//! store. Everything that a controller knows can be read from the store and the reports, so that
//! another controller can continue at any time.

mod application;
mod assignment;
mod autoscaler;
mod changes;
mod configure;
#[expect(clippy::module_inception, reason = "the controller is what this module is named after")]
mod controller;
mod decide;
mod deployment;
mod error;
mod leadership;
mod overview;
mod serde_arc;
mod shortage;
mod spec;
mod state;
mod status;
mod status_view;
mod store;
mod stored;
#[cfg(test)]
mod tests;
mod transitions;

#[cfg(test)]
pub(crate) use assignment::AssignedSpec;
pub(crate) use assignment::{
    ASSIGNED, ASSIGNMENTS, AssignedApplication, AssignedReplica, Assignment, DeploymentReport,
    ROUTES, ReplicaReport, UNKNOWN_CONFIG, deployment_report, replica_report,
};
pub(crate) use autoscaler::Loads;
pub(crate) use changes::{AppliedConfiguration, ChangeOrigin, ChangeRecord, Changes, DeployEffect};
pub(crate) use controller::{Controller, DeployEnd, Deposed, Surroundings};
pub(crate) use decide::{
    Capacity, Demand, Grant, Reservations, Resources, shortage, starved_batches,
};
pub use error::{ConfigurationError, DeployError};
pub(crate) use overview::{ApplicationOverview, DeploymentOverview};
pub use shortage::{Shortage, ShortageOf};
pub(crate) use spec::DeploymentId;
pub use status::{
    ApplicationDetails, ApplicationSource, ApplicationStatus, AutoscalingDecision, DeadReplica,
    DeploymentDetails, DeploymentStatus, MethodDetails, ReplicaDetails, ReplicaState, Status,
    StatusTrigger,
};
pub(crate) use store::{ControlStore, MemoryStore, StoreRevision, Watch, WriteBatch, read};
#[cfg(test)]
pub(crate) use store::{Entry, Expected, StoreError};
