//! [`Reconciler`]: the loop that makes what runs of one deployment what is asked of it.
//!
//! It does nothing until something happens: an order, a replica that started or ended, a
//! failed health check, a change of the load. [`State`] decides; the loop acts.

mod autoscaler;
mod health;
mod shown;
mod state;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{AbortHandle, JoinError, JoinSet, yield_now};
use tokio::time::{Instant, sleep_until};

use self::autoscaler::Autoscaler;
use self::health::HealthWatch;
pub(super) use self::shown::{Outcome, Shown, Unmet};
pub use self::state::DeadReplica;
use self::state::{Phase, State, Step};
use super::replicas::{Birth, Nursery, RunningReplica, run_hook};
use super::resources::{NodeResources, Reservation};
use super::spec::Spec;
use crate::call::pending::panic_message;
use crate::clock;
use crate::error::Error;
use crate::method::Hook;
use crate::replica::Replica;
use crate::router::{Router, Term};

/// What a deployment that retires has for its last steps, once its time is over: they take
/// no longer, but for user code that blocks its thread.
const LAST_STEPS: Duration = Duration::from_secs(1);

/// What the reconciler of a deployment is told.
#[derive(Debug)]
pub(super) enum Order {
    /// From now on, this is asked for.
    Ask(Arc<Spec>),
    /// Serve who waits, stop everything, then say so.
    Retire { reason: String, done: oneshot::Sender<()> },
    /// The replica with this id is gone, and its calls with it.
    Killed { id: Arc<str> },
    /// A replica is not fit to go on.
    Unfit { number: u64, reason: String },
}

/// Makes what runs of one deployment what is asked of it.
pub(super) struct Reconciler {
    nursery: Arc<Nursery>,
    resources: Arc<NodeResources>,
    router: Arc<Router>,
    /// This reconciler's term over the router.
    term: Term,
    state: State,
    lives: HashMap<u64, Life>,
    tasks: JoinSet<Done>,
    /// What a task does to which replica.
    under_way: HashMap<tokio::task::Id, (u64, Work)>,
    autoscaler: Option<Autoscaler>,
    /// Few come: one for each deploy, each failed health check, each kill.
    orders: mpsc::UnboundedReceiver<Order>,
    /// For what reports on replicas. Weak, so that the loop ends with its owner.
    reports: mpsc::WeakUnboundedSender<Order>,
    shown: watch::Sender<Shown>,
    retiring: Vec<oneshot::Sender<()>>,
    /// When all of a deployment that retires must have stopped.
    give_up: Option<Instant>,
}

/// What there is of a replica.
#[derive(Default)]
struct Life {
    rank: Arc<AtomicUsize>,
    /// What it holds of the node. Dropping it gives it back.
    _reservation: Option<Reservation>,
    start: Option<AbortHandle>,
    running: Option<RunningReplica>,
    health: Option<HealthWatch>,
}

/// What a task does to a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    Start,
    Stop,
    Reconfigure,
}

impl Work {
    /// Whose code it runs.
    fn of_the_user(self) -> &'static str {
        match self {
            Self::Start => "its constructor, `#[reconfigure]` or first `#[check_health]`",
            Self::Stop => "its `#[shutdown]` or the drop of its instance",
            Self::Reconfigure => "its `#[reconfigure]`",
        }
    }

    /// What to do about code that blocks.
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

/// What a task has done.
enum Done {
    Started(u64, Result<Arc<Replica>, Error>),
    Stopped(u64),
    Reconfigured(u64, u64, Result<(), Error>),
    /// Who waited has been served or turned away.
    QueueDrained,
}

/// The other end of a [`Reconciler`], which ends when this is dropped.
#[derive(Debug)]
pub(super) struct Reconciling {
    pub(super) orders: mpsc::UnboundedSender<Order>,
    pub(super) shown: watch::Receiver<Shown>,
}

impl Reconciler {
    /// Starts to reconcile.
    pub(super) fn start(
        spec: Arc<Spec>,
        router: Arc<Router>,
        nursery: &Arc<Nursery>,
        resources: &Arc<NodeResources>,
    ) -> Reconciling {
        let (orders, received) = mpsc::unbounded_channel();
        let state = State::new(spec);
        let (shown, seen) = watch::channel(Shown::of(&state, None));
        let mut reconciler = Self {
            nursery: Arc::clone(nursery),
            resources: Arc::clone(resources),
            term: router.begin_term(),
            router,
            state,
            lives: HashMap::new(),
            tasks: JoinSet::new(),
            under_way: HashMap::new(),
            autoscaler: None,
            orders: received,
            reports: orders.downgrade(),
            shown,
            retiring: Vec::new(),
            give_up: None,
        };
        reconciler.configure();
        nursery.spawner.tokio.spawn(reconciler.run());
        Reconciling { orders, shown: seen }
    }

