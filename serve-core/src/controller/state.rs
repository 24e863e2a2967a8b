//! [`State`]: the complete knowledge of a controller as plain data, and the transitions of
//! applications.
//!
//! Commands and reports change the state, [`State::advance`] decides what follows, and
//! [`State::unstored`] returns what a successor needs to continue. Nothing in this module waits,
//! reads a clock, or reaches a replica.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::application::{Application, Change, Drained, Retirement, Rollout, Step, Wanted};
use super::assignment::{ASSIGNMENTS, Assignment, ROUTES, report_of};
use super::autoscaler::{Loads, Weighed};
use super::deployment::{Deployment, DeploymentRecord, Unmet};
use super::error::{DeployError, DeployFailure};
use super::spec::{DeploymentId, Spec};
use super::store::{Batch, Change as StoreChange, Entry, read};
use crate::application::{BlueprintId, Blueprints, Outline, Plan};
use crate::clock::Moment;

/// The prefix of the keys of applications. The application's name follows.
pub(super) const APPLICATIONS: &str = "state.application.";
/// The prefix of the keys of deployments. The deployment's number follows.
pub(super) const DEPLOYMENTS: &str = "state.deployment.";
pub(super) const RETIREMENTS: &str = "state.retirements";
pub(super) const COMMON: &str = "state.common";

/// The number of failed deploys that are remembered apart from their applications. Callers that
/// wait for a failed deploy have seen its failure long before so many others have failed.
const FAILED_KEPT: usize = 128;

/// The complete knowledge of a controller.
#[derive(Debug)]
pub(super) struct State {
    pub(super) applications: BTreeMap<String, Application>,
    pub(super) deployments: BTreeMap<DeploymentId, Deployment>,
    retirements: Vec<Retirement>,
    common: Common,
    blueprints: Arc<Blueprints>,
    /// Distinguishes the replicas of this runtime from those of other runtimes, and from those of
    /// the same program before it was restarted. `None` in tests, where ids are the same in each
    /// run.
    incarnation: Option<String>,
    /// The deployments and applications that have changed since the last decision.
    touched: BTreeSet<DeploymentId>,
    touched_applications: BTreeSet<String>,
    /// The deployments and applications that may differ from what is stored.
    unstored: BTreeSet<DeploymentId>,
    unstored_applications: BTreeSet<String>,
    /// True if a plan may have become unused: a node has another plan, or none.
    plans_change: bool,
    stored: Stored,
}

/// The state that belongs to no application.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Common {
    /// Counters of serials and replicas. No number is used twice.
    next_serial: u64,
    next_replica: u64,
    shut_down: bool,
    /// The failures of deploys that no application can report, because no application of the name
    /// is left or the next one has not begun.
    failed: BTreeMap<u64, DeployFailure>,
}

/// A deployment that has changed, and the decision on its load.
pub(super) struct Touched {
    id: DeploymentId,
    weighed: Option<Weighed>,
}

/// The parts of the stored state that later states are compared with.
#[derive(Debug, Default)]
struct Stored {
    applications: BTreeMap<String, Application>,
    deployments: BTreeSet<DeploymentId>,
    retirements: Vec<Retirement>,
    common: Common,
}

impl State {
    pub(super) fn new(blueprints: Arc<Blueprints>, incarnation: Option<String>) -> Self {
        Self {
            applications: BTreeMap::new(),
            deployments: BTreeMap::new(),
            retirements: Vec::new(),
            common: Common::default(),
            blueprints,
            incarnation,
            touched: BTreeSet::new(),
            touched_applications: BTreeSet::new(),
            unstored: BTreeSet::new(),
            unstored_applications: BTreeSet::new(),
            plans_change: false,
            stored: Stored::default(),
        }
    }

