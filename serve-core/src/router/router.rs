//! [`Router`]: the running end of a deployment in this process.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Poll, Waker};
use std::time::Duration;

use futures::future::BoxFuture;
use parking_lot::{Mutex, MutexGuard};
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng};
use tokio::sync::Notify;
use tokio::task;
use tokio::time::Instant;

use super::admission::{Admission, Admitted, Freed};
use super::budget::RetryBudget;
use super::first_polls::FirstPolls;
use super::in_place::{BegunCalls, MethodCalls};
use super::load::LoadWindow;
use super::members::Member;
use super::policy::{Routing, is_choosing};
use super::queue::Waiting;
use super::queued::{Place, QueuedCall};
use crate::call::CallError;
use crate::call::callees::{CalleeId, CalleeRef};
use crate::call::pending::{Callee, Outcome, Ticket};
use crate::call::request::Request;
use crate::call::spawner::Spawner;
use crate::deployment::{
    Aggregation, ArgumentsByPlace, DeploymentOptions, RequestRouter, RequestRouting, RoutedCall,
};
use crate::method::Method;
use crate::observe;
use crate::replica::{FirstPoll, Replica, Slot, SlotOwner};

/// The running end of a deployment: its replicas, their slots, and who waits for them.
///
/// It outlives its replicas and reconcilers: handles keep it, and a deployment that is run again
/// under the same name gets its old one back.
pub(crate) struct Router {
    id: CalleeId,
    name: Arc<str>,
    application: Arc<str>,
    spawner: Arc<Spawner>,
    /// In nanoseconds; 0 is none.
    request_timeout: AtomicU64,
    state: Mutex<State>,
    /// Told whenever the last call of a draining replica ends, or the queue empties.
    pub(super) quiet: Notify,
    /// Told of the next change of the load after it was asked for.
    load_changed: Notify,
    /// What the times of the load count from.
    origin: Instant,
    /// Whether a call ever waited again after its replica ended. Where none did, one that is
    /// dropped need not be looked for.
    lets_in: AtomicBool,
    /// Whether some replica is served by another task or process, so that a call has to be
    /// told when it is detached.
    pub(super) remote: AtomicBool,
    first_polls: FirstPolls,
    span: tracing::Span,
}

/// What a router's lock guards.
pub(crate) struct State {
    pub(super) admission: Admission,
    /// By the keys of `admission`.
    pub(super) replicas: Vec<Option<Member>>,
    random: SmallRng,
    /// The number of the next request that begins here. Under the lock that a call takes
    /// anyway, which is cheaper than an atomic of its own.
    next_request: u64,
    /// Which calls are taken.
    pub(super) intake: Intake,
    /// The term that lasts.
    pub(super) term: Term,
    pub(super) routing: Routing,
    /// What `routing` was made of.
    routed_by: RequestRouting,
    budget: RetryBudget,
    /// By the methods' indices.
    calls: Vec<MethodCalls>,
    /// How loaded it was, if its number of replicas follows that.
    load: Option<LoadWindow>,
    /// Whether the next change of the load is to be told.
    tell_of_load: bool,
}

/// The time for which one reconciler decides which calls a router takes. A router outlives its
/// reconcilers, because handles keep it: a deployment that is deleted and run again has another
/// reconciler and the same router, while replicas of the term before may still drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Term(pub(super) u64);

/// Which calls a router takes.
#[derive(Debug)]
pub(super) enum Intake {
    /// All.
    Open,
    /// No new ones, for this reason. Those that had a place before are still served.
    Draining(String),
    /// None, for this reason.
    Closed(String),
}

impl Intake {
    /// Why new calls are turned away, if they are.
    fn refusal(&self) -> Option<&str> {
        match self {
            Self::Open => None,
            Self::Draining(reason) | Self::Closed(reason) => Some(reason),
        }
    }
}

/// A call that looks for a place, as far as routing is concerned.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) method: &'static str,
    pub(crate) names: &'static [&'static str],
    pub(crate) args: &'a dyn ArgumentsByPlace,
}

impl<'a> Wanted<'a> {
    /// A call whose arguments no routing policy looks at.
    pub(crate) fn opaque(method: &'static str) -> Self {
        Self { method, names: &[], args: &() }
    }

