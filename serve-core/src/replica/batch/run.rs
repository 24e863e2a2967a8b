//! Running a batch: the arguments of many calls go into one run of the user's method, and the
//! results go back to the calls.

use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use futures::{FutureExt, Stream, StreamExt, stream};
use parking_lot::Mutex;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::{Batched, Batcher, CellOf, Item, ItemReceiver, ItemState, Place, QueuedItem, Run};
use crate::call::CallError;
use crate::call::pending::panic_message;
use crate::call::runtime_context::reschedule;
use crate::call::stream::STREAM_CAPACITY;
use crate::method::{Method, Reply, StreamSink};
use crate::replica::replica::Replica;
use crate::replica::scope::Scope;

/// A batched method that returns one value to each call.
pub trait BatchedUnary: Batched {
    /// Runs the method on the arguments of several calls. Returns a result for each call.
    fn run_batch(
        cell: CellOf<Self>,
        args: Vec<Self::Args>,
    ) -> impl Future<Output = Result<Vec<Item<Self>>, CallError>> + Send;
}

/// A batched method that returns many values to each call.
pub trait BatchedStreaming: Batched {
    /// Runs the method on the arguments of several calls. Each step has an item for each call, or
    /// `None` for a call that has ended.
    fn run_batch(
        cell: CellOf<Self>,
        args: Vec<Self::Args>,
    ) -> impl Stream<Item = Vec<Option<Item<Self>>>> + Send;
}

/// The reply to a call of the batched method `M`.
type BatchedReply<T, M> = Reply<T, <M as Method>::Err, <M as Method>::Args>;

/// Runs one call of a batched method, on the replica that the call has a slot of. The call takes
/// its place among the items when this function is called, not when the future is first polled:
/// tasks may be polled in another order than the one in which their calls were admitted.
pub fn batched<M: BatchedUnary>(
    cell: CellOf<M>,
    args: M::Args,
) -> impl Future<Output = BatchedReply<M::Ok, M>> + Send {
    let (caller, item) = oneshot::channel();
    BatchedCall {
        joined: Joined::<M>::new(cell, args, ItemReceiver::One(caller), run_unary::<M>),
        item,
    }
}

/// The future of [`batched`]. A separate type, because an async block would hold most of it twice.
struct BatchedCall<M: Batched> {
    joined: Result<Joined<M>, Box<CallError<M::Err>>>,
    item: oneshot::Receiver<Item<M>>,
}

/// No field is pinned in place: the item is only moved.
impl<M: Batched> Unpin for BatchedCall<M> {}

impl<M: BatchedUnary> Future for BatchedCall<M> {
    type Output = BatchedReply<M::Ok, M>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { joined, item } = &mut *self;
        let joined = match joined {
            Ok(joined) => joined,
            Err(error) => {
                let error = std::mem::replace(&mut **error, CallError::Cancelled);
                return Poll::Ready(Reply::Answer(Err(error)));
            }
        };
        match Pin::new(item).poll(cx) {
            Poll::Ready(Ok(item)) => Poll::Ready(Reply::Answer(item)),
            // The batch is gone, and so is its replica.
            Poll::Ready(Err(_)) => Poll::Ready(joined.ended()),
            Poll::Pending if joined.replica.has_ended() => Poll::Ready(joined.ended()),
            Poll::Pending => Poll::Pending,
        }
    }
}

/// Runs one call of a batched method that returns many values. Otherwise the same as [`batched`].
pub fn batched_stream<M: BatchedStreaming>(
    cell: CellOf<M>,
    args: M::Args,
    items: StreamSink<M::Ok, M::Err>,
) -> impl Future<Output = BatchedReply<(), M>> + Send {
    // One place more, for the error that may end the stream.
    let (caller, mut given) = mpsc::channel(STREAM_CAPACITY + 1);
    let joined = Joined::<M>::new(cell, args, ItemReceiver::Many(caller), run_streaming::<M>);
    async move {
        match joined {
            Ok(joined) => {
                let given = stream::poll_fn(|cx| given.poll_recv(cx));
                match joined.until_end(items.forward(given)).await {
                    // The items of a batch that was cut off end too.
                    Some(ended) if !joined.replica.has_ended() => Reply::Answer(ended),
                    _ => joined.ended(),
                }
            }
            Err(error) => Reply::Answer(Err(*error)),
        }
    }
}

/// A call that is in a batch, or waits for one.
struct Joined<M: Batched> {
    place: Place<M>,
    replica: Arc<Replica>,
}

impl<M: Batched> Joined<M> {
    fn new(
        cell: CellOf<M>,
        args: M::Args,
        caller: ItemReceiver<M>,
        run: Run<M>,
    ) -> Result<Self, Box<CallError<M::Err>>> {
        let replica = Scope::current(|scope| scope?.replica().cloned())
            .expect("a method of a deployment runs on a replica");
        let place = Batcher::of(&replica, run).push(cell, args, caller).map_err(Box::new)?;
        Ok(Self { place, replica })
    }

