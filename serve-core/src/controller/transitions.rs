//! The transitions of applications: how a deploy begins, proceeds tier by tier, succeeds, fails or
//! gives way, and how deployments are retired.

use std::sync::Arc;

use super::application::{
    Activity, ApplicationState, DeploymentChange, Drained, OngoingDeploy, RequestedDeploy,
    Retirement,
};
use super::changes::DeployEffect;
use super::deployment::{DeploymentState, SpecError};
use super::error::DeployFailure;
use super::spec::{DeploymentId, Spec};
use super::state::ControllerState;
use crate::application::Outline;
use crate::deployment::DeploymentOptions;
use crate::time::Moment;

impl ControllerState {
    /// Makes one transition of an application. Returns `false` if there is no transition to make.
    pub(super) fn step(&mut self, name: &str, now: Moment) -> bool {
        let Some(application) = self.applications.get_mut(name) else { return false };
        match &application.step {
            Activity::Idle if application.deploys.deletion_asked() => {
                let failure = if self.common.shut_down {
                    DeployFailure::ShutDown
                } else {
                    DeployFailure::Deleted
                };
                application.drop_wanted(failure);
                application.deploys.delete();
                application.step = Activity::Deleting { tiers: application.tiers() };
                true
            }
            Activity::Idle => match application.wanted.take() {
                Some(wanted) => {
                    self.begin(name, wanted, now);
                    true
                }
                None => false,
            },
            Activity::RollingOut(rollout) if application.deploys.gives_way(rollout.number) => {
                self.give_way(name);
                true
            }
            Activity::RollingOut(_) => self.roll_out(name),
            Activity::GivingWay { dropped } => {
                if dropped.iter().any(|id| self.deployments.contains_key(id)) {
                    return false;
                }
                application.step = Activity::Idle;
                true
            }
            Activity::Deleting { .. } => self.delete(name, now),
        }
    }