    /// Continues from the state that another controller has stored.
    pub(super) fn restore(&mut self, entries: &BTreeMap<String, Entry>) {
        let blueprints = Arc::clone(&self.blueprints);
        let with_code =
            |name: &str, spec: &Arc<Spec>| Arc::new(Spec::clone(spec).with_code(name, &blueprints));
        for (key, entry) in entries {
            if let Some(name) = key.strip_prefix(APPLICATIONS) {
                let mut application: Application = read(key, entry);
                if let Step::RollingOut(rollout) = &mut application.step {
                    for change in &mut rollout.changes {
                        change.spec = with_code(&change.name, &change.spec);
                        let before = change.before.take();
                        change.before = before.map(|it| it.with_code(&change.name, &blueprints));
                    }
                }
                self.stored.applications.insert(name.to_owned(), application.clone());
                self.applications.insert(name.to_owned(), application);
            } else if let Some((id, _)) = DeploymentId::in_key(DEPLOYMENTS, key) {
                let mut record: DeploymentRecord = read(key, entry);
                record.spec = with_code(&record.name, &record.spec);
                let key = id.key(ASSIGNMENTS);
                let assignment: Option<Assignment> = entries.get(&key).map(|it| read(&key, it));
                let assignment = assignment.expect("both are written together");
                self.stored.deployments.insert(id);
                self.deployments.insert(id, Deployment::restore(record, assignment));
            } else if key == RETIREMENTS {
                self.retirements = read(key, entry);
            } else if key == COMMON {
                self.common = read(key, entry);
            }
        }
        self.stored.retirements.clone_from(&self.retirements);
        self.stored.common.clone_from(&self.common);
        self.touched = self.deployments.keys().copied().collect();
        self.touched_applications = self.applications.keys().cloned().collect();
    }

    fn next_serial(&mut self) -> u64 {
        self.common.next_serial += 1;
        self.common.next_serial
    }

    /// Requests a deploy of an application. Returns the number of the deploy.
    ///
    /// # Errors
    /// If the deploy is refused. In that case, nothing was changed.
    pub(super) fn ask(
        &mut self,
        name: &str,
        hidden: bool,
        plan: Outline,
        now: Moment,
    ) -> Result<u64, DeployError> {
        let known = self.applications.get(name);
        if let Some(number) = known.and_then(|known| known.number_of(plan.blueprint)) {
            return Ok(number);
        }
        if let Some(refused) = self.refusal(name, &plan) {
            return Err(refused.into_error(name));
        }
        let number = self.next_serial();
        let wanted = Wanted { number, hidden, plan };
        match self.applications.get_mut(name) {
            Some(application) => application.ask(wanted, now),
            None => {
                let id = self.next_serial();
                self.applications.insert(name.to_owned(), Application::new(id, wanted, now));
            }
        }
        self.touched_applications.insert(name.to_owned());
        Ok(number)
    }

    /// Requests the deletion of an application. Returns the number that distinguishes the
    /// application from a later application of the same name.
    pub(super) fn ask_for_deletion(&mut self, name: &str) -> Result<u64, DeployError> {
        let unknown = || DeployError::UnknownApplication(name.to_owned());
        let application = self.applications.get_mut(name).ok_or_else(unknown)?;
        // A deploy that is in progress gives way.
        application.deploys.ask_for_deletion();
        let id = application.id;
        if let Some(wanted) = application.after_deletion.take() {
            // This deploy was requested after an earlier deletion and before this one.
            self.fail_apart(wanted.number, DeployFailure::Deleted);
        }
        self.touched_applications.insert(name.to_owned());
        Ok(id)
    }

    /// Records the failure of a deploy that no application can report.
    fn fail_apart(&mut self, number: u64, failure: DeployFailure) {
        if self.common.failed.len() == FAILED_KEPT {
            self.common.failed.pop_first();
        }
        self.common.failed.insert(number, failure);
    }

    /// Returns the reason why a deploy failed, if no application can report it.
    pub(super) fn failed_apart(&self, number: u64) -> Option<&DeployFailure> {
        self.common.failed.get(&number)
    }

    /// Returns `true` once a shutdown was requested.
    pub(super) fn is_shut_down(&self) -> bool {
        self.common.shut_down
    }

