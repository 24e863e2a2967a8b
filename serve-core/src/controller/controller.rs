//! [`Controller`]: the loop around [`State`]. It takes commands and reports, lets the state decide,
//! and stores what was decided, which nodes act on.

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

use super::application::{Application, Step};
use super::assignment::{ASSIGNMENTS, REPORTS};
use super::autoscaler::Loads;
use super::decide::application_status;
use super::error::{DeployError, DeployFailure};
use super::leadership::Leadership;
use super::state::State;
use super::status::{
    ApplicationDetails, ApplicationStatus, DeploymentDetails, DeploymentStatus, ReplicaDetails,
};
use super::store::{ControlStore, Entry, StoreError, StoreRevision};
use crate::application::{Blueprints, Outline, Plan};
use crate::call::spawner::reschedule;
use crate::clock::WallClock;

/// What a controller works on: all of it outlives the controller.
#[derive(Clone, Debug)]
pub(crate) struct Surroundings {
    pub(crate) tokio: Tokio,
    /// What the controller writes, and finds when it starts.
    pub(crate) store: Arc<dyn ControlStore>,
    /// What nodes write.
    pub(crate) reports: Arc<dyn ControlStore>,
    pub(crate) loads: Arc<dyn Loads>,
    pub(crate) blueprints: Arc<Blueprints>,
    pub(crate) clock: WallClock,
    pub(crate) incarnation: Option<String>,
    /// Counts the changes of what a controller shows.
    pub(crate) changes: watch::Sender<u64>,
}

/// Decides what runs, from what is asked for and what nodes report. Dropping it, or losing the
/// lead, stops it wherever it is; another one goes on from what it has stored.
pub(crate) struct Controller {
    shared: Arc<Shared>,
    commands: mpsc::UnboundedSender<Command>,
    running: AbortHandle,
}

struct Shared {
    surroundings: Surroundings,
    /// Written by the loop alone.
    state: RwLock<State>,
    /// True while the state is what is stored: the controller knows what was there before it, and
    /// everything that it has decided since is written.
    stored: AtomicBool,
    /// True once another controller leads.
    lost_lead: AtomicBool,
    /// The last write of the store that nodes had to act on.
    assigned: Mutex<StoreRevision>,
}

/// The error of a command that a controller has not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deposed {
    /// Another controller leads. The command may have been stored.
    Replaced,
    /// The tokio runtime ends.
    Ended,
}

/// How a deploy ended.
#[derive(Debug)]
pub(crate) enum DeployEnd {
    /// The application runs, and this deployment is its ingress.
    Runs,
    /// A newer deploy was asked for, which runs; this deployment is its ingress.
    NewerRuns {
        ingress: String,
    },
    Failed(DeployError),
}

/// What a controller is asked to do. The answer comes once the command is stored.
enum Command {
    Deploy {
        application: String,
        hidden: bool,
        outline: Outline,
        /// Keeps the code until the plan is among what is asked for.
        plan: Arc<Plan>,
        answer: oneshot::Sender<Result<u64, DeployError>>,
    },
    Delete {
        application: String,
        answer: oneshot::Sender<Result<u64, DeployError>>,
    },
    ShutDown {
        answer: oneshot::Sender<()>,
    },
}

