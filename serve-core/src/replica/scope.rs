//! [`Scope`]: what is current while a method runs, set around every call's future.

use std::cell::RefCell;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{self, Poll, Waker};

use futures::future::BoxFuture;
use pin_project_lite::pin_project;

use super::replica::{Replica, WakerKey};
use super::slot::{Slot, SlotOwner};
use crate::call::deadline::Deadline;
use crate::call::request::Request;
use crate::call::spawner::Spawner;
use crate::call::{CallError, Context, Directory, ReplicaContext};
use crate::method::Reply;

thread_local! {
    static CURRENT: RefCell<Option<Scope>> = const { RefCell::new(None) };
}

/// The request that a task serves, its deadline, and what it runs on.
pub(crate) struct Scope {
    request: Request,
    deadline: Option<Arc<Deadline>>,
    site: Site,
}

/// What a scope's code runs on. The keys are those of the wakers that a replica has for its
/// end; here they fit beside the tag.
enum Site {
    /// A replica, by this slot.
    Slot(Slot, Option<WakerKey>),
    /// A replica, without a slot: its hooks, or work whose slot went along elsewhere.
    Replica(Arc<Replica>, Option<WakerKey>),
    /// A replica, on behalf of several calls.
    Batch(Arc<BatchSite>, Option<WakerKey>),
    /// The caller's end of a call that this replica's host serves; the slot went there.
    Away(Arc<Replica>),
    /// A constructor, whose replica is not there yet.
    Constructor(Arc<Newborn>),
    /// No replica: a task.
    Task(Arc<Spawner>),
    /// None: the front door, or a call that waits for its slot.
    Outside,
}

/// The replica that a batch runs on, and the calls that the batch serves, in the order of
/// its items. Which these are is known once the batch begins.
struct BatchSite {
    replica: Arc<Replica>,
    calls: OnceLock<Vec<BatchedRequest>>,
}

/// One of the calls that a batch serves.
pub(super) type BatchedRequest = (Request, Option<Arc<Deadline>>);

/// What a call runs on once its place is decided: a slot, or, for a task, the runtime alone.
pub(crate) trait Seat: Sized + Send + 'static {
    /// True if what the seat is on has ended, so that the call has to go elsewhere.
    fn has_ended(&self) -> bool;
    /// What events call the seat: the replica's id.
    fn name(&self) -> &str;
    /// Makes this seat the scope's.
    fn take(self, scope: &mut Scope);
    /// Gives the seat up for another one, which is decided when this returns.
    fn exchange(self) -> BoxFuture<'static, Result<Self, CallError>>;
    /// A seat for a call that was given back by a replica of this owner's.
    fn again(owner: Arc<dyn SlotOwner>) -> BoxFuture<'static, Result<Self, CallError>>;
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
        scope.site = Site::Slot(self, None);
    }

    fn exchange(self) -> BoxFuture<'static, Result<Self, CallError>> {
        let owner = Arc::clone(&self.replica().owner);
        drop(self);
        owner.readmit()
    }

    fn again(owner: Arc<dyn SlotOwner>) -> BoxFuture<'static, Result<Self, CallError>> {
        owner.readmit()
    }
}

impl Seat for Arc<Spawner> {
    fn has_ended(&self) -> bool {
        false
    }

    fn name(&self) -> &'static str {
        "no replica"
    }

    fn take(self, scope: &mut Scope) {
        scope.site = Site::Task(self);
    }

    fn exchange(self) -> BoxFuture<'static, Result<Self, CallError>> {
        Box::pin(std::future::ready(Ok(self)))
    }

    fn again(_: Arc<dyn SlotOwner>) -> BoxFuture<'static, Result<Self, CallError>> {
        unreachable!("a task runs on no replica that could give it back")
    }
}

/// What is known of a replica while its constructor runs. Shared, so that a scope, which
/// every call moves, stays small.
struct Newborn {
    context: Arc<ReplicaContext>,
    spawner: Arc<Spawner>,
}

