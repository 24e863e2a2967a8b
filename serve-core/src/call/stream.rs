//! [`ResponseStream`]: a call in flight that will give many values.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::{Stream, StreamExt};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::blocking;
use super::error::CallError;
use super::expiry::CallerExpiry;
use super::pending::{Outcome, PendingCall};
use super::response::outcome;

/// Items that wait between producer and consumer, at most. Enough that neither is woken
/// for each item; small, because a slow consumer is meant to stop its producer.
pub(crate) const STREAM_CAPACITY: usize = 16;

/// A call in flight that gives many `T`: a stream of `Result<T, CallError<E>>`.
///
/// It is bounded: a producer that is 16 items ahead waits for its consumer. A failure
/// of the call itself (deadline, panic, a replica that ended) is its last item.
///
/// **Dropping it stops the producer** at its next await (a `#[blocking]` one at its next
/// item), and every call that the producer had started. A stream is no ordinary argument; collect it first:
/// `let items: Vec<_> = stream.try_collect().await?;`
#[must_use = "dropping a stream cancels its call; read it, or `detach()` it"]
pub struct ResponseStream<T, E = Infallible> {
    items: Option<mpsc::Receiver<Outcome<T, E>>>,
    state: State<E>,
    call: PendingCall,
    expiry: CallerExpiry,
}

enum State<E> {
    Running(JoinHandle<Outcome<(), E>>),
    Refused(Box<CallError<E>>),
    Done,
}

impl<T, E> Unpin for ResponseStream<T, E> {}

impl<T, E> ResponseStream<T, E> {
    /// The stream of a call that has a task, or was refused.
    pub(crate) fn started(
        call: PendingCall,
        items: mpsc::Receiver<Outcome<T, E>>,
        task: Outcome<JoinHandle<Outcome<(), E>>>,
    ) -> Self {
        let (items, state) = match task {
            Ok(task) => (Some(items), State::Running(task)),
            Err(error) => (None, State::Refused(Box::new(error.widen()))),
        };
        Self { items, state, call, expiry: CallerExpiry::default() }
    }

    /// The id of the request that the call belongs to.
    #[must_use]
    pub fn request_id(&self) -> String {
        self.call.request_id().to_string()
    }

    /// Stops the producer at its next await, a `#[blocking]` one at its next item. Items that
    /// it had made are still given, then [`CallError::Cancelled`].
    pub fn cancel(&self) {
        if let State::Running(task) = &self.state {
            self.call.cancel(task.id());
            task.abort();
        }
    }

    /// Lets the producer run to its end unattended, free of the caller's deadline; its
    /// further items are thrown away.
    pub fn detach(mut self)
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        self.call.detach();
        self.state = State::Done;
        if let Some(mut items) = self.items.take() {
            // Gone only if the producer is.
            if let Some(tokio) = self.call.tokio() {
                tokio.spawn(async move { while items.recv().await.is_some() {} });
            }
        }
    }

    /// Ends the stream if its deadline has passed, though its producer has not heard of that.
    fn late(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, CallError<E>>>> {
        if !self.expiry.passed(&self.call, cx) {
            return Poll::Pending;
        }
        self.cancel();
        (self.items, self.state) = (None, State::Done);
        Poll::Ready(Some(Err(CallError::DeadlineExceeded)))
    }

    pub(crate) fn full_name(&self) -> String {
        self.call.full_name()
    }

    /// The items for synchronous code: blocks the thread until the next one is there.
    ///
    /// Where blocking would stop async work, it gives one
    /// [`CallError::BlockingInAsync`] and ends.
    pub fn blocking_iter(self) -> BlockingIter<T, E> {
        BlockingIter { stream: Some(self) }
    }
}

impl<T, E> Stream for ResponseStream<T, E> {
    type Item = Result<T, CallError<E>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if let Some(items) = &mut this.items {
            match items.poll_recv(cx) {
                Poll::Ready(Some(item)) => {
                    return Poll::Ready(Some(item.map_err(|error| *error)));
                }
                Poll::Ready(None) => this.items = None,
                Poll::Pending => return this.late(cx),
            }
        }
        if let State::Running(task) = &mut this.state {
            let Poll::Ready(end) = Pin::new(task).poll(cx) else { return this.late(cx) };
            this.state = State::Done;
            return Poll::Ready(outcome(end).err().map(Err));
        }
        match std::mem::replace(&mut self.state, State::Done) {
            State::Refused(error) => Poll::Ready(Some(Err(*error))),
            _ => Poll::Ready(None),
        }
    }
}

impl<T, E> Drop for ResponseStream<T, E> {
    fn drop(&mut self) {
        self.cancel();
    }
}

impl<T, E> fmt::Debug for ResponseStream<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseStream").field("call", &self.call).finish_non_exhaustive()
    }
}

/// The items of a [`ResponseStream`], for synchronous code. Dropping it stops the
/// producer.
#[must_use = "dropping it cancels the call"]
pub struct BlockingIter<T, E = Infallible> {
    stream: Option<ResponseStream<T, E>>,
}

impl<T, E> Iterator for BlockingIter<T, E> {
    type Item = Result<T, CallError<E>>;

    fn next(&mut self) -> Option<Self::Item> {
        let stream = self.stream.as_mut()?;
        if !blocking::may_block() {
            self.stream = None;
            return Some(Err(CallError::BlockingInAsync));
        }
        blocking::wait(stream.next())
    }
}

impl<T, E> fmt::Debug for BlockingIter<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BlockingIter").field(&self.stream).finish()
    }
}
