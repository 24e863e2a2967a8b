//! [`ApplicationOverview`]: everything that a controller knows of an application.

use serde_json::Value;

use super::status::ApplicationDetails;
use crate::deployment::DeploymentOptions;

/// Everything that a controller knows of an application, for the admin port.
#[derive(Debug)]
pub(crate) struct ApplicationOverview {
    pub(crate) details: ApplicationDetails,
    /// The section of the configuration that describes the application, if it comes from one.
    pub(crate) section: Option<Value>,
    pub(crate) external_scaler_enabled: bool,
    /// The deployments of the plan that runs, or that is about to run; the ingress is first.
    pub(crate) deployments: Vec<DeploymentOverview>,
}

/// Everything that a controller knows of a deployment, besides its details.
#[derive(Debug)]
pub(crate) struct DeploymentOverview {
    pub(crate) name: String,
    /// The names of the deployments that this deployment has handles of.
    pub(crate) calls: Vec<String>,
    /// The options in effect, before `target_capacity` limits them.
    pub(crate) options: DeploymentOptions,
    /// The number of replicas that was set from outside, if one was set.
    pub(crate) scaled: Option<usize>,
}