    /// Requests that everything stops and that nothing starts again.
    pub(super) fn shut_down(&mut self) {
        self.common.shut_down = true;
        let names: Vec<String> = self.applications.keys().cloned().collect();
        for name in names {
            // Fails only for an unknown name.
            let _ = self.ask_for_deletion(&name);
        }
    }

    /// Returns `true` if no deployment runs or is stopping.
    pub(super) fn is_empty(&self) -> bool {
        self.applications.is_empty() && self.deployments.is_empty()
    }

    /// Applies changes of the reports of nodes.
    pub(super) fn report(&mut self, changes: Vec<StoreChange>, now: Moment) {
        for (key, entry) in changes {
            let Some((id, replica)) = report_of(&key) else { continue };
            self.plans_change |= replica.is_none();
            let Some(deployment) = self.deployments.get_mut(&id) else { continue };
            // A report is deleted together with the assignment, or when the assignment no longer
            // lists the replica.
            let Some(entry) = entry else { continue };
            match replica {
                None => deployment.report(read(&key, &entry)),
                Some(number) => deployment.report_replica(number, read(&key, &entry), now),
            }
            self.touch(id);
        }
    }

    /// Notes that something happened to a deployment.
    pub(super) fn touch(&mut self, id: DeploymentId) {
        self.touched.insert(id);
    }

    /// Returns the next time at which there may be something to decide even if nothing happens
    /// before.
    pub(super) fn next_at(&self) -> Option<Moment> {
        self.deployments.values().filter_map(Deployment::wakes_at).min()
    }

    /// Decides how many replicas the loads of the touched deployments require. Runs user code,
    /// which may call `status`.
    pub(super) fn weigh_loads(&self, loads: &dyn Loads, now: Moment) -> Vec<Touched> {
        let is_due = |deployment: &Deployment| deployment.wakes_at().is_some_and(|at| at <= now);
        let due = self.deployments.iter().filter(|(_, deployment)| is_due(deployment));
        let mut touched: BTreeSet<DeploymentId> = due.map(|(id, _)| *id).collect();
        touched.extend(&self.touched);
        let weigh = |id| {
            let deployment = self.deployments.get(&id)?;
            Some(Touched { id, weighed: deployment.weigh(id, loads, now) })
        };
        touched.into_iter().filter_map(weigh).collect()
    }

    /// Decides what follows from the changes of the touched deployments and applications. Returns
    /// `false` once nothing more follows.
    pub(super) fn advance(&mut self, touched: Vec<Touched>, now: Moment) -> bool {
        self.touched.clear();
        let mut names = std::mem::take(&mut self.touched_applications);
        if touched.is_empty() && names.is_empty() {
            return false;
        }
        for Touched { id, weighed } in touched {
            self.advance_deployment(id, weighed, now);
            names.extend(self.application_of(id));
            self.unstored.insert(id);
        }
        for name in &names {
            while self.step(name, now) {}
        }
        self.unstored_applications.extend(names);
        self.advance_retirements();
        self.forget_the_gone();
        true
    }

    /// Returns `true` if there is nothing to decide and nothing to store.
    pub(super) fn is_idle(&self, now: Moment) -> bool {
        let is_due = self.next_at().is_some_and(|at| at <= now);
        let is_touched = !self.touched.is_empty() || !self.touched_applications.is_empty();
        !is_due && !is_touched && !self.plans_change
    }

    fn application_of(&self, id: DeploymentId) -> Option<String> {
        Some(self.deployments.get(&id)?.record.application.to_string())
    }

    fn advance_deployment(&mut self, id: DeploymentId, weighed: Option<Weighed>, now: Moment) {
        let Some(deployment) = self.deployments.get_mut(&id) else { return };
        deployment.take_up(weighed);
        let (common, incarnation) = (&mut self.common, &self.incarnation);
        let (application, name) =
            (Arc::clone(&deployment.record.application), Arc::clone(&deployment.record.name));
        deployment.advance(now, || {
            let number = common.next_replica;
            common.next_replica += 1;
            match incarnation {
                Some(incarnation) => format!("{application}#{name}#{incarnation}-{number}").into(),
                None => format!("{application}#{name}#{number}").into(),
            }
        });
    }

