//! [`State`]: what is asked of a deployment and what is known of it. Plain data: events
//! change it, and [`State::next`] says what to do about it.

use std::cmp::Ordering;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::shown::Unmet;
use crate::controller::decide::{
    self, DeploymentStatusTrigger, Event, Rollout, Standing, StartFailures, Verdict,
};
use crate::controller::spec::Spec;
use crate::controller::status::{DeploymentStatus, ReplicaState};
use crate::error::Error;

/// The config version of a replica that may have part of one.
const UNKNOWN_CONFIG: u64 = u64::MAX;
/// Replicas that ended by failure, kept for people to look at: as many as Ray Serve keeps.
const DEAD_KEPT: usize = 10;

/// What is asked of a deployment and what is known of it.
#[derive(Debug)]
pub(super) struct State {
    spec: Arc<Spec>,
    standing: Standing,
    /// How many replicas are wanted.
    target: usize,
    /// By number.
    members: BTreeMap<u64, Member>,
    failures: StartFailures,
    /// Why the spec cannot be met, once that is certain.
    failed: Option<Unmet>,
    dead: VecDeque<DeadReplica>,
    next_number: u64,
    retired: bool,
}

/// One replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    /// Tells it from the others of this deployment; the order in which they were begun.
    pub(super) number: u64,
    pub(super) id: Arc<str>,
    pub(super) rank: usize,
    pub(super) version: u64,
    pub(super) config_version: u64,
    pub(super) phase: Phase,
}

/// How far a replica is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It fits nowhere, for this reason.
    Waiting(String),
    Starting,
    Running,
    /// It takes calls, and is given a user config meanwhile.
    Updating,
    Stopping,
}

impl Phase {
    pub(super) fn shown(&self) -> ReplicaState {
        match self {
            Self::Waiting(_) | Self::Starting => ReplicaState::Starting,
            Self::Running => ReplicaState::Running,
            Self::Updating => ReplicaState::Updating,
            Self::Stopping => ReplicaState::Stopping,
        }
    }

    pub(super) fn serves(&self) -> bool {
        matches!(self, Self::Running | Self::Updating)
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

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Begin a new replica, a member with this number.
    Start(u64),
    /// Take it out of routing, let its calls end, and end it.
    Stop(u64),
    /// Give it the user config.
    Reconfigure(u64),
    /// It has another place now.
    Rank(u64, usize),
}

impl State {
    pub(super) fn new(spec: Arc<Spec>) -> Self {
        let target = spec.options().num_replicas();
        Self {
            spec,
            standing: Standing::new(),
            target,
            members: BTreeMap::new(),
            failures: StartFailures::default(),
            failed: None,
            dead: VecDeque::new(),
            next_number: 0,
            retired: false,
        }
    }

    pub(super) fn spec(&self) -> &Arc<Spec> {
        &self.spec
    }

    pub(super) fn standing(&self) -> &Standing {
        &self.standing
    }

    pub(super) fn target(&self) -> usize {
        self.target
    }

    /// In the order in which they were begun.
    pub(super) fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.values()
    }

    pub(super) fn member(&self, number: u64) -> Option<&Member> {
        self.members.get(&number)
    }

    pub(super) fn dead(&self) -> impl Iterator<Item = &DeadReplica> {
        self.dead.iter()
    }

    /// Why the spec cannot be met, if that is certain.
    pub(super) fn failed(&self) -> Option<&Unmet> {
        self.failed.as_ref()
    }

    /// How many take calls.
    pub(super) fn serving(&self) -> usize {
        self.members().filter(|member| member.phase.serves()).count()
    }

    /// True if some replica fits nowhere.
    pub(super) fn waits_for_room(&self) -> bool {
        self.members().any(|member| matches!(member.phase, Phase::Waiting(_)))
    }

    /// True once all that was to stop for good has.
    pub(super) fn is_gone(&self) -> bool {
        self.retired && self.members.is_empty()
    }

    /// True once the spec is met, and what it has fewer of is gone.
    pub(super) fn is_settled(&self) -> bool {
        self.is_met() && !self.is_still_shrinking()
    }

    /// True once the spec is met: all that is wanted of it takes calls, and nothing else.
    fn is_met(&self) -> bool {
        let mut current = 0;
        for member in self.members().filter(|member| member.phase != Phase::Stopping) {
            if member.phase != Phase::Running
                || member.version != self.spec.version
                || member.config_version != self.spec.config_version
            {
                return false;
            }
            current += 1;
        }
        self.spec.suspended.is_some() || current == self.target
    }

