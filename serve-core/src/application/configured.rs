//! [`Configured`]: the part of an application that a configuration decides.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::deployment::{DeploymentOptions, TargetCapacity};

/// The part of an application that a configuration decides.
#[derive(Clone, Debug, Default)]
pub(crate) struct Configured {
    /// The options that override those of the code, by the names of the deployments.
    pub(crate) overrides: BTreeMap<String, DeploymentOptions>,
    /// The part of the replicas that may run.
    pub(crate) capacity: TargetCapacity,
    /// The section of the configuration that describes the application, as it was submitted.
    pub(crate) section: Value,
}
