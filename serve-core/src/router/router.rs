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
use super::first_polls::FirstPolls;
use super::load_window::LoadWindow;
use super::member::Member;
use super::method_calls::{BegunCalls, MethodCalls};
use super::policy::{Routing, is_choosing};
use super::queue::Waiting;
use super::queued::{Placement, QueuedCall};
use super::retry_budget::RetryBudget;
use crate::call::CallError;
use crate::call::callee::{Callee, Ticket};
use crate::call::callee::{CalleeId, CalleeRef};
use crate::call::pending::Outcome;
use crate::call::request::Request;
use crate::call::runtime_context::RuntimeContext;
use crate::deployment::{
    Aggregation, ArgumentsByPlace, DeploymentOptions, RequestRouter, RequestRouting, RoutedCall,
};
use crate::method::Method;
use crate::observe;
use crate::replica::{FirstPoll, Replica, Slot, SlotOwner};

/// The running end of a deployment: its replicas, their slots, and the calls that wait for them.
///
/// A router outlives its replicas and reconcilers, because handles keep it. A deployment that is
/// run again under the same name gets its old router back.
pub(crate) struct Router {
    id: CalleeId,
    name: Arc<str>,
    application: Arc<str>,
    runtime: Arc<RuntimeContext>,
    /// The default timeout of calls in nanoseconds; 0 if there is none.
    request_timeout: AtomicU64,
    state: Mutex<RouterState>,
    /// Notified when the last call of a draining replica ends, and when the queue becomes empty.
    pub(super) quiet: Notify,
    /// Notified of the next load change after `tell_of_load` asked for it.
    load_changed: Notify,
    /// The origin of the times in the load window.
    origin: Instant,
    /// True once a call has waited again after its replica ended. Until then, a call that is
    /// dropped need not be looked for.
    lets_in: AtomicBool,
    /// True once a replica was added that another task or process serves, so that the host of a
    /// call has to be notified when the call is cancelled or detached.
    pub(super) remote: AtomicBool,
    first_polls: FirstPolls,
    span: tracing::Span,
}

/// The state that a router's lock guards.
pub(crate) struct RouterState {
    pub(super) admission: Admission,
    /// The replicas, by the keys of `admission`.
    pub(super) replicas: Vec<Option<Member>>,
    pub(super) random: SmallRng,
    /// The number of the next request that begins at this router. Kept under the lock that a call
    /// takes anyway, which is cheaper than a separate atomic.
    next_request: u64,
    /// The calls that the router takes.
    pub(super) intake: Intake,
    /// The reason why waiting calls were turned away last.
    pub(super) turned_away: String,
    /// The current term.
    pub(super) term: Term,
    pub(super) routing: Routing,
    /// The option that `routing` was made from.
    routed_by: RequestRouting,
    budget: RetryBudget,
    /// The calls of each method, by the method's index.
    calls: Vec<MethodCalls>,
    /// The load over the look-back period, if the number of replicas follows the load.
    load: Option<LoadWindow>,
    /// True if the next load change has to be notified.
    tell_of_load: bool,
    /// The number of tasks that wait on `quiet`. While there are none, as usual, nobody is notified:
    /// a notification costs three atomic operations.
    pub(super) quiet_waiters: usize,
}

/// The time for which one reconciler decides which calls a router takes. A router outlives its
/// reconcilers, because handles keep it: a deployment that is deleted and run again has another
/// reconciler and the same router, while replicas of the earlier term may still drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Term(pub(super) u64);

/// The calls that a router takes.
#[derive(Debug)]
pub(super) enum Intake {
    /// The router takes all calls.
    Open,
    /// The router refuses new calls, for this reason. Calls that had a place before are still
    /// served.
    Draining(String),
    /// The router takes no calls, for this reason.
    Closed(String),
}

impl Intake {
    /// The reason why new calls are turned away, if they are.
    fn refusal(&self) -> Option<&str> {
        match self {
            Self::Open => None,
            Self::Draining(reason) | Self::Closed(reason) => Some(reason),
        }
    }
}

