//! Deploying: how an application comes to run what is asked for, and what happens if it
//! does not.
//!
//! What is new starts at once. What changed is replaced tier by tier, callees before
//! callers, so that a caller's new version finds its callees'. If anything fails, all of
//! it goes back to what ran before.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::join_all;
use tokio::sync::{OwnedMutexGuard, watch};

use super::application::{Hosted, RunningApplication};
use super::controller::Controller;
use super::decide::{Deploys, starved_batches};
use super::error::DeployError;
use super::reconcile::{Reconciler, Unmet};
use super::spec::Spec;
use crate::application::{Plan, PlanNode};
use crate::deployment::{Link, Wiring};
use crate::router::Router;

/// What a deploy does to one deployment.
struct Change {
    name: String,
    spec: Arc<Spec>,
    /// What was asked of it before; none if it is new.
    before: Option<Arc<Spec>>,
}

/// A deploy that is under way.
struct Rollout {
    plan: Plan,
    /// By the places of the plan.
    changes: Vec<Change>,
    /// Those of another type that had one of the plan's names.
    replaced: Vec<Hosted>,
    /// Its number among the deploys of the application.
    number: u64,
    deploys: watch::Receiver<Deploys>,
    _changing: OwnedMutexGuard<()>,
}

/// A deploy's turn to change its application.
struct Turn {
    number: u64,
    changing: OwnedMutexGuard<()>,
}

/// Why a deploy went no further.
enum Stopped {
    Failed {
        deployment: String,
        unmet: Unmet,
    },
    /// By the end of the application.
    Deleted,
    /// By another deploy, which is to go on from what ran before.
    Superseded,
}

impl Controller {
    /// Makes an application run what the plan says. Gives the link to its ingress once all
    /// of it runs: of this version, or of one that was asked for since.
    pub(super) async fn roll_out(&self, plan: Plan, hidden: bool) -> Result<Link, DeployError> {
        let Some(turn) = self.begin_change(&plan, hidden).await? else {
            return self.link_of_successor(&plan).await;
        };
        self.publish_routes();
        let rollout = self.prepare(plan.clone(), turn);
        match self.replace(&rollout).await {
            Ok(()) => Ok(self.commit(rollout)),
            Err(Stopped::Superseded) => {
                self.go_back(rollout, Stopped::Superseded).await;
                self.link_of_successor(&plan).await
            }
            Err(stopped) => Err(self.go_back(rollout, stopped).await),
        }
    }

    /// Waits for the deploy that came after this one, and gives the link to its ingress, if
    /// that is of the same type.
    async fn link_of_successor(&self, plan: &Plan) -> Result<Link, DeployError> {
        let name = &plan.application;
        let superseded = || DeployError::Superseded(name.clone());
        loop {
            let change = {
                let applications = self.applications.lock();
                let application = applications.get(name).ok_or_else(|| self.ended(name))?;
                let deploys = application.deploys.borrow();
                if deploys.all_ended() {
                    if deploys.failure().is_some() {
                        return Err(superseded());
                    }
                    let ingress = application.plan.nodes.first().ok_or_else(superseded)?;
                    let hosted = application.deployments.get(&ingress.name);
                    let hosted = hosted.filter(|it| it.type_id() == plan.nodes[0].kind.type_id());
                    return hosted
                        .map(|hosted| Link::new(Arc::clone(&hosted.router)))
                        .ok_or_else(superseded);
                }
                Arc::clone(&application.change)
            };
            // Those that change it stand before this in the line.
            drop(change.lock_owned().await);
        }
    }

    /// Why an application that was being deployed is not there.
    fn ended(&self, name: &str) -> DeployError {
        if self.is_shut_down() {
            DeployError::ShutDown
        } else {
            DeployError::Deleted(name.to_owned())
        }
    }

