//! The loop that drives one deployment's replicas on this node towards their assignment, and
//! reports on them.
//!
//! The loop does nothing until something happens: a new assignment, a replica that started or
//! ended, a failed health check, resources that were released. The loop decides nothing: the
//! controller decides which replicas exist and which of them stop.

mod replicas;

use std::collections::{BTreeMap, HashMap};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::FutureExt as _;
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};

use crate::application::{BlueprintId, Plan, PlanNode};
use crate::call::pending::panic_message;
use crate::call::runtime_context::reschedule;
use crate::controller::{
    AssignedReplica, Assignment, DeploymentId, DeploymentReport, ReplicaReport, UNKNOWN_CONFIG,
    WriteBatch, deployment_report, replica_report, starved_batches,
};
use crate::deployment::Wiring;
use crate::error::Error;
use crate::node::health::HealthWatch;
use crate::node::hosted_deployment::{HostedDeployment, ReplicaEvent};
use crate::node::local_node::LocalNode;
use crate::node::resources::Reservation;
use crate::node::running_replica::RunningReplica;
use crate::replica::Replica;
use crate::router::{Router, Term};
use crate::time;

/// The time that a retiring deployment has for its last steps, after its grace period is over. The
/// steps take no longer, except for user code that blocks its thread.
const LAST_STEPS: Duration = Duration::from_secs(1);

/// The time after which a loop that has panicked is restarted.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// The time until which a replica that must be replaced may serve.
#[derive(Clone, Copy, Debug)]
enum Until {
    Now,
    Replaced,
}

/// The loop of one deployment.
struct HostedLoop {
    id: DeploymentId,
    node: Arc<LocalNode>,
    router: Arc<Router>,
    /// The term of this loop over the router.
    term: Term,
    assignments: watch::Receiver<(u64, Arc<Assignment>)>,
    /// The assignment that is in effect.
    assignment: Arc<Assignment>,
    code: Code,
    replicas: BTreeMap<u64, LocalReplica>,
    tasks: JoinSet<Done>,
    /// The replica and the deployment_type of work of each running task.
    under_way: HashMap<tokio::task::Id, (u64, Work)>,
    /// The events of replicas. The queue stays short: there is one event for each kill and for each
    /// report that a replica is unfit.
    events: mpsc::UnboundedReceiver<ReplicaEvent>,
    /// The sender for code that reports on replicas. The reference is weak, so that the loop ends
    /// with its owner.
    event_sender: mpsc::WeakUnboundedSender<ReplicaEvent>,
    report: DeploymentReport,
    /// The reports that are not yet in the store: on the deployment, and on replicas, with `None`
    /// for a report to delete.
    report_changed: bool,
    unreported: BTreeMap<u64, Option<ReplicaReport>>,
    retires: bool,
    /// The number of the assignment, and the channel that tells which one is applied.
    taken: u64,
    applies: watch::Sender<u64>,
    /// True if the replicas have to be compared with the assignment: there is another one, or room.
    looks: bool,
    /// The time at which a retiring deployment must have stopped.
    give_up: Option<Instant>,
}

/// The code of the plan that an assignment names.
struct Code {
    blueprint: BlueprintId,
    plan: Arc<Plan>,
    place: usize,
    wiring: Arc<Wiring>,
}

impl Code {
    /// Returns the code of an assignment, or `None` if this process does not have the plan.
    fn of(node: &LocalNode, assignment: &Assignment) -> Option<Self> {
        let blueprint = assignment.spec.blueprint;
        let plan = node.blueprints.get(blueprint)?;
        let place = plan.nodes.iter().position(|node| node.name == assignment.deployment)?;
        let wiring = node.wiring(blueprint, &plan);
        Some(Self { blueprint, plan, place, wiring })
    }

    fn node(&self) -> &PlanNode {
        &self.plan.nodes[self.place]
    }
}

/// The local state of a replica.
struct LocalReplica {
    id: Arc<str>,
    rank: Arc<AtomicUsize>,
    /// The resources of the node that the replica has reserved. Dropping the reservation releases
    /// them.
    reservation: Option<Reservation>,
    start: Option<AbortHandle>,
    running: Option<RunningReplica>,
    health: Option<HealthWatch>,
    /// The version of the user config that the replica has, or [`UNKNOWN_CONFIG`].
    config_version: u64,
    /// The version of the user config that the replica is applying.
    taking: Option<u64>,
    stops: bool,
    report: ReplicaReport,
}

/// The work of a task on a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    Start,
    Stop,
    Reconfigure,
}