    async fn run(mut self) {
        let mut room = self.resources.changes();
        loop {
            self.advance();
            self.show();
            if self.state.is_gone() && self.tasks.is_empty() {
                return self.answer_those_who_retired_it();
            }
            if self.given_up_at().is_some_and(|at| at <= Instant::now()) {
                self.tell_of_those_left();
                return self.answer_those_who_retired_it();
            }
            let wake = self.wake_at();
            tokio::select! {
                order = self.orders.recv() => match order {
                    Some(order) => self.obey(order),
                    // Dropping the lives ends what still runs.
                    None => return,
                },
                Some(done) = self.tasks.join_next_with_id(), if !self.tasks.is_empty() => {
                    self.note(done);
                }
                // Its sender lives as long as the runtime.
                _ = room.changed(), if self.state.waits_for_room() => {}
                () = self.router.load_changed(), if self.autoscaler.is_some() => {}
                () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {}
            }
            self.catch_up().await;
        }
    }

    /// Notes what else has happened by now. A look at everything takes as long as there are
    /// replicas, and ten thousand that start at once would be looked at ten thousand times.
    async fn catch_up(&mut self) {
        if !self.tasks.is_empty() {
            // What is ready to run does so first, and has happened then.
            yield_now().await;
        }
        while let Some(done) = self.tasks.try_join_next_with_id() {
            self.note(done);
        }
        while let Ok(order) = self.orders.try_recv() {
            self.obey(order);
        }
    }

    fn wake_at(&self) -> Option<Instant> {
        let autoscaler = self.autoscaler.as_ref().and_then(Autoscaler::next_at);
        let given_up = self.given_up_at();
        [self.state.next_at(Instant::now()), autoscaler, given_up].into_iter().flatten().min()
    }

    /// When what has not stopped by then is left to itself.
    fn given_up_at(&self) -> Option<Instant> {
        self.give_up.and_then(|at| clock::after(at, LAST_STEPS))
    }

    /// Everything has stopped, or is left to itself.
    fn answer_those_who_retired_it(self) {
        for done in self.retiring {
            // Who waited for it may be gone.
            let _ = done.send(());
        }
    }

    /// User code that blocks its thread cannot be ended. What is left of it goes when it
    /// returns.
    fn tell_of_those_left(&self) {
        for (number, work) in self.under_way.values() {
            let replica = self.state.member(*number).map(|member| Arc::clone(&member.id));
            tracing::error!(
                deployment = &**self.router.name(),
                application = &**self.router.application(),
                replica = replica.as_deref().unwrap_or_default(),
                "a replica did not stop in time and is left to itself: {} has not returned, and \
                 blocks its thread; {}",
                work.of_the_user(),
                work.remedy()
            );
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Ask(spec) => {
                let was_suspended = self.state.spec().suspended.is_some();
                self.state.ask(spec);
                if was_suspended && self.state.spec().suspended.is_none() {
                    self.router.open(self.term);
                }
                self.configure();
            }
            Order::Retire { reason, done } => {
                self.retiring.push(done);
                self.retire(reason);
            }
            Order::Killed { id } => {
                let killed = self.state.members().find(|member| member.id == id);
                if let Some(number) = killed.map(|member| member.number) {
                    self.lives.remove(&number);
                    self.state.died(number, "it was killed");
                }
            }
            Order::Unfit { number, reason } => {
                if let Some(step) = self.state.unfit(number, &reason) {
                    let replica = self.state.member(number).map(|member| Arc::clone(&member.id));
                    tracing::warn!(
                        deployment = &**self.router.name(),
                        application = &**self.router.application(),
                        replica = replica.as_deref(),
                        "a replica is replaced: {reason}"
                    );
                    self.act(step);
                }
            }
        }
    }

    /// What holds for the whole deployment, as its spec has it.
    fn configure(&mut self) {
        let spec = Arc::clone(self.state.spec());
        let options = spec.options();
        self.router.configure(options, spec.node.request_router.as_ref().map(|it| &it.made));
        let slots = spec.node.slots();
        for (number, life) in &mut self.lives {
            if let Some(running) = &life.running {
                running.set_slots(slots);
                life.health = HealthWatch::start(
                    *number,
                    &running.replica,
                    options,
                    &self.nursery.spawner,
                    &self.reports,
                );
            }
        }
        self.autoscaler = match (&options.autoscaling, self.autoscaler.take()) {
            (None, _) => None,
            (Some(config), Some(mut old)) => {
                old.reconfigure(config, options);
                Some(old)
            }
            (Some(config), None) => {
                Some(Autoscaler::new(config, options, self.state.target(), &self.router))
            }
        };
        if let Some(reason) = &spec.suspended {
            self.router.close(self.term, reason);
        }
    }

