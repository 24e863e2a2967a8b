//! [`Scope`]: the request, deadline and replica that are current while a method runs.

use std::cell::RefCell;
use std::mem;
use std::sync::{Arc, OnceLock};
use std::task::Waker;

use futures::future::BoxFuture;

use super::replica::{Replica, WakerKey};
use super::slot::{Slot, SlotOwner};
use crate::call::deadline::Deadline;
use crate::call::in_place::{self, OuterPoll};
use crate::call::pending::Outcome;
use crate::call::request::Request;
use crate::call::runtime_context::RuntimeContext;
use crate::call::{Context, Directory, ReplicaContext};

thread_local! {
    static CURRENT: RefCell<Option<Scope>> = const { RefCell::new(None) };
}

/// The request that the running code serves, its deadline, and the kind it runs on. Set as
/// current around every poll of a call's future.
pub(crate) struct Scope {
    request: Request,
    deadline: Option<Arc<Deadline>>,
    kind: ScopeKind,
}

/// The kind on which a scope's code runs. A [`WakerKey`] is the key of the waker that the
/// replica wakes when it ends; it is stored here because it fits beside the tag.
enum ScopeKind {
    /// A replica, on which the call has this slot.
    Slot(Slot, Option<WakerKey>),
    /// A replica, without a slot: for its hooks, and for a call whose compute job took the slot
    /// along.
    Replica(Arc<Replica>, Option<WakerKey>),
    /// A replica, for a batch that serves several calls.
    Batch(Arc<BatchScope>, Option<WakerKey>),
    /// The caller's end of a call that the host of this replica serves. The host has the slot.
    Away(Arc<Replica>),
    /// A constructor, whose replica does not exist yet.
    Constructor(Arc<ReplicaParts>),
    /// A task that the code of a replica spawned, which does not keep the replica alive.
    Spawned(Arc<ReplicaParts>),
    /// No replica, for a `#[task]`.
    Task(Arc<RuntimeContext>),
    /// No kind: an HTTP request, or a call that waits for its slot.
    Outside,
}

/// The replica that a batch runs on, and the calls that the batch serves, in the order of its
/// items. The calls are known once the batch begins, because callers may leave until then.
struct BatchScope {
    replica: Arc<Replica>,
    calls: OnceLock<Vec<BatchedRequest>>,
}

/// One of the calls that a batch serves.
pub(super) type BatchedRequest = (Request, Option<Arc<Deadline>>);

/// The right to run one call: a slot, or for a task the runtime alone.
pub(crate) trait Seat: Sized + Send + 'static {
    /// True if the seat's replica has ended, so that the call has to look for another seat.
    fn has_ended(&self) -> bool;
    /// The seat's name in events: the id of its replica.
    fn name(&self) -> &str;
    /// Puts the seat into the call's scope.
    fn take(self, scope: &mut Scope);
    /// Exchanges the seat for another seat. The call's place is decided when this method returns.
    fn exchange(self) -> BoxFuture<'static, Outcome<Self>>;
    /// Finds a seat for a call that was given back by a replica whose slots `owner` counts.
    fn again(owner: Arc<dyn SlotOwner>) -> BoxFuture<'static, Outcome<Self>>;
}

impl Seat for Slot {
    #[inline]
    fn has_ended(&self) -> bool {
        self.replica().has_ended()
    }

    fn name(&self) -> &str {
        &self.replica().context.id
    }

    #[inline]
    fn take(self, scope: &mut Scope) {
        scope.kind = ScopeKind::Slot(self, None);
    }

    fn exchange(self) -> BoxFuture<'static, Outcome<Self>> {
        let owner = Arc::clone(&self.replica().owner);
        drop(self);
        owner.readmit()
    }

    fn again(owner: Arc<dyn SlotOwner>) -> BoxFuture<'static, Outcome<Self>> {
        owner.readmit()
    }
}

impl Seat for Arc<RuntimeContext> {
    fn has_ended(&self) -> bool {
        false
    }

