//! What was asked for against what runs: starting, replacing and stopping the replicas of
//! applications, and saying how they do.
//!
//! [`Controller`] owns every running application of one process. `runtime` is its face.

mod application;
mod decide;
mod directory;
mod replicas;
mod status;
mod world;

mod deploy;
mod error;

pub use decide::DeploymentStatusTrigger;
pub(crate) use deploy::{Controller, Route};
pub use error::DeployError;
pub use status::{
    ApplicationDetails, ApplicationStatus, DeploymentDetails, DeploymentStatus, ReplicaDetails,
    ReplicaState, Status,
};
pub(crate) use world::{RealWorld, World};
