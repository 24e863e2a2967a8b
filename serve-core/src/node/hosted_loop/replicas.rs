//! The replicas of a hosted deployment: each is started, reconfigured, stopped and replaced here, as
//! the loop asks.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::task::JoinError;
use tokio::time::Instant;

use super::{Done, HostedLoop, Until, Work};
use crate::call::pending::panic_message;
use crate::controller::{AssignedReplica, ReplicaReport, UNKNOWN_CONFIG};
use crate::error::Error;
use crate::method::Hook;
use crate::node::health::HealthWatch;
use crate::node::hosted_deployment::ReplicaEvent;
use crate::node::replica_starter::{StartRequest, run_hook};
use crate::node::running_replica::RunningReplica;
use crate::replica::Replica;

impl HostedLoop {
    /// Starts a replica, if the node has enough room for it.
    pub(super) fn begin(&mut self, number: u64) {
        let spec = &self.assignment.spec;
        let assigned = self.assignment.replicas.get(&number);
        // A replica of another version is about to be removed.
        if assigned.is_none_or(|assigned| assigned.version != spec.version) {
            return;
        }
        let Some(replica) = self.replicas.get_mut(&number) else { return };
        let options = self.code.node().options();
        let reservation = match self.node.resources.reserve(options, &self.router) {
            Ok(reservation) => reservation,
            Err(reason) => {
                let waiting = ReplicaReport::Waiting(reason.clone());
                if replica.report != waiting {
                    tracing::warn!(
                        deployment = &**self.router.name(),
                        application = &**self.router.application(),
                        "a replica waits for room: {reason}"
                    );
                    self.set_report(number, waiting);
                }
                return;
            }
        };
        let request = StartRequest {
            id: Arc::clone(&replica.id),
            rank: Arc::clone(&replica.rank),
            gpu_ids: reservation.gpu_ids(),
        };
        replica.config_version = spec.config_version;
        replica.reservation = Some(reservation);
        let (node, router) = (Arc::clone(&self.node), Arc::clone(&self.router));
        let (plan, place) = (Arc::clone(&self.code.plan), self.code.place);
        let wiring = Arc::clone(&self.code.wiring);
        let start = self.tasks.spawn(async move {
            let started = node.starter.start(&plan.nodes[place], &wiring, &router, request).await;
            Done::Started(number, started)
        });
        self.under_way.insert(start.id(), (number, Work::Start));
        replica.start = Some(start);
        self.set_report(number, ReplicaReport::Starting);
    }

    /// Stops a replica, or cancels its start.
    pub(super) fn stop(&mut self, number: u64) {
        let Some(replica) = self.replicas.get_mut(&number) else { return };
        replica.stops = true;
        replica.health = None;
        let Some(running) = replica.running.take() else {
            match replica.start.take() {
                // The end of the replica is noted when the task is gone.
                Some(start) => start.abort(),
                // The replica waited for room.
                None => self.ends(number, ReplicaReport::Stopped),
            }
            return;
        };
        running.retire();
        let mut grace = self.grace();
        if let Some(give_up) = self.give_up {
            grace = grace.min(give_up.saturating_duration_since(Instant::now()));
        }
        let stop = self.tasks.spawn(async move {
            running.stop(grace).await;
            Done::Stopped(number)
        });
        self.under_way.insert(stop.id(), (number, Work::Stop));
        self.set_report(number, ReplicaReport::Stopping);
    }

    /// Passes a replica the user config that it must have, if it has another one.
    pub(super) fn reconfigure(&mut self, number: u64, assigned: &AssignedReplica) {
        let spec = &self.assignment.spec;
        let Some(replica) = self.replicas.get_mut(&number) else { return };
        let Some(running) = &replica.running else { return };
        let wanted = assigned.config_version;
        let refused = match &replica.report {
            ReplicaReport::Running { refused: Some((version, _)), .. } => Some(*version),
            _ => None,
        };
        let has = wanted == UNKNOWN_CONFIG || wanted == replica.config_version;
        // Only the newest config is available.
        let is_newest = assigned.version == spec.version && wanted == spec.config_version;
        if has || !is_newest || replica.taking.is_some() || refused == Some(wanted) {
            return;
        }
        let Some(config) = self.code.node().options().user_config.clone() else {
            let reason = "it was given a user config, and is to have none".to_owned();
            return self.must_go(number, reason, Until::Now);
        };
        replica.taking = Some(wanted);
        replica.config_version = UNKNOWN_CONFIG;
        let running = Arc::clone(&running.replica);
        let telling = self.tasks.spawn(async move {
            let told = run_hook(&running, Hook::Reconfigure(&config)).await;
            Done::Reconfigured(number, wanted, told)
        });
        self.under_way.insert(telling.id(), (number, Work::Reconfigure));
        // Until the hook returns, the replica may have applied only a part of the config.
        let mut report = replica.report.clone();
        match &mut report {
            ReplicaReport::Running { config_version, refused, .. } => {
                (*config_version, *refused) = (UNKNOWN_CONFIG, None);
            }
            other => *other = ReplicaReport::running(UNKNOWN_CONFIG),
        }
        self.set_report(number, report);
    }