    fn name(&self) -> &'static str {
        "no replica"
    }

    fn take(self, scope: &mut Scope) {
        scope.kind = ScopeKind::Task(self);
    }

    fn exchange(self) -> BoxFuture<'static, Outcome<Self>> {
        Box::pin(std::future::ready(Ok(self)))
    }

    fn again(_: Arc<dyn SlotOwner>) -> BoxFuture<'static, Outcome<Self>> {
        unreachable!("a task runs on no replica that could give it back")
    }
}

/// The parts of a replica that code has without the replica itself. Shared, so that a scope, which
/// every call moves, stays small.
struct ReplicaParts {
    context: Arc<ReplicaContext>,
    runtime: Arc<RuntimeContext>,
}

impl Scope {
    /// The scope of a call that has `slot`.
    pub(crate) fn serving(request: Request, deadline: Option<Arc<Deadline>>, slot: Slot) -> Self {
        Self { request, deadline, kind: ScopeKind::Slot(slot, None) }
    }

    /// The scope of a call that the runtime itself makes of a replica, which is a request of its
    /// own, and of a WebSocket. Neither has a slot or a deadline.
    pub(crate) fn hosted(request: Request, replica: Arc<Replica>) -> Self {
        Self { request, deadline: None, kind: ScopeKind::Replica(replica, None) }
    }

    /// The scope of a constructor.
    pub(crate) fn constructing(
        request: Request,
        context: Arc<ReplicaContext>,
        runtime: Arc<RuntimeContext>,
    ) -> Self {
        let parts = Arc::new(ReplicaParts { context, runtime });
        Self { request, deadline: None, kind: ScopeKind::Constructor(parts) }
    }

    /// The scope of a batch that serves several calls. In the log, and for the calls that the
    /// batch makes, it belongs to the request of its first item.
    pub(super) fn batch(request: Request, replica: Arc<Replica>) -> Self {
        let batch = Arc::new(BatchScope { replica, calls: OnceLock::new() });
        Self { request, deadline: None, kind: ScopeKind::Batch(batch, None) }
    }

    /// Records that the current batch begins and serves these calls.
    pub(super) fn batch_begins(calls: Vec<BatchedRequest>) {
        Self::current(|scope| {
            if let Some(Self { kind: ScopeKind::Batch(batch, _), .. }) = scope {
                // A batch begins once.
                let _ = batch.calls.set(calls);
            }
        });
    }

    /// The scope of a request that comes from outside and brings its id, and of a call that has
    /// no slot yet.
    #[inline]
    pub(crate) fn outside(request: Request, deadline: Option<Arc<Deadline>>) -> Self {
        Self { request, deadline, kind: ScopeKind::Outside }
    }

    /// The scope of code that stays at the caller's end of a call which the host of `replica`
    /// serves, such as the code of a stream among the arguments.
    pub(crate) fn away(request: Request, deadline: Arc<Deadline>, replica: Arc<Replica>) -> Self {
        Self { request, deadline: Some(deadline), kind: ScopeKind::Away(replica) }
    }

    /// The request of the current scope, or a request that has not begun if there is no scope.
    ///
    /// Returns small values in registers, as [`Scope::current_deadline`] does; going through
    /// `current` stalls on store forwarding for as long as all of a call's atomics take.
    #[inline]
    pub(crate) fn current_request() -> Request {
        if !in_place::may_have_scope() {
            return Request::default();
        }
        let request = CURRENT.try_with(|current| match &*current.borrow() {
            Some(scope) => scope.request.clone(),
            None => Request::default(),
        });
        request.unwrap_or_default()
    }

    /// The deadline of the current scope.
    #[inline]
    pub(crate) fn current_deadline() -> Option<Arc<Deadline>> {
        if !in_place::may_have_scope() {
            return None;
        }
        CURRENT.try_with(|current| current.borrow().as_ref()?.deadline.clone()).ok().flatten()
    }

    /// Runs `f` with the current scope, if a call is being served.
    pub(crate) fn current<R>(f: impl FnOnce(Option<&Scope>) -> R) -> R {
        let mut f = Some(f);
        let mut call = |scope: Option<&Scope>| {
            let f = f.take().expect("called once: with what is current, or else without");
            f(scope)
        };
        // On a thread that is ending, the thread-local is gone and no scope is current.
        match CURRENT.try_with(|current| call(current.borrow().as_ref())) {
            Ok(result) => result,
            Err(_) => call(None),
        }
    }