    /// Removes the deployments that are gone.
    fn forget_the_gone(&mut self) {
        let gone = self.deployments.iter().filter(|(_, deployment)| deployment.is_gone());
        let gone: Vec<DeploymentId> = gone.map(|(id, _)| *id).collect();
        for id in gone {
            self.unstored.insert(id);
            if let Some(deployment) = self.deployments.remove(&id) {
                // The application may have waited for this deployment.
                self.touched_applications.insert(deployment.record.application.to_string());
            }
        }
    }

    /// Makes one transition of an application. Returns `false` if there is no transition to make.
    fn step(&mut self, name: &str, now: Moment) -> bool {
        let Some(application) = self.applications.get_mut(name) else { return false };
        match &application.step {
            Step::Idle if application.deploys.deletion_asked() => {
                let failure = if self.common.shut_down {
                    DeployFailure::ShutDown
                } else {
                    DeployFailure::Deleted
                };
                application.drop_wanted(failure);
                application.deploys.delete();
                application.step = Step::Deleting { tiers: application.tiers() };
                true
            }
            Step::Idle => match application.wanted.take() {
                Some(wanted) => {
                    self.begin(name, wanted, now);
                    true
                }
                None => false,
            },
            Step::RollingOut(rollout) if application.deploys.gives_way(rollout.number) => {
                self.give_way(name);
                true
            }
            Step::RollingOut(_) => self.roll_out(name),
            Step::GivingWay { dropped } => {
                if dropped.iter().any(|id| self.deployments.contains_key(id)) {
                    return false;
                }
                application.step = Step::Idle;
                true
            }
            Step::Deleting { .. } => self.delete(name, now),
        }
    }

    /// Returns the reason to refuse a plan, if there is one.
    fn refusal(&self, name: &str, plan: &Outline) -> Option<DeployFailure> {
        if self.common.shut_down {
            return Some(DeployFailure::ShutDown);
        }
        let prefix = plan.claim.as_deref()?;
        let (taken_by, _) = self
            .applications
            .iter()
            .find(|(other, application)| *other != name && application.claims(prefix))?;
        Some(DeployFailure::RouteTaken { prefix: prefix.to_owned(), taken_by: taken_by.clone() })
    }

    /// Begins a deploy: determines the changes, and starts the new deployments.
    fn begin(&mut self, name: &str, wanted: Wanted, now: Moment) {
        let Wanted { number, plan, .. } = wanted;
        if let Some(refused) = self.refusal(name, &plan) {
            let application = self.applications.get_mut(name).expect("the caller has found it");
            application.deploys.refuse(number, refused.clone());
            if application.is_blank() {
                self.applications.remove(name);
                self.fail_apart(number, refused);
            }
            return;
        }
        let mut application = self.applications.remove(name).expect("the caller has found it");
        application.deploys.begin(plan.claim.as_deref());
        // With other arguments, the same function may create another client of the same type.
        let source = application.plan.as_ref().and_then(|plan| plan.source.as_ref());
        let registered = plan.source.is_some() && plan.source.as_ref() == source;
        let mut changes = Vec::with_capacity(plan.deployments.len());
        let mut replaced = Vec::new();
        for node in &plan.deployments {
            let known = application.deployments.get(&node.name).copied();
            let before = known.filter(|id| self.is_of_the_same_type(*id, &plan, &node.name));
            let before = before.and_then(|id| Some((id, self.deployments.get(&id)?.spec())));
            let before = before.map(|(id, spec)| (id, Spec::clone(spec)));
            let old = before.as_ref().map(|(_, spec)| spec);
            let spec = Arc::new(self.spec(&plan, &node.name, old, registered));
            let (id, before) = match before {
                Some((id, before)) => (id, Some(before)),
                None => {
                    let id = DeploymentId(self.next_serial());
                    let new = Deployment::new(name, &node.name, &node.type_name, spec.clone(), now);
                    self.deployments.insert(id, new);
                    self.touch(id);
                    let other = application.deployments.insert(node.name.clone(), id);
                    replaced.extend(other.map(|other| (node.name.clone(), other)));
                    (id, None)
                }
            };
            changes.push(Change { name: node.name.clone(), deployment: id, spec, before });
        }
        application.step =
            Step::RollingOut(Rollout { number, plan, changes, replaced, tiers_done: 0 });
        self.applications.insert(name.to_owned(), application);
    }

