//! [`ResponseStream`]: a call in flight that returns many values.

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

/// The largest number of items that wait between producer and consumer. Large enough that neither
/// is woken for each item, and small because a slow consumer is meant to stop its producer.
pub(crate) const STREAM_CAPACITY: usize = 16;

/// A call in flight that returns many `T`: a stream of `Result<T, CallError<E>>`.
///
/// The stream is bounded: a producer that is 16 items ahead waits for its consumer. If the call
/// itself fails (deadline, panic, a replica that ended), the failure is the last item.
///
/// **Dropping the stream stops the producer** at its next await, or at its next item if the method
/// is `#[blocking]`, together with every call that the producer has made.
///
/// A stream can be passed as an argument only for an [`InputStream`](crate::InputStream) parameter.
/// For any other parameter, collect the items first:
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

    /// Stops the producer at its next await, or at its next item if the method is `#[blocking]`.
    /// The stream still returns the items that were made before, and then [`CallError::Cancelled`].
    pub fn cancel(&self) {
        if let State::Running(task) = &self.state {
            self.call.cancel(task.id());
            task.abort();
        }
    }

    /// Detaches the call: the producer runs to its end unattended and without the caller's
    /// deadline. Its further items are discarded.
    pub fn detach(mut self)
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        self.call.detach();
        self.state = State::Done;
        if let Some(mut items) = self.items.take() {
            // The runtime is gone only if the producer is gone.
            if let Some(tokio) = self.call.tokio() {
                tokio.spawn(async move { while items.recv().await.is_some() {} });
            }
        }
    }

    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, CallError<E>>>> {
        if let Some(items) = &mut self.items {
            match items.poll_recv(cx) {
                Poll::Ready(Some(item)) => {
                    return Poll::Ready(Some(item.map_err(|error| *error)));
                }
                Poll::Ready(None) => self.items = None,
                Poll::Pending => return self.late(cx),
            }
        }
        if let State::Running(task) = &mut self.state {
            let Poll::Ready(end) = Pin::new(task).poll(cx) else { return self.late(cx) };
            self.state = State::Done;
            return Poll::Ready(outcome(end).err().map(Err));
        }
        match std::mem::replace(&mut self.state, State::Done) {
            State::Refused(error) => Poll::Ready(Some(Err(*error))),
            _ => Poll::Ready(None),
        }
    }

    /// Ends the stream if its deadline has passed, even if the producer has not ended.
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

    /// Returns an iterator over the items, for synchronous code. The iterator blocks the thread
    /// until the next item is there.
    ///
    /// On a thread where blocking would stop async work, the iterator returns one
    /// [`CallError::BlockingInAsync`] and ends.
    pub fn blocking_iter(self) -> BlockingIter<T, E> {
        BlockingIter { stream: Some(self) }
    }
}

impl<T, E> Stream for ResponseStream<T, E> {
    type Item = Result<T, CallError<E>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = self.poll_item(cx);
        blocking::polled(polled.is_pending());
        polled
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

/// An iterator over the items of a [`ResponseStream`], for synchronous code. Dropping the iterator
/// stops the producer.
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