    /// The replica that serves the call, in this process or in another.
    pub(crate) fn serving_replica(&self) -> Option<&Arc<Replica>> {
        match &self.kind {
            ScopeKind::Away(replica) => Some(replica),
            _ => self.replica(),
        }
    }

    /// Takes the scope off its replica, and frees the slot if the scope holds it. Returns the
    /// owner of the replica's slots.
    pub(crate) fn leave_replica(&mut self) -> Option<Arc<dyn SlotOwner>> {
        let left = mem::replace(&mut self.kind, ScopeKind::Outside);
        match &left {
            ScopeKind::Slot(slot, wake) => {
                forget(slot.replica(), *wake);
                Some(Arc::clone(&slot.replica().owner))
            }
            // The slot of a call of a `#[blocking]` batch is with the batch.
            ScopeKind::Replica(replica, wake) => {
                forget(replica, *wake);
                Some(Arc::clone(&replica.owner))
            }
            ScopeKind::Away(replica) => Some(Arc::clone(&replica.owner)),
            _ => None,
        }
    }

    /// Takes the slot out for the replica's host, which frees it when the method has ended. The
    /// scope keeps the replica.
    pub(crate) fn send_slot(&mut self) -> Option<Slot> {
        let ScopeKind::Slot(slot, wake) = &self.kind else { return None };
        forget(slot.replica(), *wake);
        let away = ScopeKind::Away(Arc::clone(slot.replica()));
        match mem::replace(&mut self.kind, away) {
            ScopeKind::Slot(slot, _) => Some(slot),
            _ => None,
        }
    }

    /// Runs `f` with this scope current, as a part of a poll: calls that `f` makes may stand
    /// until `f` returns.
    #[cfg(feature = "http")]
    pub(crate) fn poll_within<R>(self, waker: &Waker, f: impl FnOnce() -> R) -> R {
        let mut scope = Some(self);
        let _entered = Entered::awaiting(&mut scope, waker);
        f()
    }

    /// True if the running code is a part of the runtime that `runtime` stands for, so that its
    /// calls may be polled on its own task.
    #[inline]
    pub(crate) fn is_spawned_by(runtime: &Arc<RuntimeContext>) -> bool {
        let by = |scope: &Self| match &scope.kind {
            ScopeKind::Slot(slot, _) => slot.replica().compute.spawns_by(runtime),
            ScopeKind::Replica(replica, _) => replica.compute.spawns_by(runtime),
            ScopeKind::Batch(batch, _) => batch.replica.compute.spawns_by(runtime),
            ScopeKind::Constructor(parts) | ScopeKind::Spawned(parts) => {
                Arc::ptr_eq(&parts.runtime, runtime)
            }
            ScopeKind::Task(own) => Arc::ptr_eq(own, runtime),
            ScopeKind::Outside => true,
            ScopeKind::Away(_) => false,
        };
        CURRENT.try_with(|current| current.borrow().as_ref().is_some_and(by)).unwrap_or(false)
    }

    /// Runs `f` with this scope current.
    pub(crate) fn enter<R>(self, f: impl FnOnce() -> R) -> R {
        let mut scope = Some(self);
        let _entered = Entered::new(&mut scope);
        f()
    }

    /// A scope of the same request on the same replica, for work that several calls wait for.
    /// Without the slot and the deadline, which belong to one call.
    pub(crate) fn for_shared_work(&self) -> Self {
        let kind = match &self.kind {
            ScopeKind::Slot(slot, _) => ScopeKind::Replica(Arc::clone(slot.replica()), None),
            ScopeKind::Replica(replica, _) => ScopeKind::Replica(Arc::clone(replica), None),
            ScopeKind::Batch(batch, _) => ScopeKind::Replica(Arc::clone(&batch.replica), None),
            ScopeKind::Constructor(parts) => ScopeKind::Constructor(Arc::clone(parts)),
            ScopeKind::Spawned(parts) => ScopeKind::Spawned(Arc::clone(parts)),
            ScopeKind::Task(runtime) => ScopeKind::Task(Arc::clone(runtime)),
            ScopeKind::Away(_) | ScopeKind::Outside => ScopeKind::Outside,
        };
        Self { request: self.request.clone(), deadline: None, kind }
    }

