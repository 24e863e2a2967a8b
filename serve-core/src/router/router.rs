//! [`Router`]: the running end of a deployment in this process.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng};
use tokio::sync::Notify;

use super::admission::{Admission, Admitted, Freed};
use super::queue::Waiting;
use crate::call::CallError;
use crate::call::context::Request;
use crate::call::pending::{Callee, Ticket};
use crate::call::spawner::Spawner;
use crate::replica::{Release, Replica, Slot};

/// The running end of a deployment: its replicas, their slots, and who waits for them.
///
/// It outlives its replicas: handles keep it, and a redeployed deployment gets its old
/// one back.
pub(crate) struct Router {
    name: Arc<str>,
    application: Arc<str>,
    spawner: Arc<Spawner>,
    /// In nanoseconds; 0 is none.
    request_timeout: AtomicU64,
    state: Mutex<State>,
    /// Told whenever the last call of a draining replica ends, or the queue empties.
    quiet: Notify,
}

/// What a router's lock guards.
pub(crate) struct State {
    admission: Admission,
    /// By the keys of `admission`.
    replicas: Vec<Option<Arc<Replica>>>,
    random: SmallRng,
    /// The number of the next request that begins here. Under the lock that a call takes
    /// anyway, which is cheaper than an atomic of its own.
    next_request: u64,
    /// Why no call is taken, if none is.
    closed: Option<String>,
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
                closed: None,
            }),
            quiet: Notify::new(),
        }
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(crate) fn application(&self) -> &Arc<str> {
        &self.application
    }

    /// A request that begins here.
    pub(crate) fn new_request(&self) -> Request {
        self.state.lock().new_request()
    }

    pub(crate) fn request_timeout(&self) -> Option<Duration> {
        match self.request_timeout.load(Ordering::Relaxed) {
            0 => None,
            nanos => Some(Duration::from_nanos(nanos)),
        }
    }

    /// Options that hold for the whole deployment.
    pub(crate) fn configure(
        &self,
        max_queued_requests: Option<usize>,
        request_timeout: Option<Duration>,
    ) {
        // No timeout is as long as 584 years.
        let nanos = request_timeout
            .map_or(0, |timeout| u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX).max(1));
        self.request_timeout.store(nanos, Ordering::Relaxed);
        self.state.lock().admission.set_max_queued(max_queued_requests);
    }

    /// Decides a call's place: a slot, the end of the queue, or neither.
    pub(crate) fn admit(self: &Arc<Self>) -> Result<Place, CallError> {
        self.place(self.state.lock())
    }

    /// The first half of [`Router::admit`], for calls that find a free slot. Without one,
    /// `place` decides, under the same lock.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    pub(crate) fn place(
        self: &Arc<Self>,
        mut state: MutexGuard<'_, State>,
    ) -> Result<Place, CallError> {
        let State { admission, replicas, random, closed, .. } = &mut *state;
        if let Some(reason) = closed {
            return Err(CallError::Unavailable {
                deployment: self.name.to_string(),
                started: false,
                reason: reason.clone(),
            });
        }
        match admission.admit(|n| random.random_range(0..n)) {
            Admitted::Now(key) => {
                let replica = replicas[key].as_ref().map(Arc::clone);
                drop(state);
                Ok(Place::Now(Self::slot(replica)))
            }
            Admitted::Queued(ticket) => {
                drop(state);
                Ok(Place::Queued(QueuedCall { router: Arc::clone(self), ticket: Some(ticket) }))
            }
            Admitted::Overloaded { queued, limit } => Err(CallError::Overloaded {
                queued,
                limit,
                retry_after: crate::error::Fault::Overloaded.retry_after(),
            }),
        }
    }

    fn slot(replica: Option<Arc<Replica>>) -> Slot {
        Slot::new(replica.expect("a replica stays until its last slot is free"))
    }

    /// A replica joins and takes calls at once, queued ones first.
    pub(crate) fn add(&self, replica: Arc<Replica>, limit: usize) -> usize {
        let mut state = self.state.lock();
        state.closed = None;
        let (key, wakers) = state.admission.add(limit);
        if state.replicas.len() <= key {
            state.replicas.resize(key + 1, None);
        }
        replica.set_key(key);
        state.replicas[key] = Some(replica);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        key
    }

    /// Takes a replica out of routing and waits until its calls have ended, at most
    /// `timeout`; what runs then is ended.
    pub(crate) async fn drain(&self, key: usize, timeout: Duration) -> Option<Arc<Replica>> {
        let (replica, ongoing) = {
            let mut state = self.state.lock();
            let replica = state.replicas.get(key)?.clone()?;
            (replica, state.admission.drain(key))
        };
        if ongoing > 0 {
            let idle = self.until(|state| state.admission.ongoing(key) == 0);
            if tokio::time::timeout(timeout, idle).await.is_err() {
                replica.end();
                // Async calls go at once. Compute work cannot be stopped, and keeps the
                // instance until it returns; the router forgets it all the same then.
                return Some(replica);
            }
        }
        let mut state = self.state.lock();
        if state.admission.ongoing(key) == 0 {
            state.forget(key);
        }
        Some(replica)
    }

    /// Ends a replica and forgets it as soon as its last call has ended, without waiting.
    pub(crate) fn discard(&self, key: usize, replica: &Arc<Replica>) {
        let mut state = self.state.lock();
        let known = state.replicas.get(key).and_then(Option::as_ref);
        if !known.is_some_and(|known| Arc::ptr_eq(known, replica)) {
            return;
        }
        let gone = match state.admission.drain(key) {
            0 => state.forget(key),
            _ => None,
        };
        drop(state);
        // May drop the instance, which may hold handles.
        drop(gone);
        replica.end();
    }

    /// Waits until no call is queued, at most `timeout`.
    pub(crate) async fn drain_queue(&self, timeout: Duration) {
        let empty = self.until(|state| state.admission.queued() == 0);
        // What still waits then is turned away by `close`.
        let _ = tokio::time::timeout(timeout, empty).await;
    }

    async fn until(&self, holds: impl Fn(&State) -> bool) {
        loop {
            let told = self.quiet.notified();
            let mut told = std::pin::pin!(told);
            // Registered before the look, so that no word is missed between the two.
            told.as_mut().enable();
            if holds(&self.state.lock()) {
                return;
            }
            told.await;
        }
    }

    /// Takes a replica out of routing. Its running calls go on.
    pub(crate) fn retire(&self, key: usize) {
        self.state.lock().admission.drain(key);
    }

    /// Takes no more calls. Those that wait are still served.
    pub(crate) fn refuse(&self, reason: &str) {
        self.state.lock().closed = Some(reason.to_owned());
    }

    /// Takes no more calls, and turns away those that wait.
    pub(crate) fn close(&self, reason: &str) {
        let mut state = self.state.lock();
        state.closed = Some(reason.to_owned());
        let wakers = state.admission.clear_queue();
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    fn closed_error(&self) -> CallError {
        match &self.state.lock().closed {
            Some(reason) => CallError::Unavailable {
                deployment: self.name.to_string(),
                started: false,
                reason: reason.clone(),
            },
            None => CallError::Cancelled,
        }
    }

    pub(crate) fn status(&self) -> RouterStatus {
        let state = self.state.lock();
        let ongoing = (0..state.replicas.len()).map(|key| state.admission.ongoing(key)).sum();
        RouterStatus { queued: state.admission.queued(), ongoing }
    }
}