    /// Returns the output of `future`, or `None` if the replica ends before. The call's scope then
    /// wakes the task.
    async fn until_end<F: Future>(&self, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if self.replica.has_ended() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    /// Returns the reply to a call whose replica ended. A call whose batch had not begun is given
    /// back.
    fn ended<T>(&self) -> BatchedReply<T, M> {
        match self.place.take_back() {
            Some(args) => Reply::GivenBack(args),
            None => Reply::Answer(Err(self.replica.ended_error())),
        }
    }
}

fn run_unary<M: BatchedUnary>(
    replica: Arc<Replica>,
    calls: Vec<QueuedItem<M>>,
) -> BoxFuture<'static, ()> {
    async move {
        let Some((cell, args, callers, slots)) = split(calls) else { return };
        let callers: Vec<_> = callers.into_iter().filter_map(|(caller, _)| caller.one()).collect();
        let run = AssertUnwindSafe(async { M::run_batch(cell, args).await }).catch_unwind();
        let ran = run.await;
        // Freed before the results are sent, so that a caller that has its result finds its slot
        // free.
        drop(slots);
        match ran {
            Ok(Ok(rows)) if rows.len() == callers.len() => {
                replica.succeeded();
                for (row, caller) in rows.into_iter().zip(callers) {
                    // The caller may be gone.
                    let _ = caller.send(row);
                }
            }
            Ok(Ok(rows)) => {
                let wrong = wrong_length::<M>(callers.len(), rows.len());
                tell_all(callers, &CallError::Panicked(wrong));
            }
            Ok(Err(error)) => tell_all(callers, &error),
            Err(panic) => {
                replica.panicked();
                tell_all(callers, &CallError::Panicked(panic_message(&*panic)));
            }
        }
    }
    .boxed()
}

fn run_streaming<M: BatchedStreaming>(
    replica: Arc<Replica>,
    calls: Vec<QueuedItem<M>>,
) -> BoxFuture<'static, ()> {
    async move {
        // A streaming batch is not `#[blocking]`, so there are no slots.
        let Some((cell, args, callers, _)) = split(calls) else { return };
        let mut readers: Vec<Option<Reader<M>>> =
            callers.into_iter().map(ItemReceiver::many).collect();
        let run = async {
            let mut steps = pin!(M::run_batch(cell, args));
            while let Some(step) = steps.next().await {
                if step.len() != readers.len() {
                    return Err(wrong_length::<M>(readers.len(), step.len()));
                }
                let mut waiting = Vec::new();
                for (item, reader) in step.into_iter().zip(&mut readers) {
                    if let Some(full) = give(item, reader) {
                        waiting.push(give_in_time(full, reader, &replica));
                    }
                }
                // The batch waits for all of these readers at the same time, so that several
                // stalled readers are not waited for one after the other.
                join_all(waiting).await;
                // The readers run before the next step computes. A worker of tokio would keep the
                // reader that it woke last for itself until then.
                if replica.compute.runtime().sweeps {
                    reschedule().await;
                }
                if readers.iter().all(Option::is_none) {
                    break;
                }
            }
            Ok(())
        };
        let failure = match AssertUnwindSafe(run).catch_unwind().await {
            Ok(Ok(())) => {
                replica.succeeded();
                return;
            }
            Ok(Err(wrong)) => wrong,
            Err(panic) => {
                replica.panicked();
                panic_message(&*panic)
            }
        };
        for reader in readers.into_iter().flatten() {
            reader.end(CallError::Panicked(failure.clone()));
        }
    }
    .boxed()
}

/// The time that a batch waits for a caller that has taken nothing and whose items have no more
/// room. Then the batch ends that caller's stream and goes on for the others. Longer than any pause
/// of a reader that lives and reads, and short for the callers that wait beside it.
const STALL: Duration = Duration::from_secs(10);

/// Sends a caller its item of a step. Ends the caller's stream if there is no item, or if the
/// caller is gone. Returns the item if there is no room for it.
fn give<M: Batched>(item: Option<Item<M>>, reader: &mut Option<Reader<M>>) -> Option<Item<M>> {
    let present = reader.as_ref()?;
    let sent = item.map(|item| present.items.try_send(item));
    match sent {
        Some(Ok(())) => None,
        Some(Err(TrySendError::Full(item))) => Some(item),
        Some(Err(TrySendError::Closed(_))) | None => {
            *reader = None;
            None
        }
    }
}