    /// A scope of the same request and deadline, for a task that may outlive the call. Without the
    /// slot and the replica, so that a task that goes on keeps neither.
    pub(super) fn for_spawned(&self) -> Self {
        let parts_of = |replica: &Replica| {
            let (context, runtime) = (Arc::clone(&replica.context), replica.compute.runtime());
            ScopeKind::Spawned(Arc::new(ReplicaParts { context, runtime }))
        };
        let kind = match &self.kind {
            ScopeKind::Slot(slot, _) => parts_of(slot.replica()),
            ScopeKind::Replica(replica, _) => parts_of(replica),
            ScopeKind::Batch(batch, _) => parts_of(&batch.replica),
            ScopeKind::Constructor(parts) | ScopeKind::Spawned(parts) => {
                ScopeKind::Spawned(Arc::clone(parts))
            }
            ScopeKind::Task(runtime) => ScopeKind::Task(Arc::clone(runtime)),
            ScopeKind::Away(_) | ScopeKind::Outside => ScopeKind::Outside,
        };
        Self { request: self.request.clone(), deadline: self.deadline.clone(), kind }
    }

    /// The scope of the current constructor, to be entered on the constructor's own thread, with
    /// the replica's runtime and id. None outside of a constructor.
    pub(super) fn for_constructor() -> Option<(Self, Arc<RuntimeContext>, Arc<str>)> {
        Self::current(|scope| {
            let scope = scope?;
            let ScopeKind::Constructor(parts) = &scope.kind else { return None };
            let (runtime, id) = (Arc::clone(&parts.runtime), Arc::clone(&parts.context.id));
            Some((scope.for_shared_work(), runtime, id))
        })
    }

    /// Runs `f` with `scope` current, which is put back when `f` returns. With `None`, no scope
    /// is current.
    pub(crate) fn enter_for_now<R>(scope: &mut Option<Self>, f: impl FnOnce() -> R) -> R {
        let _entered = Entered::new(scope);
        f()
    }

    /// A scope like the current one for compute work, which takes the slot along, if there is a
    /// slot. None outside of a replica.
    pub(crate) fn lend_slot() -> Option<(Arc<Replica>, Self)> {
        let lend = |scope: &mut Self| {
            let (replica, rest) = match &mut scope.kind {
                ScopeKind::Slot(slot, wake) => {
                    let replica = Arc::clone(slot.replica());
                    (Arc::clone(&replica), ScopeKind::Replica(replica, wake.take()))
                }
                ScopeKind::Replica(replica, wake) => {
                    (Arc::clone(replica), ScopeKind::Replica(Arc::clone(replica), wake.take()))
                }
                ScopeKind::Batch(batch, wake) => {
                    (Arc::clone(&batch.replica), ScopeKind::Batch(Arc::clone(batch), wake.take()))
                }
                ScopeKind::Constructor(_)
                | ScopeKind::Spawned(_)
                | ScopeKind::Task(_)
                | ScopeKind::Away(_)
                | ScopeKind::Outside => {
                    return None;
                }
            };
            let kind = mem::replace(&mut scope.kind, rest);
            let (request, deadline) = (scope.request.clone(), scope.deadline.clone());
            Some((replica, Self { request, deadline, kind }))
        };
        CURRENT.try_with(|current| lend(current.borrow_mut().as_mut()?)).ok()?
    }

    pub(crate) fn request(&self) -> &Request {
        &self.request
    }

    #[inline]
    pub(crate) fn deadline(&self) -> Option<&Arc<Deadline>> {
        self.deadline.as_ref()
    }

    /// True if no method runs in this scope, so that a call made here is the first of its
    /// request.
    pub(crate) fn is_outside(&self) -> bool {
        matches!(self.kind, ScopeKind::Outside)
    }