    /// Reports that a replica must be replaced, and until when it may serve.
    pub(super) fn must_go(&mut self, number: u64, reason: String, until: Until) {
        let Some(replica) = self.replicas.get(&number).filter(|it| it.running.is_some()) else {
            return;
        };
        let mut report = replica.report.clone();
        let ReplicaReport::Running { unfit: unfit @ None, worn, .. } = &mut report else { return };
        let said = match until {
            Until::Now => unfit,
            Until::Replaced => worn,
        };
        if said.is_some() {
            return;
        }
        tracing::warn!(
            deployment = &**self.router.name(),
            application = &**self.router.application(),
            replica = &*replica.id,
            "a replica is replaced: {reason}"
        );
        *said = Some(reason);
        self.set_report(number, report);
    }

    pub(super) fn note(&mut self, done: Result<(tokio::task::Id, Done), JoinError>) {
        let done = match done {
            Ok((task, done)) => {
                self.under_way.remove(&task);
                Ok(done)
            }
            Err(error) => Err(error),
        };
        match done {
            Ok(Done::Started(number, outcome)) => match outcome {
                Ok(replica) => self.admit(number, replica),
                Err(error) => {
                    self.warn(number, "a replica did not start", &error);
                    self.ends(number, ReplicaReport::Failed(error));
                }
            },
            Ok(Done::Stopped(number)) => self.ends(number, ReplicaReport::Stopped),
            Ok(Done::Reconfigured(number, version, told)) => {
                self.note_config(number, version, told);
            }
            Ok(Done::QueueDrained) => {
                self.report.drained = true;
                self.report_changed = true;
            }
            Err(error) => self.task_failed(error),
        }
    }

    /// Notes that a replica has accepted or refused a user config.
    pub(super) fn note_config(&mut self, number: u64, version: u64, told: Result<(), Error>) {
        let Some(replica) = self.replicas.get_mut(&number) else { return };
        replica.taking = None;
        let refused = match told {
            Ok(()) => {
                replica.config_version = version;
                None
            }
            // The replica ended before the hook returned. Its end is about to be noted, or was
            // noted.
            Err(_) if replica.running.as_ref().is_none_or(|it| it.replica.has_ended()) => return,
            Err(error) => {
                // The replica may have applied a part of the config.
                replica.config_version = UNKNOWN_CONFIG;
                Some((version, error))
            }
        };
        let mut report = replica.report.clone();
        let ReplicaReport::Running { config_version, refused: said, .. } = &mut report else {
            return;
        };
        *config_version = replica.config_version;
        *said = refused.clone();
        if let Some((_, error)) = &refused {
            self.warn(number, "a replica could not be reconfigured", error);
        }
        self.set_report(number, report);
        self.reconfigure_if_assigned(number);
    }

    /// Passes a replica the user config that was assigned while the replica was starting or taking
    /// another one.
    pub(super) fn reconfigure_if_assigned(&mut self, number: u64) {
        let assignment = Arc::clone(&self.assignment);
        if let Some(assigned) = assignment.replicas.get(&number).filter(|it| !it.stops) {
            self.reconfigure(number, assigned);
        }
    }

    pub(super) fn admit(&mut self, number: u64, replica: Arc<Replica>) {
        let Some(local) = self.replicas.get_mut(&number) else { return };
        local.start = None;
        if local.stops {
            // The instance is dropped in a task, because the user's code may panic.
            let dropping = self.tasks.spawn(async move {
                drop(replica);
                Done::Stopped(number)
            });
            self.under_way.insert(dropping.id(), (number, Work::Stop));
            return;
        }
        let events = self.event_sender.clone();
        replica.report_worn_to(move |reason| {
            if let Some(events) = events.upgrade() {
                let _ = events.send(ReplicaEvent::Worn { number, reason });
            }
        });
        let node = self.code.node();
        local.health = HealthWatch::start(
            number,
            &replica,
            node.options(),
            self.node.runtime(),
            &self.event_sender,
        );
        let methods = node.deployment_type.methods();
        let ordered = methods.iter().any(|method| replica.target.keeps_order(*method));
        local.running = Some(RunningReplica::admit(&self.router, replica, node.slots(), ordered));
        let report = ReplicaReport::running(local.config_version);
        self.set_report(number, report);
        self.reconfigure_if_assigned(number);
    }

    /// Handles a task that was aborted or has panicked. Dropping an instance may panic if the
    /// user's code does.
    pub(super) fn task_failed(&mut self, error: JoinError) {
        let work = self.under_way.remove(&error.id());
        if let Ok(panic) = error.try_into_panic() {
            let what = match work {
                Some((_, Work::Stop)) => "the drop of an instance panicked",
                _ => "the node's own code panicked",
            };
            let message = format!("{what}: {}", panic_message(&*panic));
            tracing::warn!(
                deployment = &**self.router.name(),
                application = &**self.router.application(),
                "{message}"
            );
            self.note_fault(message);
        }
        if let Some((number, Work::Start | Work::Stop)) = work {
            self.ends(number, ReplicaReport::Stopped);
        }
    }

    pub(super) fn note_fault(&mut self, message: String) {
        // Counted by the node, so that a loop which takes the place of another one goes on.
        self.report.faults = self.node.faults.fetch_add(1, Ordering::Relaxed) + 1;
        self.report.last_fault = message;
        self.report_changed = true;
    }

    pub(super) fn warn(&self, number: u64, what: &str, error: &Error) {
        let replica = self.replicas.get(&number).map(|replica| &*replica.id);
        tracing::warn!(
            deployment = &**self.router.name(),
            application = &**self.router.application(),
            replica,
            "{what}: {error:#}"
        );
    }
}
