//! [`Serving`]: the future of a call's task, which waits for the slot, runs the method, and
//! takes the call to another replica if the first one ends before the method begins.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use pin_project_lite::pin_project;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::Span;

use super::acquire::Acquire;
use super::entrance::Entrance;
use super::served::Served;
use super::start::Head;
use crate::call::CallError;
use crate::call::expiry::Expiry;
use crate::call::in_place::KnownCall;
use crate::call::in_place::{Deferred, SpawnedCall};
use crate::call::pending::{Outcome, PendingCall, QueuePosition};
use crate::method::Reply;
use crate::observe;
use crate::replica::{Entered, FirstPoll, Replica, Scope, Seat as _, Slot};
use crate::router::Router;

pin_project! {
    /// The future of a call: waits for the seat, makes the method's future and runs it in the
    /// call's scope, until the deadline passes or the replica ends.
    ///
    /// One state machine instead of a wrapper for each of these steps, because tokio moves a task's
    /// future several times. So every part is stored once, and most of the size is the user's own
    /// future.
    pub(crate) struct Serving<E: Entrance, A, B, F> {
        #[pin]
        step: Step<E, A, F>,
        // Called once for each replica: a call whose replica ends early begins again.
        begin: B,
        expiry: Expiry,
        // Last, because fields are dropped in order, and the slot in the scope is freed last.
        scope: Option<Scope>,
    }

    impl<E: Entrance, A, B, F> PinnedDrop for Serving<E, A, B, F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if let StepProjection::Running { .. } = this.step.as_mut().project() {
                let _entered = Entered::new(this.scope);
                this.step.set(Step::Done);
            }
        }
    }
}

pin_project! {
    #[project = StepProjection]
    enum Step<E: Entrance, A, F> {
        Waiting { acquire: Acquire<E, A> },
        Running { #[pin] method: F },
        /// The user's code panicked in `begin_now`, before the call had a task. The panic is
        /// resumed in the task.
        Panicked { payload: Option<Box<dyn Any + Send>> },
        /// The replica gave the call back at its poll in place. The call's task looks for
        /// another replica, since the queue knows a call by its task.
        GivenBack { args: Option<A> },
        Done,
    }
}

const TYPES: &str = "a response has the types of its call";
const AWAY: &str = "a scope is away only while it is current";

impl<E, A, B, F> Serving<E, A, B, F>
where
    E: Entrance,
    B: FnOnce(&mut Option<Scope>, A) -> F + Clone,
{
    /// A call that gets its seat and its arguments from `acquire`.
    ///
    /// `begin` makes the method's future. It is called when the task first runs, so that until
    /// then the call can go to another replica.
    pub(crate) fn new(acquire: Acquire<E, A>, head: Head, begin: B) -> Self {
        let Head { request, deadline } = head;
        let scope = Some(Scope::outside(request, deadline));
        Self { step: Step::Waiting { acquire }, begin, expiry: Expiry::default(), scope }
    }

    /// Begins the call right away if it has its seat, instead of when its task first runs.
    ///
    /// Tokio does not run tasks in the order in which they were spawned: a worker first runs
    /// the task that it spawned last. Calls that share a batch, or that are sent to another
    /// process, have to begin in the order in which they were made.
    pub(super) fn begin_now(mut self) -> Self {
        let scope = self.scope.as_mut().expect(AWAY);
        let deadline = scope.deadline().and_then(|deadline| deadline.at());
        if deadline.is_some_and(|at| at <= Instant::now()) {
            return self;
        }
        let Step::Waiting { acquire } = &mut self.step else { return self };
        let Some((seat, args)) = acquire.take_ready() else { return self };
        seat.take(scope);
        let (begin, scope) = (self.begin.clone(), &mut self.scope);
        self.step = match catch_unwind(AssertUnwindSafe(|| begin(scope, args))) {
            Ok(method) => Step::Running { method },
            Err(payload) => Step::Panicked { payload: Some(payload) },
        };
        self
    }
}

impl<E, A, B, F> Future for Serving<E, A, B, F>
where
    E: Entrance,
    A: Send + 'static,
    B: FnOnce(&mut Option<Scope>, A) -> F + Clone,
    F: Served<Args = A>,
{
    type Output = Outcome<F::Ok, F::Err>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.advance::<false>(cx)
    }
}