    /// The replica that the scope's code runs on, if it runs on a replica.
    #[inline]
    pub(crate) fn replica(&self) -> Option<&Arc<Replica>> {
        match &self.kind {
            ScopeKind::Slot(slot, _) => Some(slot.replica()),
            ScopeKind::Replica(replica, _) => Some(replica),
            ScopeKind::Batch(batch, _) => Some(&batch.replica),
            ScopeKind::Constructor(_)
            | ScopeKind::Spawned(_)
            | ScopeKind::Task(_)
            | ScopeKind::Away(_)
            | ScopeKind::Outside => None,
        }
    }

    /// The contexts of the calls that the scope's code serves: those of all items of a batch, or
    /// else that of the one call.
    pub(super) fn contexts(&self) -> Vec<Context> {
        let ids = self.runtime().map(|runtime| Arc::clone(&runtime.ids));
        let context = |(request, deadline): &BatchedRequest| {
            let replica = self.replica_context().map(Arc::clone);
            Context::new(request.clone(), deadline.clone(), replica, ids.as_deref())
        };
        match &self.kind {
            ScopeKind::Batch(batch, _) => {
                batch.calls.get().into_iter().flatten().map(context).collect()
            }
            _ => vec![context(&(self.request.clone(), self.deadline.clone()))],
        }
    }

    fn replica_context(&self) -> Option<&Arc<ReplicaContext>> {
        match &self.kind {
            ScopeKind::Constructor(parts) | ScopeKind::Spawned(parts) => Some(&parts.context),
            _ => self.replica().map(|replica| &replica.context),
        }
    }

    /// Registers the task to be woken when its replica ends. Once is enough, because a task keeps
    /// one waker for its whole life.
    pub(crate) fn wake_at_end(&mut self, waker: &Waker) {
        match &mut self.kind {
            ScopeKind::Slot(slot, wake @ None) => {
                *wake = Some(slot.replica().remember_waker(waker));
            }
            ScopeKind::Replica(replica, wake @ None) => *wake = Some(replica.remember_waker(waker)),
            ScopeKind::Batch(batch, wake @ None) => {
                *wake = Some(batch.replica.remember_waker(waker));
            }
            _ => {}
        }
    }

    /// Counts a success of the scope's replica.
    #[inline]
    pub(crate) fn succeeded(&self) {
        if let Some(replica) = self.replica() {
            replica.succeeded();
        }
    }

    /// The runtime of the calls that the scope's code makes.
    pub(crate) fn runtime(&self) -> Option<Arc<RuntimeContext>> {
        match &self.kind {
            ScopeKind::Slot(slot, _) => Some(slot.replica().compute.runtime()),
            ScopeKind::Replica(replica, _) => Some(replica.compute.runtime()),
            ScopeKind::Batch(batch, _) => Some(batch.replica.compute.runtime()),
            ScopeKind::Constructor(parts) | ScopeKind::Spawned(parts) => {
                Some(Arc::clone(&parts.runtime))
            }
            ScopeKind::Task(runtime) => Some(Arc::clone(runtime)),
            ScopeKind::Away(_) | ScopeKind::Outside => None,
        }
    }

    /// The directory in which the running replica looks deployments up.
    pub(crate) fn directory() -> Option<Arc<dyn Directory>> {
        Self::current(|scope| Some(Arc::clone(&scope?.replica_context()?.directory)))
    }
}

impl Drop for Scope {
    #[inline]
    fn drop(&mut self) {
        match &self.kind {
            ScopeKind::Slot(slot, Some(wake)) => slot.replica().forget_waker(*wake),
            ScopeKind::Replica(replica, Some(wake)) => replica.forget_waker(*wake),
            ScopeKind::Batch(batch, Some(wake)) => batch.replica.forget_waker(*wake),
            _ => {}
        }
    }
}

fn forget(replica: &Replica, wake: Option<WakerKey>) {
    if let Some(wake) = wake {
        replica.forget_waker(wake);
    }
}

#[inline]
fn swap_current(scope: &mut Option<Scope>) {
    // Fails only on a thread that is ending, where no code of a call runs any more.
    let _ = CURRENT.try_with(|current| mem::swap(&mut *current.borrow_mut(), scope));
}

