//! [`QueuedCall`]: the future of a call that waits for a slot.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use super::router::Router;
use crate::call::CallError;
use crate::call::callee::{Callee as _, Ticket};
use crate::call::pending::Outcome;
use crate::replica::Slot;

/// The place of a call, once it is decided.
#[derive(Debug)]
pub(crate) enum Placement {
    /// The call has a slot.
    Now(Slot),
    /// The call waits in the queue, or has a slot that it may take after the calls before it
    /// have taken theirs.
    Queued(QueuedCall),
}

impl Placement {
    pub(crate) fn ticket(&self) -> Option<Ticket> {
        match self {
            Self::Now(_) => None,
            Self::Queued(queued) => queued.ticket(),
        }
    }
}

/// The future of a call that waits for a slot. Dropping it before the slot is granted leaves the
/// queue; dropping it before the slot is taken frees the slot.
///
/// If calls begin in order, this future is dropped when the call has begun: only then may the next
/// call take its slot.
pub(crate) struct QueuedCall {
    router: Arc<Router>,
    state: State,
}

enum State {
    Waiting(Ticket),
    /// The call has its slot, of the replica with this key, and other calls wait for it to begin.
    Beginning(usize, Ticket),
    Done,
}

impl QueuedCall {
    pub(super) fn new(router: Arc<Router>, ticket: Ticket) -> Self {
        Self { router, state: State::Waiting(ticket) }
    }

    /// The call's ticket, or `None` once the call is out of the queue.
    pub(crate) fn ticket(&self) -> Option<Ticket> {
        match self.state {
            State::Waiting(ticket) => Some(ticket),
            State::Beginning(..) | State::Done => None,
        }
    }
}

impl Future for QueuedCall {
    type Output = Outcome<Slot>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let State::Waiting(ticket) = self.state else {
            return Poll::Ready(Err(Box::new(CallError::Cancelled)));
        };
        let polled = ready!(self.router.poll_queued(ticket, cx.waker()));
        self.state = match &polled {
            Ok((slot, true)) => State::Beginning(slot.replica().key(), ticket),
            Ok((_, false)) | Err(_) => State::Done,
        };
        Poll::Ready(polled.map(|(slot, _)| slot))
    }
}

impl Drop for QueuedCall {
    fn drop(&mut self) {
        match self.state {
            State::Waiting(ticket) => self.router.leave(ticket),
            State::Beginning(key, ticket) => self.router.begun(key, ticket),
            State::Done => {}
        }
    }
}

impl fmt::Debug for QueuedCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueuedCall").field("ticket", &self.ticket()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::request::Request;
    use crate::call::runtime_context::RuntimeContext;
    use crate::router::{Called, RouteRequest};
    use tokio::runtime::Handle;

    /// A deployment that is deleted may be run again before the task of a call that was turned away
    /// hears of it. Nobody cancelled that call.
    #[tokio::test]
    async fn a_call_that_was_turned_away_says_so_though_its_deployment_is_back() {
        let runtime = Arc::new(RuntimeContext::new(Handle::current(), 0));
        let router = Router::new("Model", "app", &runtime, 0, 0).registered();
        let term = router.begin_term();
        let call = RouteRequest::opaque("answer");
        let placed = router.place(router.lock(), &Request::new(1), call, Called::UNCOUNTED);
        let Ok(Placement::Queued(queued)) = placed else { panic!("{placed:?}") };
        router.close(term, "it was deleted");
        router.begin_term();
        let error = queued.await.expect_err("it was turned away");
        let CallError::Unavailable { started: false, reason, .. } = &*error else {
            panic!("{error:?}")
        };
        assert_eq!(reason, "it was deleted");
    }
}