    /// Returns the reason to refuse a plan, if there is one.
    pub(super) fn refusal(&self, name: &str, plan: &Outline) -> Option<DeployFailure> {
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

    /// Returns `true` unless the reason to refuse a deploy is a route prefix that its application
    /// is about to release: a configuration may give the prefix of one application to another.
    fn is_final(&self, refusal: &DeployFailure) -> bool {
        let DeployFailure::RouteTaken { prefix, taken_by } = refusal else { return true };
        !self.applications.get(taken_by).is_some_and(|other| other.will_release(prefix))
    }

    /// Begins a deploy: determines the changes, and starts the new deployments.
    fn begin(&mut self, name: &str, wanted: RequestedDeploy, now: Moment) {
        let RequestedDeploy { number, plan, .. } = wanted;
        if let Some(refused) = self.refusal(name, &plan).filter(|it| self.is_final(it)) {
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
            let scaled = application.scaled.get(&node.name).copied();
            let scaled = scaled.filter(|_| plan.external_scaler_enabled);
            let spec = Arc::new(self.spec(&plan, &node.name, old, registered, scaled));
            let (id, before) = match before {
                Some((id, before)) => (id, Some(before)),
                None => {
                    let id = DeploymentId(self.next_serial());
                    let new =
                        DeploymentState::new(name, &node.name, &node.type_name, spec.clone(), now);
                    self.deployments.insert(id, new);
                    self.touch(id);
                    let other = application.deployments.insert(node.name.clone(), id);
                    replaced.extend(other.map(|other| (node.name.clone(), other)));
                    (id, None)
                }
            };
            changes.push(DeploymentChange {
                name: node.name.clone(),
                deployment: id,
                spec,
                before,
            });
        }
        let rollout = OngoingDeploy { number, plan, changes, replaced, tiers_done: 0 };
        application.step = Activity::RollingOut(Box::new(rollout));
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
            |running, planned| {
                running.deployment_type.type_id() == planned.deployment_type.type_id()
            },
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
        scaled: Option<usize>,
    ) -> Spec {
        let serial = self.next_serial();
        let options = self.options(plan, name, scaled);
        let (stays, told) = self.survives(plan, name, before, registered, &options);
        Spec {
            blueprint: plan.blueprint,
            build_id: plan.build_id.clone(),
            serial,
            version: before.filter(|_| stays).map_or(serial, |before| before.version),
            config_version: before.filter(|_| told).map_or(serial, |before| before.config_version),
            options,
            suspended: None,
            restored: false,
            in_part: false,
        }
    }

    /// Returns the options of a deployment of a plan, with the number of replicas that was set from
    /// outside.
    fn options(&self, plan: &Outline, name: &str, scaled: Option<usize>) -> DeploymentOptions {
        let options =
            self.blueprints.with_node(plan.blueprint, name, |node| node.options().clone());
        let mut options = options.expect("a plan that is asked for has its blueprint");
        if scaled.is_some() {
            options.num_replicas = scaled;
        }
        options
    }

    /// Returns whether the replicas of `before` can stay under a plan, and whether they have the
    /// plan's user config.
    fn survives(
        &self,
        plan: &Outline,
        name: &str,
        before: Option<&Spec>,
        registered: bool,
        options: &DeploymentOptions,
    ) -> (bool, bool) {
        let (blueprint, blueprints) = (plan.blueprint, &self.blueprints);
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
                && !before.options.need_other_replicas(options)
        });
        let told = stays.filter(|before| before.options.user_config == options.user_config);
        (stays.is_some(), told.is_some())
    }

    /// Returns the effects that the deploys of a configuration would have on deployments: the
    /// application, the deployment, and the effect. An effect on a whole application has no
    /// deployment.
    pub(super) fn effects(
        &self,
        deploys: &[(String, Outline)],
    ) -> Vec<(String, Option<String>, DeployEffect)> {
        let mut effects = Vec::new();
        let declared = self.applications.iter().filter(|(_, application)| {
            application.newest_wish().is_some_and(|plan| plan.section.is_some())
        });
        for (name, _) in declared {
            if !deploys.iter().any(|(wanted, _)| wanted == name) {
                effects.push((name.clone(), None, DeployEffect::Delete));
            }
        }
        for (name, plan) in deploys {
            let application = self.applications.get(name).filter(|it| !it.deploys.deletion_asked());
            let Some(application) = application else {
                effects.push((name.clone(), None, DeployEffect::Add));
                continue;
            };
            let source = application.plan.as_ref().and_then(|plan| plan.source.as_ref());
            let registered = plan.source.is_some() && plan.source.as_ref() == source;
            for node in &plan.deployments {
                let known = application.deployments.get(&node.name).copied();
                let effect = match known {
                    None => Some(DeployEffect::Add),
                    Some(id) if !self.is_of_the_same_type(id, plan, &node.name) => {
                        Some(DeployEffect::Roll)
                    }
                    Some(id) => {
                        let scaled = application.scaled.get(&node.name).copied();
                        let scaled = scaled.filter(|_| plan.external_scaler_enabled);
                        let options = self.options(plan, &node.name, scaled);
                        let before = self.deployments.get(&id).map(|it| &**it.spec());
                        let (stays, told) =
                            self.survives(plan, &node.name, before, registered, &options);
                        let same = before.is_some_and(|before| before.options == options);
                        match (stays, told, same) {
                            (false, ..) => Some(DeployEffect::Roll),
                            (true, false, _) => Some(DeployEffect::Reconfigure),
                            (true, true, false) => Some(DeployEffect::InPlace),
                            (true, true, true) => None,
                        }
                    }
                };
                effects.extend(effect.map(|it| (name.clone(), Some(node.name.clone()), it)));
            }
            for deployment in application.deployments.keys() {
                if !plan.has(deployment) {
                    effects.push((name.clone(), Some(deployment.clone()), DeployEffect::Delete));
                }
            }
        }
        effects
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
        let Activity::RollingOut(rollout) = &self.applications[name].step else { return false };
        let mut tiers = rollout.plan.tiers();
        tiers.reverse();
        let Some(tier) = tiers.get(rollout.tiers_done) else {
            self.commit(name);
            return true;
        };
        let change = |place: &usize| {
            let DeploymentChange { name, deployment, spec, .. } = &rollout.changes[*place];
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
                        SpecError::DoesNotStart(error) => {
                            DeployFailure::Constructor { deployment, error }
                        }
                        SpecError::RefusesConfig(error) => {
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
        if let Some(Activity::RollingOut(rollout)) = self.step_mut(name) {
            rollout.tiers_done += 1;
        }
        true
    }

    fn step_mut(&mut self, name: &str) -> Option<&mut Activity> {
        self.applications.get_mut(name).map(|application| &mut application.step)
    }

    /// Ends the rollout of an application. Returns the application and the rollout.
    fn end_rollout(&mut self, name: &str) -> Option<(&mut ApplicationState, OngoingDeploy)> {
        let application = self.applications.get_mut(name)?;
        match std::mem::take(&mut application.step) {
            Activity::RollingOut(rollout) => Some((application, *rollout)),
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
        let (enabled, plan) = (rollout.plan.external_scaler_enabled, &rollout.plan);
        application.scaled.retain(|deployment, _| enabled && plan.has(deployment));
        application.plan = Some(rollout.plan);
        application.deploys.succeed(rollout.number);
        let callers: Vec<DeploymentId> = application.deployments.values().copied().collect();
        let after = callers.into_iter().map(|id| self.drained(id, None)).collect();
        self.stop_once(after, gone, "a new version of its application has none");
    }

    /// Returns the condition that a deployment has settled on a spec, if one is named, and that the
    /// replicas which stop now are gone.
    fn drained(&self, id: DeploymentId, serial: Option<u64>) -> Drained {
        let replicas = self.deployments.get(&id).map(DeploymentState::stopping).unwrap_or_default();
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
    fn restore_before(&mut self, changes: &[DeploymentChange]) -> Vec<(DeploymentId, u64)> {
        let mut asked = Vec::new();
        for DeploymentChange { deployment: id, before, .. } in changes {
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
    fn take_back(&mut self, name: &str, rollout: &OngoingDeploy) -> Vec<DeploymentId> {
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
            *step = Activity::GivingWay { dropped };
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
        for DeploymentChange { deployment, spec, .. } in &rollout.changes {
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
        let Some(Activity::Deleting { tiers }) = self.step_mut(name) else { return false };
        if let Some(tier) = tiers.first().cloned() {
            if tier.iter().any(|id| self.deployments.contains_key(id)) {
                self.retire(&tier, "its application was deleted");
                return false;
            }
            if let Some(Activity::Deleting { tiers }) = self.step_mut(name) {
                tiers.remove(0);
            }
            return true;
        }
        let application = self.applications.remove(name).expect("the step is one of its");
        if let Some(wanted) = application.after_deletion {
            let id = self.next_serial();
            self.applications.insert(name.to_owned(), ApplicationState::new(id, wanted, now));
        }
        true
    }

    /// Stops the deployments that nothing can call anymore.
    pub(super) fn advance_retirements(&mut self) {
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
}