impl Scope {
    /// A method that runs by `slot`.
    pub(crate) fn serving(request: Request, deadline: Option<Arc<Deadline>>, slot: Slot) -> Self {
        Self { request, deadline, site: Site::Slot(slot, None) }
    }

    /// The runtime's own calls of a replica. Each is a request of its own.
    pub(crate) fn hosted(request: Request, replica: Arc<Replica>) -> Self {
        Self { request, deadline: None, site: Site::Replica(replica, None) }
    }

    /// A constructor.
    pub(crate) fn constructing(
        request: Request,
        context: Arc<ReplicaContext>,
        spawner: Arc<Spawner>,
    ) -> Self {
        let newborn = Arc::new(Newborn { context, spawner });
        Self { request, deadline: None, site: Site::Constructor(newborn) }
    }

    /// A batch that serves several calls. To the log and to the calls it makes, it is part of
    /// the first one's request.
    pub(super) fn batch(request: Request, replica: Arc<Replica>) -> Self {
        let batch = Arc::new(BatchSite { replica, calls: OnceLock::new() });
        Self { request, deadline: None, site: Site::Batch(batch, None) }
    }

    /// The current batch begins, and serves these.
    pub(super) fn batch_begins(calls: Vec<BatchedRequest>) {
        Self::current(|scope| {
            if let Some(Self { site: Site::Batch(batch, _), .. }) = scope {
                // A batch begins once.
                let _ = batch.calls.set(calls);
            }
        });
    }

    /// Where a request comes in from outside, which brings its id; and a call that has no
    /// slot yet.
    #[inline]
    pub(crate) fn outside(request: Request, deadline: Option<Arc<Deadline>>) -> Self {
        Self { request, deadline, site: Site::Outside }
    }

    /// The request of the current scope; without one, a request that has not begun.
    ///
    /// Returns small values in registers, as [`Scope::current_deadline`] does; going through
    /// `current` stalls on store forwarding for as long as all of a call's atomics take.
    #[inline]
    pub(crate) fn current_request() -> Request {
        let request = CURRENT.try_with(|current| match &*current.borrow() {
            Some(scope) => scope.request.clone(),
            None => Request::default(),
        });
        request.unwrap_or_default()
    }

    /// The deadline of the current scope.
    #[inline]
    pub(crate) fn current_deadline() -> Option<Arc<Deadline>> {
        CURRENT.try_with(|current| current.borrow().as_ref()?.deadline.clone()).ok().flatten()
    }

    /// Runs `f` with the current scope, if a call is being served.
    pub(crate) fn current<R>(f: impl FnOnce(Option<&Scope>) -> R) -> R {
        let mut f = Some(f);
        let mut call = |scope: Option<&Scope>| {
            let f = f.take().expect("called once: with what is current, or else without");
            f(scope)
        };
        // A thread that ends has no current scope any more.
        match CURRENT.try_with(|current| call(current.borrow().as_ref())) {
            Ok(result) => result,
            Err(_) => call(None),
        }
    }

    /// The replica that serves the call, here or elsewhere.
    pub(crate) fn serving_replica(&self) -> Option<&Arc<Replica>> {
        match &self.site {
            Site::Away(replica) => Some(replica),
            _ => self.replica(),
        }
    }

    /// Takes the scope off its replica, and frees the slot if the scope has it. Returns the
    /// owner of the replica's slots.
    pub(crate) fn leave_replica(&mut self) -> Option<Arc<dyn SlotOwner>> {
        let left = mem::replace(&mut self.site, Site::Outside);
        match &left {
            Site::Slot(slot, wake) => {
                forget(slot.replica(), *wake);
                Some(Arc::clone(&slot.replica().owner))
            }
            Site::Away(replica) => Some(Arc::clone(&replica.owner)),
            _ => None,
        }
    }

