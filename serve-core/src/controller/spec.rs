//! [`Spec`]: the desired state of one deployment.

use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::{Map, Value};

use crate::application::{BlueprintId, Blueprints};
use crate::deployment::DeploymentOptions;

/// The number of a deployment that runs or ran. A name that is deployed again after its deletion,
/// or with another type, has another number.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub(crate) struct DeploymentId(pub(super) u64);

impl DeploymentId {
    #[cfg(test)]
    pub(crate) const fn of_a_test(number: u64) -> Self {
        Self(number)
    }

    /// Returns the key of this deployment under a prefix. Keys sort in the order of the numbers.
    pub(crate) fn key(self, prefix: &str) -> String {
        format!("{prefix}{:016x}", self.0)
    }

    /// Parses a key under a prefix: returns the number, and the rest of the key.
    pub(crate) fn in_key<'a>(prefix: &str, key: &'a str) -> Option<(Self, &'a str)> {
        let (number, rest) = key.strip_prefix(prefix)?.split_at_checked(16)?;
        Some((Self(u64::from_str_radix(number, 16).ok()?), rest))
    }
}

/// The desired state of one deployment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Spec {
    /// The plan that contains the deployment's constructor.
    pub(crate) blueprint: BlueprintId,
    /// The build that contains the deployment's code. Replicas of another build are replaced.
    pub(crate) build_id: String,
    #[serde(deserialize_with = "stored_options")]
    pub(crate) options: DeploymentOptions,
    /// Distinguishes this spec from earlier specs of the deployment.
    pub(crate) serial: u64,
    /// The version of the code and options. Replicas of another version are replaced.
    pub(crate) version: u64,
    /// The version of the user config. Replicas that have another user config are reconfigured.
    pub(crate) config_version: u64,
    /// The reason why no replica of the deployment may run, if none may.
    pub(crate) suspended: Option<String>,
    /// True if the spec ran before another spec, which failed, and runs again.
    pub(crate) restored: bool,
    /// True if the spec failed in part and its running replicas continue. Replicas that do not
    /// start are retried.
    pub(crate) in_part: bool,
}

impl Spec {
    /// Returns `true` if the spec differs from `before` at most in options that Ray Serve calls
    /// lightweight: the number of replicas, the limit of queued calls, and the progress of an
    /// update.
    pub(super) fn is_scaled(&self, before: &Self) -> bool {
        self.version == before.version
            && self.config_version == before.config_version
            && self.suspended == before.suspended
            && self.options.differ_in_scale_only(&before.options)
    }

    /// Returns the spec with the options of its blueprint, if this process has the blueprint. A
    /// request router and a policy that are not registered are stored by their types, and only the
    /// blueprint contains them.
    pub(super) fn with_code(mut self, deployment: &str, blueprints: &Blueprints) -> Self {
        let options =
            blueprints.with_node(self.blueprint, deployment, |node| node.options().clone());
        if let Some(options) = options {
            // An external scaler may have set another number.
            let num_replicas = self.options.num_replicas;
            self.options = DeploymentOptions { num_replicas, ..options };
        }
        self
    }
}

/// Deserializes stored options. A request router and a policy that are not registered are omitted:
/// see [`Spec::with_code`].
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