    fn of(self, request: &'a Request) -> RoutedCall<'a> {
        RoutedCall {
            method: self.method,
            names: self.names,
            session_id: request.session_id().map(|id| &**id),
            multiplexed_model_id: request.multiplexed_model_id().map(|id| &**id),
            arguments: self.args,
        }
    }
}

/// A call that is made, as far as the calls of its method are counted.
#[derive(Clone, Copy)]
pub(crate) struct Called {
    /// The method's index.
    method: usize,
    /// True if the call may stand until its response is polled, should it get a slot at once.
    pub(crate) deferred: bool,
}

impl Called {
    /// A call of no method.
    pub(crate) const UNCOUNTED: Self = Self { method: usize::MAX, deferred: false };

    /// A call of the method with this index that has a task.
    pub(crate) fn spawned(method: usize) -> Self {
        Self { method, deferred: false }
    }

    #[inline]
    pub(crate) fn new(method: usize, deferred: bool) -> Self {
        Self { method, deferred }
    }

    pub(crate) fn not_deferred(self) -> Self {
        Self { deferred: false, ..self }
    }
}

/// A call of the method `M`, as far as routing is concerned.
pub(crate) fn wanted<M: Method>(args: &M::Args) -> Wanted<'_> {
    Wanted { method: M::INFO.name, names: M::INFO.param_names, args }
}

/// How loaded a deployment is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Load {
    /// Calls that run now.
    pub(crate) ongoing: usize,
    /// Calls that wait now.
    pub(crate) queued: usize,
    /// Both, over the look-back period.
    pub(crate) aggregated: f64,
    /// True if both together were the same all through that period.
    pub(crate) steady: bool,
}

/// What is to be seen of a router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RouterStatus {
    pub(crate) queued: usize,
    pub(crate) ongoing: usize,
}

impl Router {
    /// `number` tells it from the other routers of its runtime.
    pub(crate) fn new(
        name: &str,
        application: &str,
        spawner: &Arc<Spawner>,
        seed: u64,
        number: u64,
    ) -> Self {
        Self {
            id: CalleeId::new(),
            name: name.into(),
            application: application.into(),
            spawner: Arc::clone(spawner),
            request_timeout: AtomicU64::new(0),
            state: Mutex::new(State {
                admission: Admission::default(),
                replicas: Vec::new(),
                random: SmallRng::seed_from_u64(seed ^ number),
                // A million million requests each, and eight million routers.
                next_request: ((number << 40) & (u64::MAX >> 1)) + 1,
                intake: Intake::Open,
                term: Term(0),
                routing: Routing::default(),
                routed_by: RequestRouting::default(),
                budget: RetryBudget::new(),
                calls: Vec::new(),
                load: None,
                tell_of_load: false,
            }),
            quiet: Notify::new(),
            load_changed: Notify::new(),
            origin: Instant::now(),
            lets_in: AtomicBool::new(false),
            remote: AtomicBool::new(false),
            first_polls: FirstPolls::new(spawner.in_place),
            span: observe::deployment_span(name, application),
        }
    }

    /// The same router, which responses find by its number from now on.
    pub(crate) fn registered(self) -> Arc<Self> {
        let router = Arc::new(self);
        let callee: Arc<dyn Callee> = Arc::clone(&router) as _;
        router.id.register(&Arc::downgrade(&callee));
        router
    }

    /// True if some replica is served by another task or process.
    #[inline]
    pub(crate) fn is_remote(&self) -> bool {
        self.remote.load(Ordering::Relaxed)
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(crate) fn application(&self) -> &Arc<str> {
        &self.application
    }

    /// A request that begins here.
    #[cfg_attr(not(feature = "http"), expect(dead_code, reason = "for the HTTP front door"))]
    pub(crate) fn new_request(&self) -> Request {
        Request::new(self.next_request_number())
    }

    /// The number of a request that begins here.
    pub(crate) fn next_request_number(&self) -> u64 {
        self.lock().next_request_number()
    }

    pub(crate) fn request_timeout(&self) -> Option<Duration> {
        match self.request_timeout.load(Ordering::Relaxed) {
            0 => None,
            nanos => Some(Duration::from_nanos(nanos)),
        }
    }

    /// Options that hold for the whole deployment, and the user's own request router, where
    /// they name one.
    pub(crate) fn configure(
        &self,
        options: &DeploymentOptions,
        custom: Option<&Arc<dyn RequestRouter>>,
    ) {
        // No timeout is as long as 584 years.
        let nanos = options
            .request_timeout
            .map_or(0, |timeout| u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX).max(1));
        self.request_timeout.store(nanos, Ordering::Relaxed);
        let mut state = self.lock();
        state.admission.set_max_queued(options.max_queued_requests);
        let routing = options.request_router.clone().unwrap_or_default();
        let mut old_policy = None;
        if routing != state.routed_by {
            old_policy = Some(state.routing.set_policy(&routing, custom));
            state.routed_by = routing;
        }
        match (&options.autoscaling, &mut state.load) {
            (None, load) => *load = None,
            (Some(config), Some(load)) => load.set_look_back(config.look_back_period),
            (Some(config), load) => *load = Some(LoadWindow::new(config.look_back_period)),
        }
        self.note_load(&mut state);
        drop(state);
        // After the lock: it may be the user's own.
        drop(old_policy);
    }

