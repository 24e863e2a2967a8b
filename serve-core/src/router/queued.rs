//! [`QueuedCall`]: the future of a call that waits for a slot.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use super::router::Router;
use crate::call::CallError;
use crate::call::pending::{Callee as _, Ticket};
use crate::replica::Slot;

/// The place of a call, once it is decided.
#[derive(Debug)]
pub(crate) enum Place {
    /// The call has a slot.
    Now(Slot),
    /// The call waits in the queue, or has a slot that it may take after the calls before it
    /// have taken theirs.
    Queued(QueuedCall),
}

impl Place {
    pub(crate) fn ticket(&self) -> Option<Ticket> {
        match self {
            Self::Now(_) => None,
            Self::Queued(queued) => queued.ticket(),
        }
    }
}

/// The future of a call that waits for a slot. Dropping it leaves the queue, or frees the slot
/// that the call had been granted.
pub(crate) struct QueuedCall {
    router: Arc<Router>,
    /// None once the call is out of the queue.
    ticket: Option<Ticket>,
}

impl QueuedCall {
    pub(super) fn new(router: Arc<Router>, ticket: Ticket) -> Self {
        Self { router, ticket: Some(ticket) }
    }

    /// The call's ticket; none once the call is out of the queue.
    pub(crate) fn ticket(&self) -> Option<Ticket> {
        self.ticket
    }
}

impl Future for QueuedCall {
    type Output = Result<Slot, CallError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(ticket) = self.ticket else {
            return Poll::Ready(Err(CallError::Cancelled));
        };
        let slot = ready!(self.router.poll_queued(ticket, cx.waker()));
        self.ticket = None;
        Poll::Ready(slot)
    }
}

impl Drop for QueuedCall {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.router.leave(ticket);
        }
    }
}

impl fmt::Debug for QueuedCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueuedCall").field("ticket", &self.ticket).finish_non_exhaustive()
    }
}
