//! [`Way`]: how a call comes to its slot, from what it asks of the router to the replica that
//! it begins on.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures::future::BoxFuture;

use super::router::Router;
use crate::call::CallError;
use crate::call::context::Request;
use crate::call::pending::{Callee as _, Ticket};
use crate::deployment::{ArgumentsByPlace, RoutedCall};
use crate::replica::{Replica, Slot, Turn};

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

    /// The slot, now or when its turn comes, of a replica that has not ended.
    pub(crate) async fn slot(self) -> Result<Slot, CallError> {
        let (slot, ()) = Way::from(self, ()).settle().await?;
        Ok(slot)
    }
}

/// A call that looks for a place, as far as routing is concerned.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) method: &'static str,
    pub(crate) names: &'static [&'static str],
    pub(crate) args: &'a dyn ArgumentsByPlace,
}

impl<'a> Wanted<'a> {
    /// A call whose arguments are nobody's business.
    pub(crate) fn opaque(method: &'static str) -> Self {
        Self { method, names: &[], args: &() }
    }

    pub(super) fn of(self, request: &'a Request) -> RoutedCall<'a> {
        RoutedCall {
            method: self.method,
            names: self.names,
            session_id: request.session_id().map(|id| &**id),
            multiplexed_model_id: request.multiplexed_model_id().map(|id| &**id),
            arguments: self.args,
        }
    }
}

/// How a call comes to its slot, with its arguments.
pub(crate) enum Way<A> {
    Here(Option<(Slot, A)>),
    Queued(QueuedWith<A>),
    /// Its arguments come first.
    Arriving(BoxFuture<'static, Result<(Slot, A), CallError>>),
}

/// The arguments are only moved.
impl<A> Unpin for Way<A> {}

impl<A: 'static> Way<A> {
    pub(crate) fn from(place: Place, args: A) -> Self {
        match place {
            Place::Now(slot) => Self::Here(Some((slot, args))),
            Place::Queued(queued) => Self::Queued(queued.with(args)),
        }
    }

    /// The slot of a replica that has not ended.
    async fn settle(mut self) -> Result<(Slot, A), CallError> {
        loop {
            let (slot, args) = (&mut self).await?;
            if !slot.replica().has_ended() {
                return Ok((slot, args));
            }
            self.turn(slot, args)?;
        }
    }
}

impl<A> Future for Way<A> {
    type Output = Result<(Slot, A), CallError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            Self::Here(here) => Poll::Ready(Ok(here.take().expect("a slot is taken once"))),
            Self::Queued(queued) => Pin::new(queued).poll(cx),
            Self::Arriving(arriving) => arriving.as_mut().poll(cx),
        }
    }
}

impl<A: 'static> Turn for Way<A> {
    type Args = A;

    fn take_here(&mut self) -> Option<(Slot, A)> {
        match self {
            Self::Here(here) => here.take_if(|(slot, _)| !slot.replica().has_ended()),
            _ => None,
        }
    }

    fn again(ended: &Replica, args: A) -> Result<Self, CallError> {
        let router = Arc::clone(&ended.owner).as_any().downcast::<Router>();
        let router = router.expect("a replica's slots are its router's");
        Ok(Self::from(router.admit_again()?, args))
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
    pub(super) fn new(router: Arc<Router>, ticket: Ticket) -> Self {
        Self { router, ticket: Some(ticket) }
    }

    /// The same, with the arguments that the call waits with.
    fn with<A>(self, args: A) -> QueuedWith<A> {
        QueuedWith { call: self, args: Some(args) }
    }
}

impl Future for QueuedCall {
    type Output = Result<Slot, CallError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(ticket) = self.ticket else {
            return Poll::Ready(Err(CallError::Cancelled));
        };
        let turned = ready!(self.router.poll_turn(ticket, cx.waker()));
        self.ticket = None;
        Poll::Ready(turned)
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
        type Call = Serving<Way<(u64,)>, (), Method>;
        let added = size_of::<Call>() - size_of::<Method>();
        assert!(added <= 56, "{added} bytes: scope 40, timer 8, state 8");
    }
}
