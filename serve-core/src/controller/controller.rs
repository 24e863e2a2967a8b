//! [`Controller`]: the loop around [`ControllerState`]. The loop receives commands and reports, advances the
//! state, and stores the decisions, which nodes act on.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::FutureExt as _;
use parking_lot::{Mutex, RwLock};
use tokio::runtime::Handle as Tokio;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};

use super::assignment::{ASSIGNMENTS, REPORTS};
use super::autoscaler::Loads;
use super::changes::{AppliedConfiguration, ChangeOrigin, Changes, DeployEffect};
use super::error::{ConfigurationError, DeployError};
use super::leadership::Leadership;
use super::overview::ApplicationOverview;
use super::state::ControllerState;
use super::status::{ApplicationDetails, ApplicationStatus};
use super::store::{ControlStore, Entry, StoreError, StoreRevision};
use crate::application::{BlueprintId, Blueprints, Outline, Plan};
use crate::call::runtime_context::reschedule;
use crate::time::WallClock;

/// The environment of a controller. Every part of it outlives the controller.
#[derive(Clone, Debug)]
pub(crate) struct Surroundings {
    pub(crate) tokio: Tokio,
    /// The store that the controller writes to, and reads from when it starts.
    pub(crate) store: Arc<dyn ControlStore>,
    /// The store that nodes write to.
    pub(crate) reports: Arc<dyn ControlStore>,
    pub(crate) loads: Arc<dyn Loads>,
    pub(crate) blueprints: Arc<Blueprints>,
    pub(crate) clock: WallClock,
    pub(crate) incarnation: Option<String>,
    /// Counts the changes of the state that a controller exposes.
    pub(crate) changes: watch::Sender<u64>,
}

/// Decides what runs, based on what was requested and what nodes report. Dropping the controller,
/// or losing the lead, stops it at any point; another controller continues from the stored state.
pub(crate) struct Controller {
    shared: Arc<Shared>,
    commands: mpsc::UnboundedSender<Command>,
    running: AbortHandle,
}

struct Shared {
    surroundings: Surroundings,
    /// The state. Only the loop writes to it.
    state: RwLock<ControllerState>,
    /// True while the state equals the stored state: the controller has loaded the state that its
    /// predecessor stored, and all its own decisions are written.
    stored: AtomicBool,
    /// True once another controller leads.
    lost_lead: AtomicBool,
    /// The revision of the last write that nodes have to act on.
    assigned: Mutex<StoreRevision>,
}

/// The error of a command that a controller did not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deposed {
    /// Another controller leads. The command may have been stored.
    Replaced,
    /// The tokio runtime is shutting down.
    Ended,
}

/// The outcome of a deploy.
#[derive(Debug)]
pub(crate) enum DeployEnd {
    /// The application runs, and this deployment is its ingress.
    Runs,
    /// A newer deploy was requested and runs; this deployment is its ingress.
    NewerRuns {
        ingress: String,
    },
    Failed(DeployError),
}

/// A command to a controller. The answer is sent once the command is stored.
enum Command {
    Deploy {
        application: String,
        hidden: bool,
        outline: Outline,
        /// Keeps the code alive until the state refers to the plan.
        plan: Arc<Plan>,
        answer: oneshot::Sender<Result<u64, DeployError>>,
    },
    Apply {
        origin: ChangeOrigin,
        applied: AppliedConfiguration,
        outlines: Vec<(String, Outline)>,
        /// Keep the code alive until the state refers to the plans.
        plans: Vec<Arc<Plan>>,
        answer: oneshot::Sender<Result<u64, ConfigurationError>>,
    },
    Scale {
        origin: ChangeOrigin,
        application: String,
        deployment: String,
        replicas: usize,
        answer: oneshot::Sender<Result<u64, ConfigurationError>>,
    },
    Delete {
        origin: ChangeOrigin,
        application: String,
        answer: oneshot::Sender<Result<u64, DeployError>>,
    },
    ShutDown {
        answer: oneshot::Sender<()>,
    },
}

impl Controller {
    /// Starts a controller, which takes the lead and continues from the stored state.
    pub(crate) fn start(surroundings: &Surroundings) -> Self {
        let state = ControllerState::new(
            Arc::clone(&surroundings.blueprints),
            surroundings.incarnation.clone(),
        );
        let shared = Arc::new(Shared {
            surroundings: surroundings.clone(),
            state: RwLock::new(state),
            stored: AtomicBool::new(false),
            lost_lead: AtomicBool::new(false),
            assigned: Mutex::default(),
        });
        let (commands, received) = mpsc::unbounded_channel();
        let run = Arc::clone(&shared).run(received);
        let running = surroundings.tokio.spawn(run).abort_handle();
        Self { shared, commands, running }
    }

