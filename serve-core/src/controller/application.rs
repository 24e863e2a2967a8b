//! [`Application`]: what is asked of an application and how far it is. Plain data: a deploy is a
//! value here, and whoever reads it knows what the deploy waits for and can go on with it.
//!
//! What is new starts at once. What changed is replaced tier by tier, callees before callers, so
//! that a caller's new version finds its callees'. If anything fails, all of it goes back to what
//! ran before.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::assignment::{AssignedApplication, AssignedRoute};
use super::decide::Deploys;
use super::error::DeployFailure;
use super::shared;
use super::spec::{DeploymentId, Spec};
use crate::application::{BlueprintId, Outline};
use crate::clock::Moment;

/// What is asked of an application, and how far it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Application {
    /// Tells it from an application of the same name that was deleted.
    pub(super) id: u64,
    /// True if `status` leaves it out.
    pub(super) hidden: bool,
    pub(super) deploys: Deploys,
    /// When the last deploy was asked for.
    pub(super) asked_at: Moment,
    /// The plan that runs, or that was the first to fail.
    pub(super) plan: Option<Outline>,
    /// The deploy that was asked for last, until it begins.
    pub(super) wanted: Option<Wanted>,
    pub(super) step: Step,
    pub(super) deployments: BTreeMap<String, DeploymentId>,
    /// The deploy that was asked for after the deletion of this application.
    pub(super) after_deletion: Option<Wanted>,
    /// The last deploys that were asked for. Whoever asks, and is not answered because the
    /// controller stops, asks the next one for the same again.
    asked: VecDeque<(BlueprintId, u64)>,
}

/// The number of deploys that are known again.
const ASKED_KEPT: usize = 32;

/// A deploy that has not begun.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Wanted {
    pub(super) number: u64,
    pub(super) hidden: bool,
    pub(super) plan: Outline,
}

/// What an application is about.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) enum Step {
    #[default]
    Idle,
    RollingOut(Rollout),
    /// A deploy gave way. What it had started stops, and then the next step begins.
    GivingWay {
        dropped: Vec<DeploymentId>,
    },
    /// Its deployments stop, tier by tier: the first tier stops now.
    Deleting {
        tiers: Vec<Vec<DeploymentId>>,
    },
}

/// A deploy that is under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Rollout {
    /// The number of the deploy.
    pub(super) number: u64,
    pub(super) plan: Outline,
    /// By the places of the plan.
    pub(super) changes: Vec<Change>,
    /// The deployments of another type that had one of the plan's names.
    pub(super) replaced: Vec<(String, DeploymentId)>,
    /// The number of tiers that run already. Callees come first.
    pub(super) tiers_done: usize,
}

/// What a deploy does to one deployment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Change {
    pub(super) name: String,
    pub(super) deployment: DeploymentId,
    #[serde(with = "shared")]
    pub(super) spec: Arc<Spec>,
    /// What was asked of it before; none if it is new.
    pub(super) before: Option<Spec>,
}

/// Deployments that are to go once others cannot call them any more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Retirement {
    pub(super) after: Vec<Drained>,
    /// Callers before callees: the first tier stops now.
    pub(super) tiers: Vec<Vec<DeploymentId>>,
    pub(super) reason: String,
}

/// A condition: the deployment has settled, if a spec is named, and then these replicas of it are
/// gone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Drained {
    pub(super) deployment: DeploymentId,
    pub(super) serial: Option<u64>,
    pub(super) replicas: Vec<u64>,
}

impl Application {
    pub(super) fn new(id: u64, wanted: Wanted, now: Moment) -> Self {
        let mut application = Self {
            id,
            hidden: wanted.hidden,
            deploys: Deploys::default(),
            asked_at: now,
            plan: None,
            wanted: None,
            step: Step::Idle,
            deployments: BTreeMap::new(),
            after_deletion: None,
            asked: VecDeque::new(),
        };
        application.ask(wanted, now);
        application
    }