impl State {
    /// A slot, if one is free and calls are taken.
    pub(crate) fn free_slot(&mut self) -> Option<Slot> {
        if self.closed.is_some() {
            return None;
        }
        let key = self.admission.admit_now(|n| self.random.random_range(0..n))?;
        Some(Router::slot(self.replicas[key].clone()))
    }

    pub(crate) fn new_request(&mut self) -> Request {
        let number = self.next_request;
        self.next_request += 1;
        Request::new(number)
    }

    fn forget(&mut self, key: usize) -> Option<Arc<Replica>> {
        let replica = self.replicas[key].take();
        if replica.is_some() {
            self.admission.remove(key);
        }
        replica
    }
}

impl Release for Router {
    fn release(&self, key: usize) {
        let mut state = self.state.lock();
        let freed = state.admission.release(key);
        let queue_emptied = state.admission.queued() == 0;
        // Dropped after the lock is: its instance may hold handles, and so slots.
        let gone = match freed {
            Freed::Drained if state.replicas[key].as_ref().is_some_and(|r| r.has_ended()) => {
                state.forget(key)
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
}

impl Callee for Router {
    fn name(&self) -> &str {
        &self.name
    }

    fn spawner(&self) -> &Arc<Spawner> {
        &self.spawner
    }

    fn leave(&self, ticket: Ticket) {
        let mut state = self.state.lock();
        // Its turn may have come without its task having seen it: the slot is free at once too.
        let granted = state.admission.abandon(ticket);
        let empty = state.admission.queued() == 0;
        drop(state);
        if let Some(key) = granted {
            self.release(key);
        }
        if empty {
            self.quiet.notify_waiters();
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

/// The place that a call got.
#[derive(Debug)]
pub(crate) enum Place {
    Now(Slot),
    Queued(QueuedCall),
}

impl Place {
    pub(crate) fn ticket(&self) -> Option<Ticket> {
        match self {
            Self::Now(_) => None,
            Self::Queued(queued) => queued.ticket,
        }
    }

    /// The slot, now or when its turn comes.
    pub(crate) async fn slot(self) -> Result<Slot, CallError> {
        match self {
            Self::Now(slot) => Ok(slot),
            Self::Queued(queued) => queued.await,
        }
    }
}

/// A call that waits for a slot. Dropping it leaves the queue, or frees the slot that it
/// had been granted.
pub(crate) struct QueuedCall {
    router: Arc<Router>,
    /// None once it is out of the queue.
    ticket: Option<Ticket>,
}

impl QueuedCall {
    pub(crate) fn ticket(&self) -> Option<Ticket> {
        self.ticket
    }

    /// The same, with the arguments that the call waits with.
    pub(crate) fn with<A>(self, args: A) -> QueuedWith<A> {
        QueuedWith { call: self, args: Some(args) }
    }
}

impl Future for QueuedCall {
    type Output = Result<Slot, CallError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(ticket) = self.ticket else {
            return Poll::Ready(Err(CallError::Cancelled));
        };
        let mut state = self.router.state.lock();
        match state.admission.poll(ticket, cx.waker()) {
            Waiting::InLine => Poll::Pending,
            Waiting::Granted(key) => {
                let replica = state.replicas[key].clone();
                drop(state);
                self.ticket = None;
                Poll::Ready(Ok(Router::slot(replica)))
            }
            Waiting::Gone => {
                drop(state);
                self.ticket = None;
                Poll::Ready(Err(self.router.closed_error()))
            }
        }
    }
}

impl Drop for QueuedCall {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.router.leave(ticket);
        }
    }
}

/// A queued call and its arguments.
pub(crate) struct QueuedWith<A> {
    call: QueuedCall,
    args: Option<A>,
}

/// The arguments are only moved.
impl<A> Unpin for QueuedWith<A> {}

impl<A> Future for QueuedWith<A> {
    type Output = Result<(Slot, A), CallError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let slot = ready!(Pin::new(&mut self.call).poll(cx))?;
        let args = self.args.take().expect("a slot is waited for once");
        Poll::Ready(Ok((slot, args)))
    }
}

impl fmt::Debug for QueuedCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueuedCall").field("ticket", &self.ticket).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replica::Serving;

    /// tokio moves a task's future about seven times, and a task of more than 128 bytes
    /// beyond that of a bare `tokio::spawn` costs more to allocate.
    #[test]
    fn a_call_adds_little_to_the_future_of_its_method() {
        type Method = [u64; 8];
        type Call = Serving<QueuedWith<(u64,)>, (), Method>;
        let added = size_of::<Call>() - size_of::<Method>();
        assert!(added <= 56, "{added} bytes: scope 40, timer 8, state 8");
    }
}