impl Controller {
    /// Starts a controller, which takes the lead and goes on from what is stored.
    pub(crate) fn start(surroundings: &Surroundings) -> Self {
        let state =
            State::new(Arc::clone(&surroundings.blueprints), surroundings.incarnation.clone());
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

    /// Asks for a deploy. Returns its number once that is stored.
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

    /// Asks for the deletion of an application. Returns, once that is stored, the number that tells
    /// it from a later application of its name.
    pub(crate) async fn delete(
        &self,
        application: String,
    ) -> Result<Result<u64, DeployError>, Deposed> {
        self.command(|answer| Command::Delete { application, answer }).await
    }

    /// Asks for the end of everything.
    pub(crate) async fn shut_down(&self) -> Result<(), Deposed> {
        self.command(|answer| Command::ShutDown { answer }).await
    }

    async fn command<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, Deposed> {
        let (answer, answered) = oneshot::channel();
        // A loop that has ended takes none, and answers none.
        let _ = self.commands.send(command(answer));
        let lost_lead = || self.shared.lost_lead.load(Ordering::Acquire);
        answered.await.map_err(|_| if lost_lead() { Deposed::Replaced } else { Deposed::Ended })
    }

    /// Waits until the controller has ended with its tokio runtime.
    pub(crate) async fn ended(&self) {
        self.commands.closed().await;
        if self.shared.lost_lead.load(Ordering::Acquire) {
            // Another controller goes on.
            std::future::pending::<()>().await;
        }
    }

    /// How a deploy ended, if it has.
    pub(crate) fn deploy_end(&self, name: &str, number: u64) -> Option<DeployEnd> {
        self.stored(|state| state.deploy_end(name, number))?
    }

    /// True if the application that was to be deleted is gone.
    pub(crate) fn is_gone(&self, name: &str, id: u64) -> bool {
        let is_gone = self.stored(|state| {
            state.applications.get(name).is_none_or(|application| application.id != id)
        });
        is_gone.unwrap_or(false)
    }

    /// True if nothing runs, and nothing stops.
    pub(crate) fn is_empty(&self) -> bool {
        self.stored(State::is_empty).unwrap_or(false)
    }

    /// True if an application has this status, and nodes have been told of all that it means.
    pub(crate) fn has_status(&self, name: &str, status: ApplicationStatus) -> bool {
        self.stored(|state| state.shown_status(name) == status).unwrap_or(false)
    }

    /// Looks at the state, if it is what is stored.
    fn stored<T>(&self, look: impl FnOnce(&State) -> T) -> Option<T> {
        let state = self.shared.state.read();
        // Taken back before the state changes, so that a change which is not stored is not seen.
        self.shared.stored.load(Ordering::Acquire).then(|| look(&state))
    }

    /// The write of the store up to which nodes must have seen it to act on all that was decided.
    pub(crate) fn assigned(&self) -> StoreRevision {
        *self.shared.assigned.lock()
    }

    /// The applications, without the numbers that only nodes know.
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

/// An answer that is due once what was decided is stored.
type Answer = Box<dyn FnOnce() + Send>;

impl Shared {
    async fn run(self: Arc<Self>, mut commands: mpsc::UnboundedReceiver<Command>) {
        let mut answers = Vec::new();
        if self.lead(&mut commands, &mut answers).await.is_err() {
            // Before those who asked see that they are not answered.
            self.lost_lead.store(true, Ordering::Release);
        }
    }

    /// Leads until another controller does.
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
            // Who is not answered asks the next controller.
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
            // What is ready to run does so first, and its reports are looked at together: ten
            // thousand replicas that start at once would be looked at ten thousand times.
            reschedule().await;
            while let Ok(command) = commands.try_recv() {
                answers.push(self.obey(command));
            }
            while let Some((changes, _)) = reports.next().now_or_never() {
                self.report(changes);
            }
        }
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.write())
    }

    /// Takes over what is stored.
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

    /// Lets the state decide, and stores what it decides.
    async fn decide(&self, leadership: &Leadership) -> Result<(), StoreError> {
        let Surroundings { store, loads, clock, .. } = &self.surroundings;
        let mut is_new = !self.stored.swap(false, Ordering::AcqRel);
        loop {
            let now = clock.now();
            // A policy of the user's may ask for the status, which needs this lock, too.
            let touched = self.state.read().weigh_loads(&**loads, now);
            // What is decided may lead to more, at once.
            if !self.with(|state| state.advance(touched, now)) {
                break;
            }
            is_new = true;
        }
        let (mut batch, acts) = self.state.read().unstored();
        if !batch.writes.is_empty() {
            batch.fence = leadership.fence();
            let revision = store.put(batch).await?;
            if acts {
                *self.assigned.lock() = revision;
            }
        }
        let forgotten = self.with(State::is_stored);
        if !forgotten.is_empty() {
            // These have values of the user's, whose drops may block, panic, or ask for the status.
            self.surroundings.tokio.spawn(async move { drop(forgotten) });
        }
        self.stored.store(true, Ordering::Release);
        if is_new {
            self.surroundings.changes.send_modify(|changes| *changes += 1);
        }
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
                let now = self.surroundings.clock.now();
                let asked = self.with(|state| state.ask(&application, hidden, outline, now));
                Box::new(move || {
                    // Who asked may be gone.
                    let _ = answer.send(asked);
                    drop(plan);
                })
            }
            Command::Delete { application, answer } => {
                let asked = self.with(|state| state.ask_for_deletion(&application));
                Box::new(move || {
                    let _ = answer.send(asked);
                })
            }
            Command::ShutDown { answer } => {
                self.with(State::shut_down);
                Box::new(move || {
                    let _ = answer.send(());
                })
            }
        }
    }
}

