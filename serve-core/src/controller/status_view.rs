//! The user-visible side of a [`ControllerState`]: the outcomes of deploys, and the status.

use std::collections::BTreeMap;

use super::application::{Activity, ApplicationState};
use super::controller::DeployEnd;
use super::decide::application_status;
use super::deployment::{ReplicaPhase, ReplicaRecord};
use super::error::{DeployError, DeployFailure};
use super::overview::{ApplicationOverview, DeploymentOverview};
use super::state::ControllerState;
use super::status::{
    ApplicationDetails, ApplicationSource, ApplicationStatus, DeploymentDetails, DeploymentStatus,
    ReplicaDetails,
};
use crate::application::{Outline, OutlineNode};
use crate::time::WallClock;

impl ControllerState {
    /// Returns everything that is known of an application.
    pub(super) fn overview(
        &self,
        name: &str,
        application: &ApplicationState,
        clock: &WallClock,
    ) -> ApplicationOverview {
        let plan = application.plan.as_ref().or_else(|| application.newest_wish());
        let deployment = |plan: &Outline, node: &OutlineNode| {
            let scaled = application.scaled.get(&node.name).copied();
            let declared =
                self.blueprints.with_node(plan.blueprint, &node.name, |it| it.declared.clone());
            let mut options = declared.unwrap_or_default();
            if scaled.is_some() {
                options.num_replicas = scaled;
            }
            let calls = node.calls.iter().map(|callee| plan.deployments[*callee].name.clone());
            DeploymentOverview { name: node.name.clone(), calls: calls.collect(), options, scaled }
        };
        let deployments =
            |plan: &Outline| plan.deployments.iter().map(|node| deployment(plan, node)).collect();
        let wish = application.newest_wish();
        ApplicationOverview {
            details: self.details(name, application, clock),
            section: wish.and_then(|plan| plan.section.as_deref().cloned()),
            external_scaler_enabled: wish.is_some_and(|plan| plan.external_scaler_enabled),
            deployments: plan.map(deployments).unwrap_or_default(),
        }
    }

    /// Returns the outcome of a deploy, if the deploy has ended.
    pub(super) fn deploy_end(&self, name: &str, number: u64) -> Option<DeployEnd> {
        let failed = |failure: DeployFailure| DeployEnd::Failed(failure.into_error(name));
        if let Some(failure) = self.failed_apart(number) {
            return Some(failed(failure.clone()));
        }
        let Some(application) = self.applications.get(name) else {
            return Some(failed(match self.is_shut_down() {
                true => DeployFailure::ShutDown,
                false => DeployFailure::Deleted,
            }));
        };
        let ingress = || application.plan.as_ref()?.ingress().map(str::to_owned);
        match application.deploys.outcome(number) {
            Some(Err(failure)) => return Some(failed(failure.clone())),
            Some(Ok(())) => return Some(DeployEnd::Runs),
            None => {}
        }
        if application.awaits(number) || !application.deploys.all_ended() {
            return None;
        }
        // The deploy gave way, and the deploy that it gave way to has ended.
        let superseded = || DeployEnd::Failed(DeployError::Superseded(name.to_owned()));
        if application.deploys.failure().is_some() {
            return Some(superseded());
        }
        Some(ingress().map_or_else(superseded, |ingress| DeployEnd::NewerRuns { ingress }))
    }

    /// Returns the status of an application as `status` shows it.
    pub(super) fn shown_status(&self, name: &str) -> ApplicationStatus {
        let shown = self.applications.get(name).filter(|application| !application.hidden);
        shown.map_or(ApplicationStatus::NotStarted, |application| self.status_of(application))
    }

    /// Describes the deployments that have to stop before the next step of an application.
    fn awaited_ends(&self, application: &ApplicationState) -> Vec<String> {
        let ids = match &application.step {
            Activity::GivingWay { dropped } => &dropped[..],
            Activity::Deleting { tiers } => tiers.first().map_or(&[][..], |tier| &tier[..]),
            Activity::Idle | Activity::RollingOut(_) => &[],
        };
        let deployments = ids.iter().filter_map(|id| self.deployments.get(id));
        deployments
            .map(|deployment| {
                let (name, replicas) = (&deployment.record.name, deployment.members().count());
                match replicas {
                    0 | 1 => format!("`{name}` to stop"),
                    several => format!("`{name}` to stop {several} replicas"),
                }
            })
            .collect()
    }

    fn status_of(&self, application: &ApplicationState) -> ApplicationStatus {
        let deployments = application.deployments.values();
        let running = deployments.filter_map(|id| self.deployments.get(id));
        let standings: Vec<_> = running.map(|it| it.record.status_info.clone()).collect();
        application.deploys.status(application_status(&standings))
    }

    pub(super) fn details(
        &self,
        application_name: &str,
        application: &ApplicationState,
        clock: &WallClock,
    ) -> ApplicationDetails {
        let details = |(name, id): (&String, _)| {
            let deployment = self.deployments.get(id)?;
            let status_info = deployment.record.status_info.clone();
            let details = DeploymentDetails {
                status: status_info.status,
                status_trigger: status_info.trigger,
                message: status_info.message,
                target_num_replicas: deployment.record.target,
                ongoing: 0,
                queued: 0,
                replicas: deployment.members().map(|it| it.details(clock)).collect(),
                recent_dead_replicas: deployment.dead().cloned().collect(),
                autoscaling_decisions: deployment.decisions(clock),
                methods: BTreeMap::new(),
            };
            Some((name.clone(), details))
        };
        let deployments: BTreeMap<String, DeploymentDetails> =
            application.deployments.iter().filter_map(details).collect();
        let status = self.status_of(application);
        let unhealthy = |(name, details): (&String, &DeploymentDetails)| {
            let unhealthy = details.status == DeploymentStatus::Unhealthy;
            unhealthy.then(|| format!("deployment `{name}`: {}", details.message))
        };
        let awaited = match status {
            ApplicationStatus::Deploying | ApplicationStatus::Deleting => {
                let ends = self.awaited_ends(application);
                match ends.is_empty() {
                    true => deployments.iter().filter_map(|(name, it)| it.awaits(name)).collect(),
                    false => ends,
                }
            }
            _ => Vec::new(),
        };
        let message = match status {
            ApplicationStatus::Running => None,
            _ if !awaited.is_empty() => Some(format!("waits for {}", awaited.join("; "))),
            ApplicationStatus::Deploying => None,
            _ => application.failure(application_name),
        };
        ApplicationDetails {
            status,
            message: message.or_else(|| deployments.iter().find_map(unhealthy)).unwrap_or_default(),
            route_prefix: application.route_prefix(),
            last_deployed_at: clock.system_time(application.asked_at),
            source: match application.newest_wish() {
                Some(plan) if plan.section.is_some() => ApplicationSource::Declarative,
                _ => ApplicationSource::Imperative,
            },
            deployments,
        }
    }
}

impl ReplicaRecord<'_> {
    fn details(&self, clock: &WallClock) -> ReplicaDetails {
        ReplicaDetails {
            replica_id: self.replica.id.to_string(),
            rank: self.replica.rank,
            state: self.phase.shown(),
            started_at: clock.system_time(self.replica.assigned_at),
            message: match self.phase {
                ReplicaPhase::Waiting(reason) => reason.to_owned(),
                _ => String::new(),
            },
            websockets: 0,
        }
    }
}