impl Work {
    /// Returns a description of the user code that the work runs.
    fn of_the_user(self) -> &'static str {
        match self {
            Self::Start => "its constructor, `#[reconfigure]` or first `#[check_health]`",
            Self::Stop => "its `#[shutdown]` or the drop of its instance",
            Self::Reconfigure => "its `#[reconfigure]`",
        }
    }

    /// Returns advice for user code that blocks its thread.
    fn remedy(self) -> &'static str {
        match self {
            Self::Start => {
                "mark a constructor that blocks `#[blocking]`, and put what else does into \
                 `tokio::task::spawn_blocking`"
            }
            Self::Stop | Self::Reconfigure => "put what blocks into `tokio::task::spawn_blocking`",
        }
    }
}

/// The result of a task.
enum Done {
    Started(u64, Result<Arc<Replica>, Error>),
    Stopped(u64),
    Reconfigured(u64, u64, Result<(), Error>),
    /// All queued calls have been served or refused.
    QueueDrained,
}

/// Starts hosting a deployment.
pub(super) fn start(node: &Arc<LocalNode>, id: DeploymentId, assignment: Arc<Assignment>) {
    start_after(node, id, assignment, None);
}

/// Starts to host a deployment, perhaps in the place of a loop that panicked.
fn start_after(
    node: &Arc<LocalNode>,
    id: DeploymentId,
    assignment: Arc<Assignment>,
    fault: Option<String>,
) {
    let Some(code) = Code::of(node, &assignment) else {
        tracing::error!(
            deployment = assignment.deployment,
            application = assignment.application,
            "this process has no code for what is assigned to it"
        );
        return;
    };
    let deployment_type = Arc::clone(&code.node().deployment_type);
    let (application, name) = (&assignment.application, &assignment.deployment);
    let router = node.directory.router(application, name, deployment_type.type_id());
    let (sender, assignments) = watch::channel((1, Arc::clone(&assignment)));
    let (events, received) = mpsc::unbounded_channel();
    let (applies, applied) = watch::channel(0);
    let mut hosted = HostedLoop {
        id,
        node: Arc::clone(node),
        term: router.begin_term(),
        router: Arc::clone(&router),
        assignments,
        assignment,
        code,
        replicas: BTreeMap::new(),
        tasks: JoinSet::new(),
        under_way: HashMap::new(),
        events: received,
        event_sender: events.downgrade(),
        report: DeploymentReport::default(),
        report_changed: true,
        unreported: BTreeMap::new(),
        retires: false,
        give_up: None,
        taken: 1,
        applies,
        looks: true,
    };
    hosted.configure(None);
    if let Some(fault) = fault {
        hosted.note_fault(fault);
    }
    let grace = hosted.grace();
    let hosting =
        HostedDeployment { deployment_type, router, assignment: sender, applied, events, grace };
    if node.directory.host(id, hosting) {
        node.runtime().tokio.spawn(run(Arc::clone(node), id, hosted));
    }
}

/// Runs a loop, and starts another one if the loop panics: the assignment must run, whatever
/// happens.
async fn run(node: Arc<LocalNode>, id: DeploymentId, hosted: HostedLoop) {
    let name = Arc::clone(hosted.router.name());
    let Err(panic) = AssertUnwindSafe(hosted.run()).catch_unwind().await else { return };
    let fault = format!("the node's own code panicked: {}", panic_message(&*panic));
    tracing::error!(deployment = &*name, "{fault}; the replicas are started again");
    // The pause keeps a persistent fault from keeping a core busy.
    sleep(RESTART_PAUSE).await;
    if let Some(assignment) = node.directory.assignment(id) {
        start_after(&node, id, assignment, Some(fault));
    }
}

impl HostedLoop {
    async fn run(mut self) {
        let mut room = self.node.resources.changes();
        loop {
            if std::mem::take(&mut self.looks) {
                self.act();
            }
            self.applies
                .send_if_modified(|applied| std::mem::replace(applied, self.taken) != self.taken);
            self.publish().await;
            let wake = self.given_up_at().filter(|_| !self.report.abandoned);
            let autoscaled = self.code.node().options().autoscaling.is_some();
            let autoscaled = autoscaled && !self.retires;
            tokio::select! {
                changed = self.assignments.changed() => match changed {
                    Ok(()) => self.take_assignment(),
                    // Dropping the replicas ends everything that still runs.
                    Err(_) => return self.withdraw().await,
                },
                Some(event) = self.events.recv() => self.note_event(event),
                Some(done) = self.tasks.join_next_with_id(), if !self.tasks.is_empty() => {
                    self.note(done);
                }
                // The sender lives as long as the node.
                _ = room.changed(), if self.waits_for_room() => self.looks = true,
                () = self.router.load_changed(), if autoscaled => {
                    self.node.directory.load_has_changed(self.id);
                    continue;
                }
                () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {
                    self.abandon();
                }
            }
            self.catch_up().await;
        }
    }

