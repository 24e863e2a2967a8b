//! [`Spec`]: what is asked of one deployment.

use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::{Map, Value};

use crate::application::{BlueprintId, Blueprints};
use crate::deployment::DeploymentOptions;

/// The number of a deployment that runs, or ran. A name that is deployed again after it was
/// deleted, or with another type, has another number.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub(crate) struct DeploymentId(pub(super) u64);

impl DeploymentId {
    #[cfg(test)]
    pub(crate) const fn of_a_test(number: u64) -> Self {
        Self(number)
    }

    /// The key for this deployment below a prefix. Keys have the order of the numbers.
    pub(crate) fn key(self, prefix: &str) -> String {
        format!("{prefix}{:016x}", self.0)
    }

    /// The number in a key below a prefix, and what follows it.
    pub(crate) fn in_key<'a>(prefix: &str, key: &'a str) -> Option<(Self, &'a str)> {
        let (number, rest) = key.strip_prefix(prefix)?.split_at_checked(16)?;
        Some((Self(u64::from_str_radix(number, 16).ok()?), rest))
    }
}

/// What is asked of one deployment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Spec {
    /// The plan that has the deployment's constructor.
    pub(crate) blueprint: BlueprintId,
    /// The build that has the deployment's code. Replicas of another build are replaced.
    pub(crate) build_id: String,
    #[serde(deserialize_with = "stored_options")]
    pub(crate) options: DeploymentOptions,
    /// Tells this from earlier specs of the deployment.
    pub(crate) serial: u64,
    /// Replicas of another version are replaced.
    pub(crate) version: u64,
    /// Replicas that were given another user config are given this one's.
    pub(crate) config_version: u64,
    /// Why nothing of it is to run, if nothing is.
    pub(crate) suspended: Option<String>,
    /// True if it ran before another that failed, and runs again.
    pub(crate) restored: bool,
    /// True if it failed in part, and the replicas that run go on. Those that do not start are
    /// tried again.
    pub(crate) in_part: bool,
}

impl Spec {
    /// True if it differs from `before` at most in what Ray Serve calls lightweight: the
    /// number of replicas, who may wait, and how an update goes.
    pub(super) fn is_scaled(&self, before: &Self) -> bool {
        self.version == before.version
            && self.config_version == before.config_version
            && self.suspended == before.suspended
            && self.options.differ_in_scale_only(&before.options)
    }

    /// The spec with the options of its blueprint, if this process has it. A request router and a
    /// policy that are not registered are stored by their types, and only the blueprint has them.
    pub(super) fn with_code(mut self, deployment: &str, blueprints: &Blueprints) -> Self {
        let options =
            blueprints.with_node(self.blueprint, deployment, |node| node.options().clone());
        if let Some(options) = options {
            self.options = options;
        }
        self
    }
}

/// Options as they were stored. A request router and a policy that are not registered are left
/// out: see [`Spec::with_code`].
fn stored_options<'de, D: Deserializer<'de>>(from: D) -> Result<DeploymentOptions, D::Error> {
    let mut map = Map::deserialize(from)?;
    if let Ok(options) = DeploymentOptions::deserialize(Value::Object(map.clone())) {
        return Ok(options);
    }
    for of_the_user in ["request_router", "autoscaling_policy"] {
        map.remove(of_the_user);
    }
    DeploymentOptions::deserialize(Value::Object(map)).map_err(de::Error::custom)
}