/// A guard that makes a scope current. Dropping it puts the scope back, and makes the scope
/// before it current again.
pub(crate) struct Entered<'a> {
    scope: &'a mut Option<Scope>,
    outer: OuterPoll,
    /// True if a panic under the guard counts as a panic of a call.
    polling: bool,
}

impl<'a> Entered<'a> {
    #[inline]
    pub(crate) fn new(scope: &'a mut Option<Scope>) -> Self {
        Self::enter(scope, None, false)
    }

    /// A guard for a poll: calls that are made under the guard may stand until the poll ends.
    #[inline]
    pub(crate) fn awaiting(scope: &'a mut Option<Scope>, waker: &Waker) -> Self {
        Self::enter(scope, Some(waker), false)
    }

    /// A guard for the poll of a call: its replica counts a panic under the guard.
    #[inline]
    pub(crate) fn polling(scope: &'a mut Option<Scope>, waker: &Waker) -> Self {
        // A poll by code that is unwinding, as from a `drop`, is none that panicked.
        Self::enter(scope, Some(waker), !std::thread::panicking())
    }

    #[inline]
    fn enter(scope: &'a mut Option<Scope>, waker: Option<&Waker>, polling: bool) -> Self {
        swap_current(scope);
        Self { scope, outer: in_place::enter(waker), polling }
    }
}

impl Drop for Entered<'_> {
    #[inline]
    fn drop(&mut self) {
        in_place::leave(self.outer);
        swap_current(self.scope);
        // Cheap: usually reads one number that no thread changes.
        if self.polling
            && std::thread::panicking()
            && let Some(replica) = self.scope.as_ref().and_then(Scope::replica)
        {
            replica.panicked();
        }
    }
}

/// Returns the context of the request that the running method serves.
///
/// Outside of any call, every part of the context is empty. In a `#[batch]` method it is that of
/// the batch's first item, without a deadline; [`batch_contexts`](crate::batching::batch_contexts())
/// returns those of all items. A context is cheap to clone.
///
/// **A task that a method spawns has no context** if it is spawned with `tokio::spawn`,
/// `JoinSet::spawn` or `spawn_blocking`: its calls are requests of their own, without the method's
/// deadline. [`spawn`](crate::spawn()) spawns a task with the context, and
/// [`in_context`](crate::in_context()) takes it along into a `JoinSet`. A future that is polled on the
/// method's own task, as by `join!`, `select!` and `FuturesUnordered`, has the context anyway.
///
/// ```
/// assert_eq!(serve_core::context().request_id(), "");
/// assert_eq!(serve_core::context().deadline(), None);
/// ```
#[must_use]
pub fn context() -> Context {
    Scope::current(|scope| match scope {
        Some(scope) => {
            let replica = scope.replica_context().map(Arc::clone);
            let ids = scope.runtime().map(|runtime| Arc::clone(&runtime.ids));
            Context::new(scope.request.clone(), scope.deadline.clone(), replica, ids.as_deref())
        }
        None => Context::new(Request::default(), None, None, None),
    })
}

/// Returns the replica that the running method belongs to, or `None` outside of any replica.
#[must_use]
pub fn replica_context() -> Option<ReplicaContext> {
    Scope::current(|scope| Some(ReplicaContext::clone(scope?.replica_context()?)))
}

/// Returns the contexts of the requests that the running method serves.
///
/// In a `#[batch]` method these are the contexts of all items, in the order of the items. In any
/// other method it is the one that [`context()`] returns. Outside of any call the list is empty.
///
/// ```
/// # use serve_core::prelude::*;
/// #[deployment]
/// #[derive(Default)]
/// struct Embedder;
///
/// #[handle]
/// impl Embedder {
///     #[batch(max_batch_size = 32)]
///     pub async fn embed(&self, texts: Vec<String>) -> Vec<String> {
///         let contexts = serve_core::batching::batch_contexts();
///         assert_eq!(contexts.len(), texts.len());
///         contexts.iter().map(|context| context.request_id().to_owned()).collect()
///     }
/// }
/// ```
#[must_use]
pub fn batch_contexts() -> Vec<Context> {
    Scope::current(|scope| scope.map(Scope::contexts).unwrap_or_default())
}