    /// Writes the load down, if anyone reads it: where the number of replicas does not
    /// follow the load, this is a look at a flag. Called after each change of it, under the
    /// same lock.
    #[inline]
    pub(super) fn note_load(&self, state: &mut State) {
        if state.load.is_some() {
            self.write_load_down(state);
        }
    }

    #[inline(never)]
    fn write_load_down(&self, state: &mut State) {
        let Some(window) = &mut state.load else { return };
        window.record(self.origin.elapsed(), state.admission.load());
        if std::mem::take(&mut state.tell_of_load) {
            self.load_changed.notify_one();
        }
    }

    /// How loaded it is; none if the number of its replicas does not follow that.
    pub(crate) fn load(&self, aggregation: Aggregation) -> Option<Load> {
        let now = self.origin.elapsed();
        let state = self.lock();
        let window = state.load.as_ref()?;
        let (aggregated, steady) = (window.aggregate(now, aggregation), window.is_steady(now));
        let (ongoing, queued) = (state.admission.ongoing_in_all(), state.admission.queued());
        Some(Load { ongoing, queued, aggregated, steady })
    }

    /// Asks for the next change of the load to be told. One since there were `seen` calls is told
    /// at once.
    pub(crate) fn tell_of_load(&self, seen: usize) {
        let mut state = self.lock();
        let changed = state.admission.load() != seen;
        state.tell_of_load = !changed;
        drop(state);
        if changed {
            self.load_changed.notify_one();
        }
    }

    /// Waits for a change of the load that was asked for.
    pub(crate) async fn load_changed(&self) {
        self.load_changed.notified().await;
    }