    fn retire(&mut self, reason: String) {
        self.autoscaler = None;
        self.router.refuse(self.term, &reason);
        let grace = self.state.spec().options().graceful_shutdown_timeout();
        self.give_up.get_or_insert_with(|| clock::after_at_most(Instant::now(), grace));
        let (router, term) = (Arc::clone(&self.router), self.term);
        self.tasks.spawn(async move {
            router.drain_queue(grace).await;
            router.close(term, &reason);
            Done::QueueDrained
        });
    }

    /// Does what there is to do now.
    fn advance(&mut self) {
        if let Some(autoscaler) = &mut self.autoscaler
            && let Some((target, reason)) = autoscaler.decide(&self.state)
        {
            let from = self.state.target();
            if target != from {
                tracing::info!(
                    deployment = &**self.router.name(),
                    application = &**self.router.application(),
                    "scales from {from} to {target} replicas: {reason}"
                );
            }
            self.state.scale(target, &reason);
        }
        let now = Instant::now();
        self.place_those_that_wait();
        loop {
            let (nursery, application) = (&self.nursery, self.router.application());
            let steps = self.state.next(now, |spec| nursery.id_for(spec, application));
            if steps.is_empty() {
                return;
            }
            // What is done may lead to more: one that finds no room needs another's.
            let ranks_change = steps.iter().any(|step| matches!(step, Step::Rank(..)));
            for step in steps {
                self.act(step);
            }
            if ranks_change {
                self.router.ranks_changed();
            }
        }
    }

    fn place_those_that_wait(&mut self) {
        let waiting: Vec<u64> = self
            .state
            .members()
            .filter(|member| matches!(member.phase, Phase::Waiting(_)))
            // One of another version is about to go.
            .filter(|member| member.version == self.state.spec().version)
            .map(|member| member.number)
            .collect();
        for number in waiting {
            self.begin(number);
        }
    }

    fn act(&mut self, step: Step) {
        match step {
            Step::Start(number) => self.begin(number),
            Step::Stop(number) => self.end(number),
            Step::Reconfigure(number) => self.reconfigure(number),
            Step::Rank(number, rank) => {
                if let Some(life) = self.lives.get(&number) {
                    life.rank.store(rank, Ordering::Relaxed);
                }
            }
        }
    }

    /// Starts a replica, if there is room for it.
    fn begin(&mut self, number: u64) {
        let Some(member) = self.state.member(number).cloned() else { return };
        let spec = Arc::clone(self.state.spec());
        let reservation = match self.resources.reserve(spec.options(), &self.router) {
            Ok(reservation) => reservation,
            Err(reason) => {
                if member.phase != Phase::Waiting(reason.clone()) {
                    tracing::warn!(
                        deployment = &**self.router.name(),
                        application = &**self.router.application(),
                        "a replica waits for room: {reason}"
                    );
                    self.state.waits(number, reason);
                }
                return;
            }
        };
        self.state.placed(number);
        let rank = Arc::new(AtomicUsize::new(member.rank));
        let birth =
            Birth { id: member.id, rank: Arc::clone(&rank), gpu_ids: reservation.gpu_ids() };
        let (nursery, router) = (Arc::clone(&self.nursery), Arc::clone(&self.router));
        let start = self.tasks.spawn(async move {
            Done::Started(number, nursery.raise(&spec, &router, birth).await)
        });
        self.under_way.insert(start.id(), (number, Work::Start));
        let life =
            Life { rank, _reservation: Some(reservation), start: Some(start), ..Life::default() };
        self.lives.insert(number, life);
    }

    /// Stops a replica, or its start.
    fn end(&mut self, number: u64) {
        let Some(life) = self.lives.get_mut(&number) else {
            // It waited for room.
            self.state.stopped(number);
            return;
        };
        life.health = None;
        let Some(running) = life.running.take() else {
            // Its end is noted when the task is gone.
            if let Some(start) = life.start.take() {
                start.abort();
            }
            return;
        };
        running.retire();
        let mut grace = self.state.spec().options().graceful_shutdown_timeout();
        if let Some(give_up) = self.give_up {
            grace = grace.min(give_up.saturating_duration_since(Instant::now()));
        }
        let stop = self.tasks.spawn(async move {
            running.stop(grace).await;
            Done::Stopped(number)
        });
        self.under_way.insert(stop.id(), (number, Work::Stop));
    }