    /// Requests a deploy. Returns the number of the deploy once the request is stored.
    pub(crate) async fn deploy(
        &self,
        application: String,
        hidden: bool,
        outline: Outline,
        plan: Arc<Plan>,
    ) -> Result<Result<u64, DeployError>, Deposed> {
        let command = |answer| Command::Deploy { application, hidden, outline, plan, answer };
        self.command(command).await
    }

    /// Requests the deletion of an application. Once the request is stored, returns the number that
    /// distinguishes the application from a later application of the same name.
    pub(crate) async fn delete(
        &self,
        origin: ChangeOrigin,
        application: String,
    ) -> Result<Result<u64, DeployError>, Deposed> {
        self.command(|answer| Command::Delete { origin, application, answer }).await
    }

    /// Requests the applications of a configuration, and the deletion of those that the
    /// configuration before had besides. Returns the revision once the request is stored.
    pub(crate) async fn apply(
        &self,
        origin: ChangeOrigin,
        applied: AppliedConfiguration,
        outlines: Vec<(String, Outline)>,
        plans: Vec<Arc<Plan>>,
    ) -> Result<Result<u64, ConfigurationError>, Deposed> {
        self.command(|answer| Command::Apply { origin, applied, outlines, plans, answer }).await
    }

    /// Requests a number of replicas. Returns the revision once the request is stored.
    pub(crate) async fn scale(
        &self,
        origin: ChangeOrigin,
        application: String,
        deployment: String,
        replicas: usize,
    ) -> Result<Result<u64, ConfigurationError>, Deposed> {
        let command = |answer| Command::Scale { origin, application, deployment, replicas, answer };
        self.command(command).await
    }

    /// Returns the effects that the deploys of a configuration would have.
    pub(crate) fn effects(
        &self,
        deploys: &[(String, Outline)],
    ) -> Vec<(String, Option<String>, DeployEffect)> {
        self.shared.state.read().effects(deploys)
    }

    /// Returns the plan of an application, once the application has been deployed.
    pub(crate) fn blueprint(&self, application: &str) -> Option<BlueprintId> {
        let state = self.shared.state.read();
        Some(state.applications.get(application)?.plan.as_ref()?.blueprint)
    }

    /// Calls `look` with the changes of the desired state.
    pub(crate) fn changes<T>(&self, look: impl FnOnce(&Changes) -> T) -> T {
        look(&self.shared.state.read().changes)
    }

    /// Returns everything that is known of the applications, except for the numbers that only nodes
    /// know.
    pub(crate) fn overview(&self) -> BTreeMap<String, ApplicationOverview> {
        let clock = &self.shared.surroundings.clock;
        let state = self.shared.state.read();
        let shown = state.applications.iter().filter(|(_, application)| !application.hidden);
        shown
            .map(|(name, application)| (name.clone(), state.overview(name, application, clock)))
            .collect()
    }

    /// Requests the shutdown of everything.
    pub(crate) async fn shut_down(&self) -> Result<(), Deposed> {
        self.command(|answer| Command::ShutDown { answer }).await
    }

    async fn command<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, Deposed> {
        let (answer, answered) = oneshot::channel();
        // A loop that has ended receives no command and answers none.
        let _ = self.commands.send(command(answer));
        let lost_lead = || self.shared.lost_lead.load(Ordering::Acquire);
        answered.await.map_err(|_| if lost_lead() { Deposed::Replaced } else { Deposed::Ended })
    }

    /// Waits until the controller has ended together with its tokio runtime.
    pub(crate) async fn ended(&self) {
        self.commands.closed().await;
        if self.shared.lost_lead.load(Ordering::Acquire) {
            // Another controller continues.
            std::future::pending::<()>().await;
        }
    }

    /// Returns the outcome of a deploy, if the deploy has ended.
    pub(crate) fn deploy_end(&self, name: &str, number: u64) -> Option<DeployEnd> {
        self.stored(|state| state.deploy_end(name, number))?
    }