/// The parts of a call that routing looks at.
#[derive(Clone, Copy)]
pub(crate) struct RouteRequest<'a> {
    pub(crate) method: &'static str,
    pub(crate) names: &'static [&'static str],
    pub(crate) args: &'a dyn ArgumentsByPlace,
}

impl<'a> RouteRequest<'a> {
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

/// The parts of a call that the counts of its method need.
#[derive(Clone, Copy)]
pub(crate) struct Called {
    /// The method's index.
    method: usize,
    /// True if the call may stand until its response is polled, should it get a slot at once.
    pub(crate) deferred: bool,
}

impl Called {
    /// A call that belongs to no counted method.
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

/// Returns the parts of a call of the method `M` that routing looks at.
pub(crate) fn wanted<M: Method>(args: &M::Args) -> RouteRequest<'_> {
    RouteRequest { method: M::INFO.name, names: M::INFO.param_names, args }
}

/// The load of a deployment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Load {
    /// The number of calls that run now.
    pub(crate) ongoing: usize,
    /// The number of calls that wait now.
    pub(crate) queued: usize,
    /// The number of calls that run or wait, aggregated over the look-back period.
    pub(crate) aggregated: f64,
    /// True if that number was constant throughout the look-back period.
    pub(crate) steady: bool,
}

/// The observable state of a router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RouterStatus {
    pub(crate) queued: usize,
    pub(crate) ongoing: usize,
}

impl Router {
    /// Creates a router. `number` distinguishes the router from the others of its runtime.
    pub(crate) fn new(
        name: &str,
        application: &str,
        runtime: &Arc<RuntimeContext>,
        seed: u64,
        number: u64,
    ) -> Self {
        Self {
            id: CalleeId::new(),
            name: name.into(),
            application: application.into(),
            runtime: Arc::clone(runtime),
            request_timeout: AtomicU64::new(0),
            state: Mutex::new(RouterState {
                admission: Admission::default(),
                replicas: Vec::new(),
                random: SmallRng::seed_from_u64(seed ^ number),
                // A million million requests for each router, and eight million routers.
                next_request: ((number << 40) & (u64::MAX >> 1)) + 1,
                intake: Intake::Open,
                turned_away: String::new(),
                term: Term(0),
                routing: Routing::default(),
                routed_by: RequestRouting::default(),
                budget: RetryBudget::new(),
                calls: Vec::new(),
                load: None,
                tell_of_load: false,
                quiet_waiters: 0,
            }),
            quiet: Notify::new(),
            load_changed: Notify::new(),
            origin: Instant::now(),
            lets_in: AtomicBool::new(false),
            remote: AtomicBool::new(false),
            first_polls: FirstPolls::new(runtime.in_place),
            span: observe::deployment_span(name, application),
        }
    }

    /// Registers the router, so that responses find it by its number.
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

    /// Creates a request that begins at this router.
    #[cfg_attr(not(feature = "http"), expect(dead_code, reason = "for HTTP"))]
    pub(crate) fn new_request(&self) -> Request {
        Request::new(self.next_request_number())
    }

    /// Returns the number of a request that begins at this router.
    pub(crate) fn next_request_number(&self) -> u64 {
        self.lock().next_request_number()
    }

    pub(crate) fn request_timeout(&self) -> Option<Duration> {
        match self.request_timeout.load(Ordering::Relaxed) {
            0 => None,
            nanos => Some(Duration::from_nanos(nanos)),
        }
    }

    /// Sets the options of the whole deployment, and the custom request router if the options name
    /// one.
    pub(crate) fn configure(
        &self,
        options: &DeploymentOptions,
        custom: Option<&Arc<dyn RequestRouter>>,
    ) {
        // A timeout saturates at 584 years.
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
        // After the lock, because the policy may be a custom request router.
        drop(old_policy);
    }

    /// Records the load, if the number of replicas follows the load; otherwise only looks at a
    /// flag. Called after each change of the load, under the same lock.
    #[inline]
    pub(super) fn note_load(&self, state: &mut RouterState) {
        if state.load.is_some() {
            self.write_load_down(state);
        }
    }

