//! [`ApplicationState`]: the desired state of an application and its progress towards that state. Plain
//! data: a deploy is a value here, so that every reader knows what the deploy waits for and can
//! continue it.
//!
//! New deployments start at once. Changed deployments are replaced tier by tier, callees before
//! callers, so that the new version of a caller finds the new version of its callees. If anything
//! fails, the whole application returns to the version that ran before.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::assignment::{AssignedApplication, AssignedRoute};
use super::decide::Deploys;
use super::error::DeployFailure;
use super::serde_arc;
use super::spec::{DeploymentId, Spec};
use crate::application::{BlueprintId, Outline};
use crate::time::Moment;

/// The desired state of an application, and its progress towards that state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct ApplicationState {
    /// Distinguishes the application from a deleted application of the same name.
    pub(super) id: u64,
    /// True if `status` omits the application.
    pub(super) hidden: bool,
    pub(super) deploys: Deploys,
    /// The time at which the last deploy was requested.
    pub(super) asked_at: Moment,
    /// The plan that runs, or the first plan if it failed.
    pub(super) plan: Option<Outline>,
    /// The deploy that was requested last, until it begins.
    pub(super) wanted: Option<RequestedDeploy>,
    pub(super) step: Activity,
    pub(super) deployments: BTreeMap<String, DeploymentId>,
    /// The numbers of replicas that were set from outside, by the names of the deployments. They
    /// outlive deploys.
    #[serde(default)]
    pub(super) scaled: BTreeMap<String, usize>,
    /// The deploy that was requested after the deletion of this application.
    pub(super) after_deletion: Option<RequestedDeploy>,
    /// The last deploys that were requested. A caller that receives no answer because the
    /// controller stops repeats its request to the next controller.
    asked: VecDeque<(BlueprintId, u64)>,
}

/// The number of requested deploys that are recognized when they are requested again.
const ASKED_KEPT: usize = 32;

/// A deploy that has not begun.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct RequestedDeploy {
    pub(super) number: u64,
    pub(super) hidden: bool,
    pub(super) plan: Outline,
}

/// The current activity of an application.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) enum Activity {
    #[default]
    Idle,
    RollingOut(Box<OngoingDeploy>),
    /// A deploy gave way. The deployments that it had started stop, and then the next step begins.
    GivingWay {
        dropped: Vec<DeploymentId>,
    },
    /// The deployments of the application stop, tier by tier: the first tier stops now.
    Deleting {
        tiers: Vec<Vec<DeploymentId>>,
    },
}

/// A deploy that is in progress.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct OngoingDeploy {
    /// The number of the deploy.
    pub(super) number: u64,
    pub(super) plan: Outline,
    /// The changes, in the order of the plan's deployments.
    pub(super) changes: Vec<DeploymentChange>,
    /// The deployments of another type that had a name of the plan.
    pub(super) replaced: Vec<(String, DeploymentId)>,
    /// The number of tiers that already run. Callees come first.
    pub(super) tiers_done: usize,
}

/// The change that a deploy makes to one deployment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct DeploymentChange {
    pub(super) name: String,
    pub(super) deployment: DeploymentId,
    #[serde(with = "serde_arc")]
    pub(super) spec: Arc<Spec>,
    /// The previous spec of the deployment, or `None` if the deployment is new.
    pub(super) before: Option<Spec>,
}

/// Deployments that stop as soon as no other deployment can call them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Retirement {
    pub(super) after: Vec<Drained>,
    /// The deployments to stop, callers before callees: the first tier stops now.
    pub(super) tiers: Vec<Vec<DeploymentId>>,
    pub(super) reason: String,
}

/// A condition: the deployment has settled on the spec, if a spec is named, and afterwards these
/// replicas of the deployment are gone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Drained {
    pub(super) deployment: DeploymentId,
    pub(super) serial: Option<u64>,
    pub(super) replicas: Vec<u64>,
}

impl ApplicationState {
    pub(super) fn new(id: u64, wanted: RequestedDeploy, now: Moment) -> Self {
        let mut application = Self {
            id,
            hidden: wanted.hidden,
            deploys: Deploys::default(),
            asked_at: now,
            plan: None,
            wanted: None,
            step: Activity::Idle,
            deployments: BTreeMap::new(),
            scaled: BTreeMap::new(),
            after_deletion: None,
            asked: VecDeque::new(),
        };
        application.ask(wanted, now);
        application
    }

    /// Requests a deploy. A deploy that is requested while the application is being deleted belongs
    /// to the next application of the same name.
    pub(super) fn ask(&mut self, wanted: RequestedDeploy, now: Moment) {
        self.asked_at = now;
        if self.asked.len() == ASKED_KEPT {
            self.asked.pop_front();
        }
        self.asked.push_back((wanted.plan.blueprint, wanted.number));
        if self.deploys.deletion_asked() {
            self.after_deletion = Some(wanted);
        } else {
            self.deploys.ask(wanted.number);
            self.wanted = Some(wanted);
        }
    }

    /// Returns the number of the deploy of this plan, if the deploy was already requested.
    pub(super) fn number_of(&self, blueprint: BlueprintId) -> Option<u64> {
        let known = self.asked.iter().find(|(known, _)| *known == blueprint);
        known.map(|(_, number)| *number)
    }

    /// Returns `true` if nothing of the application was ever deployed or is about to be deployed.
    pub(super) fn is_blank(&self) -> bool {
        self.plan.is_none() && self.deployments.is_empty() && self.wanted.is_none()
    }

