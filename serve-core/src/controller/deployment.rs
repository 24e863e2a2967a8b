//! [`Deployment`]: what is asked of a deployment and what is known of it. Plain data: reports and
//! commands change it, and [`Deployment::advance`] decides which replicas there are to be.

use std::cmp::Ordering;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::assignment::{
    AssignedReplica, AssignedSpec, Assignment, DeploymentReport, ReplicaReport, UNKNOWN_CONFIG,
};
use super::decide::{
    self, DeploymentStatusTrigger, Event, Rollout, Scaling, Standing, StartFailures, Verdict,
};
use super::shared;
use super::spec::Spec;
use super::status::{AutoscalingDecision, DeadReplica, DeploymentStatus, ReplicaState};
use crate::clock::{Moment, WallClock};
use crate::error::Error;

/// Replicas that ended by failure, kept for people to look at: as many as Ray Serve keeps.
const DEAD_KEPT: usize = 10;

/// A deployment: what is stored of it, and what its node reports.
#[derive(Debug)]
pub(super) struct Deployment {
    pub(super) record: DeploymentRecord,
    /// The replicas that there are to be, by number. Stored with the assignment.
    replicas: BTreeMap<u64, AssignedReplica>,
    /// The last that is known of each replica. One of which nothing is known is about to start.
    observed: BTreeMap<u64, Observed>,
    reported: DeploymentReport,
    /// True if a replica of the version has started since they were counted.
    has_started: bool,
    /// When to look at the load again though nothing happens meanwhile.
    pub(super) look_again: Option<Moment>,
    /// When failed starts have been waited out.
    pause_ends: Option<Moment>,
    /// The record that is stored.
    stored: Option<DeploymentRecord>,
    /// True if the assignment that is stored has other replicas.
    replicas_changed: bool,
}

/// What is stored of a deployment, beside its assignment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct DeploymentRecord {
    #[serde(with = "shared")]
    pub(super) application: Arc<str>,
    #[serde(with = "shared")]
    pub(super) name: Arc<str>,
    pub(super) type_name: String,
    #[serde(with = "shared")]
    pub(super) spec: Arc<Spec>,
    pub(super) deployed_at: Moment,
    pub(super) standing: Standing,
    /// How many replicas are wanted.
    pub(super) target: usize,
    pub(super) scaling: Option<Scaling>,
    failures: StartFailures,
    /// Why the spec cannot be met, once that is certain.
    failed: Option<Unmet>,
    dead: VecDeque<DeadReplica>,
    /// The number of the next replica.
    next_number: u64,
    /// Why the deployment is to go, if it is.
    retired: Option<String>,
    /// True once no call waits any more, and all replicas are to stop for good.
    drained: bool,
    /// The faults of the node that the status has told of.
    faults: u64,
}

/// Why a spec cannot be met.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Unmet {
    /// Replicas do not start.
    DoesNotStart(Error),
    /// Replicas that run do not take the user config.
    RefusesConfig(Error),
}

/// The last that is known of a replica.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Observed {
    Waiting(String),
    Starting,
    Serving { config_version: u64 },
}

/// How far a replica is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase<'a> {
    /// It fits nowhere, for this reason.
    Waiting(&'a str),
    Starting,
    Running,
    /// It takes calls, and is given a user config meanwhile.
    Updating,
    Stopping,
}

impl Phase<'_> {
    pub(super) fn shown(self) -> ReplicaState {
        match self {
            Self::Waiting(_) | Self::Starting => ReplicaState::Starting,
            Self::Running => ReplicaState::Running,
            Self::Updating => ReplicaState::Updating,
            Self::Stopping => ReplicaState::Stopping,
        }
    }

    fn serves(self) -> bool {
        matches!(self, Self::Running | Self::Updating)
    }
}

/// A replica and how far it is.
pub(super) struct Member<'a> {
    pub(super) number: u64,
    pub(super) replica: &'a AssignedReplica,
    pub(super) phase: Phase<'a>,
}

impl Deployment {
    pub(super) fn new(
        application: &str,
        name: &str,
        type_name: &str,
        spec: Arc<Spec>,
        now: Moment,
    ) -> Self {
        let target = spec.options.num_replicas();
        let scaling = spec.options.autoscaling.as_ref().map(|_| Scaling::new(target));
        Self {
            record: DeploymentRecord {
                application: application.into(),
                name: name.into(),
                type_name: type_name.to_owned(),
                spec,
                deployed_at: now,
                standing: Standing::new(),
                target,
                scaling,
                failures: StartFailures::default(),
                failed: None,
                dead: VecDeque::new(),
                next_number: 0,
                retired: None,
                drained: false,
                faults: 0,
            },
            replicas: BTreeMap::new(),
            observed: BTreeMap::new(),
            reported: DeploymentReport::default(),
            has_started: false,
            look_again: None,
            pause_ends: None,
            stored: None,
            replicas_changed: true,
        }
    }

