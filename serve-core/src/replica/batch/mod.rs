//! `#[batch]`: calls that one run of a method serves together.
//!
//! Each call takes a slot like any other call and waits in the [`Batcher`] of its method and
//! replica. `queue` decides when a batch closes. The batcher runs each batch in a task of its own,
//! and the results go back to the calls.

mod queue;
mod run;
mod settings;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use futures::future::{AbortHandle, Abortable, BoxFuture};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{mpsc, oneshot};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until};

use self::queue::{BatchQueue, Next};
pub use self::run::{
    BatchError, BatchedStreaming, BatchedUnary, batched, batched_stream, rows_of_result,
    rows_of_results, rows_of_values,
};
pub use self::settings::Batching;
use self::settings::{BatchSettings, Overrides};
use super::in_scope::InScope;
use super::replica::Replica;
use super::scope::Scope;
use crate::call::CallError;
use crate::call::deadline::Deadline;
use crate::call::pending::panic_message;
use crate::call::request::Request;
use crate::method::{BatchLimits, Handlers, Method};

/// The cell of a method's deployment.
pub(crate) type CellOf<M> = <<M as Method>::Deployment as Handlers>::Cell;

/// A method marked `#[batch]`.
pub trait Batched: Method {
    /// The limits that the attribute declares.
    const LIMITS: BatchLimits;
    /// False for a `#[blocking]` method, which runs on even if its callers are gone.
    const INTERRUPTIBLE: bool;
    /// The weight of one item: 1, or the result of `batch_size_fn`.
    fn weight(args: &Self::Args) -> usize {
        let _ = args;
        1
    }
}

/// The result that a batched method returns to one call: a value, or the error of the call's part.
pub type Item<M> = Result<<M as Method>::Ok, CallError<<M as Method>::Err>>;

/// The batches of one method on one replica.
pub(crate) struct Batcher<M: Batched> {
    replica: Weak<Replica>,
    overrides: Arc<Overrides>,
    state: Mutex<State<M>>,
    run: Run<M>,
}

/// Runs a batch, and sends each call its items.
type Run<M> = fn(Arc<Replica>, Vec<QueuedItem<M>>) -> BoxFuture<'static, ()>;

struct State<M: Batched> {
    queue: BatchQueue<QueuedItem<M>>,
    /// The instant at which the timer fires, if a timer is set.
    timer: Option<Instant>,
}

/// One call that waits for its batch, or runs in it.
pub(crate) struct QueuedItem<M: Batched> {
    cell: CellOf<M>,
    args: Unbegun<M>,
    caller: ItemReceiver<M>,
    request: Request,
    deadline: Option<Arc<Deadline>>,
    seat: Arc<Mutex<ItemState>>,
    /// The scope that holds the call's slot, if the slot is held until the batch returns and not
    /// only until the caller leaves.
    slot: Option<Scope>,
}

/// The arguments of a call until its batch begins. If the call's replica ends before that, the
/// arguments go to another replica with the call.
type Unbegun<M> = Arc<Mutex<Option<<M as Method>::Args>>>;

/// The caller that waits for a call's items.
pub(crate) enum ItemReceiver<M: Batched> {
    One(oneshot::Sender<Item<M>>),
    Many(mpsc::Sender<Item<M>>),
}

/// The state of a call's item.
enum ItemState {
    Waiting,
    /// The item is in a running batch that this many callers wait for.
    Running {
        callers: Arc<AtomicUsize>,
        batch: Option<AbortHandle>,
    },
    /// The caller is gone.
    Left,
}

/// A call's place in a batch, or in the queue for a batch. Dropping it leaves the batch or the
/// queue.
pub(crate) struct Place<M: Batched> {
    batcher: Arc<Batcher<M>>,
    number: u64,
    seat: Arc<Mutex<ItemState>>,
    args: Unbegun<M>,
}

impl<M: Batched> Batcher<M> {
    /// Returns the batcher of the method on a replica, created when first asked for.
    fn of(replica: &Arc<Replica>, run: Run<M>) -> Arc<Self> {
        if let Some(batcher) = replica.extensions.get() {
            return batcher;
        }
        let settings = replica.extensions.get_or_make(BatchSettings::default);
        replica.extensions.get_or_make(|| Self {
            replica: Arc::downgrade(replica),
            overrides: settings.of(M::INFO.name),
            state: Mutex::new(State { queue: BatchQueue::default(), timer: None }),
            run,
        })
    }

