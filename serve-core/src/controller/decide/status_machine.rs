//! The status machine: derives the status of a deployment from its events, and the status of an
//! application from the states of its deployments.
//!
//! The tables are Ray Serve's own: `tests/vectors/status_machine.json` holds Ray Serve's answers,
//! and the tests in this file compare every row.

use serde::{Deserialize, Serialize};

use crate::controller::status::{ApplicationStatus, DeploymentStatus, StatusTrigger};

/// An event of a deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum StatusEvent {
    /// All requested replicas of the requested version run, and no others.
    Healthy,
    /// The deployment was deployed with other code, options or arguments.
    ConfigUpdate,
    AutoscaleUp,
    AutoscaleDown,
    /// The deployment was deployed with more replicas, and nothing else changed.
    ManuallyIncreaseNumReplicas,
    ManuallyDecreaseNumReplicas,
    ReplicaStartupFailed,
    /// A process that the deployment's replicas share, which exists only in Ray Serve, did not
    /// start.
    #[cfg_attr(not(test), expect(dead_code, reason = "there are none here; the table has them"))]
    DeploymentActorFailed,
    HealthCheckFailed,
    /// A task of the node panicked, or the drop of an instance did.
    InternalError,
    Delete,
}

/// The status of a deployment, the event that led to it, and a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StatusInfo {
    pub(crate) status: DeploymentStatus,
    pub(crate) trigger: StatusTrigger,
    pub(crate) message: String,
}

impl StatusInfo {
    /// Returns the status_info of a new deployment.
    pub(crate) fn new() -> Self {
        Self {
            status: DeploymentStatus::Updating,
            trigger: StatusTrigger::ConfigUpdateStarted,
            message: String::new(),
        }
    }

    /// Returns the status_info after `event`. An event that changes nothing in this state leaves the
    /// whole status_info as it is, including the message.
    #[must_use]
    pub(crate) fn after(self, event: StatusEvent, message: impl Into<String>) -> Self {
        match next(self.status, self.trigger, event) {
            Some((status, trigger)) => Self { status, trigger, message: message.into() },
            None => self,
        }
    }
}

/// Returns the state that `event` leads to, or `None` if the event changes nothing.
fn next(
    status: DeploymentStatus,
    trigger: StatusTrigger,
    event: StatusEvent,
) -> Option<(DeploymentStatus, StatusTrigger)> {
    use DeploymentStatus::{DeployFailed, Downscaling, Healthy, Unhealthy, Updating, Upscaling};
    use StatusTrigger as Trigger;

    let next = match (event, status) {
        (StatusEvent::InternalError, _) => (Unhealthy, Trigger::InternalError),
        (StatusEvent::Delete, _) => (Updating, Trigger::Deleting),
        (StatusEvent::ConfigUpdate, _) => (Updating, Trigger::ConfigUpdateStarted),

        (StatusEvent::Healthy, Healthy) => return None,
        (StatusEvent::Healthy, Updating) => (Healthy, Trigger::ConfigUpdateCompleted),
        (StatusEvent::Healthy, Upscaling) => (Healthy, Trigger::UpscaleCompleted),
        (StatusEvent::Healthy, Downscaling) => (Healthy, Trigger::DownscaleCompleted),
        (StatusEvent::Healthy, Unhealthy | DeployFailed) => (Healthy, Trigger::Unspecified),

        // A change of the number of replicas does not hide a failure.
        (
            StatusEvent::AutoscaleUp
            | StatusEvent::AutoscaleDown
            | StatusEvent::ManuallyIncreaseNumReplicas
            | StatusEvent::ManuallyDecreaseNumReplicas,
            Unhealthy | DeployFailed,
        ) => return None,
        (StatusEvent::AutoscaleUp, Updating | Healthy) => (Upscaling, Trigger::Autoscaling),
        (StatusEvent::AutoscaleDown, Updating | Healthy) => (Downscaling, Trigger::Autoscaling),
        // A manual change completes before the load may request another number.
        (StatusEvent::AutoscaleUp, _) if trigger == Trigger::Autoscaling => (Upscaling, trigger),
        (StatusEvent::AutoscaleDown, _) if trigger == Trigger::Autoscaling => {
            (Downscaling, trigger)
        }
        (StatusEvent::AutoscaleUp | StatusEvent::AutoscaleDown, _) => return None,

        (
            StatusEvent::ManuallyIncreaseNumReplicas | StatusEvent::ManuallyDecreaseNumReplicas,
            Upscaling | Downscaling,
        ) if !matches!(trigger, Trigger::Autoscaling | Trigger::ConfigUpdateStarted) => {
            return None;
        }
        (
            StatusEvent::ManuallyIncreaseNumReplicas | StatusEvent::ManuallyDecreaseNumReplicas,
            Updating,
        ) => {
            return None;
        }
        (StatusEvent::ManuallyIncreaseNumReplicas, _) => (Upscaling, Trigger::ConfigUpdateStarted),
        (StatusEvent::ManuallyDecreaseNumReplicas, _) => {
            (Downscaling, Trigger::ConfigUpdateStarted)
        }

        // The running replicas are sufficient: a replica that does not start is retried.
        (StatusEvent::ReplicaStartupFailed, Healthy) => return None,
        (StatusEvent::ReplicaStartupFailed, Updating | DeployFailed) => {
            (DeployFailed, Trigger::ReplicaStartupFailed)
        }
        (StatusEvent::ReplicaStartupFailed, _) => (Unhealthy, Trigger::ReplicaStartupFailed),

        (StatusEvent::DeploymentActorFailed, Updating | DeployFailed) => {
            (DeployFailed, Trigger::DeploymentActorFailed)
        }
        (StatusEvent::DeploymentActorFailed, _) => return None,

        (StatusEvent::HealthCheckFailed, Updating | DeployFailed) => {
            (DeployFailed, Trigger::HealthCheckFailed)
        }
        (StatusEvent::HealthCheckFailed, _) => (Unhealthy, Trigger::HealthCheckFailed),
    };
    Some(next)
}

