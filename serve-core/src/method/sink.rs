//! [`StreamSink`]: the sink to which a streaming method sends its items.

use std::fmt;
use std::pin::pin;
use std::sync::{Arc, Weak};

use futures::{Stream, StreamExt};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{self, PermitIterator};
use tokio::sync::{Semaphore, TryAcquireError};

use crate::call::CallError;
use crate::call::pending::Outcome;
use crate::call::runtime_context::reschedule;

/// The sink for the items of one streaming call. The caller reads them as a stream, in this
/// process or in another. The sink is bounded: a sender waits while the consumer has no room.
#[doc(hidden)]
pub struct StreamSink<T, E> {
    to: To<T, E>,
    /// True if the task that forwards a stream yields after each item.
    yields: bool,
}

enum To<T, E> {
    Channel(mpsc::Sender<Outcome<T, E>>),
    Wire(Arc<dyn ItemWriter<T, E>>),
}

/// Encodes the items of a stream and sends them to another process.
pub(crate) trait ItemWriter<T, E>: Send + Sync {
    /// A semaphore with a permit for each item that the consumer has room for. Closed once the
    /// consumer is gone.
    fn room(&self) -> &Semaphore;
    /// Sends one item. The caller has taken a permit of `room` for it.
    fn write(&self, item: Result<T, CallError<E>>);
}

/// A [`StreamSink`] that does not keep the stream open. Compute threads hold weak sinks, so
/// that a stream ends with its call's task even while the thread still computes.
pub(crate) enum WeakStreamSink<T, E> {
    Channel(mpsc::WeakSender<Outcome<T, E>>),
    Wire(Weak<dyn ItemWriter<T, E>>),
}

/// Room for one item in a stream, held until the item is sent.
pub(crate) enum ItemPlace<T, E> {
    Channel(mpsc::OwnedPermit<Outcome<T, E>>),
    Wire(Arc<dyn ItemWriter<T, E>>),
}

/// The outcome of [`StreamSink::try_send`].
pub(crate) enum TrySendItem<T, E> {
    Sent,
    /// There is no room now. Holds the item.
    Full(Result<T, CallError<E>>),
    /// The consumer is gone.
    Closed,
}

impl<T, E> StreamSink<T, E> {
    pub(crate) fn channel(sender: mpsc::Sender<Outcome<T, E>>) -> Self {
        Self { to: To::Channel(sender), yields: false }
    }

    pub(crate) fn wire(writer: Arc<dyn ItemWriter<T, E>>) -> Self {
        Self { to: To::Wire(writer), yields: false }
    }

    /// Makes the task that forwards a stream yield after each item.
    ///
    /// A worker of tokio keeps the task that it woke last for itself, and no other worker takes it.
    /// Here that task is the consumer of the item. If the method computes for long before the next item, the
    /// consumer would not run meanwhile, and not hear of its deadline either.
    pub(crate) fn yielding(mut self, yields: bool) -> Self {
        self.yields = yields;
        self
    }

    /// Sends the items of `stream` until the stream ends or its consumer is gone.
    ///
    /// # Errors
    /// The first item that is [`CallError::Panicked`]. It is the error of the whole call, so
    /// that the call does not count as a success of its replica.
    pub async fn forward(
        &self,
        stream: impl Stream<Item = Result<T, CallError<E>>>,
    ) -> Result<(), CallError<E>> {
        let mut stream = pin!(stream);
        match &self.to {
            // All free places of the channel are reserved at once. If no place is free, the sender
            // waits for one. The consumer sees no difference, and the channel's semaphore is not
            // locked for each item.
            To::Channel(sender) => {
                let mut places = None::<PermitIterator<'_, _>>;
                while let Some(item) = stream.next().await {
                    if let Err(CallError::Panicked(panic)) = item {
                        return Err(CallError::Panicked(panic));
                    }
                    let place = match places.as_mut().and_then(Iterator::next) {
                        Some(place) => place,
                        None => {
                            let free = sender.capacity().max(1);
                            let Ok(mut more) = sender.reserve_many(free).await else {
                                return Ok(());
                            };
                            let place = more.next().expect("at least one was asked for");
                            places = Some(more);
                            place
                        }
                    };
                    place.send(item.map_err(Box::new));
                    if self.yields {
                        reschedule().await;
                    }
                }
            }
            To::Wire(writer) => {
                while let Some(item) = stream.next().await {
                    if let Err(CallError::Panicked(panic)) = item {
                        return Err(CallError::Panicked(panic));
                    }
                    let Ok(room) = writer.room().acquire().await else { return Ok(()) };
                    room.forget();
                    writer.write(item);
                }
            }
        }
        Ok(())
    }