    /// Returns `true` if a running deployment has the same type as the plan's deployment of that
    /// name.
    fn is_of_the_same_type(&self, id: DeploymentId, plan: &Outline, name: &str) -> bool {
        let Some(running) = self.deployments.get(&id) else { return false };
        let same = self.blueprints.compare(
            running.spec().blueprint,
            plan.blueprint,
            name,
            |running, planned| running.kind.type_id() == planned.kind.type_id(),
        );
        // A process without the code compares the names of the types.
        let planned = plan.deployments.iter().find(|node| node.name == name);
        let by_name = || planned.is_some_and(|it| it.type_name == running.record.type_name);
        same.unwrap_or_else(by_name)
    }

    /// Returns the spec of a deployment, with the version of `before` if the replicas can stay.
    fn spec(
        &mut self,
        plan: &Outline,
        name: &str,
        before: Option<&Spec>,
        registered: bool,
    ) -> Spec {
        let blueprint = plan.blueprint;
        let serial = self.next_serial();
        let blueprints = &self.blueprints;
        let options = blueprints.with_node(blueprint, name, |node| node.options().clone());
        let options = options.expect("a plan that is asked for has its blueprint");
        let is_made_like = |before: &Spec| {
            let is_like = blueprints.compare(blueprint, before.blueprint, name, |node, before| {
                node.is_made_like(before, registered)
            });
            is_like.unwrap_or(false)
        };
        let stays = before.filter(|before| {
            before.suspended.is_none()
                && before.build_id == plan.build_id
                && is_made_like(before)
                && !before.options.need_other_replicas(&options)
        });
        let told = stays.filter(|before| before.options.user_config == options.user_config);
        Spec {
            blueprint,
            build_id: plan.build_id.clone(),
            serial,
            version: stays.map_or(serial, |before| before.version),
            config_version: told.map_or(serial, |before| before.config_version),
            options,
            suspended: None,
            restored: false,
            in_part: false,
        }
    }

    fn ask_of(&mut self, id: DeploymentId, spec: Arc<Spec>) {
        if let Some(deployment) = self.deployments.get_mut(&id) {
            deployment.ask(spec);
            self.touch(id);
        }
    }

    fn retire(&mut self, ids: &[DeploymentId], reason: &str) {
        for id in ids {
            let deployment = self.deployments.get_mut(id);
            if deployment.is_some_and(|deployment| deployment.retire(reason)) {
                self.touch(*id);
            }
        }
    }

    /// Continues a deploy: requests the changes, tier by tier, until everything runs or something
    /// has failed. Returns `false` if the deploy has to wait.
    fn roll_out(&mut self, name: &str) -> bool {
        let Step::RollingOut(rollout) = &self.applications[name].step else { return false };
        let mut tiers = rollout.plan.tiers();
        tiers.reverse();
        let Some(tier) = tiers.get(rollout.tiers_done) else {
            self.commit(name);
            return true;
        };
        let change = |place: &usize| {
            let Change { name, deployment, spec, .. } = &rollout.changes[*place];
            (name.clone(), *deployment, Arc::clone(spec))
        };
        let changes: Vec<_> = tier.iter().map(change).collect();
        let mut runs = true;
        for (deployment, id, spec) in changes {
            let Some(running) = self.deployments.get(&id) else { continue };
            if running.spec().serial != spec.serial {
                self.ask_of(id, spec);
                runs = false;
                continue;
            }
            if self.touched.contains(&id) {
                // A new spec was requested, and the deployment has not decided on it yet.
                runs = false;
                continue;
            }
            match running.outcome() {
                Some(Ok(())) => {}
                None => runs = false,
                Some(Err(unmet)) => {
                    let failure = match unmet.clone() {
                        Unmet::DoesNotStart(error) => {
                            DeployFailure::Constructor { deployment, error }
                        }
                        Unmet::RefusesConfig(error) => {
                            DeployFailure::UserConfig { deployment, error }
                        }
                    };
                    self.fail(name, failure);
                    return true;
                }
            }
        }
        if !runs {
            return false;
        }
        if let Some(Step::RollingOut(rollout)) = self.step_mut(name) {
            rollout.tiers_done += 1;
        }
        true
    }