    /// Waits for the application's turn to change, before which a deploy that is under way
    /// gives way; puts it in, if it is new, and claims its route. None if it gives way to
    /// another itself.
    async fn begin_change(&self, plan: &Plan, hidden: bool) -> Result<Option<Turn>, DeployError> {
        let name = &plan.application;
        let mut asked = None;
        loop {
            let change = {
                let mut applications = self.applications.lock();
                if let Some(refused) = self.refusal(&applications, plan) {
                    return Err(refused);
                }
                let application = applications
                    .entry(name.clone())
                    .or_insert_with(|| RunningApplication::new(plan, hidden));
                let change = Arc::clone(&application.change);
                if asked.as_ref().is_none_or(|(known, _)| !Arc::ptr_eq(known, &change)) {
                    let mut number = 0;
                    application.deploys.send_modify(|deploys| number = deploys.ask());
                    asked = Some((Arc::clone(&change), number));
                }
                change
            };
            let number = asked.as_ref().map_or(0, |(_, number)| *number);
            let changing = Arc::clone(&change).lock_owned().await;
            let mut applications = self.applications.lock();
            // It may have been deleted, and made anew, meanwhile.
            if !applications.get(name).is_some_and(|known| Arc::ptr_eq(&known.change, &change)) {
                continue;
            }
            let refused = self.refusal(&applications, plan);
            let application = applications.get_mut(name).expect("looked up under this lock");
            let Some(refused) = refused else {
                if !application.deploys.borrow().is_newest(number) {
                    return Ok(None);
                }
                application.deploys.send_modify(|deploys| deploys.begin(plan.claim()));
                return Ok(Some(Turn { number, changing }));
            };
            application.deploys.send_modify(|deploys| deploys.refuse(number));
            if application.is_blank() {
                applications.remove(name);
            }
            return Err(refused);
        }
    }

    /// Why a plan is not deployed, whatever else is.
    fn refusal(
        &self,
        applications: &BTreeMap<String, RunningApplication>,
        plan: &Plan,
    ) -> Option<DeployError> {
        if self.is_shut_down() {
            return Some(DeployError::ShutDown);
        }
        taken_route(applications, plan)
    }

    /// Says what is to change, and starts what is new.
    fn prepare(&self, plan: Plan, turn: Turn) -> Rollout {
        let mut applications = self.applications.lock();
        let application = applications
            .get_mut(&plan.application)
            .expect("an application stays in as long as its change is locked");
        let routers: Vec<Arc<Router>> =
            plan.nodes.iter().map(|node| self.router_for(&plan, node, application)).collect();
        let mut wiring = Wiring::default();
        for (node, router) in plan.nodes.iter().zip(&routers) {
            wiring.insert(node.bound.id(), Link::new(Arc::clone(router)));
        }
        let wiring = Arc::new(wiring);
        // With other arguments, the same function may make another client of the same type.
        let registered = plan.source.is_some() && plan.source == application.plan.source;
        let changes: Vec<Change> = plan
            .nodes
            .iter()
            .zip(&routers)
            .map(|(node, router)| {
                let before = application.deployments.get(&node.name);
                let before = before.filter(|before| Arc::ptr_eq(&before.router, router));
                let before = before.map(|before| Arc::clone(&before.spec));
                let spec = self.spec_for(node, &wiring, before.as_deref(), registered);
                Change { name: node.name.clone(), spec: Arc::new(spec), before }
            })
            .collect();
        let mut replaced = Vec::new();
        for change in &changes {
            if change
                .before
                .as_ref()
                .is_none_or(|before| before.node.slots() != change.spec.node.slots())
            {
                warn_of_batches(&plan.application, &change.spec.node);
            }
        }
        for (change, router) in changes.iter().zip(routers) {
            if change.before.is_none() {
                let spec = Arc::clone(&change.spec);
                let reconciling = Reconciler::start(
                    Arc::clone(&spec),
                    Arc::clone(&router),
                    &self.nursery,
                    &self.resources,
                );
                let kind = Arc::clone(&spec.node.kind);
                let hosted = Hosted { kind, router, spec, reconciling };
                replaced.extend(application.deployments.insert(change.name.clone(), hosted));
            }
        }
        let deploys = application.deploys.subscribe();
        let Turn { number, changing } = turn;
        Rollout { plan, changes, replaced, number, deploys, _changing: changing }
    }

