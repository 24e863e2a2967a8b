//! [`ControllerState`]: the complete knowledge of a controller as plain data.
//!
//! Commands and reports change the state, and [`ControllerState::advance`] decides what follows. The
//! transitions of applications are in `transitions`, what a successor needs is in `stored`, and what
//! users see is in `details`. Nothing in these modules waits, reads a clock, or reaches a replica.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::application::{ApplicationState, Retirement};
use super::assignment::report_of;
use super::autoscaler::{Loads, Weighed};
use super::changes::Changes;
use super::deployment::DeploymentState;
use super::error::{DeployError, DeployFailure};
use super::spec::DeploymentId;
use super::store::{Change as StoreChange, read};
use crate::application::{Blueprints, Outline};
use crate::time::Moment;

/// The number of failed deploys that are remembered apart from their applications. Callers that
/// wait for a failed deploy have seen its failure long before so many others have failed.
const FAILED_KEPT: usize = 128;

/// The complete knowledge of a controller.
#[derive(Debug)]
pub(super) struct ControllerState {
    pub(super) applications: BTreeMap<String, ApplicationState>,
    pub(super) deployments: BTreeMap<DeploymentId, DeploymentState>,
    pub(super) retirements: Vec<Retirement>,
    pub(super) common: Common,
    pub(super) changes: Changes,
    pub(super) blueprints: Arc<Blueprints>,
    /// Distinguishes the replicas of this runtime from those of other runtimes, and from those of
    /// the same program before it was restarted. `None` in tests, where ids are the same in each
    /// run.
    incarnation: Option<String>,
    /// The deployments and applications that have changed since the last decision.
    pub(super) touched: BTreeSet<DeploymentId>,
    pub(super) touched_applications: BTreeSet<String>,
    /// The deployments and applications that may differ from what is stored.
    pub(super) unstored: BTreeSet<DeploymentId>,
    pub(super) unstored_applications: BTreeSet<String>,
    /// True if a plan may have become unused: a node has another plan, or none.
    pub(super) plans_change: bool,
    pub(super) stored: Stored,
}

/// The state that belongs to no application.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Common {
    /// Counters of serials and replicas. No number is used twice.
    pub(super) next_serial: u64,
    next_replica: u64,
    pub(super) shut_down: bool,
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
pub(super) struct Stored {
    pub(super) applications: BTreeMap<String, ApplicationState>,
    pub(super) deployments: BTreeSet<DeploymentId>,
    pub(super) retirements: Vec<Retirement>,
    pub(super) common: Common,
    pub(super) changes: Changes,
}

impl ControllerState {
    pub(super) fn new(blueprints: Arc<Blueprints>, incarnation: Option<String>) -> Self {
        Self {
            applications: BTreeMap::new(),
            deployments: BTreeMap::new(),
            retirements: Vec::new(),
            common: Common::default(),
            changes: Changes::default(),
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

    pub(super) fn next_serial(&mut self) -> u64 {
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
        Ok(self.accept(name, hidden, plan, now))
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
    pub(super) fn fail_apart(&mut self, number: u64, failure: DeployFailure) {
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
        self.deployments.values().filter_map(DeploymentState::wakes_at).min()
    }

    /// Decides how many replicas the loads of the touched deployments require. Runs user code,
    /// which may call `status`.
    pub(super) fn weigh_loads(&self, loads: &dyn Loads, now: Moment) -> Vec<Touched> {
        let is_due =
            |deployment: &DeploymentState| deployment.wakes_at().is_some_and(|at| at <= now);
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
        // A shutdown touches no application if there is none.
        let is_stored = self.common == self.stored.common
            && self.changes.revision() == self.stored.changes.revision();
        !is_due && !is_touched && !self.plans_change && is_stored
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
}
