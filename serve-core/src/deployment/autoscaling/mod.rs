//! What a user says about autoscaling: [`AutoscalingConfig`] and, for a rule of their own,
//! [`AutoscalingPolicy`]. Deciding by them is the controller's.

mod config;
mod policy;

pub use config::{AUTOSCALING, Aggregation, AutoscalingConfig, AutoscalingError};
pub use policy::{AutoscalingContext, AutoscalingPolicy, SharedPolicy, TargetOngoingRequests};
