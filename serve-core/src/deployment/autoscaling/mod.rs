//! The configuration of autoscaling: [`AutoscalingConfig`], and [`AutoscalingPolicy`] for a custom
//! rule. The controller makes the decisions.

mod config;
mod policy;

pub use config::{AUTOSCALING, Aggregation, AutoscalingConfig, AutoscalingError};
pub use policy::{AutoscalingContext, AutoscalingPolicy, SharedPolicy, TargetOngoingRequests};