    /// The router that the deployment has, if it is of the same type, or a new one.
    fn router_for(
        &self,
        plan: &Plan,
        node: &PlanNode,
        application: &RunningApplication,
    ) -> Arc<Router> {
        let before = application.deployments.get(&node.name);
        match before.filter(|before| before.type_id() == node.kind.type_id()) {
            Some(before) => Arc::clone(&before.router),
            None => self.router(&plan.application, &node.name, node.kind.type_id()),
        }
    }

    /// What is asked of a deployment, in the version of `before` if its replicas can stay.
    fn spec_for(
        &self,
        node: &PlanNode,
        wiring: &Arc<Wiring>,
        before: Option<&Spec>,
        registered: bool,
    ) -> Spec {
        let serial = self.next_serial();
        let stays = before.filter(|before| {
            before.suspended.is_none()
                && node.is_made_like(&before.node, registered)
                && !before.options().need_other_replicas(node.options())
        });
        let told =
            stays.filter(|before| before.options().user_config == node.options().user_config);
        Spec {
            node: node.clone(),
            wiring: Arc::clone(wiring),
            serial,
            version: stays.map_or(serial, |before| before.version),
            config_version: told.map_or(serial, |before| before.config_version),
            suspended: None,
            restored: false,
            in_part: false,
        }
    }

    /// Asks for what changed, tier by tier, and waits for all of it.
    async fn replace(&self, rollout: &Rollout) -> Result<(), Stopped> {
        let mut deploys = rollout.deploys.clone();
        let gives_way = |deploys: &Deploys| deploys.gives_way(rollout.number);
        for tier in rollout.plan.tiers().into_iter().rev() {
            let settling: Vec<_> = {
                let mut applications = self.applications.lock();
                let application = applications.get_mut(&rollout.plan.application);
                let deployments = &mut application.expect("it is being changed").deployments;
                let changes = tier.iter().map(|place| &rollout.changes[*place]);
                changes
                    .filter_map(|change| {
                        let hosted = deployments.get_mut(&change.name)?;
                        if change.before.is_some() {
                            hosted.ask(Arc::clone(&change.spec));
                        }
                        let settles = hosted.settles(change.spec.serial);
                        let deployment = change.name.clone();
                        Some(async move {
                            settles.await.map_err(|unmet| Stopped::Failed { deployment, unmet })
                        })
                    })
                    .collect()
            };
            tokio::select! {
                biased;
                settled = futures::future::try_join_all(settling) => settled.map(drop)?,
                deploys = deploys.wait_for(gives_way) => {
                    let deleted = deploys.is_ok_and(|deploys| deploys.deletion_asked());
                    return Err(if deleted { Stopped::Deleted } else { Stopped::Superseded });
                }
            }
        }
        Ok(())
    }

    /// All of it runs: what the plan does not know any more stops, callers first.
    fn commit(&self, rollout: Rollout) -> Link {
        let plan = &rollout.plan;
        let mut applications = self.applications.lock();
        let application = applications.get_mut(&plan.application).expect("it is being changed");
        let link = Link::new(Arc::clone(&application.deployments[&plan.nodes[0].name].router));
        let is_gone = |name: &String| !plan.nodes.iter().any(|node| node.name == *name);
        let mut gone: Vec<Vec<Hosted>> = Vec::new();
        for tier in application.plan.tiers() {
            let names = tier.iter().map(|place| &application.plan.nodes[*place].name);
            let names: Vec<String> = names.filter(|name| is_gone(name)).cloned().collect();
            gone.push(
                names.iter().filter_map(|name| application.deployments.remove(name)).collect(),
            );
        }
        application.plan = plan.clone();
        application.deploys.send_modify(|deploys| deploys.succeed(rollout.number));
        let drained: Vec<_> = application.deployments.values().map(Hosted::drained).collect();
        drop(applications);
        gone.push(rollout.replaced);
        self.stop_in_background(drained, gone, "a new version of its application has none");
        self.publish_routes();
        link
    }