    /// A slot that the call may take at once, for most calls: one that power of two choices
    /// routes, where a slot is free. Else the lock, under which [`place`](Self::place) decides.
    /// A request that has no number gets one.
    #[inline(always)]
    pub(crate) fn slot_now(
        &self,
        request: &mut Request,
        called: Called,
    ) -> Result<Slot, MutexGuard<'_, State>> {
        let mut state = self.lock();
        if !request.has_begun() {
            request.begin(state.next_request_number());
        }
        let plain = request.is_plain() && state.routing.is_plain();
        if !plain || !matches!(state.intake, Intake::Open) {
            return Err(state);
        }
        let State { admission, random, replicas, .. } = &mut *state;
        let Some(key) = admission.admit_now(|n| random.random_range(0..n)) else {
            return Err(state);
        };
        let slot = Self::slot(replicas[key].as_ref());
        self.note_load(&mut state);
        self.count(&mut state, called);
        Ok(slot)
    }

    /// Counts a call that was made.
    #[inline]
    fn count(&self, state: &mut State, called: Called) {
        match state.calls.get_mut(called.method) {
            Some(calls) => {
                if let Some(begin) = calls.made(called.deferred) {
                    self.first_polls.set(called.method, begin);
                }
            }
            None => self.count_first(state, called),
        }
    }

    #[cold]
    fn count_first(&self, state: &mut State, called: Called) {
        if called.method == Called::UNCOUNTED.method {
            return;
        }
        let new = || MethodCalls::new(self.spawner.in_place);
        state.calls.resize_with(called.method + 1, new);
        state.calls[called.method].made(called.deferred);
    }

    /// True if calls of the method with this index are polled in place where that can be done.
    #[inline]
    pub(crate) fn polls_in_place(&self, method: usize) -> bool {
        self.first_polls.in_place(method) && !self.is_remote()
    }

    /// True if the first polls of the calls of the method with this index are timed.
    #[inline]
    pub(crate) fn times(&self, method: usize) -> bool {
        self.first_polls.timed(method)
    }

    /// True if polls in place of the method with this index take no longer than a task costs.
    #[inline]
    pub(crate) fn is_light(&self, method: usize) -> bool {
        self.first_polls.light(method)
    }

    /// The calls of each method that has an index, counted by how they began.
    pub(crate) fn begun_calls(&self) -> Vec<BegunCalls> {
        self.lock().calls.iter().map(MethodCalls::begun).collect()
    }

    /// A slot of the member that `Admission` gave one of.
    #[inline]
    fn slot(member: Option<&Member>) -> Slot {
        let member = member.expect("a replica stays until its last slot is free");
        Slot::new(Arc::clone(member.replica()))
    }

    /// The lock under which a call's place is decided: by `slot_now`, for most calls, or else
    /// by `place`.
    ///
    /// # Panics
    /// In a request router that makes a call or drops a response, rather than wait for a lock
    /// that it may run under. It is seen where that router's panics are.
    #[inline]
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        if is_choosing() {
            self.refuse_request_router();
        }
        self.state.lock()
    }

    #[cold]
    fn refuse_request_router(&self) -> ! {
        panic!(
            "a request router used a handle or a response of deployment `{}`, and chooses under \
             a lock: let it decide on what it is given",
            self.name,
        );
    }

    /// Decides a call's place: a slot, the end of the queue, or neither.
    pub(crate) fn place(
        self: &Arc<Self>,
        mut state: MutexGuard<'_, State>,
        request: &Request,
        call: Wanted<'_>,
        called: Called,
    ) -> Outcome<Place> {
        if let Some(reason) = state.intake.refusal() {
            return Err(Box::new(self.unavailable(reason)));
        }
        let State { admission, replicas, routing, random, .. } = &mut *state;
        let chosen = if admission.free().is_empty() || (routing.is_plain() && request.is_plain()) {
            None
        } else {
            routing.choose(admission, replicas, &call.of(request), random)
        };
        let admitted = match chosen {
            Some(key) => admission.admit_to(key, None),
            None => admission.admit(|n| random.random_range(0..n)),
        };
        match &admitted {
            Admitted::Now(_) => self.count(&mut state, called),
            Admitted::Queued(_) => self.count(&mut state, Called::spawned(called.method)),
            Admitted::Overloaded { .. } => {}
        }
        self.placed(state, &admitted)
    }

    /// A place for a call whose replica ended: before all that wait, and however many there
    /// are. Refused once nobody is served any more: the call would wait for ever.
    pub(crate) fn place_again(self: &Arc<Self>) -> Outcome<Place> {
        let mut state = self.lock();
        if let Intake::Closed(reason) = &state.intake {
            return Err(Box::new(self.unavailable(reason)));
        }
        let State { admission, random, .. } = &mut *state;
        // The call's response knows only the place that the call had first.
        let task = task::try_id();
        let admitted = admission.admit_again(task, |n| random.random_range(0..n));
        if matches!(admitted, Admitted::Queued(_)) {
            self.lets_in.store(true, Ordering::Release);
        }
        self.placed(state, &admitted)
    }

    /// What became of a call, as the call sees it.
    fn placed(
        self: &Arc<Self>,
        mut state: MutexGuard<'_, State>,
        admitted: &Admitted,
    ) -> Outcome<Place> {
        self.note_load(&mut state);
        match *admitted {
            Admitted::Now(key) => {
                let slot = Self::slot(state.replicas[key].as_ref());
                drop(state);
                Ok(Place::Now(slot))
            }
            Admitted::Queued(ticket) => {
                drop(state);
                Ok(Place::Queued(QueuedCall::new(Arc::clone(self), ticket)))
            }
            Admitted::Overloaded { queued, limit } => Err(Box::new(CallError::Overloaded {
                queued,
                limit,
                retry_after: crate::error::Fault::Overloaded.retry_after(),
            })),
        }
    }

    /// A call that may be retried was made.
    pub(crate) fn earn_retry(&self) {
        self.lock().budget.earn();
    }

    /// Takes one retry out of the budget. False if there is none left.
    pub(crate) fn spend_retry(&self) -> bool {
        self.lock().budget.spend(Instant::now())
    }

    /// The slot of a queued call once its turn has come, or why the call never gets one. True
    /// beside a slot if [`begun`](Self::begun) has to be called.
    #[inline]
    pub(super) fn poll_queued(&self, ticket: Ticket, waker: &Waker) -> Poll<Outcome<(Slot, bool)>> {
        let mut state = self.lock();
        let (waiting, in_order) = state.admission.poll(ticket, waker);
        match waiting {
            Waiting::InLine => Poll::Pending,
            Waiting::Granted(key) => {
                Poll::Ready(Ok((Self::slot(state.replicas[key].as_ref()), in_order)))
            }
            Waiting::Gone => Poll::Ready(Err(Box::new(match state.intake.refusal() {
                Some(reason) => self.unavailable(reason),
                None => CallError::Cancelled,
            }))),
        }
    }

    /// A queued call that took its slot of this replica has begun, or never will.
    pub(super) fn begun(&self, key: usize, ticket: Ticket) {
        let next = self.lock().admission.begun(key, ticket);
        if let Some(next) = next {
            next.wake();
        }
    }

    fn unavailable(&self, reason: &str) -> CallError {
        CallError::Unavailable {
            deployment: self.name.to_string(),
            started: false,
            reason: reason.to_owned(),
        }
    }

    pub(crate) fn status(&self) -> RouterStatus {
        let state = self.lock();
        let (ongoing, queued) = (state.admission.ongoing_in_all(), state.admission.queued());
        RouterStatus { queued, ongoing }
    }
}