    fn step_mut(&mut self, name: &str) -> Option<&mut Step> {
        self.applications.get_mut(name).map(|application| &mut application.step)
    }

    /// Ends the rollout of an application. Returns the application and the rollout.
    fn end_rollout(&mut self, name: &str) -> Option<(&mut Application, Rollout)> {
        let application = self.applications.get_mut(name)?;
        match std::mem::take(&mut application.step) {
            Step::RollingOut(rollout) => Some((application, rollout)),
            other => {
                application.step = other;
                None
            }
        }
    }

    /// Completes a deploy that runs in full. Deployments that the plan no longer contains stop,
    /// callers first, as soon as nothing can call them.
    fn commit(&mut self, name: &str) {
        let Some((application, rollout)) = self.end_rollout(name) else { return };
        let gone = application.take_gone(&rollout);
        application.plan = Some(rollout.plan);
        application.deploys.succeed(rollout.number);
        let callers: Vec<DeploymentId> = application.deployments.values().copied().collect();
        let after = callers.into_iter().map(|id| self.drained(id, None)).collect();
        self.stop_once(after, gone, "a new version of its application has none");
    }

    /// Returns the condition that a deployment has settled on a spec, if one is named, and that the
    /// replicas which stop now are gone.
    fn drained(&self, id: DeploymentId, serial: Option<u64>) -> Drained {
        let replicas = self.deployments.get(&id).map(Deployment::stopping).unwrap_or_default();
        Drained { deployment: id, serial, replicas }
    }

    fn stop_once(
        &mut self,
        after: Vec<Drained>,
        tiers: Vec<Vec<DeploymentId>>,
        reason: &'static str,
    ) {
        let tiers: Vec<_> = tiers.into_iter().filter(|tier| !tier.is_empty()).collect();
        if !tiers.is_empty() {
            self.retirements.push(Retirement { after, tiers, reason: reason.to_owned() });
        }
    }

    /// Requests the specs from before a rollout again, for deployments that were changed. Returns
    /// these deployments and their new serials.
    fn restore_before(&mut self, changes: &[Change]) -> Vec<(DeploymentId, u64)> {
        let mut asked = Vec::new();
        for Change { deployment: id, before, .. } in changes {
            let Some(before) = before else { continue };
            let Some(deployment) = self.deployments.get(id) else { continue };
            if deployment.spec().serial == before.serial {
                continue;
            }
            // The spec that was requested last is in effect, whatever its version.
            let serial = self.next_serial();
            let spec = Spec { serial, restored: true, ..Spec::clone(before) };
            self.ask_of(*id, Arc::new(spec));
            asked.push((*id, serial));
        }
        asked
    }

    /// Reverts the deployments of an application to those before a rollout. Returns the deployments
    /// that were new.
    fn take_back(&mut self, name: &str, rollout: &Rollout) -> Vec<DeploymentId> {
        let Some(application) = self.applications.get_mut(name) else { return Vec::new() };
        let new = rollout.changes.iter().filter(|change| change.before.is_none());
        let dropped = new.filter_map(|change| application.deployments.remove(&change.name));
        let dropped = dropped.collect();
        application.deployments.extend(rollout.replaced.iter().cloned());
        dropped
    }