    /// Takes the slot out, for the replica's host, which will free it. The scope remembers
    /// the replica.
    pub(crate) fn send_slot(&mut self) -> Option<Slot> {
        let Site::Slot(slot, wake) = &self.site else { return None };
        forget(slot.replica(), *wake);
        let away = Site::Away(Arc::clone(slot.replica()));
        match mem::replace(&mut self.site, away) {
            Site::Slot(slot, _) => Some(slot),
            _ => None,
        }
    }

    /// `future`, with this scope current while it runs and while it is dropped, until the
    /// replica ends. The slot is freed last.
    pub(crate) fn around<F>(self, future: F) -> InScope<F> {
        InScope { future: Some(future), scope: Some(self), is_call: false, sees_end: false }
    }

    /// The same for a call's method: the replica counts its successes and panics. One that
    /// `sees_end` is polled on when the replica ends, and says itself what becomes of the
    /// call.
    pub(crate) fn serve<F>(self, future: F, sees_end: bool) -> InScope<F> {
        InScope { future: Some(future), scope: Some(self), is_call: true, sees_end }
    }

    /// Runs `f` with this scope current.
    pub(crate) fn enter<R>(self, f: impl FnOnce() -> R) -> R {
        let mut scope = Some(self);
        let _entered = Entered::new(&mut scope);
        f()
    }

    /// The same request on the same replica, for work that several calls wait for: without
    /// the slot and the deadline, which are one call's own.
    pub(crate) fn for_shared_work(&self) -> Self {
        let site = match &self.site {
            Site::Slot(slot, _) => Site::Replica(Arc::clone(slot.replica()), None),
            Site::Replica(replica, _) => Site::Replica(Arc::clone(replica), None),
            Site::Batch(batch, _) => Site::Replica(Arc::clone(&batch.replica), None),
            Site::Constructor(newborn) => Site::Constructor(Arc::clone(newborn)),
            Site::Task(spawner) => Site::Task(Arc::clone(spawner)),
            Site::Away(_) | Site::Outside => Site::Outside,
        };
        Self { request: self.request.clone(), deadline: None, site }
    }

    /// The scope of the current constructor, for the thread that it runs on; where calls run,
    /// and the id of its replica. None outside of a constructor.
    pub(super) fn for_constructor() -> Option<(Self, Arc<Spawner>, Arc<str>)> {
        Self::current(|scope| {
            let scope = scope?;
            let Site::Constructor(newborn) = &scope.site else { return None };
            let (spawner, id) = (Arc::clone(&newborn.spawner), Arc::clone(&newborn.context.id));
            Some((scope.for_shared_work(), spawner, id))
        })
    }

    /// Runs `f` with `scope` current, or with none, and gives it back.
    pub(crate) fn enter_for_now<R>(scope: &mut Option<Self>, f: impl FnOnce() -> R) -> R {
        let _entered = Entered::new(scope);
        f()
    }