impl State {
    #[inline]
    fn next_request_number(&mut self) -> u64 {
        let number = self.next_request;
        self.next_request += 1;
        number
    }
}

impl Callee for Router {
    fn name(&self) -> &str {
        &self.name
    }

    fn spawner(&self) -> &Arc<Spawner> {
        &self.spawner
    }

    #[inline]
    fn reference(self: &Arc<Self>) -> CalleeRef {
        self.id.reference()
    }

    fn span(&self) -> &tracing::Span {
        &self.span
    }

    fn leave_again(&self, task: task::Id) {
        if !self.lets_in.load(Ordering::Acquire) {
            return;
        }
        let ticket = self.lock().admission.ticket_of(task);
        if let Some(ticket) = ticket {
            self.leave(ticket);
        }
    }

    fn leave(&self, ticket: Ticket) {
        let mut state = self.lock();
        // Its turn may have come without its task having seen it: the slot is free at once too.
        let (granted, next) = state.admission.abandon(ticket);
        self.note_load(&mut state);
        let empty = state.admission.queued() == 0;
        drop(state);
        if let Some(next) = next {
            next.wake();
        }
        if let Some(key) = granted {
            self.release(key);
        }
        if empty {
            self.quiet.notify_waiters();
        }
    }
}

impl SlotOwner for Router {
    fn release(&self, key: usize) {
        let mut state = self.lock();
        let freed = state.admission.release(key);
        self.note_load(&mut state);
        let queue_emptied = state.admission.queued() == 0;
        // Dropped after the lock is: its instance may hold handles, and so slots.
        let gone = match freed {
            Freed::Drained => {
                let ended = state.replicas[key].as_ref().filter(|member| member.has_ended());
                let ended = ended.map(|member| Arc::clone(member.replica()));
                ended.and_then(|replica| state.forget(key, &replica))
            }
            _ => None,
        };
        drop(state);
        drop(gone);
        match freed {
            Freed::Passed(waker) => {
                if let Some(waker) = waker {
                    waker.wake();
                }
                if queue_emptied {
                    self.quiet.notify_waiters();
                }
            }
            Freed::Drained => self.quiet.notify_waiters(),
            Freed::Kept => {}
        }
    }

    fn callee(&self) -> CalleeRef {
        self.id.reference()
    }

    fn judge(&self, method: usize, poll: FirstPoll) {
        let mut state = self.lock();
        let calls = state.calls.get_mut(method);
        if let Some(begin) = calls.and_then(|calls| calls.judge(poll)) {
            // Under the lock, so that the last decision is the one that holds.
            self.first_polls.set(method, begin);
        }
    }

    fn undeferred(&self, method: usize, forgotten: bool) {
        let mut state = self.lock();
        match state.calls.get_mut(method) {
            Some(calls) if forgotten => calls.forgotten(),
            Some(calls) => calls.moved(),
            None => {}
        }
    }

    fn span(&self) -> &tracing::Span {
        &self.span
    }

    fn hold_models(&self, replica: &Replica, collection: usize, ids: &[String]) {
        let (mut state, key) = (self.lock(), replica.key());
        let known = state.replicas.get(key).and_then(Option::as_ref);
        // One that is on its way out is routed to no more, and its key may be another's.
        if known.is_some_and(|known| std::ptr::eq(Arc::as_ptr(known.replica()), replica))
            && !state.admission.is_draining(key)
        {
            state.routing.hold_models(key, collection, ids);
        }
    }

    fn readmit(self: Arc<Self>) -> BoxFuture<'static, Outcome<Slot>> {
        match self.place_again() {
            Ok(Place::Now(slot)) => Box::pin(std::future::ready(Ok(slot))),
            Ok(Place::Queued(queued)) => Box::pin(queued),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Router")
            .field("application", &self.application)
            .field("name", &self.name)
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}
