//! [`Items`]: where the values of a method that gives many go; and [`Giver`], which sends
//! those of a `#[blocking]` one, an iterator read on a compute thread.

use std::fmt;
use std::pin::pin;
use std::task::{Poll, ready};

use futures::future::BoxFuture;
use futures::{FutureExt, Stream, StreamExt, stream};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{self, PermitIterator, WeakSender};

use super::compute::Caller;
use super::handlers::Handlers;
use super::method::{Method, Streaming};
use super::scope::Scope;
use crate::call::CallError;
use crate::call::pending::Outcome;

type CellOf<M> = <<M as Method>::Deployment as Handlers>::Cell;

/// Where a call's items go: to the stream that its caller reads.
#[doc(hidden)]
pub struct Items<M: Method>(mpsc::Sender<Outcome<M::Ok, M::Err>>);

impl<M: Method> Items<M> {
    pub(super) fn new(sender: mpsc::Sender<Outcome<M::Ok, M::Err>>) -> Self {
        Self(sender)
    }

    /// Sends until the stream ends or its consumer does.
    ///
    /// Places in the channel are taken as many at a time as are free, and waited for one by
    /// one: the consumer sees no difference, and a semaphore is not asked for each item.
    pub(super) async fn forward(
        &self,
        stream: impl Stream<Item = Result<M::Ok, CallError<M::Err>>>,
    ) -> Result<(), CallError<M::Err>> {
        let mut stream = pin!(stream);
        let mut places = None::<PermitIterator<'_, _>>;
        while let Some(item) = stream.next().await {
            // The last item either way; so it is no success of the replica's, too.
            if let Err(CallError::Panicked(panic)) = item {
                return Err(CallError::Panicked(panic));
            }
            let place = match places.as_mut().and_then(Iterator::next) {
                Some(place) => place,
                None => {
                    let Ok(mut more) = self.0.reserve_many(self.0.capacity().max(1)).await else {
                        return Ok(());
                    };
                    let place = more.next().expect("at least one was asked for");
                    places = Some(more);
                    place
                }
            };
            place.send(item.map_err(Box::new));
        }
        Ok(())
    }
}

impl<M: Method> fmt::Debug for Items<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Items")
    }
}

/// Sends the items of a `#[blocking]` method, on its compute thread.
#[doc(hidden)]
pub struct Giver<'a, M: Method> {
    /// The call's own task has the other: with the task the channel ends, also while this
    /// thread computes.
    items: WeakSender<Outcome<M::Ok, M::Err>>,
    caller: &'a mut Caller<()>,
}

impl<M: Method> Giver<'_, M> {
    /// Sends what `values` gives, until it ends or nobody waits for more; then it is
    /// dropped.
    pub fn give<T>(
        &mut self,
        mut values: impl Iterator<Item = T>,
        turn: impl Fn(T) -> Result<M::Ok, CallError<M::Err>>,
    ) {
        while !self.is_over()
            && let Some(value) = values.next()
            && self.send(turn(value))
        {}
    }

    /// Sends the one error of a method that gave no iterator.
    pub fn fail(&mut self, error: M::Err) {
        self.send(Err(CallError::App(error)));
    }

    /// Whether nobody waits for more. A stream that is dropped says so at once, its task only
    /// when it is next polled.
    fn is_over(&self) -> bool {
        self.caller.is_gone() || self.items.upgrade().is_none_or(|items| items.is_closed())
    }

    /// Waits for a place if there is none. False if nobody waits for the item.
    fn send(&mut self, item: Result<M::Ok, CallError<M::Err>>) -> bool {
        let Some(items) = self.items.upgrade() else { return false };
        match items.try_send(item.map_err(Box::new)) {
            Ok(()) => true,
            Err(TrySendError::Closed(_)) => false,
            Err(TrySendError::Full(item)) => match self.caller.wait_for(items.reserve()) {
                Some(Ok(place)) => {
                    place.send(item);
                    true
                }
                Some(Err(_)) | None => false,
            },
        }
    }
}

impl<M: Method> fmt::Debug for Giver<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Giver")
    }
}

/// Runs `job` on the compute threads of the replica that the current call runs on, and
/// sends what it gives. Of the slot holds what is said at [`blocking`](super::blocking).
#[doc(hidden)]
pub async fn blocking_items<M: Method>(
    items: &Items<M>,
    job: impl FnOnce(&mut Giver<'_, M>) + Send + 'static,
) -> Result<(), CallError<M::Err>> {
    let (replica, scope) = Scope::lend_slot().expect("a `#[blocking]` method runs in a slot");
    let items = items.0.downgrade();
    let done = replica.compute.run_for(move |caller| {
        scope.enter(|| {
            let mut giver = Giver { items, caller };
            if !giver.is_over() {
                job(&mut giver);
            }
        });
    });
    done.await.map_err(|panic| {
        replica.panicked();
        CallError::Panicked(panic)
    })
}

/// What a `#[blocking]` method sends, as a stream: for calls by the long path.
#[doc(hidden)]
pub fn received<M: Streaming>(
    cell: CellOf<M>,
    args: M::Args,
) -> impl Stream<Item = Result<M::Ok, CallError<M::Err>>> + Send {
    // Small, because what is forwarded has places of its own.
    let (sender, mut items) = mpsc::channel(1);
    let sending = async move {
        let items = Items::<M>::new(sender);
        M::send(cell, args, &items).await
    };
    let mut sending: Option<BoxFuture<'static, _>> = Some(sending.boxed());
    let mut end = None;
    stream::poll_fn(move |cx| {
        if let Some(running) = &mut sending
            && let Poll::Ready(ended) = running.poll_unpin(cx)
        {
            (sending, end) = (None, ended.err());
        }
        match ready!(items.poll_recv(cx)) {
            Some(item) => Poll::Ready(Some(item.map_err(|error| *error))),
            None => Poll::Ready(end.take().map(Err)),
        }
    })
}
