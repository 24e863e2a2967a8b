//! The status of applications, deployments and replicas. The names are Ray Serve's.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

/// The status of everything that a runtime runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Status {
    /// The applications, by name.
    pub applications: BTreeMap<String, ApplicationDetails>,
}

impl Status {
    /// Returns the application with this name, if there is one.
    #[must_use]
    pub fn application(&self, name: &str) -> Option<&ApplicationDetails> {
        self.applications.get(name)
    }
}

/// The status of an application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[non_exhaustive]
pub enum ApplicationStatus {
    /// There is no such application.
    NotStarted,
    /// Replicas are starting.
    Deploying,
    /// The last deploy failed. The previous version keeps running.
    DeployFailed,
    /// All deployments of the application run.
    Running,
    /// Some deployments of the application do not run.
    Unhealthy,
    /// The application is being deleted.
    Deleting,
}

/// The status of a deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[non_exhaustive]
pub enum DeploymentStatus {
    /// Replicas are starting or being replaced.
    Updating,
    /// All replicas run.
    Healthy,
    /// Some replicas do not run.
    Unhealthy,
    /// The last deploy failed.
    DeployFailed,
    /// Replicas are being added.
    Upscaling,
    /// Replicas are being removed.
    Downscaling,
}

/// The event that led to a deployment's [`DeploymentStatus`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[non_exhaustive]
pub enum StatusTrigger {
    /// No particular event, for example after recovery from a failure.
    Unspecified,
    /// The deployment was deployed, or its number of replicas was changed manually.
    ConfigUpdateStarted,
    /// The requested version runs.
    ConfigUpdateCompleted,
    /// The added replicas run.
    UpscaleCompleted,
    /// The removed replicas are gone.
    DownscaleCompleted,
    /// The load required more or fewer replicas.
    Autoscaling,
    /// Replicas did not start.
    ReplicaStartupFailed,
    /// A process that the deployment's replicas share did not start.
    DeploymentActorFailed,
    /// A replica failed its health checks, or ended by itself.
    HealthCheckFailed,
    /// A task of the runtime that manages the deployment's replicas panicked, or the drop of an
    /// instance did.
    InternalError,
    /// The deployment is being deleted.
    Deleting,
}

/// The state of a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[non_exhaustive]
pub enum ReplicaState {
    /// The constructor of the replica is running, or the replica waits for room.
    Starting,
    /// The replica is being reconfigured.
    Updating,
    /// The replica takes calls.
    Running,
    /// The replica takes no new calls and completes its running calls.
    Stopping,
}

/// An application, as [`Status`] shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ApplicationDetails {
    /// The status of the application.
    pub status: ApplicationStatus,
    /// The reason for the status, if there is one: what a deploy waits for, why a deploy failed, or
    /// what is unhealthy. Empty otherwise.
    pub message: String,
    /// The prefix of the application's HTTP routes.
    pub route_prefix: Option<String>,
    /// The time at which the last deploy was requested. Serialized as RFC 3339, in UTC. `None` in a
    /// [`MockRuntime`](crate::MockRuntime), where each run is the same.
    #[serde(with = "rfc3339", default, skip_serializing_if = "Option::is_none")]
    pub last_deployed_at: Option<SystemTime>,
    /// The origin of the application. Not serialized if the program runs the application.
    #[serde(default, skip_serializing_if = "is_imperative")]
    pub source: ApplicationSource,
    /// The deployments of the application, by name.
    pub deployments: BTreeMap<String, DeploymentDetails>,
}

/// The origin of an application. A configuration never changes applications that the program itself
/// runs, unless it names them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ApplicationSource {
    /// The program has run the application: [`Runtime::run`](crate::Runtime::run).
    #[default]
    Imperative,
    /// A configuration names the application.
    Declarative,
}

impl DeploymentDetails {
    /// Describes what a deploy of this deployment waits for, if it waits for something.
    pub(super) fn awaits(&self, name: &str) -> Option<String> {
        let are = |state: ReplicaState| self.replicas.iter().filter(move |it| it.state == state);
        let (roomless, starting): (Vec<_>, Vec<_>) =
            are(ReplicaState::Starting).partition(|replica| !replica.message.is_empty());
        let replicas = |count: usize| match count {
            1 => format!("a replica of `{name}`"),
            several => format!("{several} replicas of `{name}`"),
        };
        let failed = self.recent_dead_replicas.last();
        let failed = failed.map(|dead| format!(" (the last attempt failed: {})", dead.reason));
        let failed = failed.unwrap_or_default();
        let updating = are(ReplicaState::Updating).count();
        if let Some(first) = roomless.first() {
            Some(format!("room for {}: {}", replicas(roomless.len()), first.message))
        } else if !starting.is_empty() {
            Some(format!("{} to start{failed}", replicas(starting.len())))
        } else if updating > 0 {
            Some(format!("{} to take the user config", replicas(updating)))
        } else {
            let missing =
                self.target_num_replicas.saturating_sub(are(ReplicaState::Running).count());
            let paused = missing > 0 && !failed.is_empty();
            paused.then(|| format!("the pause before {} start again{failed}", replicas(missing)))
        }
    }
}

