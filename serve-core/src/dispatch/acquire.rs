//! [`Acquire`]: the future that gets a call its seat and its arguments.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures::future::BoxFuture;

use super::entrance::Entrance;
use crate::call::pending::Outcome;
use crate::replica::{Seat, SlotOwner};

/// The future of a call's seat and arguments.
///
/// The future is kept until the call has begun: if calls begin in order, the next call waits until
/// the [`QueuedCall`](crate::router::QueuedCall) in this future is dropped.
pub(crate) enum Acquire<E: Entrance, A> {
    /// The call got its seat when it was made, as most calls do. None once the seat was taken.
    Ready(Option<(E::Seat, A)>),
    /// The call waits in the queue.
    Queued { queued: E::Queued, args: Option<A> },
    /// The call's replica ended before the call began. The call waits for another seat.
    Again { seat: BoxFuture<'static, Outcome<E::Seat>>, args: Option<A> },
    /// The call waits for arguments from other calls, and then for its place.
    Arriving(BoxFuture<'static, Outcome<Self>>),
}

/// No field is pinned in place: the futures are `Unpin`, and the arguments are only moved.
impl<E: Entrance, A> Unpin for Acquire<E, A> {}

impl<E: Entrance, A> Acquire<E, A> {
    pub(super) fn ready(seat: E::Seat, args: A) -> Self {
        Self::Ready(Some((seat, args)))
    }

    pub(super) fn queued(queued: E::Queued, args: A) -> Self {
        Self::Queued { queued, args: Some(args) }
    }

    /// The seat of a call that got it when it was made and has not begun.
    pub(super) fn seat(&self) -> Option<&E::Seat> {
        match self {
            Self::Ready(ready) => ready.as_ref().map(|(seat, _)| seat),
            _ => None,
        }
    }

    /// Looks for another seat for a call that its replica gave back. The call's new place in
    /// the queue is decided when this function returns.
    pub(super) fn again(owner: Arc<dyn SlotOwner>, args: A) -> Self {
        Self::Again { seat: E::Seat::again(owner), args: Some(args) }
    }

    /// The seat and the arguments, if the call has them and the seat has not ended.
    ///
    /// A function apart from the future, because most calls need no more, and the result of a
    /// poll passes through memory.
    #[inline]
    pub(super) fn take_ready(&mut self) -> Option<(E::Seat, A)> {
        match self {
            Self::Ready(ready) => ready.take_if(|(seat, _)| !seat.has_ended()),
            _ => None,
        }
    }

    /// Waits for a seat that has not ended.
    #[inline(never)]
    pub(super) fn poll_settled(&mut self, cx: &mut Context<'_>) -> Poll<Outcome<(E::Seat, A)>> {
        loop {
            let (seat, args) = ready!(Pin::new(&mut *self).poll(cx))?;
            if !seat.has_ended() {
                return Poll::Ready(Ok((seat, args)));
            }
            *self = Self::Again { seat: seat.exchange(), args: Some(args) };
        }
    }
}

impl<E: Entrance, A> Future for Acquire<E, A> {
    type Output = Outcome<(E::Seat, A)>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        const ONCE: &str = "a seat is taken once";
        if let Self::Arriving(arriving) = &mut *self {
            *self = ready!(arriving.as_mut().poll(cx))?;
        }
        match &mut *self {
            Self::Ready(ready) => Poll::Ready(Ok(ready.take().expect(ONCE))),
            Self::Queued { queued, args } => {
                let seat = ready!(Pin::new(queued).poll(cx))?;
                Poll::Ready(Ok((seat, args.take().expect(ONCE))))
            }
            Self::Again { seat, args } => {
                let seat = ready!(seat.as_mut().poll(cx))?;
                Poll::Ready(Ok((seat, args.take().expect(ONCE))))
            }
            Self::Arriving(_) => unreachable!("what has arrived is at its place"),
        }
    }
}
