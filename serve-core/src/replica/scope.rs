//! [`Scope`]: what is current while a method runs, set around every call's future.

use std::cell::RefCell;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll, Waker};

use pin_project_lite::pin_project;

use super::instance::{Replica, WakerKey};
use super::slot::Slot;
use crate::call::context::Request;
use crate::call::deadline::Deadline;
use crate::call::spawner::Spawner;
use crate::call::{CallError, Context, Directory, ReplicaContext};

thread_local! {
    static CURRENT: RefCell<Option<Scope>> = const { RefCell::new(None) };
}

/// The request that a task serves, its deadline, and what it runs on.
pub(crate) struct Scope {
    request: Request,
    deadline: Option<Arc<Deadline>>,
    site: Site,
}

/// What a scope's code runs on. The keys are of the wakers that a replica has for its
/// end; here they fit beside the tag.
enum Site {
    /// A replica, by this slot.
    Slot(Slot, Option<WakerKey>),
    /// A replica, without a slot: its hooks, or work whose slot went along elsewhere.
    Replica(Arc<Replica>, Option<WakerKey>),
    /// A constructor, whose replica is not there yet.
    Constructor(Arc<Newborn>),
    /// No replica: a task.
    Task(Arc<Spawner>),
    /// None: the front door, or a call that waits for its slot.
    Outside,
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

    /// A task that runs on no replica.
    pub(crate) fn task(
        request: Request,
        deadline: Option<Arc<Deadline>>,
        spawner: Arc<Spawner>,
    ) -> Self {
        Self { request, deadline, site: Site::Task(spawner) }
    }

    /// Where a request comes in from outside, which brings its id; and a call that has no
    /// slot yet.
    #[inline]
    pub(crate) fn outside(request: Request, deadline: Option<Arc<Deadline>>) -> Self {
        Self { request, deadline, site: Site::Outside }
    }

    /// The slot that the call waited for.
    #[inline]
    pub(super) fn take_slot(&mut self, slot: Slot) {
        self.site = Site::Slot(slot, None);
    }

    /// The request of the current scope; without one, a request that has not begun.
    ///
    /// This and [`Scope::current_deadline`] give what fits in registers. Through memory, as
    /// `current` would give it, a call spends as long on waiting for its own stores as on
    /// all its atomics.
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

    /// The call is on no replica any more. What it has of its slot is free.
    pub(super) fn leave(&mut self) {
        let (request, deadline) = (mem::take(&mut self.request), self.deadline.take());
        *self = Self::outside(request, deadline);
    }

    /// `future`, with this scope current while it runs and while it is dropped, until the
    /// replica ends. The slot is freed last.
    pub(crate) fn around<F>(self, future: F) -> InScope<F> {
        InScope { future: Some(future), scope: Some(self) }
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
            Site::Constructor(newborn) => Site::Constructor(Arc::clone(newborn)),
            Site::Task(spawner) => Site::Task(Arc::clone(spawner)),
            Site::Outside => Site::Outside,
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
            let (replica, wake) = match &mut scope.site {
                Site::Slot(slot, wake) => (Arc::clone(slot.replica()), wake.take()),
                Site::Replica(replica, wake) => (Arc::clone(replica), wake.take()),
                Site::Constructor(..) | Site::Task(_) | Site::Outside => return None,
            };
            let rest = Site::Replica(Arc::clone(&replica), wake);
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
            Site::Constructor(..) | Site::Task(_) | Site::Outside => None,
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
    pub(super) fn wake_at_end(&mut self, waker: &Waker) {
        match &mut self.site {
            Site::Slot(slot, wake @ None) => *wake = Some(slot.replica().remember_waker(waker)),
            Site::Replica(replica, wake @ None) => *wake = Some(replica.remember_waker(waker)),
            _ => {}
        }
    }

    /// A call was served.
    #[inline]
    pub(super) fn succeeded(&self) {
        if let Some(replica) = self.replica() {
            replica.succeeded();
        }
    }

    /// Where the calls of the running code run.
    pub(crate) fn spawner(&self) -> Option<Arc<Spawner>> {
        match &self.site {
            Site::Slot(slot, _) => Some(slot.replica().compute.spawner()),
            Site::Replica(replica, _) => Some(replica.compute.spawner()),
            Site::Constructor(newborn) => Some(Arc::clone(&newborn.spawner)),
            Site::Task(spawner) => Some(Arc::clone(spawner)),
            Site::Outside => None,
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
            _ => {}
        }
    }
}

#[inline]
fn swap_current(scope: &mut Option<Scope>) {
    // Fails only on a thread that ends, where nothing runs any more.
    let _ = CURRENT.try_with(|current| mem::swap(&mut *current.borrow_mut(), scope));
}

/// Makes a scope current, and puts it and the one before back when dropped.
pub(super) struct Entered<'a> {
    scope: &'a mut Option<Scope>,
    /// Whether a panic in it is one of a call.
    polling: bool,
}

impl<'a> Entered<'a> {
    #[inline]
    pub(super) fn new(scope: &'a mut Option<Scope>) -> Self {
        swap_current(scope);
        Self { scope, polling: false }
    }

    /// The same while a call runs: its replica is told of a panic.
    #[inline]
    pub(super) fn polling(scope: &'a mut Option<Scope>) -> Self {
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
    /// A future in a [`Scope`]. See [`Scope::around`].
    pub(crate) struct InScope<F> {
        #[pin]
        future: Option<F>,
        scope: Option<Scope>,
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

impl<T, E, F: Future<Output = Result<T, CallError<E>>>> Future for InScope<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let scope = this.scope.as_ref().expect("a scope is away only while it is current");
        if let Some(replica) = scope.replica()
            && replica.has_ended()
        {
            return Poll::Ready(Err(replica.ended_error()));
        }
        let entered = Entered::new(this.scope);
        let future = this.future.as_mut().as_pin_mut().expect("taken only when dropped");
        let polled = future.poll(cx);
        if polled.is_ready() {
            // While its scope is current, as when it is dropped halfway.
            this.future.set(None);
        }
        drop(entered);
        // Most short calls are ready here, and never register.
        if polled.is_pending()
            && let Some(scope) = this.scope
        {
            scope.wake_at_end(cx.waker());
        }
        polled
    }
}

/// The request that the running method belongs to.
///
/// Outside of any call every part is empty. Cheap to clone.
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