    /// The deployment that these stand for. Nothing is known of its replicas yet.
    pub(super) fn restore(record: DeploymentRecord, assignment: Assignment) -> Self {
        let replicas = assignment.replicas;
        Self {
            stored: Some(record.clone()),
            replicas_changed: false,
            record,
            replicas,
            observed: BTreeMap::new(),
            reported: DeploymentReport::default(),
            has_started: false,
            look_again: None,
            pause_ends: None,
        }
    }

    pub(super) fn spec(&self) -> &Arc<Spec> {
        &self.record.spec
    }

    /// The replicas, in the order in which they were begun.
    pub(super) fn members(&self) -> impl Iterator<Item = Member<'_>> {
        self.replicas.iter().map(|(number, replica)| Member {
            number: *number,
            replica,
            phase: self.phase(*number, replica),
        })
    }

    fn phase(&self, number: u64, replica: &AssignedReplica) -> Phase<'_> {
        if replica.stops {
            return Phase::Stopping;
        }
        match self.observed.get(&number) {
            None | Some(Observed::Starting) => Phase::Starting,
            Some(Observed::Waiting(reason)) => Phase::Waiting(reason),
            Some(Observed::Serving { config_version }) => {
                let asked = replica.config_version;
                match asked == UNKNOWN_CONFIG || asked == *config_version {
                    true => Phase::Running,
                    false => Phase::Updating,
                }
            }
        }
    }

    pub(super) fn dead(&self) -> impl Iterator<Item = &DeadReplica> {
        self.record.dead.iter()
    }

    pub(super) fn decisions(&self, clock: &WallClock) -> Vec<AutoscalingDecision> {
        let log = self.record.scaling.iter().flat_map(|scaling| scaling.log().entries());
        let shown = |decision: &decide::LoggedDecision| AutoscalingDecision {
            at: decision.at,
            time: clock.system_time(self.record.deployed_at + decision.at),
            from: decision.from,
            to: decision.to,
            reason: decision.reason.clone(),
        };
        log.map(shown).collect()
    }

    /// How many replicas take calls.
    pub(super) fn serving(&self) -> usize {
        self.members().filter(|member| member.phase.serves()).count()
    }

    /// The numbers of the replicas that are stopping.
    pub(super) fn stopping(&self) -> Vec<u64> {
        let stopping = self.replicas.iter().filter(|(_, replica)| replica.stops);
        stopping.map(|(number, _)| *number).collect()
    }

    /// True if one of these replicas has not stopped yet.
    pub(super) fn has_any(&self, numbers: &[u64]) -> bool {
        numbers.iter().any(|number| self.replicas.contains_key(number))
    }

    fn waits_for_room(&self) -> bool {
        self.members().any(|member| matches!(member.phase, Phase::Waiting(_)))
    }

    /// True once all that was to stop for good has, or its node has given it up.
    pub(super) fn is_gone(&self) -> bool {
        let record = &self.record;
        record.retired.is_some()
            && (self.reported.abandoned || (record.drained && self.replicas.is_empty()))
    }

    /// How the spec fared, once that is known: `Ok` if it is met, and what it has fewer of is gone.
    pub(super) fn outcome(&self) -> Option<Result<(), &Unmet>> {
        match &self.record.failed {
            Some(unmet) => Some(Err(unmet)),
            None => self.is_settled().then_some(Ok(())),
        }
    }

    fn is_settled(&self) -> bool {
        let applied = self.reported.serial == self.record.spec.serial;
        applied && self.is_met() && !self.is_still_shrinking()
    }

    /// True once the spec is met: all that is wanted of it takes calls, and nothing else.
    fn is_met(&self) -> bool {
        let spec = &self.record.spec;
        let mut current = 0;
        for Member { replica, phase, .. } in self.lasting() {
            if phase != Phase::Running
                || replica.version != spec.version
                || replica.config_version != spec.config_version
            {
                return false;
            }
            current += 1;
        }
        spec.suspended.is_some() || current == self.record.target
    }

    /// DOWNSCALING lasts until those that were taken away are gone.
    fn is_still_shrinking(&self) -> bool {
        self.record.standing.status == DeploymentStatus::Downscaling
            && self.replicas.values().any(|replica| replica.stops)
    }

    /// Another spec is asked for.
    pub(super) fn ask(&mut self, spec: Arc<Spec>) {
        self.note_started();
        let record = &mut self.record;
        let old = std::mem::replace(&mut record.spec, spec);
        let spec = &record.spec;
        let before = record.target;
        record.target = match &spec.options.autoscaling {
            // As many as before: the load is still the same.
            Some(config)
                if old.options.autoscaling.is_some() || config.initial_replicas.is_none() =>
            {
                config.first_target(Some(record.target))
            }
            _ => spec.options.num_replicas(),
        };
        record.scaling = match (&spec.options.autoscaling, record.scaling.take()) {
            (None, _) => None,
            // What it has seen and decided stays.
            (Some(_), Some(scaling)) => Some(scaling),
            (Some(_), None) => Some(Scaling::new(record.target)),
        };
        if spec.in_part {
            // The pauses go on, too.
            record.failures.met();
        } else if spec.restored {
            record.failures = StartFailures::of_proven();
        } else {
            record.failures = StartFailures::default();
        }
        let failed_before = record.failed.take().is_some() || old.restored || old.in_part;
        if record.standing.status == DeploymentStatus::DeployFailed
            && (spec.restored || spec.in_part || spec.suspended.is_some())
        {
            // It goes on to say why the one that was asked for does not run.
            return;
        }
        let event = if failed_before || !spec.is_scaled(&old) {
            Event::ConfigUpdate
        } else {
            match record.target.cmp(&before) {
                Ordering::Less => Event::ManuallyDecreaseNumReplicas,
                Ordering::Equal => return,
                Ordering::Greater => Event::ManuallyIncreaseNumReplicas,
            }
        };
        let message = spec.suspended.clone().unwrap_or_default();
        self.occurs(event, message);
    }

    /// The load asks for another number of replicas.
    pub(super) fn scale(&mut self, target: usize, reason: &str) {
        let event = match target.cmp(&self.record.target) {
            Ordering::Less => Event::AutoscaleDown,
            Ordering::Equal => return,
            Ordering::Greater => Event::AutoscaleUp,
        };
        self.record.target = target;
        self.occurs(event, reason.to_owned());
    }

    /// The deployment is to go: calls that wait are served, then everything stops. False if that was
    /// known.
    pub(super) fn retire(&mut self, reason: &str) -> bool {
        if self.record.retired.is_some() {
            return false;
        }
        self.record.retired = Some(reason.to_owned());
        self.record.scaling = None;
        true
    }

    /// Takes a report of the node on the deployment as a whole. A node that has gone takes its
    /// report along.
    pub(super) fn report(&mut self, report: DeploymentReport) {
        if report.faults > self.record.faults {
            self.record.faults = report.faults;
            self.occurs(Event::InternalError, report.last_fault.clone());
        }
        if report.drained && self.record.retired.is_some() && !self.record.drained {
            self.record.drained = true;
            self.occurs(Event::Delete, String::new());
        }
        self.reported = report;
    }

    /// Takes a report of the node on a replica.
    pub(super) fn report_replica(&mut self, number: u64, report: ReplicaReport, now: Moment) {
        let Some(stops) = self.replicas.get(&number).map(|replica| replica.stops) else { return };
        match report {
            ReplicaReport::Failed(error) => self.start_failed(number, &error, now),
            ReplicaReport::Died(reason) => self.died(number, &reason),
            ReplicaReport::Stopped => self.remove(number),
            _ if stops => {}
            ReplicaReport::Stopping => {}
            ReplicaReport::Waiting(reason) => self.observe(number, Observed::Waiting(reason)),
            ReplicaReport::Starting => self.observe(number, Observed::Starting),
            ReplicaReport::Running { config_version, refused, unfit } => {
                self.serves(number, config_version);
                if let Some((version, error)) = refused {
                    self.config_refused(number, version, error);
                }
                if let Some(reason) = unfit {
                    self.unfit(number, &reason);
                }
            }
        }
    }

    fn observe(&mut self, number: u64, observed: Observed) {
        self.observed.insert(number, observed);
    }

    /// A replica takes calls.
    fn serves(&mut self, number: u64, config_version: u64) {
        let before = self.observed.insert(number, Observed::Serving { config_version });
        let version = self.record.spec.version;
        let is_current = self.replicas.get(&number).is_some_and(|it| it.version == version);
        self.has_started |= is_current && !matches!(before, Some(Observed::Serving { .. }));
    }

    /// Takes note of the replicas of the version that have started. Many start at once, and are
    /// counted once.
    fn note_started(&mut self) {
        if std::mem::take(&mut self.has_started) {
            let version = self.record.spec.version;
            let current = |member: &Member<'_>| member.replica.version == version;
            let running = self.members().filter(current).filter(|it| it.phase.serves()).count();
            self.record.failures.started(running);
        }
    }

    /// A replica did not start.
    fn start_failed(&mut self, number: u64, error: &Error, now: Moment) {
        self.note_started();
        let Some(replica) = self.take(number) else { return };
        if replica.stops {
            return;
        }
        self.bury(&replica, &format!("{error:#}"));
        let record = &mut self.record;
        if replica.version != record.spec.version {
            return;
        }
        let limit = record.spec.options.max_constructor_retry_count();
        match record.failures.failed(now, limit, record.target) {
            Verdict::TryAgain => {}
            Verdict::GiveUp => {
                record.failed = Some(Unmet::DoesNotStart(error.clone()));
                self.occurs(
                    Event::ReplicaStartupFailed,
                    format!("replicas do not start, the last because of: {error:#}"),
                );
            }
        }
    }

    /// A replica has refused the user config of this version, or taken a part of it. It
    /// serves on, and is given the one from before when that is asked for again; one that
    /// refuses that too must be replaced.
    fn config_refused(&mut self, number: u64, version: u64, error: Error) {
        let Some(replica) = self.replicas.get_mut(&number) else { return };
        if replica.config_version != version {
            // It was asked to take another one since.
            return;
        }
        let is_newest = self.record.spec.config_version == version;
        if self.record.spec.restored && is_newest {
            return self.unfit(number, &format!("it could not be reconfigured: {error:#}"));
        }
        replica.config_version = UNKNOWN_CONFIG;
        self.replicas_changed = true;
        if is_newest && self.record.failed.is_none() {
            let message = format!("replicas refuse the user config: {error:#}");
            self.occurs(Event::ReplicaStartupFailed, message);
            self.record.failed = Some(Unmet::RefusesConfig(error));
        }
    }

    /// A replica must be replaced. Its running calls may end.
    fn unfit(&mut self, number: u64, reason: &str) {
        let Some(replica) = self.replicas.get_mut(&number).filter(|replica| !replica.stops) else {
            return;
        };
        replica.stops = true;
        self.replicas_changed = true;
        let replica = replica.clone();
        self.bury(&replica, reason);
        self.occurs(Event::HealthCheckFailed, format!("replica {}: {reason}", replica.id));
    }

    /// A replica is gone, and its calls with it.
    fn died(&mut self, number: u64, reason: &str) {
        let Some(replica) = self.take(number) else { return };
        if !replica.stops {
            self.bury(&replica, reason);
            self.occurs(Event::HealthCheckFailed, format!("replica {}: {reason}", replica.id));
        }
    }

    /// Decides which replicas there are to be now. `new_id` makes the id of a new replica.
    pub(super) fn advance(&mut self, now: Moment, new_id: impl FnMut() -> Arc<str>) {
        self.note_started();
        self.pause_ends = self.record.failures.pause_ends(now);
        if self.record.drained || self.record.spec.suspended.is_some() {
            self.stop(self.replicas.keys().copied().collect());
            return;
        }
        let Rollout { start, stop } = self.rollout(now);
        self.stop(stop);
        self.start(start, new_id);
        self.reconfigure();
        self.close_gaps();
        if self.is_settled() {
            self.record.failures.met();
            if !self.says_why_another_failed() {
                self.occurs(Event::Healthy, String::new());
            }
        }
    }

    /// The moment at which there may be something to do though nothing happens.
    pub(super) fn wakes_at(&self) -> Option<Moment> {
        [self.pause_ends, self.look_again].into_iter().flatten().min()
    }

    fn rollout(&self, now: Moment) -> Rollout {
        let spec = &self.record.spec;
        let replicas: Vec<decide::ReplicaView> = self
            .lasting()
            .map(|member| decide::ReplicaView {
                number: member.number,
                current: member.replica.version == spec.version,
                running: member.phase.serves(),
            })
            .collect();
        let may_start = self.record.failed.is_none() && self.record.failures.may_start(now);
        decide::rollout(&decide::RolloutInput {
            replicas: &replicas,
            target: self.record.target,
            rolling_update_percentage: spec.options.rolling_update_percentage(),
            max_surge_percent: spec.options.max_surge_percent(),
            may_start,
            given_up: self.record.failed.is_some(),
            no_room: self.waits_for_room(),
        })
    }

    fn lasting(&self) -> impl Iterator<Item = Member<'_>> {
        self.members().filter(|member| !member.replica.stops)
    }

    fn stop(&mut self, numbers: Vec<u64>) {
        for number in numbers {
            if let Some(replica) = self.replicas.get_mut(&number) {
                self.replicas_changed |= !replica.stops;
                replica.stops = true;
            }
        }
    }

    fn start(&mut self, count: usize, mut new_id: impl FnMut() -> Arc<str>) {
        if count == 0 {
            return;
        }
        self.replicas_changed = true;
        let taken = self.lasting().map(|member| member.replica.rank);
        let ranks: Vec<usize> = decide::free_ranks(taken).take(count).collect();
        let spec = &self.record.spec;
        for rank in ranks {
            let replica = AssignedReplica {
                id: new_id(),
                rank,
                version: spec.version,
                config_version: spec.config_version,
                stops: false,
            };
            self.replicas.insert(self.record.next_number, replica);
            self.record.next_number += 1;
        }
    }

    fn reconfigure(&mut self) {
        if self.record.failed.is_some() {
            return;
        }
        let spec = &self.record.spec;
        for (number, replica) in &mut self.replicas {
            let serves = matches!(self.observed.get(number), Some(Observed::Serving { .. }));
            if serves && !replica.stops && replica.version == spec.version {
                self.replicas_changed |= replica.config_version != spec.config_version;
                replica.config_version = spec.config_version;
            }
        }
    }

    /// Closes gaps between ranks, once nothing is on its way.
    fn close_gaps(&mut self) {
        if self.lasting().any(|member| !member.phase.serves()) {
            return;
        }
        let ranks: Vec<(u64, usize)> =
            self.lasting().map(|member| (member.number, member.replica.rank)).collect();
        for (number, rank) in decide::close_gaps(&ranks) {
            if let Some(replica) = self.replicas.get_mut(&number) {
                self.replicas_changed = true;
                replica.rank = rank;
            }
        }
    }

    /// The version that was asked for last does not run, and the one before it does again.
    fn says_why_another_failed(&self) -> bool {
        self.record.spec.restored
            && self.record.standing.status == DeploymentStatus::DeployFailed
            && self.record.standing.trigger == DeploymentStatusTrigger::ReplicaStartupFailed
    }

    fn occurs(&mut self, event: Event, message: String) {
        self.record.standing = self.record.standing.clone().after(event, message);
    }

    fn take(&mut self, number: u64) -> Option<AssignedReplica> {
        self.observed.remove(&number);
        self.replicas_changed = true;
        self.replicas.remove(&number)
    }

    fn remove(&mut self, number: u64) {
        self.take(number);
    }

    fn bury(&mut self, replica: &AssignedReplica, reason: &str) {
        let dead = &mut self.record.dead;
        if dead.len() == DEAD_KEPT {
            dead.pop_front();
        }
        let replica_id = replica.id.to_string();
        dead.push_back(DeadReplica { replica_id, reason: reason.to_owned() });
    }

    /// What is to be stored, if it differs from what is: the record, and the assignment.
    pub(super) fn unstored(&self) -> (Option<&DeploymentRecord>, Option<Assignment>) {
        let (record, known) = (&self.record, self.stored.as_ref());
        let same_record = known == Some(record);
        let is_same = |known: &DeploymentRecord| {
            known.spec.serial == record.spec.serial && known.retired == record.retired
        };
        let same_assignment = !self.replicas_changed && known.is_some_and(is_same);
        let assignment = || Assignment {
            application: record.application.to_string(),
            deployment: record.name.to_string(),
            spec: AssignedSpec::from(&*record.spec),
            retired: record.retired.clone(),
            replicas: self.replicas.clone(),
        };
        ((!same_record).then_some(record), (!same_assignment).then(assignment))
    }

    /// What is to be stored is.
    pub(super) fn is_stored(&mut self) {
        if self.stored.as_ref() != Some(&self.record) {
            self.stored = Some(self.record.clone());
        }
        self.replicas_changed = false;
    }
}