    /// A deploy is asked for. One that is asked for while the application is deleted is of the
    /// next application of its name.
    pub(super) fn ask(&mut self, wanted: Wanted, now: Moment) {
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

    /// The number of the deploy of this plan, if it was asked for already.
    pub(super) fn number_of(&self, blueprint: BlueprintId) -> Option<u64> {
        let known = self.asked.iter().find(|(known, _)| *known == blueprint);
        known.map(|(_, number)| *number)
    }

    /// True if nothing of it was ever deployed, or is about to be.
    pub(super) fn is_blank(&self) -> bool {
        self.plan.is_none() && self.deployments.is_empty() && self.wanted.is_none()
    }

    /// True if the deploy of this number, or one that it gives way to, has not ended.
    pub(super) fn awaits(&self, number: u64) -> bool {
        if self.after_deletion.as_ref().is_some_and(|wanted| wanted.number >= number) {
            return true;
        }
        let waiting = self.wanted.iter();
        let rolling = match &self.step {
            Step::RollingOut(rollout) => Some(rollout.number),
            _ => None,
        };
        waiting.map(|wanted| wanted.number).chain(rolling).any(|known| known == number)
    }

    /// Why the last deploy failed, if it did, in a sentence.
    pub(super) fn failure(&self, name: &str) -> Option<String> {
        let failure = self.deploys.failure()?.clone();
        Some(failure.into_error(name).to_string())
    }

    /// The plan that runs, or the one that will.
    fn newest_plan(&self) -> Option<&Outline> {
        let rolling = match &self.step {
            Step::RollingOut(rollout) => Some(&rollout.plan),
            _ => None,
        };
        let wanted = self.wanted.as_ref().map(|wanted| &wanted.plan);
        self.plan.as_ref().or(rolling).or(wanted)
    }

    pub(super) fn route_prefix(&self) -> Option<String> {
        self.newest_plan()?.route_prefix.clone()
    }

    /// Where the application's ingress is reached over HTTP.
    fn route(&self) -> Option<AssignedRoute> {
        let plan = self.plan.as_ref().filter(|_| self.deploys.is_routed())?;
        let name = plan.ingress()?;
        let replaced = match &self.step {
            Step::RollingOut(rollout) => rollout.replaced.iter().find(|(known, _)| known == name),
            _ => None,
        };
        // Until a deploy succeeds, requests go to the type that ran before.
        let ingress = match replaced {
            Some((_, before)) => *before,
            None => *self.deployments.get(name)?,
        };
        Some(AssignedRoute { prefix: plan.claim.clone()?, ingress })
    }

    /// The prefix below which it will be reached over HTTP, and is not yet.
    fn starting_at(&self) -> Option<String> {
        let served = self.plan.as_ref().and_then(|plan| plan.claim.as_deref());
        self.deploys.claims().filter(|claimed| served != Some(claimed)).map(str::to_owned)
    }

    /// True if a prefix is its own, or about to be.
    pub(super) fn claims(&self, prefix: &str) -> bool {
        let routed = self.plan.as_ref().filter(|_| self.deploys.is_routed());
        let wanted = [&self.wanted, &self.after_deletion].into_iter().flatten();
        let wanted = wanted.map(|wanted| &wanted.plan);
        let claims = routed.into_iter().chain(wanted).map(|plan| plan.claim.as_deref());
        claims.chain([self.deploys.claims()]).any(|claimed| claimed == Some(prefix))
    }

    /// How the application is found on a node.
    pub(super) fn assigned(&self) -> AssignedApplication {
        AssignedApplication {
            ingress: self.plan.as_ref().and_then(Outline::ingress).map(str::to_owned),
            route: self.route(),
            starting_at: self.starting_at(),
            deployments: self.deployments.clone(),
        }
    }

    /// The deployments in the order in which they stop: tiers of those whose callers are gone.
    pub(super) fn tiers(&self) -> Vec<Vec<DeploymentId>> {
        let Some(plan) = &self.plan else {
            return vec![self.deployments.values().copied().collect()];
        };
        let id = |place: usize| self.deployments.get(&plan.deployments[place].name).copied();
        let tiers = plan.tiers().into_iter();
        tiers.map(|tier| tier.into_iter().filter_map(id).collect()).collect()
    }

    /// Takes out the deployments that the plan has and the one of `rollout` has not, callers first.
    pub(super) fn take_gone(&mut self, rollout: &Rollout) -> Vec<Vec<DeploymentId>> {
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

    /// The deploy that waits to begin ends with the application.
    pub(super) fn drop_wanted(&mut self, failure: DeployFailure) {
        if let Some(wanted) = self.wanted.take() {
            self.deploys.fail(wanted.number, failure, false);
        }
    }
}