    /// Handles everything else that has happened by now, so that it is reported together.
    async fn catch_up(&mut self) {
        if !self.tasks.is_empty() {
            // Other tasks that are ready run first, so that their results are included.
            reschedule().await;
        }
        while let Some(done) = self.tasks.try_join_next_with_id() {
            self.note(done);
        }
        while let Ok(event) = self.events.try_recv() {
            self.note_event(event);
        }
        if self.assignments.has_changed().unwrap_or(false) {
            self.take_assignment();
        }
    }

    /// Returns the time at which replicas that have not stopped are abandoned.
    fn given_up_at(&self) -> Option<Instant> {
        self.give_up.and_then(|at| time::after(at, LAST_STEPS))
    }

    /// Abandons the replicas that have not stopped: user code that blocks its thread cannot be
    /// ended, and is dropped when it returns.
    fn abandon(&mut self) {
        for (number, work) in self.under_way.values() {
            let replica = self.replicas.get(number).map(|replica| &*replica.id);
            tracing::error!(
                deployment = &**self.router.name(),
                application = &**self.router.application(),
                replica = replica.unwrap_or_default(),
                "a replica did not stop in time and is left to itself: {} has not returned, and \
                 blocks its thread; {}",
                work.of_the_user(),
                work.remedy()
            );
        }
        self.report.abandoned = true;
        self.report_changed = true;
    }

    fn waits_for_room(&self) -> bool {
        let waits = |replica: &LocalReplica| matches!(replica.report, ReplicaReport::Waiting(_));
        self.replicas.values().any(waits)
    }

    /// Applies a new assignment.
    fn take_assignment(&mut self) {
        let (number, next) = self.assignments.borrow_and_update().clone();
        (self.taken, self.looks) = (number, true);
        let before = std::mem::replace(&mut self.assignment, next);
        if before.spec.serial != self.assignment.spec.serial {
            self.configure(Some(&before));
        }
    }

    /// Returns the time for which the calls of a stopping replica may continue.
    fn grace(&self) -> Duration {
        self.code.node().options().graceful_shutdown_timeout()
    }

    /// Applies the settings of the spec that concern the whole deployment.
    fn configure(&mut self, before: Option<&Assignment>) {
        let slots_before = before.map(|_| self.code.node().slots());
        if self.code.blueprint != self.assignment.spec.blueprint
            && let Some(code) = Code::of(&self.node, &self.assignment)
        {
            self.code = code;
        }
        let node = self.code.node();
        let options = node.options();
        if slots_before != Some(node.slots()) {
            warn_of_batches(&self.assignment.application, node);
        }
        self.router.configure(options, node.request_router.as_ref().map(|it| &it.made));
        let suspended = self.assignment.spec.suspended.as_ref();
        match suspended {
            Some(reason) => self.router.close(self.term, reason),
            None if before.is_some_and(|before| before.spec.suspended.is_some()) => {
                self.router.open(self.term);
            }
            None => {}
        }
        let slots = node.slots();
        for (number, replica) in &mut self.replicas {
            if let Some(running) = &replica.running {
                running.set_slots(slots);
                if !replica.health.as_ref().is_some_and(|health| health.fits(options)) {
                    replica.health = HealthWatch::start(
                        *number,
                        &running.replica,
                        options,
                        self.node.runtime(),
                        &self.event_sender,
                    );
                }
            }
        }
        self.node.directory.set_grace(self.id, self.grace());
        self.report.serial = self.assignment.spec.serial;
        self.report_changed = true;
    }

    fn retire(&mut self, reason: String) {
        self.router.refuse(self.term, &reason);
        for running in self.replicas.values().filter_map(|replica| replica.running.as_ref()) {
            running.replica.begin_draining();
        }
        let grace = self.grace();
        self.give_up.get_or_insert_with(|| time::after_at_most(Instant::now(), grace));
        let (router, term) = (Arc::clone(&self.router), self.term);
        self.tasks.spawn(async move {
            router.drain_queue(grace).await;
            router.close(term, &reason);
            Done::QueueDrained
        });
    }

    fn note_event(&mut self, event: ReplicaEvent) {
        match event {
            ReplicaEvent::Killed { id } => {
                let killed = self.replicas.iter().find(|(_, replica)| replica.id == id);
                if let Some(number) = killed.map(|(number, _)| *number) {
                    self.ends(number, ReplicaReport::Died("it was killed".to_owned()));
                }
            }
            ReplicaEvent::Unfit { number, reason } => self.must_go(number, reason, Until::Now),
            ReplicaEvent::Worn { number, reason } => self.must_go(number, reason, Until::Replaced),
        }
    }