/// The weight of a deployment's state in the status of its application: the first rank that any
/// deployment has determines the status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    DeployFailed,
    Unhealthy,
    Changing,
    /// Healthy, or autoscaling, which is part of normal operation.
    Steady,
}

/// Returns the rank of a state, or `None` if no sequence of events leads to the state.
fn rank(status: DeploymentStatus, trigger: StatusTrigger) -> Option<Rank> {
    match (status, trigger) {
        (DeploymentStatus::DeployFailed, _) => Some(Rank::DeployFailed),
        (DeploymentStatus::Unhealthy, _) => Some(Rank::Unhealthy),
        (DeploymentStatus::Updating, _) => Some(Rank::Changing),
        (DeploymentStatus::Healthy, _) => Some(Rank::Steady),
        (
            DeploymentStatus::Upscaling | DeploymentStatus::Downscaling,
            StatusTrigger::ConfigUpdateStarted,
        ) => Some(Rank::Changing),
        (
            DeploymentStatus::Upscaling | DeploymentStatus::Downscaling,
            StatusTrigger::Autoscaling,
        ) => Some(Rank::Steady),
        (DeploymentStatus::Upscaling | DeploymentStatus::Downscaling, _) => None,
    }
}

/// Returns the status of an application that has these deployments and is not being deleted.
/// RUNNING if there are no deployments.
pub(crate) fn application_status<'a>(
    deployments: impl IntoIterator<Item = &'a StatusInfo>,
) -> ApplicationStatus {
    // A state without a rank is at least not settled.
    let rank_of = |status_info: &StatusInfo| {
        rank(status_info.status, status_info.trigger).unwrap_or(Rank::Changing)
    };
    match deployments.into_iter().map(rank_of).min() {
        Some(Rank::DeployFailed) => ApplicationStatus::DeployFailed,
        Some(Rank::Unhealthy) => ApplicationStatus::Unhealthy,
        Some(Rank::Changing) => ApplicationStatus::Deploying,
        Some(Rank::Steady) | None => ApplicationStatus::Running,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUSES: [DeploymentStatus; 6] = [
        DeploymentStatus::Updating,
        DeploymentStatus::Healthy,
        DeploymentStatus::Unhealthy,
        DeploymentStatus::DeployFailed,
        DeploymentStatus::Upscaling,
        DeploymentStatus::Downscaling,
    ];
    const TRIGGERS: [StatusTrigger; 11] = [
        StatusTrigger::Unspecified,
        StatusTrigger::ConfigUpdateStarted,
        StatusTrigger::ConfigUpdateCompleted,
        StatusTrigger::UpscaleCompleted,
        StatusTrigger::DownscaleCompleted,
        StatusTrigger::Autoscaling,
        StatusTrigger::ReplicaStartupFailed,
        StatusTrigger::DeploymentActorFailed,
        StatusTrigger::HealthCheckFailed,
        StatusTrigger::InternalError,
        StatusTrigger::Deleting,
    ];
    const EVENTS: [StatusEvent; 11] = [
        StatusEvent::Healthy,
        StatusEvent::ConfigUpdate,
        StatusEvent::AutoscaleUp,
        StatusEvent::AutoscaleDown,
        StatusEvent::ManuallyIncreaseNumReplicas,
        StatusEvent::ManuallyDecreaseNumReplicas,
        StatusEvent::ReplicaStartupFailed,
        StatusEvent::DeploymentActorFailed,
        StatusEvent::HealthCheckFailed,
        StatusEvent::InternalError,
        StatusEvent::Delete,
    ];

    fn vectors() -> serde_json::Value {
        serde_json::from_str(include_str!("../../../tests/vectors/status_machine.json")).unwrap()
    }

    /// Returns the element of `all` that serializes as `name`.
    fn named<T: Serialize + Copy>(all: &[T], name: &serde_json::Value) -> T {
        *all.iter().find(|one| serde_json::to_value(one).unwrap() == *name).unwrap()
    }

    fn status_info(status: DeploymentStatus, trigger: StatusTrigger) -> StatusInfo {
        StatusInfo { status, trigger, message: "old".to_owned() }
    }

    #[test]
    fn every_transition_of_ray_serve_is_ours() {
        let vectors = vectors();
        let rows = vectors["rows"].as_array().unwrap();
        assert_eq!(rows.len(), 396);
        for row in rows {
            let before = status_info(named(&STATUSES, &row[0]), named(&TRIGGERS, &row[1]));
            let expected = StatusInfo {
                status: named(&STATUSES, &row[3]),
                trigger: named(&TRIGGERS, &row[4]),
                message: row[5].as_str().unwrap().to_owned(),
            };
            assert_eq!(before.after(named(&EVENTS, &row[2]), "new"), expected, "{row}");
        }
    }

    #[test]
    fn every_rank_of_ray_serve_is_ours() {
        let vectors = vectors();
        let rows = vectors["ranks"].as_array().unwrap();
        assert_eq!(rows.len(), 66);
        for row in rows {
            let ours = rank(named(&STATUSES, &row[0]), named(&TRIGGERS, &row[1]));
            assert_eq!(ours.map(|rank| rank as u64), row[2].as_u64(), "{row}");
        }
    }

    /// Returns the states that some sequence of events leads to.
    fn reachable() -> Vec<(DeploymentStatus, StatusTrigger)> {
        let start = StatusInfo::new();
        let mut seen = vec![(start.status, start.trigger)];
        let mut at = 0;
        while let Some(&(status, trigger)) = seen.get(at) {
            for event in EVENTS {
                let Some(after) = next(status, trigger, event) else { continue };
                if !seen.contains(&after) {
                    seen.push(after);
                }
            }
            at += 1;
        }
        seen
    }

    #[test]
    fn every_state_that_can_be_reached_has_a_rank() {
        let reachable = reachable();
        assert!(reachable.len() > 10, "{reachable:?}");
        for (status, trigger) in reachable {
            assert!(rank(status, trigger).is_some(), "{status:?} by {trigger:?}");
        }
    }

    #[test]
    fn the_worst_deployment_decides_how_an_application_does() {
        let of = |statuses: &[(DeploymentStatus, StatusTrigger)]| {
            let all: Vec<_> = statuses.iter().map(|(s, t)| status_info(*s, *t)).collect();
            application_status(&all)
        };
        let healthy = (DeploymentStatus::Healthy, StatusTrigger::Unspecified);
        let growing = (DeploymentStatus::Upscaling, StatusTrigger::Autoscaling);
        let by_hand = (DeploymentStatus::Upscaling, StatusTrigger::ConfigUpdateStarted);
        let ill = (DeploymentStatus::Unhealthy, StatusTrigger::HealthCheckFailed);
        let failed = (DeploymentStatus::DeployFailed, StatusTrigger::ReplicaStartupFailed);
        assert_eq!(of(&[]), ApplicationStatus::Running);
        assert_eq!(of(&[healthy, growing]), ApplicationStatus::Running);
        assert_eq!(of(&[healthy, by_hand]), ApplicationStatus::Deploying);
        assert_eq!(of(&[by_hand, ill]), ApplicationStatus::Unhealthy);
        assert_eq!(of(&[ill, failed, healthy]), ApplicationStatus::DeployFailed);
    }

    #[test]
    fn a_failed_check_while_deploying_fails_the_deploy_and_later_makes_it_unhealthy() {
        let deploying = StatusInfo::new().after(StatusEvent::HealthCheckFailed, "no answer");
        assert_eq!(deploying.status, DeploymentStatus::DeployFailed);
        assert_eq!(deploying.message, "no answer");
        let running = StatusInfo::new()
            .after(StatusEvent::Healthy, "")
            .after(StatusEvent::HealthCheckFailed, "");
        assert_eq!(running.status, DeploymentStatus::Unhealthy);
    }
}