    /// Adds an item, which leaves when the returned place is dropped.
    pub(crate) fn push(
        self: &Arc<Self>,
        cell: CellOf<M>,
        args: M::Args,
        caller: ItemReceiver<M>,
    ) -> Result<Place<M>, CallError<M::Err>> {
        let limits = self.overrides.over(M::LIMITS);
        // This calls the user's function: a panic in it concerns this caller only.
        let weight = catch_unwind(AssertUnwindSafe(|| M::weight(&args))).map_err(|panic| {
            CallError::Panicked(format!("`batch_size_fn`: {}", panic_message(&*panic)))
        })?;
        if weight > limits.max_batch_size {
            return Err(CallError::Panicked(format!(
                "an item of `{}` weighs {weight}, more than a whole batch may \
                 (max_batch_size = {})",
                M::INFO.name,
                limits.max_batch_size
            )));
        }
        let (request, deadline) = Scope::current(|scope| match scope {
            Some(scope) => (scope.request().clone(), scope.deadline().cloned()),
            None => (Request::default(), None),
        });
        let model = request.multiplexed_model_id().cloned();
        let seat = Arc::new(Mutex::new(ItemState::Waiting));
        let slot = if M::INTERRUPTIBLE { None } else { Scope::lend_slot().map(|(_, scope)| scope) };
        let args = Arc::new(Mutex::new(Some(args)));
        let kept = Arc::clone(&args);
        let call = QueuedItem {
            cell,
            args: kept,
            caller,
            request,
            deadline,
            seat: Arc::clone(&seat),
            slot,
        };
        let now = Instant::now();
        let mut state = self.state.lock();
        let number = state.queue.push(call, weight, model, now);
        let place = Place { batcher: Arc::clone(self), number, seat, args };
        self.drive(state, now);
        Ok(place)
    }

    /// Starts the batches that can run now, and sets a timer for the next batch.
    fn drive<'a>(self: &'a Arc<Self>, mut state: MutexGuard<'a, State<M>>, now: Instant) {
        loop {
            match state.queue.next(now, self.overrides.over(M::LIMITS)) {
                Next::Run(calls) => {
                    drop(state);
                    self.start(calls);
                    state = self.state.lock();
                }
                Next::WaitUntil(at) => {
                    if state.timer.is_none_or(|timer| timer > at) {
                        state.timer = Some(at);
                        drop(state);
                        self.wake_at(at);
                    }
                    return;
                }
                Next::Idle => return,
            }
        }
    }

    fn wake_at(self: &Arc<Self>, at: Instant) {
        let Some(replica) = self.replica.upgrade() else { return };
        let batcher = Arc::downgrade(self);
        // The task ends after it has looked at the queue once.
        replica.compute.runtime().tokio.spawn(async move {
            sleep_until(at).await;
            if let Some(batcher) = batcher.upgrade() {
                let mut state = batcher.state.lock();
                if state.timer == Some(at) {
                    state.timer = None;
                }
                batcher.drive(state, Instant::now());
            }
        });
    }

    fn start(self: &Arc<Self>, mut calls: Vec<QueuedItem<M>>) {
        let ended = Finished(Arc::clone(self));
        // A replica that is gone takes its calls with it.
        let Some(replica) = self.replica.upgrade() else { return };
        let (abort, aborted) = AbortHandle::new_pair();
        // One more than the seated callers, until all are seated.
        let callers = Arc::new(AtomicUsize::new(1));
        calls.retain(|call| {
            let mut seat = call.seat.lock();
            let waits = matches!(*seat, ItemState::Waiting);
            if waits {
                callers.fetch_add(1, Ordering::Relaxed);
                let batch = M::INTERRUPTIBLE.then(|| abort.clone());
                *seat = ItemState::Running { callers: Arc::clone(&callers), batch };
            }
            waits
        });
        if callers.fetch_sub(1, Ordering::AcqRel) == 1 {
            return;
        }
        let request = calls.first().map(|call| call.request.clone()).unwrap_or_default();
        let run = Abortable::new((self.run)(Arc::clone(&replica), calls), aborted);
        let scope = Scope::batch(request, Arc::clone(&replica));
        // The task ends with its batch, which ends with the last of its callers or with the
        // replica.
        replica.compute.runtime().tokio.spawn(async move {
            let ended = ended;
            let run = async {
                // If the batch was aborted, no caller is left to notify.
                let _ = run.await;
                Ok::<(), CallError>(())
            };
            // The calls notice by themselves that their replica ended.
            let _ = InScope::new(scope, run).await;
            // During the first yield, the callers free their slots. During the second, calls that
            // waited for a slot join the queue, so that they are not too late for the next batch.
            yield_now().await;
            yield_now().await;
            drop(ended);
        });
    }
}

/// A guard that records the end of a batch, however the batch ends.
struct Finished<M: Batched>(Arc<Batcher<M>>);

impl<M: Batched> Drop for Finished<M> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.queue.finished();
        self.0.drive(state, Instant::now());
    }
}

impl<M: Batched> Place<M> {
    /// Takes the arguments back if the batch has not begun. The call then takes part in no batch.
    fn take_back(&self) -> Option<M::Args> {
        self.args.lock().take()
    }
}

impl<M: Batched> Drop for Place<M> {
    fn drop(&mut self) {
        let left = self.batcher.state.lock().queue.leave(self.number);
        // After the lock, because the item holds the user's values.
        drop(left);
        ItemState::leave(&self.seat);
    }
}

impl ItemState {
    /// Records that the caller is gone. An interruptible batch ends with the last of its callers.
    fn leave(seat: &Mutex<Self>) {
        let was = std::mem::replace(&mut *seat.lock(), Self::Left);
        if let Self::Running { callers, batch } = was
            && callers.fetch_sub(1, Ordering::AcqRel) == 1
            && let Some(batch) = batch
        {
            batch.abort();
        }
    }
}
