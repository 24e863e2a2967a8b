//! What the controller says of applications, deployments and replicas. Names are Ray
//! Serve's.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::decide::DeploymentStatusTrigger;
use super::deployment::{Member, Phase};

/// Everything a runtime runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Status {
    /// By name.
    pub applications: BTreeMap<String, ApplicationDetails>,
}

impl Status {
    /// The application of this name, if there is one.
    #[must_use]
    pub fn application(&self, name: &str) -> Option<&ApplicationDetails> {
        self.applications.get(name)
    }
}

/// How an application does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[non_exhaustive]
pub enum ApplicationStatus {
    /// There is no such application.
    NotStarted,
    /// Replicas are starting.
    Deploying,
    /// The last deploy failed. What ran before it goes on.
    DeployFailed,
    /// All of it runs.
    Running,
    /// Some of it does not run.
    Unhealthy,
    /// It is being stopped.
    Deleting,
}

/// How a deployment does.
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
    /// Replicas are being taken away.
    Downscaling,
}

/// How a replica does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[non_exhaustive]
pub enum ReplicaState {
    /// Its constructor runs.
    Starting,
    /// It is being reconfigured.
    Updating,
    /// It takes calls.
    Running,
    /// It takes no more calls, and ends its running ones.
    Stopping,
}

/// An application, as [`Status`] shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ApplicationDetails {
    /// How it does.
    pub status: ApplicationStatus,
    /// Why, where there is something to say: what a deploy waits for, why one failed, what is
    /// unhealthy.
    pub message: String,
    /// The prefix of its HTTP routes.
    pub route_prefix: Option<String>,
    /// The time at which its last deploy was asked for. Serialized as RFC 3339, in UTC. None in a
    /// [`MockRuntime`](crate::MockRuntime), where each run is the same.
    #[serde(with = "rfc3339", default, skip_serializing_if = "Option::is_none")]
    pub last_deployed_at: Option<SystemTime>,
    /// By name.
    pub deployments: BTreeMap<String, DeploymentDetails>,
}

impl DeploymentDetails {
    /// What a deploy of this deployment waits for, if it waits for something.
    pub(super) fn awaits(&self, name: &str) -> Option<String> {
        let are = |state: ReplicaState| self.replicas.iter().filter(move |it| it.state == state);
        let (roomless, starting): (Vec<_>, Vec<_>) =
            are(ReplicaState::Starting).partition(|replica| !replica.message.is_empty());
        let replicas = |count: usize| match count {
            1 => format!("a replica of `{name}`"),
            several => format!("{several} replicas of `{name}`"),
        };
        let failed = self.recent_dead_replicas.last();
        let failed = failed.map(|dead| format!(" (the last one did not: {})", dead.reason));
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
            paused.then(|| format!("a pause before {} start again{failed}", replicas(missing)))
        }
    }
}

impl ApplicationDetails {
    /// The deployment of this name, if the application has one.
    #[must_use]
    pub fn deployment(&self, name: &str) -> Option<&DeploymentDetails> {
        self.deployments.get(name)
    }
}

/// A deployment, as [`Status`] shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DeploymentDetails {
    /// How it does.
    pub status: DeploymentStatus,
    /// How it came to that.
    pub status_trigger: DeploymentStatusTrigger,
    /// Why, where there is something to say.
    pub message: String,
    /// How many replicas are asked for.
    pub target_num_replicas: usize,
    /// Calls that run.
    pub ongoing: usize,
    /// Calls that wait.
    pub queued: usize,
    /// Those that there are.
    pub replicas: Vec<ReplicaDetails>,
    /// The last ten that failed, the oldest first.
    pub recent_dead_replicas: Vec<DeadReplica>,
    /// The last ten changes of the number of replicas that the load asked for, the oldest
    /// first; and where a policy gave no number, so that nothing changed.
    pub autoscaling_decisions: Vec<AutoscalingDecision>,
    /// The calls of each method that was called through a handle, by the method's name. Not
    /// serialized unless a call ran in place.
    #[serde(default, skip_serializing_if = "none_in_place")]
    pub methods: BTreeMap<String, MethodDetails>,
}

/// True if no call ran in place.
fn none_in_place(methods: &BTreeMap<String, MethodDetails>) -> bool {
    methods.values().all(|method| method.in_place == 0)
}

/// The calls of a method since its deployment was first deployed, as [`Status`] shows them.
///
/// A call is counted when it gets its place. Calls that are refused, and calls that are dropped
/// before they begin, are not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MethodDetails {
    /// The number of calls that ended at their first poll, on the task of their caller.
    pub in_place: u64,
    /// The number of calls that had a task of their own. Among them are those whose first poll, on
    /// the task of their caller, was pending.
    pub spawned: u64,
}

impl From<Member<'_>> for ReplicaDetails {
    fn from(member: Member<'_>) -> Self {
        Self {
            replica_id: member.replica.id.to_string(),
            rank: member.replica.rank,
            state: member.phase.shown(),
            message: match member.phase {
                Phase::Waiting(reason) => reason.to_owned(),
                _ => String::new(),
            },
        }
    }
}

/// A replica that ended by failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DeadReplica {
    /// Its id.
    pub replica_id: String,
    /// Why it ended.
    pub reason: String,
}

/// A change of the number of replicas that the load asked for; or, if `from` is `to`, why
/// a policy could not be followed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AutoscalingDecision {
    /// When, since the deployment was first deployed.
    pub at: Duration,
    /// The same moment by the system's clock. Serialized as RFC 3339, in UTC. None in a
    /// [`MockRuntime`](crate::MockRuntime), where each run is the same.
    #[serde(with = "rfc3339", default, skip_serializing_if = "Option::is_none")]
    pub time: Option<SystemTime>,
    /// How many there were to be before.
    pub from: usize,
    /// How many there were to be from then on.
    pub to: usize,
    /// Why, in a sentence.
    pub reason: String,
}

/// A replica, as [`Status`] shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ReplicaDetails {
    /// Its id.
    pub replica_id: String,
    /// Its place among the replicas of its deployment, from 0.
    pub rank: usize,
    /// How it does.
    pub state: ReplicaState,
    /// Why it does not run, where there is something to say: what it waits for.
    pub message: String,
}

/// Times as people and other programs write them: `2026-11-30T12:00:00.000000000Z`.
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
