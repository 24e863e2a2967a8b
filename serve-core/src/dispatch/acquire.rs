//! [`Acquire`]: the future that brings a call, with its arguments, to its seat.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures::future::BoxFuture;

use super::entrance::Entrance;
use crate::call::CallError;
use crate::replica::{Seat, SlotOwner};

/// How a call comes to its seat, with its arguments.
///
/// It is kept until the call has begun: where calls begin in order, the next one waits for the
/// [`QueuedCall`](crate::router::QueuedCall) in it to be dropped.
pub(crate) enum Acquire<E: Entrance, A> {
    /// The seat was decided when the call was made: most calls by far.
    Ready(Option<(E::Seat, A)>),
    /// The call waits in the queue.
    Queued { queued: E::Queued, args: Option<A> },
    /// The call's replica ended before the call began, and another is looked for.
    Again { seat: BoxFuture<'static, Result<E::Seat, CallError>>, args: Option<A> },
    /// The arguments come first, and then the place.
    Arriving(BoxFuture<'static, Result<Self, CallError>>),
}

/// The arguments are only moved.
impl<E: Entrance, A> Unpin for Acquire<E, A> {}

impl<E: Entrance, A> Acquire<E, A> {
    pub(super) fn ready(seat: E::Seat, args: A) -> Self {
        Self::Ready(Some((seat, args)))
    }

    pub(super) fn queued(queued: E::Queued, args: A) -> Self {
        Self::Queued { queued, args: Some(args) }
    }

    /// For a call that its replica gave back. The new place is decided when this returns.
    pub(super) fn again(owner: Arc<dyn SlotOwner>, args: A) -> Self {
        Self::Again { seat: E::Seat::again(owner), args: Some(args) }
    }

    /// The seat, if it is at hand and has not ended. Apart from the future, whose result
    /// passes through memory, because most calls take this way.
    #[inline]
    pub(super) fn take_ready(&mut self) -> Option<(E::Seat, A)> {
        match self {
            Self::Ready(ready) => ready.take_if(|(seat, _)| !seat.has_ended()),
            _ => None,
        }
    }

    /// Waits for a seat that has not ended.
    #[inline(never)]
    pub(super) fn poll_settled(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(E::Seat, A), CallError>> {
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
    type Output = Result<(E::Seat, A), CallError>;

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