    /// Makes a deploy give way to a newer one or to the deletion: the previous version continues,
    /// and new deployments stop before the next step.
    fn give_way(&mut self, name: &str) {
        let Some((application, rollout)) = self.end_rollout(name) else { return };
        if application.deploys.deletion_asked() {
            let failure = if self.common.shut_down {
                DeployFailure::ShutDown
            } else {
                DeployFailure::Deleted
            };
            let application = self.applications.get_mut(name).expect("its rollout was just ended");
            application.deploys.fail(rollout.number, failure, false);
        } else {
            application.deploys.give_way();
        }
        self.restore_before(&rollout.changes);
        let dropped = self.take_back(name, &rollout);
        self.retire(&dropped, "its application failed to deploy");
        if let Some(step) = self.step_mut(name) {
            *step = Step::GivingWay { dropped };
        }
    }

    /// Fails a deploy: the previous version continues, new deployments stop, and the status says
    /// why. If a first deploy fails, its running replicas continue to serve as long as each
    /// deployment has a replica that serves.
    fn fail(&mut self, name: &str, failure: DeployFailure) {
        let Some((application, rollout)) = self.end_rollout(name) else { return };
        if application.plan.is_some() {
            application.deploys.fail(rollout.number, failure, false);
            let restored = self.restore_before(&rollout.changes);
            let dropped = self.take_back(name, &rollout);
            let restored = restored.into_iter();
            let after = restored.map(|(id, serial)| self.drained(id, Some(serial))).collect();
            self.stop_once(after, vec![dropped], "its application failed to deploy");
            return;
        }
        // Needed for the tiers and the route of the deployments that remain.
        application.plan = Some(rollout.plan);
        let mut ids = rollout.changes.iter().map(|change| change.deployment);
        let serves = |id| self.deployments.get(&id).is_some_and(|it| it.serving() > 0);
        let in_part = ids.all(serves);
        let application = self.applications.get_mut(name).expect("its rollout was just ended");
        application.deploys.fail(rollout.number, failure, in_part);
        for Change { deployment, spec, .. } in &rollout.changes {
            let spec = if in_part {
                Spec { serial: self.next_serial(), in_part, ..Spec::clone(spec) }
            } else {
                // The deployment is kept for inspection of the failure and its reason.
                let suspended = Some("its application failed to deploy".to_owned());
                Spec { serial: self.next_serial(), suspended, ..Spec::clone(spec) }
            };
            self.ask_of(*deployment, Arc::new(spec));
        }
    }

    /// Continues a deletion: callers stop before their callees. Returns `false` if the deletion has
    /// to wait.
    fn delete(&mut self, name: &str, now: Moment) -> bool {
        let Some(Step::Deleting { tiers }) = self.step_mut(name) else { return false };
        if let Some(tier) = tiers.first().cloned() {
            if tier.iter().any(|id| self.deployments.contains_key(id)) {
                self.retire(&tier, "its application was deleted");
                return false;
            }
            if let Some(Step::Deleting { tiers }) = self.step_mut(name) {
                tiers.remove(0);
            }
            return true;
        }
        let application = self.applications.remove(name).expect("the step is one of its");
        if let Some(wanted) = application.after_deletion {
            let id = self.next_serial();
            self.applications.insert(name.to_owned(), Application::new(id, wanted, now));
        }
        true
    }

    /// Stops the deployments that nothing can call anymore.
    fn advance_retirements(&mut self) {
        let mut retirements = std::mem::take(&mut self.retirements);
        retirements.retain_mut(|retirement| {
            retirement.after.retain_mut(|drained| !self.has_drained(drained));
            if !retirement.after.is_empty() {
                return true;
            }
            let deployments = &self.deployments;
            let stops =
                |tier: &Vec<DeploymentId>| tier.iter().any(|id| deployments.contains_key(id));
            while retirement.tiers.first().is_some_and(|tier| !stops(tier)) {
                retirement.tiers.remove(0);
            }
            match retirement.tiers.first().cloned() {
                Some(tier) => {
                    self.retire(&tier, &retirement.reason);
                    true
                }
                None => false,
            }
        });
        self.retirements = retirements;
    }