    /// What ran before goes on, what is new stops, and the status says why.
    async fn go_back(&self, rollout: Rollout, stopped: Stopped) -> DeployError {
        let name = rollout.plan.application.clone();
        let interrupted = !matches!(stopped, Stopped::Failed { .. });
        let superseded = matches!(stopped, Stopped::Superseded);
        let error = match stopped {
            Stopped::Failed { deployment, unmet } => match unmet {
                Unmet::DoesNotStart(error) => {
                    DeployError::Constructor { application: name.clone(), deployment, error }
                }
                Unmet::RefusesConfig(error) => {
                    DeployError::UserConfig { application: name.clone(), deployment, error }
                }
            },
            Stopped::Deleted => self.ended(&name),
            Stopped::Superseded => DeployError::Superseded(name.clone()),
        };
        let mut dropped = Vec::new();
        // Who may still call what is dropped.
        let mut drained = Vec::new();
        {
            let mut applications = self.applications.lock();
            let application = applications.get_mut(&name).expect("it is being changed");
            let first = application.plan.nodes.is_empty();
            let in_part = first && !interrupted && application.serves_in_part();
            for change in &rollout.changes {
                let Some(hosted) = application.deployments.get_mut(&change.name) else { continue };
                if let Some(before) = &change.before {
                    // The one that was asked for last holds, whatever its number.
                    if !Arc::ptr_eq(before, &hosted.spec) {
                        let serial = self.next_serial();
                        let restored = true;
                        hosted.ask(Arc::new(Spec { serial, restored, ..Spec::clone(before) }));
                        let (settles, drains) = (hosted.settles(serial), hosted.drained());
                        drained.push(async move {
                            let _ = settles.await;
                            drains.await;
                        });
                    }
                } else if in_part {
                    let serial = self.next_serial();
                    hosted.ask(Arc::new(Spec { serial, in_part, ..Spec::clone(&change.spec) }));
                } else if first && !interrupted {
                    // It stays to be looked at: why it failed, and what of.
                    let suspended = Some("its application failed to deploy".to_owned());
                    hosted.ask(Arc::new(Spec { suspended, ..Spec::clone(&change.spec) }));
                } else {
                    dropped.extend(application.deployments.remove(&change.name));
                }
            }
            for hosted in rollout.replaced {
                application.deployments.insert(hosted.spec.node.name.clone(), hosted);
            }
            application.deploys.send_modify(|deploys| match superseded {
                true => deploys.give_way(),
                false => deploys.fail(rollout.number, error.to_string(), in_part),
            });
            if first && !interrupted {
                // So that the tiers of what is left are known, and its route.
                application.plan = rollout.plan;
            }
        }
        let reason = "its application failed to deploy";
        if interrupted {
            join_all(dropped.iter().map(|hosted| hosted.retire(reason))).await;
        } else {
            self.stop_in_background(drained, vec![dropped], reason);
        }
        self.publish_routes();
        error
    }
}

/// Says of which methods the batches cannot be full.
fn warn_of_batches(application: &str, node: &PlanNode) {
    for method in node.kind.methods() {
        let said = method.batch().and_then(|batch| {
            let name = method.info().name;
            starved_batches(name, batch, node.slots(), node.kind.is_exclusive())
        });
        if let Some(said) = said {
            tracing::warn!(deployment = node.name, application, "{said}");
        }
    }
}

/// The prefix that another application has, if the plan wants it.
fn taken_route(
    applications: &BTreeMap<String, RunningApplication>,
    plan: &Plan,
) -> Option<DeployError> {
    let prefix = plan.claim()?;
    let taken_by = applications
        .iter()
        .find(|(name, other)| **name != plan.application && other.claims(prefix))?;
    Some(DeployError::RouteTaken {
        application: plan.application.clone(),
        prefix: prefix.to_owned(),
        taken_by: taken_by.0.clone(),
    })
}