impl State {
    /// How a deploy ended, if it has.
    fn deploy_end(&self, name: &str, number: u64) -> Option<DeployEnd> {
        let failed = |failure: DeployFailure| DeployEnd::Failed(failure.into_error(name));
        if let Some(failure) = self.failed_apart(number) {
            return Some(failed(failure.clone()));
        }
        let Some(application) = self.applications.get(name) else {
            return Some(failed(match self.is_shut_down() {
                true => DeployFailure::ShutDown,
                false => DeployFailure::Deleted,
            }));
        };
        let ingress = || application.plan.as_ref()?.ingress().map(str::to_owned);
        match application.deploys.outcome(number) {
            Some(Err(failure)) => return Some(failed(failure.clone())),
            Some(Ok(())) => return Some(DeployEnd::Runs),
            None => {}
        }
        if application.awaits(number) || !application.deploys.all_ended() {
            return None;
        }
        // It gave way, and what it gave way to has ended.
        let superseded = || DeployEnd::Failed(DeployError::Superseded(name.to_owned()));
        if application.deploys.failure().is_some() {
            return Some(superseded());
        }
        Some(ingress().map_or_else(superseded, |ingress| DeployEnd::NewerRuns { ingress }))
    }

    /// The status of an application that `status` shows.
    fn shown_status(&self, name: &str) -> ApplicationStatus {
        let shown = self.applications.get(name).filter(|application| !application.hidden);
        shown.map_or(ApplicationStatus::NotStarted, |application| self.status_of(application))
    }

    /// The deployments that have to stop before the next step of an application.
    fn awaited_ends(&self, application: &Application) -> Vec<String> {
        let ids = match &application.step {
            Step::GivingWay { dropped } => &dropped[..],
            Step::Deleting { tiers } => tiers.first().map_or(&[][..], |tier| &tier[..]),
            Step::Idle | Step::RollingOut(_) => &[],
        };
        let deployments = ids.iter().filter_map(|id| self.deployments.get(id));
        deployments
            .map(|deployment| {
                let (name, replicas) = (&deployment.record.name, deployment.members().count());
                match replicas {
                    0 | 1 => format!("`{name}` to stop"),
                    several => format!("`{name}` to stop {several} replicas"),
                }
            })
            .collect()
    }

    fn status_of(&self, application: &Application) -> ApplicationStatus {
        let deployments = application.deployments.values();
        let running = deployments.filter_map(|id| self.deployments.get(id));
        let standings: Vec<_> = running.map(|it| it.record.standing.clone()).collect();
        application.deploys.status(application_status(&standings))
    }

    fn details(
        &self,
        application_name: &str,
        application: &Application,
        clock: &WallClock,
    ) -> ApplicationDetails {
        let details = |(name, id): (&String, _)| {
            let deployment = self.deployments.get(id)?;
            let standing = deployment.record.standing.clone();
            let details = DeploymentDetails {
                status: standing.status,
                status_trigger: standing.trigger,
                message: standing.message,
                target_num_replicas: deployment.record.target,
                ongoing: 0,
                queued: 0,
                replicas: deployment.members().map(ReplicaDetails::from).collect(),
                recent_dead_replicas: deployment.dead().cloned().collect(),
                autoscaling_decisions: deployment.decisions(clock),
                methods: BTreeMap::new(),
            };
            Some((name.clone(), details))
        };
        let deployments: BTreeMap<String, DeploymentDetails> =
            application.deployments.iter().filter_map(details).collect();
        let status = self.status_of(application);
        let unhealthy = |(name, details): (&String, &DeploymentDetails)| {
            let unhealthy = details.status == DeploymentStatus::Unhealthy;
            unhealthy.then(|| format!("deployment `{name}`: {}", details.message))
        };
        let awaited = match status {
            ApplicationStatus::Deploying | ApplicationStatus::Deleting => {
                let ends = self.awaited_ends(application);
                match ends.is_empty() {
                    true => deployments.iter().filter_map(|(name, it)| it.awaits(name)).collect(),
                    false => ends,
                }
            }
            _ => Vec::new(),
        };
        let message = match status {
            ApplicationStatus::Running => None,
            _ if !awaited.is_empty() => Some(format!("waits for {}", awaited.join("; "))),
            ApplicationStatus::Deploying => None,
            _ => application.failure(application_name),
        };
        ApplicationDetails {
            status,
            message: message.or_else(|| deployments.iter().find_map(unhealthy)).unwrap_or_default(),
            route_prefix: application.route_prefix(),
            last_deployed_at: clock.system_time(application.asked_at),
            deployments,
        }
    }
}