    /// Another spec is asked for.
    pub(super) fn ask(&mut self, spec: Arc<Spec>) {
        let old = std::mem::replace(&mut self.spec, spec);
        let before = self.target;
        self.target = match &self.spec.options().autoscaling {
            // As many as before: the load is still the same.
            Some(config)
                if old.options().autoscaling.is_some() || config.initial_replicas.is_none() =>
            {
                config.first_target(Some(self.target))
            }
            _ => self.spec.options().num_replicas(),
        };
        if self.spec.in_part {
            // The pauses go on, too.
            self.failures.met();
        } else if self.spec.restored {
            self.failures = StartFailures::of_proven();
        } else {
            self.failures = StartFailures::default();
        }
        let failed_before = self.failed.take().is_some() || old.restored || old.in_part;
        if self.standing.status == DeploymentStatus::DeployFailed
            && (self.spec.restored || self.spec.in_part || self.spec.suspended.is_some())
        {
            // It goes on to say why the one that was asked for does not run.
            return;
        }
        let event = if failed_before || !self.spec.is_scaled(&old) {
            Event::ConfigUpdate
        } else {
            match self.target.cmp(&before) {
                Ordering::Less => Event::ManuallyDecreaseNumReplicas,
                Ordering::Equal => return,
                Ordering::Greater => Event::ManuallyIncreaseNumReplicas,
            }
        };
        self.occurs(event, self.spec.suspended.clone().unwrap_or_default());
    }

    /// The load asks for another number of replicas.
    pub(super) fn scale(&mut self, target: usize, reason: &str) {
        let event = match target.cmp(&self.target) {
            Ordering::Less => Event::AutoscaleDown,
            Ordering::Equal => return,
            Ordering::Greater => Event::AutoscaleUp,
        };
        self.target = target;
        self.occurs(event, reason.to_owned());
    }

    /// Everything is to stop, for good.
    pub(super) fn retire(&mut self) {
        self.retired = true;
        self.occurs(Event::Delete, String::new());
    }

    /// A replica has room now, and starts.
    pub(super) fn placed(&mut self, number: u64) {
        self.set_phase(number, Phase::Starting);
    }

    /// A replica fits nowhere.
    pub(super) fn waits(&mut self, number: u64, reason: String) {
        self.set_phase(number, Phase::Waiting(reason));
    }

    /// A replica takes calls.
    pub(super) fn started(&mut self, number: u64) {
        self.set_phase(number, Phase::Running);
        if self.member(number).is_some_and(|member| member.version == self.spec.version) {
            let current = |member: &&Member| member.version == self.spec.version;
            let running = self.members().filter(current).filter(|it| it.phase.serves()).count();
            self.failures.started(running);
        }
    }

    /// A replica did not start.
    pub(super) fn start_failed(&mut self, number: u64, error: Error, now: Instant) {
        let Some(member) = self.remove(number) else { return };
        if member.phase == Phase::Stopping {
            return;
        }
        self.bury(&member, &format!("{error:#}"));
        if member.version != self.spec.version {
            return;
        }
        let limit = self.spec.options().max_constructor_retry_count();
        match self.failures.failed(now, limit, self.target) {
            Verdict::TryAgain => {}
            Verdict::GiveUp => {
                self.occurs(
                    Event::ReplicaStartupFailed,
                    format!("replicas do not start, the last because of: {error:#}"),
                );
                self.failed = Some(Unmet::DoesNotStart(error));
            }
        }
    }

    /// A replica has the user config of this version.
    pub(super) fn reconfigured(&mut self, number: u64, config_version: u64) {
        if let Some(member) = self.members.get_mut(&number) {
            member.config_version = config_version;
            if member.phase == Phase::Updating {
                member.phase = Phase::Running;
            }
        }
    }

    /// A replica has refused the user config of this version, or taken a part of it. It
    /// serves on, and is given the one from before when that is asked for again; one that
    /// refuses that too must be replaced.
    pub(super) fn reconfigure_failed(
        &mut self,
        number: u64,
        config_version: u64,
        error: Error,
    ) -> Option<Step> {
        // One that stops meanwhile, or is gone, says nothing about the config.
        self.member(number).filter(|member| member.phase.serves())?;
        if self.spec.restored && self.spec.config_version == config_version {
            return self.unfit(number, &format!("it could not be reconfigured: {error:#}"));
        }
        self.reconfigured(number, UNKNOWN_CONFIG);
        if self.spec.config_version == config_version && self.failed.is_none() {
            let message = format!("replicas refuse the user config: {error:#}");
            self.occurs(Event::ReplicaStartupFailed, message);
            self.failed = Some(Unmet::RefusesConfig(error));
        }
        None
    }

    /// A task of the controller's own panicked.
    pub(super) fn internal_error(&mut self, message: String) {
        self.occurs(Event::InternalError, message);
    }

    /// A replica must be replaced. Its running calls may end.
    pub(super) fn unfit(&mut self, number: u64, reason: &str) -> Option<Step> {
        let member = self.member(number).filter(|member| member.phase.serves())?.clone();
        self.bury(&member, reason);
        self.set_phase(number, Phase::Stopping);
        self.occurs(Event::HealthCheckFailed, format!("replica {}: {reason}", member.id));
        Some(Step::Stop(number))
    }

    /// A replica is gone, and its calls with it.
    pub(super) fn died(&mut self, number: u64, reason: &str) {
        let Some(member) = self.remove(number) else { return };
        if member.phase != Phase::Stopping {
            self.bury(&member, reason);
            self.occurs(Event::HealthCheckFailed, format!("replica {}: {reason}", member.id));
        }
    }

