//! What was asked for against what runs: starting, replacing, scaling and stopping the
//! replicas of applications, and saying how they do.
//!
//! [`Controller`] owns every running application of one process; `runtime` is its face.
//! Each deployment has a `reconcile` loop, which does what the pure functions of `decide`
//! say; `deploy` gives the loops of one application their orders.

mod application;
#[expect(clippy::module_inception, reason = "the controller is what this module is named after")]
mod controller;
mod decide;
mod deploy;
mod directory;
mod error;
mod reconcile;
mod replicas;
mod resources;
mod spec;
mod status;
mod world;

#[cfg(feature = "http")]
pub(crate) use controller::Route;
pub(crate) use controller::{Controller, Routes};
pub use decide::{DeploymentStatusTrigger, Shortage, ShortageOf};
pub use error::DeployError;
pub use reconcile::DeadReplica;
pub(crate) use resources::Resources;
pub use status::{
    ApplicationDetails, ApplicationStatus, AutoscalingDecision, DeploymentDetails,
    DeploymentStatus, MethodDetails, ReplicaDetails, ReplicaState, Status,
};
pub(crate) use world::{RealWorld, World};
