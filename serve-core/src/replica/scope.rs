//! [`Scope`]: what is current while a method runs, set around every call's future.

use std::cell::RefCell;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll};

use pin_project_lite::pin_project;

use super::instance::{Replica, WakeAtEnd};
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
    site: RefCell<Site>,
}

/// What a scope's code runs on.
enum Site {
    /// A replica, by this slot.
    Slot(Slot),
    /// A replica whose slot went along with its compute work.
    SlotLent(Arc<Replica>),
    /// No replica: a task.
    Task(Arc<Spawner>),
    /// None: the front door.
    Outside,
}

impl Scope {
    /// A method that runs by `slot`.
    pub(crate) fn serving(request: Request, deadline: Option<Arc<Deadline>>, slot: Slot) -> Self {
        Self { request, deadline, site: RefCell::new(Site::Slot(slot)) }
    }

    /// A task that runs on no replica.
    pub(crate) fn task(
        request: Request,
        deadline: Option<Arc<Deadline>>,
        spawner: Arc<Spawner>,
    ) -> Self {
        Self { request, deadline, site: RefCell::new(Site::Task(spawner)) }
    }

    /// Where a request comes in from outside. The request brings its id.
    #[cfg_attr(
        not(feature = "http"),
        expect(dead_code, reason = "HTTP is what comes from outside")
    )]
    pub(crate) fn outside(request: Request, deadline: Option<Arc<Deadline>>) -> Self {
        Self { request, deadline, site: RefCell::new(Site::Outside) }
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

    /// `future`, with this scope current while it runs and while it is dropped, until the
    /// replica ends. The slot is freed last.
    pub(crate) fn around<F>(self, future: F) -> InScope<F> {
        InScope { future: Some(future), scope: Some(self), wake: None }
    }

    /// Runs `f` with this scope current.
    pub(crate) fn enter<R>(self, f: impl FnOnce() -> R) -> R {
        let mut scope = Some(self);
        let _entered = Entered::new(&mut scope);
        f()
    }

    /// The same scope for compute work, which takes the slot along. None if there is no
    /// slot to take.
    pub(crate) fn lend_slot(&self) -> Option<(Arc<Replica>, Self)> {
        let mut site = self.site.borrow_mut();
        let Site::Slot(slot) = &*site else { return None };
        let replica = Arc::clone(slot.replica());
        let lent = mem::replace(&mut *site, Site::SlotLent(Arc::clone(&replica)));
        let scope = Self {
            request: self.request.clone(),
            deadline: self.deadline.clone(),
            site: RefCell::new(lent),
        };
        Some((replica, scope))
    }

    pub(crate) fn request(&self) -> &Request {
        &self.request
    }

    pub(crate) fn deadline(&self) -> Option<&Arc<Deadline>> {
        self.deadline.as_ref()
    }

    /// True where a call made here is the request's own, rather than one that it leads to.
    pub(crate) fn is_outside(&self) -> bool {
        matches!(&*self.site.borrow(), Site::Outside)
    }

    fn with_replica<R>(&self, f: impl FnOnce(&Arc<Replica>) -> R) -> Option<R> {
        match &*self.site.borrow() {
            Site::Slot(slot) => Some(f(slot.replica())),
            Site::SlotLent(replica) => Some(f(replica)),
            Site::Task(_) | Site::Outside => None,
        }
    }

    /// Where the calls of the running code run.
    pub(crate) fn spawner(&self) -> Option<Arc<Spawner>> {
        match &*self.site.borrow() {
            Site::Slot(slot) => Some(slot.replica().compute.spawner()),
            Site::SlotLent(replica) => Some(replica.compute.spawner()),
            Site::Task(spawner) => Some(Arc::clone(spawner)),
            Site::Outside => None,
        }
    }

    /// Where the running replica looks deployments up.
    pub(crate) fn directory() -> Option<Arc<dyn Directory>> {
        Self::current(|scope| scope?.with_replica(|replica| Arc::clone(&replica.context.directory)))
    }
}

fn swap_current(scope: &mut Option<Scope>) {
    // Fails only on a thread that ends, where nothing runs any more.
    let _ = CURRENT.try_with(|current| mem::swap(&mut *current.borrow_mut(), scope));
}

/// Makes a scope current, and puts it and the one before back when dropped.
struct Entered<'a>(&'a mut Option<Scope>);

impl<'a> Entered<'a> {
    fn new(scope: &'a mut Option<Scope>) -> Self {
        swap_current(scope);
        Self(scope)
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        swap_current(self.0);
    }
}

pin_project! {
    /// A future in a [`Scope`]. See [`Scope::around`].
    pub(crate) struct InScope<F> {
        #[pin]
        future: Option<F>,
        scope: Option<Scope>,
        wake: Option<WakeAtEnd>,
    }

    impl<F> PinnedDrop for InScope<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            let entered = Entered::new(this.scope);
            this.future.set(None);
            drop(entered);
        }
    }
}

impl<T, E, F: Future<Output = Result<T, CallError<E>>>> Future for InScope<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let scope = this.scope.as_ref().expect("a scope is away only while it is current");
        if let Some(Some(ended)) =
            scope.with_replica(|replica| replica.has_ended().then(|| replica.ended_error()))
        {
            return Poll::Ready(Err(ended));
        }
        let entered = Entered::new(this.scope);
        let future = this.future.as_mut().as_pin_mut().expect("taken only when dropped");
        let polled = future.poll(cx);
        if polled.is_ready() {
            // While its scope is current, as when it is dropped halfway.
            this.future.set(None);
        }
        drop(entered);
        // Most short calls are ready here, and never register. A task keeps one waker for
        // life, so once is enough.
        if polled.is_pending() && this.wake.is_none() {
            *this.wake = this
                .scope
                .as_ref()
                .and_then(|scope| scope.with_replica(|replica| replica.wake_at_end(cx.waker())));
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
            let replica = scope.with_replica(|replica| Arc::clone(&replica.context));
            let ids = scope.spawner().map(|spawner| Arc::clone(&spawner.ids));
            Context::new(scope.request.clone(), scope.deadline.clone(), replica, ids.as_deref())
        }
        None => Context::new(Request::default(), None, None, None),
    })
}

/// The replica that the running method belongs to, or `None` outside of any.
#[must_use]
pub fn replica_context() -> Option<ReplicaContext> {
    Scope::current(|scope| scope?.with_replica(|replica| ReplicaContext::clone(&replica.context)))
}