/// Sends a caller its item as soon as there is room for it, or ends the caller's stream if there is
/// no room in time.
async fn give_in_time<M: Batched>(
    item: Item<M>,
    reader: &mut Option<Reader<M>>,
    replica: &Replica,
) {
    let Some(present) = reader.as_ref() else { return };
    match timeout(STALL, present.items.send(item)).await {
        Ok(Ok(())) => {}
        Ok(Err(_)) => *reader = None,
        Err(_) => {
            if let Some(stalled) = reader.take() {
                stalled.end_stalled(replica);
            }
        }
    }
}

/// A caller that reads many items.
struct Reader<M: Batched> {
    items: mpsc::Sender<Item<M>>,
    /// A place that is reserved for the error that may end the stream.
    last: mpsc::OwnedPermit<Item<M>>,
    seat: Arc<Mutex<ItemState>>,
}

impl<M: Batched> Reader<M> {
    /// Ends the stream with an error, even if its items are not read.
    fn end(self, error: CallError) {
        self.last.send(Err(error.widen()));
    }

    fn end_stalled(self, replica: &Replica) {
        // The batch need not run for this caller any more.
        ItemState::leave(&self.seat);
        self.end(CallError::Unavailable {
            deployment: replica.context.deployment().to_owned(),
            started: true,
            reason: format!(
                "its batch waited {} s for this stream to be read; read the streams of a batch at \
                 the same time",
                STALL.as_secs()
            ),
        });
    }
}

impl<M: Batched> ItemReceiver<M> {
    fn one(self) -> Option<oneshot::Sender<Item<M>>> {
        match self {
            Self::One(caller) => Some(caller),
            Self::Many(_) => None,
        }
    }

    fn many((caller, seat): (Self, Arc<Mutex<ItemState>>)) -> Option<Reader<M>> {
        let Self::Many(items) = caller else { return None };
        // There is always a free place, unless the caller is gone.
        let last = items.clone().try_reserve_owned().ok()?;
        Some(Reader { items, last, seat })
    }
}

type Seated<M> = (ItemReceiver<M>, Arc<Mutex<ItemState>>);
type Parts<M> = (CellOf<M>, Vec<<M as Method>::Args>, Vec<Seated<M>>, Vec<Scope>);

/// Returns the arguments and the callers, in the same order, and the slots that the batch holds, or
/// `None` if no call is left. Begins the calls: a call whose arguments were taken back takes no
/// part.
fn split<M: Batched>(calls: Vec<QueuedItem<M>>) -> Option<Parts<M>> {
    let cell = calls.first()?.cell.clone();
    let n = calls.len();
    let (mut args, mut callers) = (Vec::with_capacity(n), Vec::with_capacity(n));
    let mut slots = Vec::new();
    let mut requests = Vec::with_capacity(n);
    for call in calls {
        let Some(begun) = call.args.lock().take() else { continue };
        args.push(begun);
        callers.push((call.caller, call.seat));
        requests.push((call.request, call.deadline));
        slots.extend(call.slot);
    }
    Scope::batch_begins(requests);
    (!args.is_empty()).then_some((cell, args, callers, slots))
}

fn tell_all<T, E>(callers: Vec<oneshot::Sender<Result<T, CallError<E>>>>, failure: &CallError) {
    for caller in callers {
        let _ = caller.send(Err(failure.clone().widen()));
    }
}

fn wrong_length<M: Method>(given: usize, returned: usize) -> String {
    format!(
        "`{}` was given a batch of {given} and returned {returned}: a `#[batch]` method returns \
         one result for each item, in order",
        M::INFO.name
    )
}

/// Converts the result of a method that returns `Vec<R>`, for `#[handle]`.
#[doc(hidden)]
pub fn rows_of_values<R, E>(rows: Vec<R>) -> Vec<Result<R, CallError<E>>> {
    rows.into_iter().map(Ok).collect()
}

/// Converts the result of a method that returns `Vec<Result<R, E>>`, for `#[handle]`.
#[doc(hidden)]
pub fn rows_of_results<R, E>(rows: Vec<Result<R, E>>) -> Vec<Result<R, CallError<E>>> {
    rows.into_iter().map(|row| row.map_err(CallError::App)).collect()
}

/// The error of a whole batch. Each caller in the batch gets a copy.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the error of a whole batch",
    label = "each caller in the batch gets a copy of this error",
    note = "derive `Clone` for `{Self}`",
    note = "or return `Vec<Result<R, {Self}>>`, with an error for each item"
)]
pub trait BatchError: Clone {}

#[diagnostic::do_not_recommend]
impl<E: Clone> BatchError for E {}

/// Converts the result of a method that returns `Result<Vec<R>, E>`, for `n` calls, for
/// `#[handle]`.
#[doc(hidden)]
pub fn rows_of_result<R, E: BatchError>(
    rows: Result<Vec<R>, E>,
    n: usize,
) -> Vec<Result<R, CallError<E>>> {
    match rows {
        Ok(rows) => rows_of_values(rows),
        Err(error) => (0..n).map(|_| Err(CallError::App(error.clone()))).collect(),
    }
}