    /// Waits for room and sends one item. False if the consumer is gone.
    pub async fn send(&self, item: Result<T, CallError<E>>) -> bool {
        match &self.to {
            To::Channel(sender) => sender.send(item.map_err(Box::new)).await.is_ok(),
            To::Wire(writer) => {
                let Ok(room) = writer.room().acquire().await else { return false };
                room.forget();
                writer.write(item);
                true
            }
        }
    }

    /// Waits for room for one item and reserves it. None if the consumer is gone.
    pub(crate) async fn reserve(&self) -> Option<ItemPlace<T, E>> {
        match &self.to {
            To::Channel(sender) => {
                sender.clone().reserve_owned().await.ok().map(ItemPlace::Channel)
            }
            To::Wire(writer) => {
                writer.room().acquire().await.ok()?.forget();
                Some(ItemPlace::Wire(Arc::clone(writer)))
            }
        }
    }

    /// Sends one item if there is room for it now.
    pub(crate) fn try_send(&self, item: Result<T, CallError<E>>) -> TrySendItem<T, E> {
        match &self.to {
            To::Channel(sender) => match sender.try_send(item.map_err(Box::new)) {
                Ok(()) => TrySendItem::Sent,
                Err(TrySendError::Full(item)) => TrySendItem::Full(item.map_err(|error| *error)),
                Err(TrySendError::Closed(_)) => TrySendItem::Closed,
            },
            To::Wire(writer) => match writer.room().try_acquire() {
                Ok(room) => {
                    room.forget();
                    writer.write(item);
                    TrySendItem::Sent
                }
                Err(TryAcquireError::NoPermits) => TrySendItem::Full(item),
                Err(TryAcquireError::Closed) => TrySendItem::Closed,
            },
        }
    }

    /// True once the consumer is gone.
    pub(crate) fn is_closed(&self) -> bool {
        match &self.to {
            To::Channel(sender) => sender.is_closed(),
            To::Wire(writer) => writer.room().is_closed(),
        }
    }

    pub(crate) fn downgrade(&self) -> WeakStreamSink<T, E> {
        match &self.to {
            To::Channel(sender) => WeakStreamSink::Channel(sender.downgrade()),
            To::Wire(writer) => WeakStreamSink::Wire(Arc::downgrade(writer)),
        }
    }
}

impl<T, E> ItemPlace<T, E> {
    pub(crate) fn send(self, item: Result<T, CallError<E>>) {
        match self {
            Self::Channel(place) => {
                place.send(item.map_err(Box::new));
            }
            Self::Wire(writer) => writer.write(item),
        }
    }
}

impl<T, E> WeakStreamSink<T, E> {
    /// The sink, as long as the call's own task holds it.
    pub(crate) fn upgrade(&self) -> Option<StreamSink<T, E>> {
        let to = match self {
            Self::Channel(sender) => To::Channel(sender.upgrade()?),
            Self::Wire(writer) => To::Wire(writer.upgrade()?),
        };
        Some(StreamSink { to, yields: false })
    }
}

impl<T, E> Clone for StreamSink<T, E> {
    fn clone(&self) -> Self {
        let to = match &self.to {
            To::Channel(sender) => To::Channel(sender.clone()),
            To::Wire(writer) => To::Wire(Arc::clone(writer)),
        };
        Self { to, yields: self.yields }
    }
}

impl<T, E> fmt::Debug for StreamSink<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.to {
            To::Channel(_) => "StreamSink::Channel",
            To::Wire(_) => "StreamSink::Wire",
        })
    }
}
