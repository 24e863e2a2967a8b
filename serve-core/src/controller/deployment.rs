//! [`DeploymentState`]: the desired and the observed state of a deployment. Plain data: reports and
//! commands change it, and [`DeploymentState::advance`] decides which replicas the deployment must have.

use std::cmp::Ordering;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::assignment::{
    AssignedReplica, AssignedSpec, Assignment, DeploymentReport, ReplicaReport, UNKNOWN_CONFIG,
};
use super::decide::{
    self, Replacements, ReplicaChanges, Scaling, StartFailures, StatusEvent, StatusInfo, Verdict,
};
use super::serde_arc;
use super::spec::Spec;
use super::status::{
    AutoscalingDecision, DeadReplica, DeploymentStatus, ReplicaState, StatusTrigger,
};
use crate::error::Error;
use crate::time::{Moment, WallClock};

/// The number of failed replicas that are kept for inspection, the same as in Ray Serve.
const DEAD_KEPT: usize = 10;

/// A deployment: its stored state, and the reports of its node.
#[derive(Debug)]
pub(super) struct DeploymentState {
    pub(super) record: DeploymentRecord,
    /// The replicas that the deployment must have, by number. Stored with the assignment.
    replicas: BTreeMap<u64, AssignedReplica>,
    /// The latest observation of each replica. A replica without an observation is about to start.
    observed: BTreeMap<u64, LastReport>,
    reported: DeploymentReport,
    /// True if a replica of the current version has started since replicas were last counted.
    has_started: bool,
    /// The time at which the load is weighed again even if nothing happens before.
    pub(super) look_again: Option<Moment>,
    /// The end of the pause that follows failed starts.
    pause_ends: Option<Moment>,
    /// The record as it is stored.
    stored: Option<DeploymentRecord>,
    /// True if the replicas differ from the stored assignment.
    replicas_changed: bool,
}

/// The stored state of a deployment, except for its assignment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct DeploymentRecord {
    #[serde(with = "serde_arc")]
    pub(super) application: Arc<str>,
    #[serde(with = "serde_arc")]
    pub(super) name: Arc<str>,
    pub(super) type_name: String,
    #[serde(with = "serde_arc")]
    pub(super) spec: Arc<Spec>,
    pub(super) deployed_at: Moment,
    pub(super) status_info: StatusInfo,
    /// The number of replicas to have.
    pub(super) target: usize,
    pub(super) scaling: Option<Scaling>,
    failures: StartFailures,
    /// The reason why the spec cannot be met, once that is certain.
    failed: Option<SpecError>,
    dead: VecDeque<DeadReplica>,
    /// The replicas that serve and have to be replaced.
    #[serde(default)]
    replacements: Replacements,
    /// The number of the next replica.
    next_number: u64,
    /// The reason why the deployment is to be removed, if it is.
    retired: Option<String>,
    /// True once no calls are queued and all replicas are to stop for good.
    drained: bool,
    /// The number of faults of the node that the status already reflects.
    faults: u64,
}

/// The reason why a spec cannot be met.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum SpecError {
    /// Replicas do not start.
    DoesNotStart(Error),
    /// Running replicas refuse the user config.
    RefusesConfig(Error),
}

/// The latest observation of a replica.
#[derive(Clone, Debug, PartialEq, Eq)]
enum LastReport {
    Waiting(String),
    Starting,
    Serving { config_version: u64 },
}

/// The phase of a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReplicaPhase<'a> {
    /// The replica waits for room on a node, for this reason.
    Waiting(&'a str),
    Starting,
    Running,
    /// The replica takes calls while it is being reconfigured.
    Updating,
    Stopping,
}

impl ReplicaPhase<'_> {
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

/// A replica and its phase.
pub(super) struct ReplicaRecord<'a> {
    pub(super) number: u64,
    pub(super) replica: &'a AssignedReplica,
    pub(super) phase: ReplicaPhase<'a>,
}

impl DeploymentState {
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
                status_info: StatusInfo::new(),
                target,
                scaling,
                failures: StartFailures::default(),
                failed: None,
                dead: VecDeque::new(),
                replacements: Replacements::default(),
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

    /// Restores a deployment from its record and its assignment. Nothing is known of its replicas
    /// yet.
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