    /// Returns `true` if the deploy of this number waits or is in progress, or if a deploy that is
    /// at least as new waits for the deletion of the application.
    pub(super) fn awaits(&self, number: u64) -> bool {
        if self.after_deletion.as_ref().is_some_and(|wanted| wanted.number >= number) {
            return true;
        }
        let waiting = self.wanted.iter();
        let rolling = match &self.step {
            Activity::RollingOut(rollout) => Some(rollout.number),
            _ => None,
        };
        waiting.map(|wanted| wanted.number).chain(rolling).any(|known| known == number)
    }

    /// Returns a sentence that says why the last deploy failed, if it failed.
    pub(super) fn failure(&self, name: &str) -> Option<String> {
        let failure = self.deploys.failure()?.clone();
        Some(failure.into_error(name).to_string())
    }

    /// Returns the plan that was requested last.
    pub(super) fn newest_wish(&self) -> Option<&Outline> {
        let rolling = match &self.step {
            Activity::RollingOut(rollout) => Some(&rollout.plan),
            _ => None,
        };
        let waiting = [&self.after_deletion, &self.wanted].into_iter().flatten();
        waiting.map(|wanted| &wanted.plan).chain(rolling).chain(&self.plan).next()
    }

    /// Returns `true` if the application has a prefix now and will not have it once what was
    /// requested last runs.
    pub(super) fn will_release(&self, prefix: &str) -> bool {
        let claims = |plan: &Outline| plan.claim.as_deref() == Some(prefix);
        match &self.after_deletion {
            Some(wanted) => !claims(&wanted.plan),
            None => self.deploys.deletion_asked() || !self.newest_wish().is_some_and(claims),
        }
    }

    /// Returns the plan that runs, or else the plan that is about to run.
    fn newest_plan(&self) -> Option<&Outline> {
        let rolling = match &self.step {
            Activity::RollingOut(rollout) => Some(&rollout.plan),
            _ => None,
        };
        let wanted = self.wanted.as_ref().map(|wanted| &wanted.plan);
        self.plan.as_ref().or(rolling).or(wanted)
    }

    pub(super) fn route_prefix(&self) -> Option<String> {
        self.newest_plan()?.route_prefix.clone()
    }

    /// Returns the HTTP route to the application's ingress.
    fn route(&self) -> Option<AssignedRoute> {
        let plan = self.plan.as_ref().filter(|_| self.deploys.is_routed())?;
        let name = plan.ingress()?;
        let replaced = match &self.step {
            Activity::RollingOut(rollout) => {
                rollout.replaced.iter().find(|(known, _)| known == name)
            }
            _ => None,
        };
        // Until a deploy succeeds, requests reach the deployment of the previous type.
        let ingress = match replaced {
            Some((_, before)) => *before,
            None => *self.deployments.get(name)?,
        };
        let http_options = (*plan.http_options).clone();
        let function = plan.source.as_ref().map(|source| source.application.clone());
        Some(AssignedRoute { prefix: plan.claim.clone()?, ingress, http_options, function })
    }

    /// Returns the prefix under which HTTP requests will reach the application, if they do not yet.
    fn starting_at(&self) -> Option<String> {
        let served = self.plan.as_ref().and_then(|plan| plan.claim.as_deref());
        self.deploys.claims().filter(|claimed| served != Some(claimed)).map(str::to_owned)
    }

    /// Returns `true` if a prefix belongs to the application or is about to belong to it.
    pub(super) fn claims(&self, prefix: &str) -> bool {
        let routed = self.plan.as_ref().filter(|_| self.deploys.is_routed());
        let wanted = [&self.wanted, &self.after_deletion].into_iter().flatten();
        let wanted = wanted.map(|wanted| &wanted.plan);
        let claims = routed.into_iter().chain(wanted).map(|plan| plan.claim.as_deref());
        claims.chain([self.deploys.claims()]).any(|claimed| claimed == Some(prefix))
    }

    /// Returns the data by which a node finds the application.
    pub(super) fn assigned(&self) -> AssignedApplication {
        AssignedApplication {
            ingress: self.plan.as_ref().and_then(Outline::ingress).map(str::to_owned),
            route: self.route(),
            starting_at: self.starting_at(),
            deployments: self.deployments.clone(),
        }
    }

    /// Returns the deployments in the order in which they stop: each tier has only deployments
    /// whose callers are in earlier tiers.
    pub(super) fn tiers(&self) -> Vec<Vec<DeploymentId>> {
        let Some(plan) = &self.plan else {
            return vec![self.deployments.values().copied().collect()];
        };
        let id = |place: usize| self.deployments.get(&plan.deployments[place].name).copied();
        let tiers = plan.tiers().into_iter();
        tiers.map(|tier| tier.into_iter().filter_map(id).collect()).collect()
    }

    /// Removes and returns the deployments that are in the current plan but not in the plan of
    /// `rollout`, callers first.
    pub(super) fn take_gone(&mut self, rollout: &OngoingDeploy) -> Vec<Vec<DeploymentId>> {
        let Some(plan) = &self.plan else { return Vec::new() };
        let mut replaced: BTreeMap<&str, DeploymentId> =
            rollout.replaced.iter().map(|(name, id)| (&**name, *id)).collect();
        let mut gone = Vec::new();
        for tier in plan.tiers() {
            let mut ids = Vec::new();
            for name in tier.into_iter().map(|place| &plan.deployments[place].name) {
                match replaced.remove(&**name) {
                    Some(id) => ids.push(id),
                    None if rollout.plan.has(name) => {}
                    None => ids.extend(self.deployments.remove(name)),
                }
            }
            gone.push(ids);
        }
        gone.push(replaced.into_values().collect());
        gone
    }

    /// Ends the deploy that waits to begin, because the application ends.
    pub(super) fn drop_wanted(&mut self, failure: DeployFailure) {
        if let Some(wanted) = self.wanted.take() {
            self.deploys.fail(wanted.number, failure, false);
        }
    }
}
