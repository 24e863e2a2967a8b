//! [`InScope`]: a future that runs in a scope, outside the path of local calls: hooks,
//! constructors, batches, and calls that another process made.

use std::pin::Pin;
use std::task::{self, Poll};

use pin_project_lite::pin_project;

use super::replica::Replica;
use super::scope::{Entered, Scope};
use crate::call::CallError;
use crate::method::Reply;
use crate::observe;

pin_project! {
    /// A future in a [`Scope`]. See [`InScope::new`] and [`InScope::call`].
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

/// The output of the future in an [`InScope`].
pub(crate) trait Ending {
    /// The outcome of work whose replica ended.
    fn ended(replica: &Replica) -> Self;
    /// True if the outcome counts as a success of the replica.
    fn is_success(&self) -> bool;
}

impl<T, E> Ending for Result<T, CallError<E>> {
    fn ended(replica: &Replica) -> Self {
        Err(replica.ended_error())
    }

    fn is_success(&self) -> bool {
        // The method's own error is no failure of the replica.
        matches!(self, Ok(_) | Err(CallError::App(_)))
    }
}

impl<T, E, A> Ending for Reply<T, E, A> {
    fn ended(replica: &Replica) -> Self {
        Self::Answer(Err(replica.ended_error()))
    }

    fn is_success(&self) -> bool {
        matches!(self, Self::Answer(answer) if answer.is_success())
    }
}

impl<F> InScope<F> {
    /// Wraps `future` so that `scope` is current while the future is polled and dropped, and so
    /// that the future fails when the replica ends. The slot is freed last.
    pub(crate) fn new(scope: Scope, future: F) -> Self {
        Self { future: Some(future), scope: Some(scope), is_call: false, sees_end: false }
    }

    /// Wraps the future of a call's method as [`new`](Self::new) does. The replica also counts
    /// its successes and panics. A future that `sees_end` is still polled after the replica
    /// ended, because its own output says what becomes of the call.
    pub(crate) fn call(scope: Scope, future: F, sees_end: bool) -> Self {
        Self { future: Some(future), scope: Some(scope), is_call: true, sees_end }
    }
}

impl<F: Future<Output: Ending>> Future for InScope<F> {
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
        let _span = observe::enter(|| Some(scope.replica()?.owner.span()));
        let entered = if *this.is_call {
            Entered::polling(this.scope, cx.waker())
        } else {
            Entered::awaiting(this.scope, cx.waker())
        };
        let future = this.future.as_mut().as_pin_mut().expect("taken only when dropped");
        let polled = future.poll(cx);
        if polled.is_ready() {
            // Dropped while its scope is current, as it is when the call is cancelled.
            this.future.set(None);
        }
        drop(entered);
        let Some(scope) = this.scope else { return polled };
        match &polled {
            // Registered only here, because most short calls are ready at their first poll.
            Poll::Pending => scope.wake_at_end(cx.waker()),
            Poll::Ready(outcome) if *this.is_call && outcome.is_success() => scope.succeeded(),
            Poll::Ready(_) => {}
        }
        polled
    }
}