    /// The current scope for compute work, which takes the slot along, if there is one.
    /// None outside of a replica.
    pub(crate) fn lend_slot() -> Option<(Arc<Replica>, Self)> {
        let lend = |scope: &mut Self| {
            let (replica, rest) = match &mut scope.site {
                Site::Slot(slot, wake) => {
                    let replica = Arc::clone(slot.replica());
                    (Arc::clone(&replica), Site::Replica(replica, wake.take()))
                }
                Site::Replica(replica, wake) => {
                    (Arc::clone(replica), Site::Replica(Arc::clone(replica), wake.take()))
                }
                Site::Batch(batch, wake) => {
                    (Arc::clone(&batch.replica), Site::Batch(Arc::clone(batch), wake.take()))
                }
                Site::Constructor(..) | Site::Task(_) | Site::Away(_) | Site::Outside => {
                    return None;
                }
            };
            let site = mem::replace(&mut scope.site, rest);
            let (request, deadline) = (scope.request.clone(), scope.deadline.clone());
            Some((replica, Self { request, deadline, site }))
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

    /// True where a call made here is the request's own, rather than one that it leads to.
    pub(crate) fn is_outside(&self) -> bool {
        matches!(self.site, Site::Outside)
    }

    /// The replica that the code runs on, if it is one's.
    #[inline]
    pub(crate) fn replica(&self) -> Option<&Arc<Replica>> {
        match &self.site {
            Site::Slot(slot, _) => Some(slot.replica()),
            Site::Replica(replica, _) => Some(replica),
            Site::Batch(batch, _) => Some(&batch.replica),
            Site::Constructor(..) | Site::Task(_) | Site::Away(_) | Site::Outside => None,
        }
    }

    /// The contexts of the calls that the current code serves: of all items of a batch, else
    /// of the one call.
    pub(super) fn contexts(&self) -> Vec<Context> {
        let ids = self.spawner().map(|spawner| Arc::clone(&spawner.ids));
        let context = |(request, deadline): &BatchedRequest| {
            let replica = self.replica_context().map(Arc::clone);
            Context::new(request.clone(), deadline.clone(), replica, ids.as_deref())
        };
        match &self.site {
            Site::Batch(batch, _) => batch.calls.get().into_iter().flatten().map(context).collect(),
            _ => vec![context(&(self.request.clone(), self.deadline.clone()))],
        }
    }

    fn replica_context(&self) -> Option<&Arc<ReplicaContext>> {
        match &self.site {
            Site::Constructor(newborn) => Some(&newborn.context),
            _ => self.replica().map(|replica| &replica.context),
        }
    }

    /// Wakes the task when its replica ends. A task keeps one waker for life, so once is
    /// enough.
    pub(crate) fn wake_at_end(&mut self, waker: &Waker) {
        match &mut self.site {
            Site::Slot(slot, wake @ None) => *wake = Some(slot.replica().remember_waker(waker)),
            Site::Replica(replica, wake @ None) => *wake = Some(replica.remember_waker(waker)),
            Site::Batch(batch, wake @ None) => *wake = Some(batch.replica.remember_waker(waker)),
            _ => {}
        }
    }

    /// A call was served.
    #[inline]
    pub(crate) fn succeeded(&self) {
        if let Some(replica) = self.replica() {
            replica.succeeded();
        }
    }

    /// Where the calls of the running code run.
    pub(crate) fn spawner(&self) -> Option<Arc<Spawner>> {
        match &self.site {
            Site::Slot(slot, _) => Some(slot.replica().compute.spawner()),
            Site::Replica(replica, _) => Some(replica.compute.spawner()),
            Site::Batch(batch, _) => Some(batch.replica.compute.spawner()),
            Site::Constructor(newborn) => Some(Arc::clone(&newborn.spawner)),
            Site::Task(spawner) => Some(Arc::clone(spawner)),
            Site::Away(_) | Site::Outside => None,
        }
    }

    /// Where the running replica looks deployments up.
    pub(crate) fn directory() -> Option<Arc<dyn Directory>> {
        Self::current(|scope| Some(Arc::clone(&scope?.replica_context()?.directory)))
    }
}

impl Drop for Scope {
    #[inline]
    fn drop(&mut self) {
        match &self.site {
            Site::Slot(slot, Some(wake)) => slot.replica().forget_waker(*wake),
            Site::Replica(replica, Some(wake)) => replica.forget_waker(*wake),
            Site::Batch(batch, Some(wake)) => batch.replica.forget_waker(*wake),
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
    // Fails only on a thread that ends, where nothing runs any more.
    let _ = CURRENT.try_with(|current| mem::swap(&mut *current.borrow_mut(), scope));
}

/// Makes a scope current, and puts it and the one before back when dropped.
pub(crate) struct Entered<'a> {
    scope: &'a mut Option<Scope>,
    /// Whether a panic in it is one of a call.
    polling: bool,
}

impl<'a> Entered<'a> {
    #[inline]
    pub(crate) fn new(scope: &'a mut Option<Scope>) -> Self {
        swap_current(scope);
        Self { scope, polling: false }
    }

    /// The same while a call runs: its replica is told of a panic.
    #[inline]
    pub(crate) fn polling(scope: &'a mut Option<Scope>) -> Self {
        let mut entered = Self::new(scope);
        entered.polling = true;
        entered
    }
}

impl Drop for Entered<'_> {
    #[inline]
    fn drop(&mut self) {
        swap_current(self.scope);
        // Most often one look at a number that no thread changes.
        if self.polling
            && std::thread::panicking()
            && let Some(replica) = self.scope.as_ref().and_then(Scope::replica)
        {
            replica.panicked();
        }
    }
}

pin_project! {
    /// A future in a [`Scope`]. See [`Scope::around`] and [`Scope::serve`].
    pub(crate) struct InScope<F> {
        #[pin]
        future: Option<F>,
        scope: Option<Scope>,
        is_call: bool,
        sees_end: bool,
    }

    impl<F> PinnedDrop for InScope<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if this.future.is_some() {
                let _entered = Entered::new(this.scope);
                this.future.set(None);
            }
        }
    }
}