    fn reconfigure(&mut self, number: u64) {
        let spec = Arc::clone(self.state.spec());
        let running = self.lives.get(&number).and_then(|life| life.running.as_ref());
        let Some(running) = running else { return };
        let Some(config) = spec.options().user_config.clone() else {
            let reason = "it was given a user config, and is to have none".to_owned();
            self.obey(Order::Unfit { number, reason });
            return;
        };
        let replica = Arc::clone(&running.replica);
        let telling = self.tasks.spawn(async move {
            let told = run_hook(&replica, Hook::Reconfigure(&config)).await;
            Done::Reconfigured(number, spec.config_version, told)
        });
        self.under_way.insert(telling.id(), (number, Work::Reconfigure));
    }

    fn note(&mut self, done: Result<(tokio::task::Id, Done), JoinError>) {
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
                Err(error) => self.start_failed(number, error),
            },
            Ok(Done::Stopped(number)) => {
                self.lives.remove(&number);
                self.state.stopped(number);
            }
            Ok(Done::Reconfigured(number, version, told)) => match told {
                Ok(()) => self.state.reconfigured(number, version),
                // It ended before it could answer. Its end is on its way, or noted.
                Err(_) if self.has_ended(number) => {}
                Err(error) => {
                    self.warn(number, "a replica could not be reconfigured", &error);
                    if let Some(step) = self.state.reconfigure_failed(number, version, error) {
                        self.act(step);
                    }
                }
            },
            Ok(Done::QueueDrained) => self.state.retire(),
            Err(error) => self.task_failed(error),
        }
    }

    /// True if a replica is gone, or its end was not noted yet.
    fn has_ended(&self, number: u64) -> bool {
        let running = self.lives.get(&number).and_then(|life| life.running.as_ref());
        running.is_none_or(|running| running.replica.has_ended())
    }

    fn admit(&mut self, number: u64, replica: Arc<Replica>) {
        let stopping =
            self.state.member(number).is_none_or(|member| member.phase == Phase::Stopping);
        let Some(life) = self.lives.get_mut(&number) else { return };
        life.start = None;
        if stopping {
            self.lives.remove(&number);
            self.state.stopped(number);
            return;
        }
        let spec = self.state.spec();
        let reports = self.reports.clone();
        replica.report_unfit_to(move |reason| {
            if let Some(reports) = reports.upgrade() {
                let _ = reports.send(Order::Unfit { number, reason });
            }
        });
        life.health = HealthWatch::start(
            number,
            &replica,
            spec.options(),
            &self.nursery.spawner,
            &self.reports,
        );
        let methods = spec.node.kind.methods();
        let ordered = methods.iter().any(|method| replica.target.keeps_order(*method));
        let slots = spec.node.slots();
        life.running = Some(RunningReplica::admit(&self.router, replica, slots, ordered));
        self.state.started(number);
    }

    /// A task was aborted, or it panicked: dropping an instance may, if its user's code does.
    fn task_failed(&mut self, error: JoinError) {
        let work = self.under_way.remove(&error.id());
        if let Ok(panic) = error.try_into_panic() {
            let what = match work {
                Some((_, Work::Stop)) => "the drop of an instance panicked",
                _ => "the controller's own code panicked",
            };
            let message = format!("{what}: {}", panic_message(&*panic));
            tracing::warn!(
                deployment = &**self.router.name(),
                application = &**self.router.application(),
                "{message}"
            );
            self.state.internal_error(message);
        }
        let Some((number, Work::Start | Work::Stop)) = work else { return };
        self.lives.remove(&number);
        self.state.stopped(number);
    }

    fn warn(&self, number: u64, what: &str, error: &Error) {
        let replica = self.state.member(number).map(|member| Arc::clone(&member.id));
        tracing::warn!(
            deployment = &**self.router.name(),
            application = &**self.router.application(),
            replica = replica.as_deref(),
            "{what}: {error:#}"
        );
    }

    fn start_failed(&mut self, number: u64, error: Error) {
        self.warn(number, "a replica did not start", &error);
        self.lives.remove(&number);
        self.state.start_failed(number, error, Instant::now());
    }

    fn show(&self) {
        let now = Shown::of(&self.state, self.autoscaler.as_ref());
        let changed = self.shown.send_if_modified(|shown| {
            let changed = *shown != now;
            *shown = now;
            changed
        });
        if changed {
            self.nursery.changes.send_modify(|changes| *changes += 1);
        }
    }
}