impl<E, A, B, F> Serving<E, A, B, F>
where
    E: Entrance,
    A: Send + 'static,
    B: FnOnce(&mut Option<Scope>, A) -> F + Clone,
    F: Served<Args = A>,
{
    /// Polls the call. With `IN_PLACE`, the call has no task, and nothing is registered to wake it:
    /// if the call is pending, a task polls it again.
    #[inline]
    fn advance<const IN_PLACE: bool>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Outcome<F::Ok, F::Err>> {
        let mut this = self.as_mut().project();
        let scope = this.scope.as_mut().expect(AWAY);
        if let Some(deadline) = scope.deadline()
            && if IN_PLACE {
                Expiry::has_passed(deadline)
            } else {
                this.expiry.passed(deadline, cx)
            }
        {
            traced(scope, "late: dropped at its deadline");
            return Poll::Ready(Err(Box::new(CallError::DeadlineExceeded)));
        }
        match this.step.as_mut().project() {
            StepProjection::Waiting { acquire } => {
                let (seat, args) = match acquire.take_ready() {
                    Some(got) => got,
                    // The replica ended. The task looks for another seat, since a place in the
                    // queue is known by the task that waits for it.
                    None if IN_PLACE => return Poll::Pending,
                    None => match ready!(acquire.poll_settled(cx)) {
                        Ok(got) => got,
                        Err(error) => return Poll::Ready(Err(Box::new((*error).widen()))),
                    },
                };
                seat.take(scope);
                let method = this.begin.clone()(this.scope, args);
                this.step.set(Step::Running { method });
            }
            StepProjection::Running { method } => {
                if let Some(replica) = scope.replica()
                    && replica.has_ended()
                    && !method.sees_end()
                {
                    traced(scope, "dropped: its replica ended");
                    return Poll::Ready(Err(Box::new(replica.ended_error())));
                }
            }
            StepProjection::Panicked { payload } => {
                let payload = payload.take().expect("a task is not polled after it panicked");
                let _entered = Entered::polling(this.scope, cx.waker());
                resume_unwind(payload);
            }
            StepProjection::GivenBack { args } => {
                let args = args.take().expect("arguments are given back once");
                self.go_elsewhere(args);
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            StepProjection::Done => {}
        }
        let _span = observe::enter(|| own_span(this.scope.as_ref()));
        let entered = Entered::polling(this.scope, cx.waker());
        let StepProjection::Running { method } = this.step.as_mut().project() else {
            unreachable!("a task is not polled after it was ready");
        };
        let polled = method.poll(cx);
        if polled.is_ready() {
            // The method's future is dropped while its scope is current, as it is when the call
            // is cancelled: what it drops may look at the context.
            this.step.set(Step::Done);
        }
        drop(entered);
        match polled {
            Poll::Pending => {
                // Registered only here, because most short calls are ready at their first poll.
                if !IN_PLACE && let Some(scope) = this.scope {
                    scope.wake_at_end(cx.waker());
                }
                Poll::Pending
            }
            Poll::Ready(Reply::Answer(answer)) => {
                // The method's own error is no failure of the replica.
                if let Ok(_) | Err(CallError::App(_)) = &answer
                    && let Some(scope) = this.scope
                {
                    scope.succeeded();
                }
                Poll::Ready(answer.map_err(Box::new))
            }
            Poll::Ready(Reply::GivenBack(args)) => {
                if IN_PLACE {
                    this.step.set(Step::GivenBack { args: Some(args) });
                    return Poll::Pending;
                }
                self.go_elsewhere(args);
                // Woken instead of polled right here, because a function that calls itself is
                // not inlined into tokio's task.
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }
}

impl<A, B, F> Serving<Router, A, B, F>
where
    F: Served,
{
    /// The replica of a call that has its seat.
    fn replica(&self) -> Option<&Arc<Replica>> {
        let seat = match &self.step {
            Step::Waiting { acquire } => acquire.seat(),
            _ => None,
        };
        // A call whose method panicked before it had a future has its seat in its scope.
        let scope = || self.scope.as_ref().and_then(Scope::serving_replica);
        seat.map(Slot::replica).or_else(scope)
    }

    /// True if the call's deadline has passed.
    #[cold]
    fn is_late(&self) -> bool {
        let deadline = self.scope.as_ref().and_then(Scope::deadline);
        deadline.is_some_and(|deadline| Expiry::has_passed(deadline))
    }

    /// Reports the first poll to the owner of the call's replica.
    #[cold]
    #[inline(never)]
    fn judge(&self, poll: FirstPoll) {
        if let (Some((method, _)), Some(replica)) = (F::JUDGED, self.replica()) {
            replica.owner.judge(method, poll);
        }
    }

    /// Returns the runtime that the call is spawned on. Counts the call as not polled in place or,
    /// with `forgotten`, as a call that never begins.
    fn undeferred(&self, forgotten: bool) -> Handle {
        let Some(replica) = self.replica() else { return Handle::current() };
        replica.owner.undeferred(F::JUDGED.map_or(usize::MAX, |(method, _)| method), forgotten);
        replica.compute.runtime().tokio.clone()
    }
}

impl<A, B, F> Deferred for Serving<Router, A, B, F>
where
    A: Send + 'static,
    B: FnOnce(&mut Option<Scope>, A) -> F + Clone + Send + 'static,
    F: Served<Args = A, Ok: Send + 'static, Err: Send + 'static> + Send + 'static,
{
    fn poll_in_place(mut self: Pin<&mut Self>, output: &mut dyn Any, known: &mut KnownCall) {
        let output: &mut Option<Outcome<F::Ok, F::Err>> = output.downcast_mut().expect(TYPES);
        let mut context = Context::from_waker(Waker::noop());
        let watch = FirstPoll::watch();
        let mut polled = self.as_mut().advance::<true>(&mut context);
        if let Some(poll) = FirstPoll::observed(watch, polled.is_ready()) {
            self.judge(poll);
            // A caller that waits for a task hears of its deadline, whatever the task returns later.
            if poll.is_overdue() && polled.is_ready() && self.is_late() {
                polled = Poll::Ready(Err(Box::new(CallError::DeadlineExceeded)));
            }
        }
        let Poll::Ready(outcome) = polled else { return };
        *output = Some(outcome);
        let request = self.scope.as_ref().expect(AWAY).request().clone();
        let seed = self.replica().map_or(0, |replica| replica.compute.ids().seed());
        let method = F::JUDGED.map_or("", |(_, name)| name);
        *known = KnownCall::Ended { request, seed, method };
    }

    fn has_span(&self) -> bool {
        self.replica().is_some_and(|replica| !replica.owner.span().is_disabled())
    }

    fn pending(&self) -> PendingCall {
        let (scope, replica) = (self.scope.as_ref().expect(AWAY), self.replica());
        let replica = replica.expect("a deferred call has its seat");
        PendingCall {
            callee: replica.owner.callee(),
            seed: replica.compute.ids().seed(),
            method: F::JUDGED.map_or("", |(_, name)| name),
            request: scope.request().clone(),
            deadline: scope.deadline().cloned(),
            position: QueuePosition::Started,
        }
    }

    fn spawn_into(self: Pin<Box<Self>>, task: &mut dyn Any) {
        let task: &mut Option<JoinHandle<Outcome<F::Ok, F::Err>>> =
            task.downcast_mut().expect(TYPES);
        *task = Some(self.undeferred(false).spawn(self));
    }

    fn spawn(self: Pin<Box<Self>>) -> Box<dyn SpawnedCall> {
        Box::new(self.undeferred(false).spawn(self))
    }

    fn forget(&self) {
        self.undeferred(true);
    }
}

impl<E: Entrance, A: Send + 'static, B, F> Serving<E, A, B, F> {
    /// Looks for another replica for a call whose replica ended before the method began.
    #[cold]
    #[inline(never)]
    fn go_elsewhere(self: Pin<&mut Self>, args: A) {
        let mut this = self.project();
        if let Some(scope) = this.scope {
            traced(scope, "given back: goes to another replica");
        }
        let owner = this.scope.as_mut().and_then(Scope::leave_replica);
        let owner = owner.expect("only a replica gives a call back");
        let acquire = Acquire::again(owner, args);
        this.step.set(Step::Waiting { acquire });
    }
}

/// The span of the deployment that serves the call.
fn own_span(scope: Option<&Scope>) -> Option<&Span> {
    scope.and_then(Scope::serving_replica).map(|replica| replica.owner.span())
}

/// Records an end of a call as an event, in the span of the call's deployment.
#[cold]
fn traced(scope: &Scope, what: &str) {
    match scope.serving_replica() {
        Some(replica) => {
            let id = replica.context.replica_id();
            tracing::trace!(parent: replica.owner.span(), replica = id, "{what}");
        }
        None => tracing::trace!("{what}, before it had a replica"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tokio moves a task's future about seven times, and a task that is more than 128 bytes
    /// larger than that of a bare `tokio::spawn` costs more to allocate.
    #[test]
    fn a_call_adds_little_to_the_future_of_its_method() {
        type Method = [u64; 8];
        type Call = Serving<Router, (u64,), (), Method>;
        let added = size_of::<Call>() - size_of::<Method>();
        assert!(added <= 56, "{added} bytes: scope 40, timer 8, state 8");
    }
}
