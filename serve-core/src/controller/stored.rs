//! The stored form of a [`ControllerState`]: what a successor needs, and how the successor continues from it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::application::{Activity, ApplicationState};
use super::assignment::{ASSIGNMENTS, Assignment, ROUTES};
use super::deployment::{DeploymentRecord, DeploymentState};
use super::spec::{DeploymentId, Spec};
use super::state::ControllerState;
use super::store::{Entry, WriteBatch, read};
use crate::application::{BlueprintId, Plan};

/// The prefix of the keys of applications. The application's name follows.
const APPLICATIONS: &str = "state.application.";
/// The prefix of the keys of deployments. The deployment's number follows.
const DEPLOYMENTS: &str = "state.deployment.";
const RETIREMENTS: &str = "state.retirements";
const COMMON: &str = "state.common";
const CHANGES: &str = "state.changes";

impl ControllerState {
    /// Continues from the state that another controller has stored.
    pub(super) fn restore(&mut self, entries: &BTreeMap<String, Entry>) {
        let blueprints = Arc::clone(&self.blueprints);
        let with_code =
            |name: &str, spec: &Arc<Spec>| Arc::new(Spec::clone(spec).with_code(name, &blueprints));
        for (key, entry) in entries {
            if let Some(name) = key.strip_prefix(APPLICATIONS) {
                let mut application: ApplicationState = read(key, entry);
                if let Activity::RollingOut(rollout) = &mut application.step {
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
                self.deployments.insert(id, DeploymentState::restore(record, assignment));
            } else if key == RETIREMENTS {
                self.retirements = read(key, entry);
            } else if key == COMMON {
                self.common = read(key, entry);
            } else if key == CHANGES {
                self.changes = read(key, entry);
            }
        }
        self.stored.retirements.clone_from(&self.retirements);
        self.stored.common.clone_from(&self.common);
        self.stored.changes.clone_from(&self.changes);
        self.touched = self.deployments.keys().copied().collect();
        self.touched_applications = self.applications.keys().cloned().collect();
    }

    /// Returns the plans that something still refers to.
    fn used_blueprints(&self) -> BTreeSet<BlueprintId> {
        let running = self.deployments.values().map(|deployment| deployment.spec().blueprint);
        let of_application = |application: &ApplicationState| {
            let mut used: Vec<BlueprintId> =
                application.plan.iter().map(|it| it.blueprint).collect();
            let wanted = [&application.wanted, &application.after_deletion].into_iter().flatten();
            used.extend(wanted.map(|wanted| wanted.plan.blueprint));
            if let Activity::RollingOut(rollout) = &application.step {
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
    pub(super) fn unstored(&self) -> (WriteBatch, bool) {
        let mut batch = WriteBatch::default();
        let mut assigned = WriteBatch::default();
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
            if known.map(ApplicationState::assigned).as_ref() != Some(&now) {
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
        if self.stored.changes.revision() != self.changes.revision() {
            batch.put(CHANGES.to_owned(), &self.changes);
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
        if self.stored.changes.revision() != self.changes.revision() {
            self.stored.changes.clone_from(&self.changes);
        }
        match plans_change {
            true => self.blueprints.retain(&self.used_blueprints()),
            false => Vec::new(),
        }
    }
}