    #[inline(never)]
    fn write_load_down(&self, state: &mut RouterState) {
        let Some(window) = &mut state.load else { return };
        window.record(self.origin.elapsed(), state.admission.load());
        if std::mem::take(&mut state.tell_of_load) {
            self.load_changed.notify_one();
        }
    }

    /// Returns the load, or `None` if the number of replicas does not follow the load.
    pub(crate) fn load(&self, aggregation: Aggregation) -> Option<Load> {
        let now = self.origin.elapsed();
        let state = self.lock();
        let window = state.load.as_ref()?;
        let (aggregated, steady) = (window.aggregate(now, aggregation), window.is_steady(now));
        let (ongoing, queued) = (state.admission.ongoing_in_all(), state.admission.queued());
        Some(Load { ongoing, queued, aggregated, steady })
    }

    /// Asks to be notified of the next load change, by `load_changed`. If the load is not `seen`
    /// any more, the notification comes at once.
    pub(crate) fn tell_of_load(&self, seen: usize) {
        let mut state = self.lock();
        let changed = state.admission.load() != seen;
        state.tell_of_load = !changed;
        drop(state);
        if changed {
            self.load_changed.notify_one();
        }
    }

    /// Waits for a load change that was asked for.
    pub(crate) async fn load_changed(&self) {
        self.load_changed.notified().await;
    }