/// What the future of an [`InScope`] gives.
pub(crate) trait Outcome {
    /// The outcome of work whose replica ended.
    fn ended(replica: &Replica) -> Self;
    /// True for what counts as a success of the replica.
    fn is_success(&self) -> bool;
}

impl<T, E> Outcome for Result<T, CallError<E>> {
    fn ended(replica: &Replica) -> Self {
        Err(replica.ended_error())
    }

    fn is_success(&self) -> bool {
        // An error of the method's own is an answer too.
        matches!(self, Ok(_) | Err(CallError::App(_)))
    }
}

impl<T, E, A> Outcome for Reply<T, E, A> {
    fn ended(replica: &Replica) -> Self {
        Self::Answer(Err(replica.ended_error()))
    }

    fn is_success(&self) -> bool {
        matches!(self, Self::Answer(answer) if answer.is_success())
    }
}

impl<F: Future<Output: Outcome>> Future for InScope<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let scope = this.scope.as_ref().expect("a scope is away only while it is current");
        if let Some(replica) = scope.replica()
            && replica.has_ended()
            && !*this.sees_end
        {
            return Poll::Ready(F::Output::ended(replica));
        }
        let entered =
            if *this.is_call { Entered::polling(this.scope) } else { Entered::new(this.scope) };
        let future = this.future.as_mut().as_pin_mut().expect("taken only when dropped");
        let polled = future.poll(cx);
        if polled.is_ready() {
            // While its scope is current, as when it is dropped halfway.
            this.future.set(None);
        }
        drop(entered);
        let Some(scope) = this.scope else { return polled };
        match &polled {
            // Most short calls are ready here, and never register.
            Poll::Pending => scope.wake_at_end(cx.waker()),
            Poll::Ready(outcome) if *this.is_call && outcome.is_success() => scope.succeeded(),
            Poll::Ready(_) => {}
        }
        polled
    }
}

/// The request that the running method belongs to.
///
/// Outside of any call every part is empty. In a `#[batch]` method it is the request of the
/// batch's first item; [`batch_contexts`](crate::batch_contexts()) has those of all items.
/// Cheap to clone.
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
            let ids = scope.spawner().map(|spawner| Arc::clone(&spawner.ids));
            Context::new(scope.request.clone(), scope.deadline.clone(), replica, ids.as_deref())
        }
        None => Context::new(Request::default(), None, None, None),
    })
}

/// The replica that the running method belongs to, or `None` outside of any.
#[must_use]
pub fn replica_context() -> Option<ReplicaContext> {
    Scope::current(|scope| Some(ReplicaContext::clone(scope?.replica_context()?)))
}

/// The contexts of the requests that the running code serves: in a `#[batch]` method those
/// of all items, in their order; in any other method the one of [`context()`]; none outside
/// of any call.
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
///         let contexts = serve_core::batch_contexts();
///         assert_eq!(contexts.len(), texts.len());
///         contexts.iter().map(|context| context.request_id().to_owned()).collect()
///     }
/// }
/// ```
#[must_use]
pub fn batch_contexts() -> Vec<Context> {
    Scope::current(|scope| scope.map(Scope::contexts).unwrap_or_default())
}