    /// Returns `true` if the application that was to be deleted is gone.
    pub(crate) fn is_gone(&self, name: &str, id: u64) -> bool {
        let is_gone = self.stored(|state| {
            state.applications.get(name).is_none_or(|application| application.id != id)
        });
        is_gone.unwrap_or(false)
    }

    /// Returns `true` if no deployment runs or is stopping.
    pub(crate) fn is_empty(&self) -> bool {
        self.stored(ControllerState::is_empty).unwrap_or(false)
    }

    /// Returns `true` if an application has this status, and everything that nodes need to act on
    /// it is stored.
    pub(crate) fn has_status(&self, name: &str, status: ApplicationStatus) -> bool {
        self.stored(|state| state.shown_status(name) == status).unwrap_or(false)
    }

    /// Returns `true` if everything that was decided is stored.
    pub(crate) fn is_stored(&self) -> bool {
        self.stored(|_| ()).is_some()
    }

    /// Calls `look` with the state, if the state equals the stored state.
    fn stored<T>(&self, look: impl FnOnce(&ControllerState) -> T) -> Option<T> {
        let state = self.shared.state.read();
        // The flag is cleared before the state changes, so that a change which is not yet stored is
        // not seen.
        self.shared.stored.load(Ordering::Acquire).then(|| look(&state))
    }

    /// Returns the revision up to which nodes must have seen the store to act on all decisions.
    pub(crate) fn assigned(&self) -> StoreRevision {
        *self.shared.assigned.lock()
    }

    /// Returns the applications, without the numbers that only nodes know.
    pub(crate) fn status(&self) -> BTreeMap<String, ApplicationDetails> {
        let clock = &self.shared.surroundings.clock;
        let state = self.shared.state.read();
        let shown = state.applications.iter().filter(|(_, application)| !application.hidden);
        shown
            .map(|(name, application)| (name.clone(), state.details(name, application, clock)))
            .collect()
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        self.running.abort();
    }
}

impl fmt::Debug for Controller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Controller")
            .field("state", &self.shared.state.read())
            .finish_non_exhaustive()
    }
}

/// An answer to send once the decisions are stored.
type Answer = Box<dyn FnOnce() + Send>;

impl Shared {
    async fn run(self: Arc<Self>, mut commands: mpsc::UnboundedReceiver<Command>) {
        let mut answers = Vec::new();
        if self.lead(&mut commands, &mut answers).await.is_err() {
            // Set before the answers are dropped, so that callers without an answer see it.
            self.lost_lead.store(true, Ordering::Release);
        }
    }

    /// Runs the loop until another controller takes the lead, or until the commands end.
    async fn lead(
        &self,
        commands: &mut mpsc::UnboundedReceiver<Command>,
        answers: &mut Vec<Answer>,
    ) -> Result<(), StoreError> {
        let Surroundings { store, reports, loads, .. } = &self.surroundings;
        let mut leadership = Leadership::take(&**store, None).await;
        self.restore(&leadership).await;
        let mut reports = reports.watch(REPORTS);
        let (first, _) = reports.next().await;
        self.with(|state| state.report(first, self.surroundings.clock.now()));
        loop {
            // A caller that receives no answer asks the next controller.
            self.decide(&leadership).await?;
            answers.drain(..).for_each(|answer| answer());
            let wake = self.wakes_at();
            tokio::select! {
                command = commands.recv() => match command {
                    Some(command) => answers.push(self.obey(command)),
                    None => return Ok(()),
                },
                (changes, _) = reports.next() => self.report(changes),
                touched = loads.changed() => self.with(|state| {
                    touched.into_iter().for_each(|id| state.touch(id));
                }),
                () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {}
                () = leadership.is_due() => leadership.renew(&**store).await?,
            }
            // Other tasks that are ready run first, so that their reports are processed together:
            // with ten thousand replicas that start at once, the state would otherwise be processed
            // ten thousand times.
            reschedule().await;
            while let Ok(command) = commands.try_recv() {
                answers.push(self.obey(command));
            }
            while let Some((changes, _)) = reports.next().now_or_never() {
                self.report(changes);
            }
        }
    }

    fn with<T>(&self, act: impl FnOnce(&mut ControllerState) -> T) -> T {
        act(&mut self.state.write())
    }