    fn has_drained(&self, drained: &mut Drained) -> bool {
        let Some(deployment) = self.deployments.get(&drained.deployment) else { return true };
        if let Some(serial) = drained.serial {
            let settles = deployment.spec().serial == serial && deployment.outcome().is_none();
            if settles {
                return false;
            }
            drained.serial = None;
            drained.replicas.extend(deployment.stopping());
        }
        !deployment.has_any(&drained.replicas)
    }

    /// Returns the plans that something still refers to.
    fn used_blueprints(&self) -> BTreeSet<BlueprintId> {
        let running = self.deployments.values().map(|deployment| deployment.spec().blueprint);
        let of_application = |application: &Application| {
            let mut used: Vec<BlueprintId> =
                application.plan.iter().map(|it| it.blueprint).collect();
            let wanted = [&application.wanted, &application.after_deletion].into_iter().flatten();
            used.extend(wanted.map(|wanted| wanted.plan.blueprint));
            if let Step::RollingOut(rollout) = &application.step {
                used.push(rollout.plan.blueprint);
                let before = rollout.changes.iter().filter_map(|change| change.before.as_ref());
                used.extend(before.map(|before| before.blueprint));
            }
            used
        };
        running.chain(self.applications.values().flat_map(of_application)).collect()
    }

    /// Returns what a successor needs and the store does not have yet. The flag is `true` if a node
    /// has to act on it.
    pub(super) fn unstored(&self) -> (Batch, bool) {
        let mut batch = Batch::default();
        let mut assigned = Batch::default();
        for name in &self.unstored_applications {
            let known = self.stored.applications.get(name);
            let Some(application) = self.applications.get(name) else {
                if known.is_some() {
                    batch.delete(format!("{APPLICATIONS}{name}"));
                    assigned.delete(format!("{ROUTES}{name}"));
                }
                continue;
            };
            if known != Some(application) {
                batch.put(format!("{APPLICATIONS}{name}"), application);
            }
            let now = application.assigned();
            if known.map(Application::assigned).as_ref() != Some(&now) {
                assigned.put(format!("{ROUTES}{name}"), &now);
            }
        }
        for id in &self.unstored {
            let Some(deployment) = self.deployments.get(id) else {
                if self.stored.deployments.contains(id) {
                    batch.delete(id.key(DEPLOYMENTS));
                    assigned.delete(id.key(ASSIGNMENTS));
                }
                continue;
            };
            let (record, assignment) = deployment.unstored();
            if let Some(record) = record {
                batch.put(id.key(DEPLOYMENTS), record);
            }
            if let Some(assignment) = assignment {
                assigned.put(id.key(ASSIGNMENTS), &assignment);
            }
        }
        if self.stored.retirements != self.retirements {
            batch.put(RETIREMENTS.to_owned(), &self.retirements);
        }
        if self.stored.common != self.common {
            batch.put(COMMON.to_owned(), &self.common);
        }
        let acts = !assigned.writes.is_empty();
        batch.writes.extend(assigned.writes);
        (batch, acts)
    }

    /// Marks everything as stored. Returns the plans that nothing refers to anymore.
    #[must_use = "the plans must be dropped without the lock of the state"]
    pub(super) fn is_stored(&mut self) -> Vec<Arc<Plan>> {
        let mut plans_change = std::mem::take(&mut self.plans_change);
        for name in std::mem::take(&mut self.unstored_applications) {
            if self.stored.applications.get(&name) == self.applications.get(&name) {
                continue;
            }
            plans_change = true;
            match self.applications.get(&name) {
                Some(application) => {
                    self.stored.applications.insert(name, application.clone());
                }
                None => {
                    self.stored.applications.remove(&name);
                }
            }
        }
        for id in std::mem::take(&mut self.unstored) {
            match self.deployments.get_mut(&id) {
                Some(deployment) => {
                    deployment.is_stored();
                    self.stored.deployments.insert(id);
                }
                None => {
                    self.stored.deployments.remove(&id);
                }
            }
        }
        self.stored.retirements.clone_from(&self.retirements);
        self.stored.common.clone_from(&self.common);
        match plans_change {
            true => self.blueprints.retain(&self.used_blueprints()),
            false => Vec::new(),
        }
    }
}