    /// Performs the work that the assignment requires now.
    fn act(&mut self) {
        let assignment = Arc::clone(&self.assignment);
        if let Some(reason) = &assignment.retired
            && !std::mem::replace(&mut self.retires, true)
        {
            self.retire(reason.clone());
        }
        let gone: Vec<u64> = self
            .replicas
            .keys()
            .copied()
            .filter(|it| !assignment.replicas.contains_key(it))
            .collect();
        for number in gone {
            self.forget(number);
        }
        let mut ranks_change = false;
        for (number, assigned) in &assignment.replicas {
            let number = *number;
            let Some(replica) = self.replicas.get(&number) else {
                self.add(number, assigned);
                continue;
            };
            if replica.rank.load(Ordering::Relaxed) != assigned.rank {
                replica.rank.store(assigned.rank, Ordering::Relaxed);
                ranks_change = true;
            }
            if replica.report.is_final() {
                continue;
            }
            if assigned.stops && !replica.stops {
                self.stop(number);
            } else if matches!(replica.report, ReplicaReport::Waiting(_)) {
                self.begin(number);
            } else {
                self.reconfigure(number, assigned);
            }
        }
        if ranks_change {
            self.router.ranks_changed();
        }
    }

    /// Adds a replica that is assigned for the first time.
    fn add(&mut self, number: u64, assigned: &AssignedReplica) {
        let replica = LocalReplica {
            id: Arc::clone(&assigned.id),
            rank: Arc::new(AtomicUsize::new(assigned.rank)),
            reservation: None,
            start: None,
            running: None,
            health: None,
            config_version: UNKNOWN_CONFIG,
            taking: None,
            stops: assigned.stops,
            report: ReplicaReport::Starting,
        };
        self.replicas.insert(number, replica);
        if assigned.stops {
            self.set_report(number, ReplicaReport::Stopped);
        } else {
            self.begin(number);
        }
    }

    /// Forgets a replica that is no longer assigned because the controller has noted its end.
    fn forget(&mut self, number: u64) {
        self.replicas.remove(&number);
        self.unreported.insert(number, None);
    }

    fn set_report(&mut self, number: u64, report: ReplicaReport) {
        let Some(replica) = self.replicas.get_mut(&number) else { return };
        if replica.report.is_final() {
            return;
        }
        replica.report = report.clone();
        self.unreported.insert(number, Some(report));
    }

    /// Handles a replica that is gone.
    fn ends(&mut self, number: u64, report: ReplicaReport) {
        self.set_report(number, report);
        let Some(replica) = self.replicas.get_mut(&number) else { return };
        replica.health = None;
        replica.start = None;
        let (running, reservation) = (replica.running.take(), replica.reservation.take());
        let Some(running) = running else { return };
        let dropping = self.tasks.spawn(async move {
            drop(running);
            // The resources of a replica are released after the replica is gone.
            drop(reservation);
            Done::Stopped(number)
        });
        self.under_way.insert(dropping.id(), (number, Work::Stop));
    }

    /// Reports the changes since the last report.
    async fn publish(&mut self) {
        let mut batch = WriteBatch::default();
        for (number, report) in std::mem::take(&mut self.unreported) {
            let key = replica_report(self.id, number);
            match report {
                Some(report) => batch.put(key, &report),
                None => batch.delete(key),
            }
        }
        if std::mem::take(&mut self.report_changed) {
            batch.put(deployment_report(self.id), &self.report);
        }
        if !batch.writes.is_empty() {
            write(&self.node, &self.router, batch).await;
        }
    }

    /// Deletes all reports, because the deployment is no longer assigned.
    async fn withdraw(self) {
        let mut batch = WriteBatch::default();
        for number in self.replicas.keys() {
            batch.delete(replica_report(self.id, *number));
        }
        batch.delete(deployment_report(self.id));
        let Self { node, router, code, .. } = self;
        // Dropped before the controller looks for plans that are no longer used.
        drop(code);
        write(&node, &router, batch).await;
    }
}

async fn write(node: &LocalNode, router: &Router, batch: WriteBatch) {
    if let Err(error) = node.reports.put(batch).await {
        tracing::error!(
            deployment = &**router.name(),
            application = &**router.application(),
            "the node could not report: {error}"
        );
    }
}

/// Logs a warning for each method whose batches cannot be full.
fn warn_of_batches(application: &str, node: &PlanNode) {
    for method in node.deployment_type.methods() {
        let said = method.batch().and_then(|batch| {
            let name = method.info().name;
            starved_batches(name, batch, node.slots(), node.deployment_type.is_exclusive())
        });
        if let Some(said) = said {
            tracing::warn!(deployment = node.name, application, "{said}");
        }
    }
}
