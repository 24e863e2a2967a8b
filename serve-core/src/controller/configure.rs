//! The changes of a [`ControllerState`] that come from outside the program: a configuration of several
//! applications, and a number of replicas.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::application::{Activity, ApplicationState, RequestedDeploy};
use super::changes::{AppliedConfiguration, ChangeOrigin};
use super::error::{ConfigurationError, DeployError, DeployFailure};
use super::spec::Spec;
use super::state::ControllerState;
use crate::application::Outline;
use crate::deployment::DeploymentOptions;
use crate::time::Moment;

impl ControllerState {
    /// Records a change of the desired state.
    pub(super) fn record(&mut self, origin: ChangeOrigin, now: Moment) -> u64 {
        if let Some(revision) = self.changes.revision_of(origin.command) {
            return revision;
        }
        self.changes.record(origin, None, now);
        self.changes.revision()
    }

    /// Records the deletion of an application, which the configuration in effect then lacks.
    pub(super) fn record_deletion(&mut self, origin: ChangeOrigin, name: &str, now: Moment) {
        let without = self.changes.configuration.as_ref().and_then(|applied| applied.without(name));
        self.changes.record(origin, without, now);
    }

    fn check_revision(&self, origin: &ChangeOrigin) -> Result<(), ConfigurationError> {
        let current = self.changes.revision();
        match origin.expected {
            Some(expected) if expected != current => {
                Err(ConfigurationError::RevisionConflict { expected, current })
            }
            _ => Ok(()),
        }
    }

    /// Applies a configuration: deploys its applications, and deletes the applications of the
    /// previous configuration that it lacks. Returns the revision.
    ///
    /// # Errors
    /// If something is refused. In that case, nothing was changed.
    pub(super) fn apply(
        &mut self,
        origin: ChangeOrigin,
        applied: AppliedConfiguration,
        deploys: Vec<(String, Outline)>,
        now: Moment,
    ) -> Result<u64, ConfigurationError> {
        if let Some(revision) = self.changes.revision_of(origin.command) {
            return Ok(revision);
        }
        if self.is_shut_down() {
            return Err(ConfigurationError::ShutDown);
        }
        self.check_revision(&origin)?;
        let names: BTreeSet<&str> = deploys.iter().map(|(name, _)| &**name).collect();
        let is_declared = |application: &ApplicationState| {
            application.newest_wish().is_some_and(|plan| plan.section.is_some())
        };
        let gone: Vec<String> = self
            .applications
            .iter()
            .filter(|(name, application)| is_declared(application) && !names.contains(&***name))
            .map(|(name, _)| name.clone())
            .collect();
        let stays = |name: &str| !names.contains(name) && !gone.iter().any(|it| it == name);
        let taken = |(place, (name, plan)): (usize, &(String, Outline))| {
            let prefix = plan.claim.as_deref()?;
            let mut earlier = deploys[..place].iter();
            if let Some((first, _)) = earlier.find(|(_, it)| it.claim.as_deref() == Some(prefix)) {
                let (prefix, taken_by) = (prefix.to_owned(), first.clone());
                return Some(DeployFailure::RouteTaken { prefix, taken_by }.into_error(name));
            }
            let mut others = self.applications.iter().filter(|(other, _)| stays(other));
            let (taken_by, _) = others.find(|(_, other)| other.claims(prefix))?;
            let (prefix, taken_by) = (prefix.to_owned(), taken_by.clone());
            Some(DeployFailure::RouteTaken { prefix, taken_by }.into_error(name))
        };
        let refused: Vec<DeployError> = deploys.iter().enumerate().filter_map(taken).collect();
        if !refused.is_empty() {
            return Err(ConfigurationError::Refused(refused));
        }
        for name in gone {
            // Fails only for an unknown name.
            let _ = self.ask_for_deletion(&name);
        }
        for (name, plan) in deploys {
            self.accept(&name, false, plan, now);
        }
        self.changes.record(origin, Some(applied), now);
        Ok(self.changes.revision())
    }

    /// Sets the number of replicas of a deployment, if the application allows it. Returns the
    /// revision.
    ///
    /// # Errors
    /// If the change is refused. In that case, nothing was changed.
    pub(super) fn scale(
        &mut self,
        origin: ChangeOrigin,
        name: &str,
        deployment: &str,
        replicas: usize,
        now: Moment,
    ) -> Result<u64, ConfigurationError> {
        if let Some(revision) = self.changes.revision_of(origin.command) {
            return Ok(revision);
        }
        self.check_revision(&origin)?;
        let refused = |error| Err(ConfigurationError::Refused(vec![error]));
        let visible = self.applications.get_mut(name).filter(|application| !application.hidden);
        let Some(application) = visible else {
            return refused(DeployError::UnknownApplication(name.to_owned()));
        };
        if application.deploys.deletion_asked() {
            return Err(ConfigurationError::Deleting(name.to_owned()));
        }
        let (owned, id) = (deployment.to_owned(), application.deployments.get(deployment).copied());
        let plan = application.newest_wish();
        let known = plan.is_some_and(|plan| plan.has(deployment));
        if !known {
            let application = name.to_owned();
            return refused(DeployError::UnknownDeployment { application, deployment: owned });
        }
        if !plan.is_some_and(|plan| plan.external_scaler_enabled) {
            return Err(ConfigurationError::ExternalScalerDisabled(name.to_owned()));
        }
        application.scaled.insert(owned, replicas);
        self.common.next_serial += 1;
        let serial = self.common.next_serial;
        let scaled = |spec: &Spec| {
            let options =
                DeploymentOptions { num_replicas: Some(replicas), ..spec.options.clone() };
            Spec { serial, options, ..spec.clone() }
        };
        let mut deploys = false;
        if let Activity::RollingOut(rollout) = &mut application.step
            && let Some(change) = rollout.changes.iter_mut().find(|it| it.name == deployment)
        {
            // The rollout asks the deployment for its spec as soon as it differs.
            change.spec = Arc::new(scaled(&change.spec));
            deploys = true;
            if let Some(before) = &mut change.before
                && application.plan.as_ref().is_some_and(|plan| plan.external_scaler_enabled)
            {
                before.options.num_replicas = Some(replicas);
            }
        }
        if !deploys
            && let Some(id) = id
            && let Some(running) = self.deployments.get_mut(&id)
        {
            let spec = Arc::new(scaled(running.spec()));
            running.ask(spec);
            self.touch(id);
        }
        self.touched_applications.insert(name.to_owned());
        self.changes.record(origin, None, now);
        Ok(self.changes.revision())
    }

    /// Accepts a deploy that was not refused. Returns the number of the deploy.
    pub(super) fn accept(&mut self, name: &str, hidden: bool, plan: Outline, now: Moment) -> u64 {
        let number = self.next_serial();
        let wanted = RequestedDeploy { number, hidden, plan };
        match self.applications.get_mut(name) {
            Some(application) => application.ask(wanted, now),
            None => {
                let id = self.next_serial();
                self.applications.insert(name.to_owned(), ApplicationState::new(id, wanted, now));
            }
        }
        self.touched_applications.insert(name.to_owned());
        number
    }
}