impl ApplicationDetails {
    /// Returns the deployment with this name, if the application has one.
    #[must_use]
    pub fn deployment(&self, name: &str) -> Option<&DeploymentDetails> {
        self.deployments.get(name)
    }
}

/// A deployment, as [`Status`] shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DeploymentDetails {
    /// The status of the deployment.
    pub status: DeploymentStatus,
    /// The event that led to the status.
    pub status_trigger: StatusTrigger,
    /// The reason for the status, if there is one. Empty otherwise.
    pub message: String,
    /// The number of replicas that the deployment should have.
    pub target_num_replicas: usize,
    /// The number of calls that are running.
    pub ongoing: usize,
    /// The number of calls that are queued.
    pub queued: usize,
    /// The replicas that the deployment has.
    pub replicas: Vec<ReplicaDetails>,
    /// The last ten replicas that failed, the oldest first.
    pub recent_dead_replicas: Vec<DeadReplica>,
    /// The last ten autoscaling decisions, the oldest first: changes of the number of replicas, and
    /// failures of a policy, which change nothing.
    pub autoscaling_decisions: Vec<AutoscalingDecision>,
    /// The calls of each method that was called through a handle, by the method's name. Not
    /// serialized unless a call ran in place.
    #[serde(default, skip_serializing_if = "none_in_place")]
    pub methods: BTreeMap<String, MethodDetails>,
}

/// Returns `true` if no call ran in place.
fn none_in_place(methods: &BTreeMap<String, MethodDetails>) -> bool {
    methods.values().all(|method| method.in_place == 0)
}

/// The calls of a method since its deployment was first deployed, as [`Status`] shows them.
///
/// A call is counted when it is assigned its place on a replica. Calls that are refused, and calls
/// that are dropped before they begin, are not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MethodDetails {
    /// The number of calls that completed at their first poll, on the task of their caller.
    pub in_place: u64,
    /// The number of calls that ran on a task of their own, including calls whose first poll, on
    /// the task of their caller, was pending.
    pub spawned: u64,
}

/// A replica that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DeadReplica {
    /// The id of the replica.
    pub replica_id: String,
    /// The reason why the replica ended.
    pub reason: String,
}

/// A change of the number of replicas that the load required, or the failure of a policy if `from`
/// equals `to`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AutoscalingDecision {
    /// The time of the decision, since the deployment was first deployed.
    pub at: Duration,
    /// The time of the decision by the system's clock. Serialized as RFC 3339, in UTC. `None` in a
    /// [`MockRuntime`](crate::MockRuntime), where each run is the same.
    #[serde(with = "rfc3339", default, skip_serializing_if = "Option::is_none")]
    pub time: Option<SystemTime>,
    /// The target number of replicas before the decision.
    pub from: usize,
    /// The target number of replicas after the decision.
    pub to: usize,
    /// The reason for the decision, in a sentence.
    pub reason: String,
}

/// A replica, as [`Status`] shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ReplicaDetails {
    /// The id of the replica.
    pub replica_id: String,
    /// The rank of the replica among the replicas of its deployment, starting at 0.
    pub rank: usize,
    /// The state of the replica.
    pub state: ReplicaState,
    /// The time at which the controller decided to start the replica. Serialized as RFC 3339, in
    /// UTC. `None` in a [`MockRuntime`](crate::MockRuntime), where each run is the same.
    #[serde(with = "rfc3339", default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<SystemTime>,
    /// The reason why the replica waits for room, if it waits. Empty otherwise.
    pub message: String,
    /// The number of WebSockets that are open on the replica. Not serialized if it is 0.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub websockets: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_imperative(source: &ApplicationSource) -> bool {
    *source == ApplicationSource::Imperative
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// Serialization of times in RFC 3339, such as `2026-11-30T12:00:00.000000000Z`.
mod rfc3339 {
    use std::time::SystemTime;

    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

    #[expect(clippy::ref_option, reason = "serde's signature")]
    pub(super) fn serialize<S: Serializer>(
        time: &Option<SystemTime>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        time.map(|time| humantime::format_rfc3339_nanos(time).to_string()).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<SystemTime>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        text.map(|text| humantime::parse_rfc3339(&text)).transpose().map_err(de::Error::custom)
    }
}