    /// Returns the replicas in the order in which they were created.
    pub(super) fn members(&self) -> impl Iterator<Item = ReplicaRecord<'_>> {
        self.replicas.iter().map(|(number, replica)| ReplicaRecord {
            number: *number,
            replica,
            phase: self.phase(*number, replica),
        })
    }

    fn phase(&self, number: u64, replica: &AssignedReplica) -> ReplicaPhase<'_> {
        if replica.stops {
            return ReplicaPhase::Stopping;
        }
        match self.observed.get(&number) {
            None | Some(LastReport::Starting) => ReplicaPhase::Starting,
            Some(LastReport::Waiting(reason)) => ReplicaPhase::Waiting(reason),
            Some(LastReport::Serving { config_version }) => {
                let asked = replica.config_version;
                match asked == UNKNOWN_CONFIG || asked == *config_version {
                    true => ReplicaPhase::Running,
                    false => ReplicaPhase::Updating,
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

    /// Returns the number of replicas that take calls.
    pub(super) fn serving(&self) -> usize {
        self.members().filter(|member| member.phase.serves()).count()
    }

    /// Returns the numbers of the replicas that are stopping.
    pub(super) fn stopping(&self) -> Vec<u64> {
        let stopping = self.replicas.iter().filter(|(_, replica)| replica.stops);
        stopping.map(|(number, _)| *number).collect()
    }

    /// Returns `true` if at least one of these replicas has not stopped yet.
    pub(super) fn has_any(&self, numbers: &[u64]) -> bool {
        numbers.iter().any(|number| self.replicas.contains_key(number))
    }

    fn waits_for_room(&self) -> bool {
        self.members().any(|member| matches!(member.phase, ReplicaPhase::Waiting(_)))
    }

    /// Returns `true` once the deployment has stopped for good, or its node has abandoned it.
    pub(super) fn is_gone(&self) -> bool {
        let record = &self.record;
        record.retired.is_some()
            && (self.reported.abandoned || (record.drained && self.replicas.is_empty()))
    }

    /// Returns the outcome of the spec, once it is known: `Ok` if the spec is met and the surplus
    /// replicas of a downscale are gone.
    pub(super) fn outcome(&self) -> Option<Result<(), &SpecError>> {
        match &self.record.failed {
            Some(unmet) => Some(Err(unmet)),
            None => self.is_settled().then_some(Ok(())),
        }
    }

    fn is_settled(&self) -> bool {
        let applied = self.reported.serial == self.record.spec.serial;
        applied && self.is_met() && !self.is_still_shrinking()
    }

    /// Returns `true` once the spec is met: all wanted replicas take calls, and there are no
    /// others.
    fn is_met(&self) -> bool {
        let spec = &self.record.spec;
        let mut current = 0;
        for ReplicaRecord { replica, phase, .. } in self.lasting() {
            if phase != ReplicaPhase::Running
                || replica.version != spec.version
                || replica.config_version != spec.config_version
            {
                return false;
            }
            current += 1;
        }
        spec.suspended.is_some() || current == self.record.target
    }

    /// Returns `true` while surplus replicas stop: DOWNSCALING lasts until they are gone.
    fn is_still_shrinking(&self) -> bool {
        self.record.status_info.status == DeploymentStatus::Downscaling
            && self.replicas.values().any(|replica| replica.stops)
    }

    /// Applies a new spec.
    pub(super) fn ask(&mut self, spec: Arc<Spec>) {
        self.note_started();
        let record = &mut self.record;
        let old = std::mem::replace(&mut record.spec, spec);
        let spec = &record.spec;
        let before = record.target;
        record.target = match &spec.options.autoscaling {
            // The target stays as it was, because the load is still the same.
            Some(config)
                if old.options.autoscaling.is_some() || config.initial_replicas.is_none() =>
            {
                config.first_target(Some(record.target))
            }
            _ => spec.options.num_replicas(),
        };
        record.scaling = match (&spec.options.autoscaling, record.scaling.take()) {
            (None, _) => None,
            // The past loads and decisions are kept.
            (Some(_), Some(scaling)) => Some(scaling),
            (Some(_), None) => Some(Scaling::new(record.target)),
        };
        if spec.in_part {
            // The pauses continue as well.
            record.failures.met();
        } else if spec.restored {
            record.failures = StartFailures::of_proven();
        } else {
            record.failures = StartFailures::default();
        }
        let failed_before = record.failed.take().is_some() || old.restored || old.in_part;
        if record.status_info.status == DeploymentStatus::DeployFailed
            && (spec.restored || spec.in_part || spec.suspended.is_some())
        {
            // The status continues to say why the requested spec does not run.
            return;
        }
        let event = if failed_before || !spec.is_scaled(&old) {
            StatusEvent::ConfigUpdate
        } else {
            match record.target.cmp(&before) {
                Ordering::Less => StatusEvent::ManuallyDecreaseNumReplicas,
                Ordering::Equal => return,
                Ordering::Greater => StatusEvent::ManuallyIncreaseNumReplicas,
            }
        };
        let message = spec.suspended.clone().unwrap_or_default();
        self.occurs(event, message);
    }

    /// Applies a target that the load requires.
    pub(super) fn scale(&mut self, target: usize, reason: &str) {
        let event = match target.cmp(&self.record.target) {
            Ordering::Less => StatusEvent::AutoscaleDown,
            Ordering::Equal => return,
            Ordering::Greater => StatusEvent::AutoscaleUp,
        };
        self.record.target = target;
        self.occurs(event, reason.to_owned());
    }

    /// Marks the deployment for removal: queued calls are served, and then all replicas stop.
    /// Returns `false` if the deployment was already marked.
    pub(super) fn retire(&mut self, reason: &str) -> bool {
        if self.record.retired.is_some() {
            return false;
        }
        self.record.retired = Some(reason.to_owned());
        self.record.scaling = None;
        true
    }

    /// Takes a report of the node on the deployment as a whole. A node that is gone takes its
    /// report with it.
    pub(super) fn report(&mut self, report: DeploymentReport) {
        if report.faults > self.record.faults {
            self.record.faults = report.faults;
            self.occurs(StatusEvent::InternalError, report.last_fault.clone());
        }
        if report.drained && self.record.retired.is_some() && !self.record.drained {
            self.record.drained = true;
            self.occurs(StatusEvent::Delete, String::new());
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
            ReplicaReport::Waiting(reason) => self.observe(number, LastReport::Waiting(reason)),
            ReplicaReport::Starting => self.observe(number, LastReport::Starting),
            ReplicaReport::Running { config_version, refused, unfit, worn } => {
                self.serves(number, config_version);
                if let Some((version, error)) = refused {
                    self.config_refused(number, version, error);
                }
                if let Some(reason) = worn {
                    self.worn(number, &reason);
                }
                if let Some(reason) = unfit {
                    self.unfit(number, &reason);
                }
            }
        }
    }

    fn observe(&mut self, number: u64, observed: LastReport) {
        self.observed.insert(number, observed);
    }

    /// Notes that a replica takes calls.
    fn serves(&mut self, number: u64, config_version: u64) {
        let before = self.observed.insert(number, LastReport::Serving { config_version });
        let version = self.record.spec.version;
        let is_current = self.replicas.get(&number).is_some_and(|it| it.version == version);
        self.has_started |= is_current && !matches!(before, Some(LastReport::Serving { .. }));
    }

    /// Counts the replicas of the current version that have started. Replicas that start at the
    /// same time are counted together.
    fn note_started(&mut self) {
        if std::mem::take(&mut self.has_started) {
            let version = self.record.spec.version;
            let current = |member: &ReplicaRecord<'_>| member.replica.version == version;
            let running = self.members().filter(current).filter(|it| it.phase.serves()).count();
            self.record.failures.started(running);
        }
    }

    /// Handles a replica that did not start.
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
                record.failed = Some(SpecError::DoesNotStart(error.clone()));
                self.occurs(
                    StatusEvent::ReplicaStartupFailed,
                    format!("replicas fail to start; the last error: {error:#}"),
                );
            }
        }
    }

    /// Handles a replica that refused the user config of this version, or applied only a part of
    /// it. The replica continues to serve, and receives the previous config when that config is
    /// requested again; a replica that refuses the previous config as well must be replaced.
    fn config_refused(&mut self, number: u64, version: u64, error: Error) {
        let Some(replica) = self.replicas.get_mut(&number) else { return };
        if replica.config_version != version {
            // Another config was requested since.
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
            self.occurs(StatusEvent::ReplicaStartupFailed, message);
            self.record.failed = Some(SpecError::RefusesConfig(error));
        }
    }

    /// Handles a replica that must be replaced. Its running calls may end.
    fn unfit(&mut self, number: u64, reason: &str) {
        let Some(replica) = self.replicas.get_mut(&number).filter(|replica| !replica.stops) else {
            return;
        };
        replica.stops = true;
        self.replicas_changed = true;
        let replica = replica.clone();
        self.record.replacements.forget(number);
        self.bury(&replica, reason);
        self.occurs(StatusEvent::HealthCheckFailed, format!("replica {}: {reason}", replica.id));
    }

    /// Handles a replica that must be replaced and serves until then.
    fn worn(&mut self, number: u64, reason: &str) {
        let Some(replica) = self.replicas.get(&number) else { return };
        let id = Arc::clone(&replica.id);
        if self.record.replacements.ask(number, reason) {
            self.occurs(StatusEvent::HealthCheckFailed, format!("replica {id}: {reason}"));
        }
    }

    /// Handles a replica that is gone together with its calls.
    fn died(&mut self, number: u64, reason: &str) {
        let Some(replica) = self.take(number) else { return };
        if !replica.stops {
            self.bury(&replica, reason);
            self.occurs(
                StatusEvent::HealthCheckFailed,
                format!("replica {}: {reason}", replica.id),
            );
        }
    }

    /// Decides which replicas the deployment must have now. `new_id` creates the id of a new
    /// replica.
    pub(super) fn advance(&mut self, now: Moment, new_id: impl FnMut() -> Arc<str>) {
        self.note_started();
        self.pause_ends = self.record.failures.pause_ends(now);
        if self.record.drained || self.record.spec.suspended.is_some() {
            self.stop(self.replicas.keys().copied().collect());
            return;
        }
        self.record.replacements.begin(now, self.record.target);
        let ReplicaChanges { start, stop } = self.rollout(now);
        self.stop(stop);
        self.start(start, now, new_id);
        self.reconfigure();
        self.close_gaps();
        if self.is_settled() {
            self.record.failures.met();
            if self.record.replacements.is_empty() && !self.says_why_another_failed() {
                self.occurs(StatusEvent::Healthy, String::new());
            }
        }
    }

    /// Returns the time at which there may be something to decide even if nothing happens before.
    pub(super) fn wakes_at(&self) -> Option<Moment> {
        let replaces = self.record.replacements.next();
        [self.pause_ends, self.look_again, replaces].into_iter().flatten().min()
    }

    fn rollout(&self, now: Moment) -> ReplicaChanges {
        let spec = &self.record.spec;
        let replicas: Vec<decide::ReplicaView> = self
            .lasting()
            .map(|member| {
                let is_newest = member.replica.version == spec.version;
                let worn = is_newest && self.record.replacements.has_begun(member.number);
                decide::ReplicaView {
                    number: member.number,
                    current: is_newest && !worn,
                    worn,
                    running: member.phase.serves(),
                }
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

    fn lasting(&self) -> impl Iterator<Item = ReplicaRecord<'_>> {
        self.members().filter(|member| !member.replica.stops)
    }

    fn stop(&mut self, numbers: Vec<u64>) {
        for number in numbers {
            let Some(replica) = self.replicas.get_mut(&number) else { continue };
            self.replicas_changed |= !replica.stops;
            replica.stops = true;
            if let Some(reason) = self.record.replacements.forget(number) {
                let replica = replica.clone();
                self.bury(&replica, &reason);
            }
        }
    }

    fn start(&mut self, count: usize, now: Moment, mut new_id: impl FnMut() -> Arc<str>) {
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
                assigned_at: now,
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
            let serves = matches!(self.observed.get(number), Some(LastReport::Serving { .. }));
            if serves && !replica.stops && replica.version == spec.version {
                self.replicas_changed |= replica.config_version != spec.config_version;
                replica.config_version = spec.config_version;
            }
        }
    }

    /// Closes gaps between ranks, once no replica is starting.
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

    /// Returns `true` if the version that was requested last does not run and the previous version
    /// runs again.
    fn says_why_another_failed(&self) -> bool {
        self.record.spec.restored
            && self.record.status_info.status == DeploymentStatus::DeployFailed
            && self.record.status_info.trigger == StatusTrigger::ReplicaStartupFailed
    }

    fn occurs(&mut self, event: StatusEvent, message: String) {
        self.record.status_info = self.record.status_info.clone().after(event, message);
    }

    fn take(&mut self, number: u64) -> Option<AssignedReplica> {
        self.observed.remove(&number);
        self.record.replacements.forget(number);
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

    /// Returns the record and the assignment if they differ from what is stored.
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

    /// Marks the record and the assignment as stored.
    pub(super) fn is_stored(&mut self) {
        if self.stored.as_ref() != Some(&self.record) {
            self.stored = Some(self.record.clone());
        }
        self.replicas_changed = false;
    }
}