    /// Returns a slot that the call may take at once, as most calls can: power of two choices
    /// routes the call, and a slot is free. Otherwise returns the lock, under which
    /// [`place`](Self::place) decides. Gives a number to a request that has none.
    #[inline(always)]
    pub(crate) fn slot_now(
        &self,
        request: &mut Request,
        called: Called,
    ) -> Result<Slot, MutexGuard<'_, RouterState>> {
        let mut state = self.lock();
        if !request.has_begun() {
            request.begin(state.next_request_number());
        }
        let plain = request.is_plain() && state.routing.is_plain();
        if !plain || !matches!(state.intake, Intake::Open) {
            return Err(state);
        }
        let RouterState { admission, random, replicas, .. } = &mut *state;
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
    fn count(&self, state: &mut RouterState, called: Called) {
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
    fn count_first(&self, state: &mut RouterState, called: Called) {
        if called.method == Called::UNCOUNTED.method {
            return;
        }
        let new = || MethodCalls::new(self.runtime.in_place);
        state.calls.resize_with(called.method + 1, new);
        state.calls[called.method].made(called.deferred);
    }

    /// True if calls of the method with this index are polled in place where that is possible.
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

    /// Returns the numbers of calls of each method that has an index, by how the calls began.
    pub(crate) fn begun_calls(&self) -> Vec<BegunCalls> {
        self.lock().calls.iter().map(MethodCalls::begun).collect()
    }

    /// Returns a slot of the member that `Admission` chose.
    #[inline]
    fn slot(member: Option<&Member>) -> Slot {
        let member = member.expect("a replica stays until its last slot is free");
        Slot::new(Arc::clone(member.replica()))
    }

    /// Locks the state, under which `slot_now` or else `place` decides a call's place.
    ///
    /// # Panics
    /// Inside a request router that makes a call or drops a response, because the request router
    /// may run under this very lock. The panic is reported like any other panic of that request
    /// router.
    #[inline]
    pub(crate) fn lock(&self) -> MutexGuard<'_, RouterState> {
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

    /// Decides a call's place: a slot, or the end of the queue. Returns an error if the call is
    /// refused.
    pub(crate) fn place(
        self: &Arc<Self>,
        mut state: MutexGuard<'_, RouterState>,
        request: &Request,
        call: RouteRequest<'_>,
        called: Called,
    ) -> Outcome<Placement> {
        if let Some(reason) = state.intake.refusal() {
            return Err(Box::new(self.unavailable(reason)));
        }
        let RouterState { admission, replicas, routing, random, .. } = &mut *state;
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

    /// Decides the place of a call whose replica ended: a slot, or a place ahead of ordinary calls,
    /// even if the queue is full. Returns an error once the router is closed, because the call
    /// would wait forever.
    pub(crate) fn place_again(self: &Arc<Self>) -> Outcome<Placement> {
        let mut state = self.lock();
        if let Intake::Closed(reason) = &state.intake {
            return Err(Box::new(self.unavailable(reason)));
        }
        let RouterState { admission, random, .. } = &mut *state;
        // The call's response knows only the first place of the call.
        let task = task::try_id();
        let admitted = admission.admit_again(task, |n| random.random_range(0..n));
        if matches!(admitted, Admitted::Queued(_)) {
            self.lets_in.store(true, Ordering::Release);
        }
        self.placed(state, &admitted)
    }

    /// Turns a decision of `Admission` into the call's place, or into the error of a refused call.
    fn placed(
        self: &Arc<Self>,
        mut state: MutexGuard<'_, RouterState>,
        admitted: &Admitted,
    ) -> Outcome<Placement> {
        self.note_load(&mut state);
        match *admitted {
            Admitted::Now(key) => {
                let slot = Self::slot(state.replicas[key].as_ref());
                drop(state);
                Ok(Placement::Now(slot))
            }
            Admitted::Queued(ticket) => {
                drop(state);
                Ok(Placement::Queued(QueuedCall::new(Arc::clone(self), ticket)))
            }
            Admitted::Overloaded { queued, limit } => Err(Box::new(CallError::Overloaded {
                queued,
                limit,
                retry_after: crate::error::CallErrorKind::Overloaded.retry_after(),
            })),
        }
    }

    /// Pays the share of a call that may be retried into the retry budget.
    pub(crate) fn earn_retry(&self) {
        self.lock().budget.earn();
    }

    /// Takes one retry out of the budget. Returns false if there is none left.
    pub(crate) fn spend_retry(&self) -> bool {
        self.lock().budget.spend(Instant::now())
    }

    /// Returns the slot of a queued call once its turn has come, or the reason why the call never
    /// gets a slot. The flag beside the slot is true if [`begun`](Self::begun) has to be called.
    #[inline]
    pub(super) fn poll_queued(&self, ticket: Ticket, waker: &Waker) -> Poll<Outcome<(Slot, bool)>> {
        let mut state = self.lock();
        let (waiting, in_order) = state.admission.poll(ticket, waker);
        match waiting {
            Waiting::InLine => Poll::Pending,
            Waiting::Granted(key) => {
                Poll::Ready(Ok((Self::slot(state.replicas[key].as_ref()), in_order)))
            }
            Waiting::TurnedAway => Poll::Ready(Err(Box::new(self.unavailable(&state.turned_away)))),
            Waiting::Gone => Poll::Ready(Err(Box::new(CallError::Cancelled))),
        }
    }

    /// Records that a queued call that took its slot of this replica has begun, or never will.
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

impl RouterState {
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

    fn runtime(&self) -> &Arc<RuntimeContext> {
        &self.runtime
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
        // The call may have been granted a slot that its task has not taken: that slot is freed at
        // once too.
        let (granted, next) = state.admission.abandon(ticket);
        self.note_load(&mut state);
        let empty = state.admission.queued() == 0 && state.quiet_waiters > 0;
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
        let is_watched = state.quiet_waiters > 0;
        let queue_emptied = is_watched && state.admission.queued() == 0;
        // Dropped after the lock, because the replica's instance may hold handles, and so slots.
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
            Freed::Drained if is_watched => self.quiet.notify_waiters(),
            Freed::Drained | Freed::Kept => {}
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
        // No call is routed to a replica that drains, and its key may be another replica's.
        if known.is_some_and(|known| std::ptr::eq(Arc::as_ptr(known.replica()), replica))
            && !state.admission.is_draining(key)
        {
            state.routing.hold_models(key, collection, ids);
        }
    }

    fn readmit(self: Arc<Self>) -> BoxFuture<'static, Outcome<Slot>> {
        match self.place_again() {
            Ok(Placement::Now(slot)) => Box::pin(std::future::ready(Ok(slot))),
            Ok(Placement::Queued(queued)) => Box::pin(queued),
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