    /// Loads the stored state.
    async fn restore(&self, leadership: &Leadership) {
        let store = &self.surroundings.store;
        let mut entries: BTreeMap<String, Entry> = BTreeMap::new();
        for prefix in ["state.", ASSIGNMENTS] {
            for key in store.keys(prefix).await.unwrap_or_default() {
                if let Ok(Some(entry)) = store.get(&key).await {
                    entries.insert(key, entry);
                }
            }
        }
        self.with(|state| state.restore(&entries));
        *self.assigned.lock() = leadership.revision();
    }

    /// Advances the state and stores the decisions.
    async fn decide(&self, leadership: &Leadership) -> Result<(), StoreError> {
        let Surroundings { store, loads, clock, .. } = &self.surroundings;
        // Nothing to decide: whoever looks at the state meanwhile is not turned away.
        let is_idle = self.state.read().is_idle(clock.now());
        if is_idle && self.stored.load(Ordering::Acquire) {
            return Ok(());
        }
        self.stored.store(false, Ordering::Release);
        loop {
            let now = clock.now();
            // A custom policy may call `status`, which needs this lock too.
            let touched = self.state.read().weigh_loads(&**loads, now);
            // A decision may lead to another one at once.
            if !self.with(|state| state.advance(touched, now)) {
                break;
            }
        }
        let (mut batch, acts) = self.state.read().unstored();
        if !batch.writes.is_empty() {
            batch.fence = leadership.fence();
            let revision = store.put(batch).await?;
            if acts {
                *self.assigned.lock() = revision;
            }
        }
        let forgotten = self.with(ControllerState::is_stored);
        if !forgotten.is_empty() {
            // These plans contain user values, whose drops may block, panic, or call `status`.
            self.surroundings.tokio.spawn(async move { drop(forgotten) });
        }
        self.stored.store(true, Ordering::Release);
        // Also if nothing has changed: a caller may have looked while the state was not stored.
        self.surroundings.changes.send_modify(|changes| *changes += 1);
        Ok(())
    }

    fn report(&self, changes: Vec<super::store::Change>) {
        let now = self.surroundings.clock.now();
        self.with(|state| state.report(changes, now));
    }

    fn wakes_at(&self) -> Option<Instant> {
        let next = self.state.read().next_at();
        next.and_then(|at| self.surroundings.clock.instant(at))
    }

    fn obey(&self, command: Command) -> Answer {
        match command {
            Command::Deploy { application, hidden, outline, plan, answer } => {
                let (now, blueprint) = (self.surroundings.clock.now(), outline.blueprint);
                let asked = self.with(|state| {
                    let asked = state.ask(&application, hidden, outline, now);
                    if asked.is_ok() && !hidden {
                        let what = format!("the program runs application `{application}`");
                        state.record(ChangeOrigin::program(what), now);
                    }
                    asked
                });
                if asked.is_err() {
                    // Nothing refers to the plan of a refused deploy except the command.
                    self.surroundings.blueprints.forget(blueprint);
                }
                Box::new(move || {
                    // The caller may be gone.
                    let _ = answer.send(asked);
                    drop(plan);
                })
            }
            Command::Apply { origin, applied, outlines, plans, answer } => {
                let now = self.surroundings.clock.now();
                let blueprints: Vec<_> = outlines.iter().map(|(_, it)| it.blueprint).collect();
                let asked = self.with(|state| state.apply(origin, applied, outlines, now));
                if asked.is_err() {
                    // Nothing refers to these plans except the command.
                    blueprints.into_iter().for_each(|id| self.surroundings.blueprints.forget(id));
                }
                Box::new(move || {
                    let _ = answer.send(asked);
                    drop(plans);
                })
            }
            Command::Scale { origin, application, deployment, replicas, answer } => {
                let now = self.surroundings.clock.now();
                let asked = self
                    .with(|state| state.scale(origin, &application, &deployment, replicas, now));
                Box::new(move || {
                    let _ = answer.send(asked);
                })
            }
            Command::Delete { origin, application, answer } => {
                let now = self.surroundings.clock.now();
                let asked = self.with(|state| {
                    let is_shown =
                        state.applications.get(&application).is_some_and(|it| !it.hidden);
                    let asked = state.ask_for_deletion(&application);
                    if asked.is_ok() && is_shown {
                        state.record_deletion(origin, &application, now);
                    }
                    asked
                });
                Box::new(move || {
                    let _ = answer.send(asked);
                })
            }
            Command::ShutDown { answer } => {
                self.with(ControllerState::shut_down);
                Box::new(move || {
                    let _ = answer.send(());
                })
            }
        }
    }
}
