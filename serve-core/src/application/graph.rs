//! [`Graph`]: an application's deployments, for people and programs to inspect.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::deployment::{AutoscalingConfig, ContentHash, DeploymentOptions};
use crate::method::MethodInfo;

/// The deployments of an application and the calls between them.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Graph {
    /// The application's name.
    pub application: String,
    /// The prefix of its HTTP routes, if it has any.
    pub route_prefix: Option<String>,
    /// The deployments, callers before callees. The ingress is first.
    pub deployments: Vec<GraphNode>,
}

/// One deployment of a [`Graph`].
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct GraphNode {
    /// The name of the deployment in the application.
    pub name: String,
    /// The type of the deployment, with its path.
    pub type_name: String,
    /// The number of replicas; with autoscaling, the initial number.
    pub num_replicas: usize,
    /// The autoscaling config, if the deployment autoscales.
    pub autoscaling: Option<AutoscalingConfig>,
    /// The maximum number of concurrent calls on each replica.
    pub max_ongoing_requests: usize,
    /// The maximum number of calls that may be queued for all replicas, or `None` for no limit.
    pub max_queued_requests: Option<usize>,
    /// The deadline of a call that does not set one, if there is such a deadline. Serialized as it
    /// is written: `"30s"`.
    #[serde(serialize_with = "as_written")]
    pub request_timeout: Option<Duration>,
    /// The request router, which chooses a replica for each call, as `#[deployment(request_router =
    /// ..)]` names it.
    pub request_router: String,
    /// The number of CPUs reserved for each replica.
    pub num_cpus: f64,
    /// The number of GPUs reserved for each replica.
    pub num_gpus: f64,
    /// The memory reserved for each replica, in bytes.
    pub memory: u64,
    /// The amounts of other resources reserved for each replica.
    pub resources: BTreeMap<String, f64>,
    /// The options that are set, under the names of `#[deployment(..)]`.
    pub options: DeploymentOptions,
    /// The names of the deployments that this deployment has handles of.
    pub calls: Vec<String>,
    /// The methods of the deployment.
    pub methods: Vec<MethodInfo>,
    /// The name of the method marked `#[routes]`, if there is one.
    pub routes: Option<&'static str>,
    /// The hash of the names of the application and the deployment, of the deployment's type,
    /// options and constructor arguments, and of the registered application that built it. The hash
    /// is the same in every process and build. An update of a deployment whose hash is the same
    /// changes nothing, unless an argument counts by identity.
    pub content_hash: ContentHash,
    /// True for the deployment through which the application is called.
    pub ingress: bool,
}

#[expect(clippy::ref_option, reason = "serde's signature")]
fn as_written<S: Serializer>(time: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
    time.map(|time| humantime::format_duration(time).to_string()).serialize(to)
}