    /// A replica that was to stop has.
    pub(super) fn stopped(&mut self, number: u64) {
        self.remove(number);
    }

    /// What to do now. Members that are to start or to stop count as doing so from here on.
    pub(super) fn next(&mut self, now: Instant, new_id: impl Fn(&Spec) -> Arc<str>) -> Vec<Step> {
        let mut steps = Vec::new();
        if self.retired || self.spec.suspended.is_some() {
            let all: Vec<u64> = self.members.keys().copied().collect();
            self.stop(all, &mut steps);
            return steps;
        }
        let Rollout { start, stop } = self.rollout(now);
        self.stop(stop, &mut steps);
        for rank in self.free_ranks(start) {
            let number = self.next_number;
            self.next_number += 1;
            let member = Member {
                number,
                id: new_id(&self.spec),
                rank,
                version: self.spec.version,
                config_version: self.spec.config_version,
                phase: Phase::Starting,
            };
            self.members.insert(number, member);
            steps.push(Step::Start(number));
        }
        self.reconfigure(&mut steps);
        self.rank(&mut steps);
        if self.is_settled() {
            self.failures.met();
            if !self.says_why_another_failed() {
                self.occurs(Event::Healthy, String::new());
            }
        }
        steps
    }

    /// The moment at which there may be something to do though nothing happens.
    pub(super) fn next_at(&self, now: Instant) -> Option<Instant> {
        self.failures.pause_ends(now)
    }

    fn rollout(&self, now: Instant) -> Rollout {
        let replicas: Vec<decide::ReplicaView> = self
            .lasting()
            .map(|member| decide::ReplicaView {
                number: member.number,
                current: member.version == self.spec.version,
                running: member.phase.serves(),
            })
            .collect();
        let may_start = self.failed.is_none() && self.failures.may_start(now);
        let options = self.spec.options();
        decide::rollout(&decide::RolloutInput {
            replicas: &replicas,
            target: self.target,
            rolling_update_percentage: options.rolling_update_percentage(),
            max_surge_percent: options.max_surge_percent(),
            may_start,
            given_up: self.failed.is_some(),
            no_room: self.waits_for_room(),
        })
    }

    fn free_ranks(&self, count: usize) -> Vec<usize> {
        if count == 0 {
            return Vec::new();
        }
        decide::free_ranks(self.lasting().map(|member| member.rank)).take(count).collect()
    }

    fn lasting(&self) -> impl Iterator<Item = &Member> {
        self.members().filter(|member| member.phase != Phase::Stopping)
    }

    fn stop(&mut self, numbers: Vec<u64>, steps: &mut Vec<Step>) {
        for number in numbers {
            let Some(member) = self.member(number) else { continue };
            if member.phase != Phase::Stopping {
                self.set_phase(number, Phase::Stopping);
                steps.push(Step::Stop(number));
            }
        }
    }

    fn reconfigure(&mut self, steps: &mut Vec<Step>) {
        if self.failed.is_some() {
            return;
        }
        let (version, config_version) = (self.spec.version, self.spec.config_version);
        for member in self.members.values_mut() {
            if member.phase == Phase::Running
                && member.version == version
                && member.config_version != config_version
            {
                member.phase = Phase::Updating;
                steps.push(Step::Reconfigure(member.number));
            }
        }
    }

    /// Closes gaps between ranks, once nothing is on its way.
    fn rank(&mut self, steps: &mut Vec<Step>) {
        if self.lasting().any(|member| !member.phase.serves()) {
            return;
        }
        let ranks: Vec<(u64, usize)> =
            self.lasting().map(|member| (member.number, member.rank)).collect();
        for (number, rank) in decide::close_gaps(&ranks) {
            if let Some(member) = self.members.get_mut(&number) {
                member.rank = rank;
                steps.push(Step::Rank(number, rank));
            }
        }
    }

    /// DOWNSCALING lasts until those that were taken away are gone.
    fn is_still_shrinking(&self) -> bool {
        self.standing.status == DeploymentStatus::Downscaling
            && self.members().any(|member| member.phase == Phase::Stopping)
    }

    /// The version that was asked for last does not run, and the one before it does again.
    fn says_why_another_failed(&self) -> bool {
        self.spec.restored
            && self.standing.status == DeploymentStatus::DeployFailed
            && self.standing.trigger == DeploymentStatusTrigger::ReplicaStartupFailed
    }

    fn occurs(&mut self, event: Event, message: String) {
        self.standing = self.standing.clone().after(event, message);
    }

    fn set_phase(&mut self, number: u64, phase: Phase) {
        if let Some(member) = self.members.get_mut(&number)
            && member.phase != Phase::Stopping
        {
            member.phase = phase;
        }
    }

    fn remove(&mut self, number: u64) -> Option<Member> {
        self.members.remove(&number)
    }

    fn bury(&mut self, member: &Member, reason: &str) {
        if self.dead.len() == DEAD_KEPT {
            self.dead.pop_front();
        }
        let replica_id = member.id.to_string();
        self.dead.push_back(DeadReplica { replica_id, reason: reason.to_owned() });
    }
}
