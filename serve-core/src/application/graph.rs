//! [`Graph`]: an application's deployments, for people and programs to look at.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::deployment::{AutoscalingConfig, ContentHash, DeploymentOptions};
use crate::method::MethodInfo;

/// The deployments of an application and who calls whom.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Graph {
    /// The application's name.
    pub application: String,
    /// The prefix of its HTTP routes, if it has any.
    pub route_prefix: Option<String>,
    /// The ingress first, callers before callees.
    pub deployments: Vec<GraphNode>,
}

/// One deployment of a [`Graph`].
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct GraphNode {
    /// Its name in the application.
    pub name: String,
    /// Its type, with path.
    pub type_name: String,
    /// How many replicas it asks for; with autoscaling, at first.
    pub num_replicas: usize,
    /// How that number follows the load, if it does.
    pub autoscaling: Option<AutoscalingConfig>,
    /// Concurrent calls on each replica.
    pub max_ongoing_requests: usize,
    /// Calls that may wait in front of all replicas; none for no limit.
    pub max_queued_requests: Option<usize>,
    /// The deadline of a call that brings none, if there is one. Serialized as it is
    /// written: `"30s"`.
    #[serde(serialize_with = "as_written")]
    pub request_timeout: Option<Duration>,
    /// How a replica is chosen for a call, as `#[deployment(request_router = ..)]` has it.
    pub request_router: String,
    /// CPUs reserved for each replica.
    pub num_cpus: f64,
    /// GPUs reserved for each replica.
    pub num_gpus: f64,
    /// Memory reserved for each replica, in bytes.
    pub memory: u64,
    /// Other resources reserved for each replica.
    pub resources: BTreeMap<String, f64>,
    /// The options that are set, under the names of `#[deployment(..)]`.
    pub options: DeploymentOptions,
    /// The names of the deployments it has handles of.
    pub calls: Vec<String>,
    /// Its methods.
    pub methods: Vec<MethodInfo>,
    /// The name of the method marked `#[routes]`, if there is one.
    pub routes: Option<&'static str>,
    /// The hash of the deployment's name, type, options and constructor arguments, and of the
    /// registered application that built it. The same in every process and build. An update of a
    /// deployment whose hash is the same changes nothing, unless an argument counts by identity.
    pub content_hash: ContentHash,
    /// True for the deployment that the application is called through.
    pub ingress: bool,
}

#[expect(clippy::ref_option, reason = "serde's signature")]
fn as_written<S: Serializer>(time: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
    time.map(|time| humantime::format_duration(time).to_string()).serialize(to)
}
