//! `#[batch]`: calls that one run of a method serves together.
//!
//! Each call takes a slot like any other and waits in the replica's [`Batcher`] of its
//! method. `queue` decides when a batch closes; here it is run, in a task of its own, and
//! its results go back to the calls.

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
use self::run::CellOf;
pub use self::run::{
    BatchError, BatchedStreaming, BatchedUnary, batched, batched_stream, rows_of_result,
    rows_of_results, rows_of_values,
};
use self::settings::{BatchSettings, Overrides};
pub use self::settings::{Batching, batching};
use super::in_scope::InScope;
use super::replica::Replica;
use super::scope::Scope;
use crate::call::CallError;
use crate::call::deadline::Deadline;
use crate::call::pending::panic_message;
use crate::call::request::Request;
use crate::method::{BatchLimits, Method};

/// A method marked `#[batch]`.
pub trait Batched: Method {
    /// As the attribute has them.
    const LIMITS: BatchLimits;
    /// False for a `#[blocking]` method, which runs on though nobody waits for it.
    const INTERRUPTIBLE: bool;
    /// What one item weighs: 1, or what `batch_size_fn` says.
    fn weight(args: &Self::Args) -> usize {
        let _ = args;
        1
    }
}

/// What one call of a batched method gets: a value, or the failure of its part.
pub type Item<M> = Result<<M as Method>::Ok, CallError<<M as Method>::Err>>;

/// The batches of one method on one replica.
pub(crate) struct Batcher<M: Batched> {
    replica: Weak<Replica>,
    overrides: Arc<Overrides>,
    state: Mutex<State<M>>,
    run: Run<M>,
}

/// Runs a batch, and gives each call its items.
type Run<M> = fn(Arc<Replica>, Vec<Call<M>>) -> BoxFuture<'static, ()>;

struct State<M: Batched> {
    queue: BatchQueue<Call<M>>,
    /// When the timer that runs goes off, if one does.
    timer: Option<Instant>,
}

/// One call that waits for its batch, or runs in it.
pub(crate) struct Call<M: Batched> {
    cell: CellOf<M>,
    args: Unbegun<M>,
    caller: Caller<M>,
    request: Request,
    deadline: Option<Arc<Deadline>>,
    seat: Arc<Mutex<Seat>>,
    /// What holds the call's slot, if that is held until its batch returns and not only
    /// until its caller leaves.
    slot: Option<Scope>,
}

/// The arguments of a call until its batch begins. If its replica ends before that, they go
/// with the call to another.
type Unbegun<M> = Arc<Mutex<Option<<M as Method>::Args>>>;

/// Who waits for a call's items.
pub(crate) enum Caller<M: Batched> {
    One(oneshot::Sender<Item<M>>),
    Many(mpsc::Sender<Item<M>>),
}

/// Where a call's item is.
enum Seat {
    Waiting,
    /// With others that this many callers wait for.
    Running {
        callers: Arc<AtomicUsize>,
        batch: Option<AbortHandle>,
    },
    /// Its caller is gone.
    Left,
}

/// A call's place in a batch, or in the queue for one. Dropping it leaves either.
pub(crate) struct Place<M: Batched> {
    batcher: Arc<Batcher<M>>,
    number: u64,
    seat: Arc<Mutex<Seat>>,
    args: Unbegun<M>,
}

impl<M: Batched> Batcher<M> {
    /// The batcher of the method on a replica, made when first asked for.
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

    /// An item comes. It leaves when the place is dropped.
    pub(crate) fn push(
        self: &Arc<Self>,
        cell: CellOf<M>,
        args: M::Args,
        caller: Caller<M>,
    ) -> Result<Place<M>, CallError<M::Err>> {
        let limits = self.overrides.over(M::LIMITS);
        // The user's function: a panic in it concerns this caller only.
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
        let seat = Arc::new(Mutex::new(Seat::Waiting));
        let slot = if M::INTERRUPTIBLE { None } else { Scope::lend_slot().map(|(_, scope)| scope) };
        let args = Arc::new(Mutex::new(Some(args)));
        let kept = Arc::clone(&args);
        let call =
            Call { cell, args: kept, caller, request, deadline, seat: Arc::clone(&seat), slot };
        let now = Instant::now();
        let mut state = self.state.lock();
        let number = state.queue.push(call, weight, model, now);
        let place = Place { batcher: Arc::clone(self), number, seat, args };
        self.drive(state, now);
        Ok(place)
    }

    /// Does what there is to do now.
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
        // Ends with its one look.
        replica.compute.spawner().tokio.spawn(async move {
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

    fn start(self: &Arc<Self>, mut calls: Vec<Call<M>>) {
        let ended = Finished(Arc::clone(self));
        // A replica that is gone takes its calls with it.
        let Some(replica) = self.replica.upgrade() else { return };
        let (abort, aborted) = AbortHandle::new_pair();
        // One more, until all are seated.
        let callers = Arc::new(AtomicUsize::new(1));
        calls.retain(|call| {
            let mut seat = call.seat.lock();
            let waits = matches!(*seat, Seat::Waiting);
            if waits {
                callers.fetch_add(1, Ordering::Relaxed);
                let batch = M::INTERRUPTIBLE.then(|| abort.clone());
                *seat = Seat::Running { callers: Arc::clone(&callers), batch };
            }
            waits
        });
        if callers.fetch_sub(1, Ordering::AcqRel) == 1 {
            return;
        }
        let request = calls.first().map(|call| call.request.clone()).unwrap_or_default();
        let run = Abortable::new((self.run)(Arc::clone(&replica), calls), aborted);
        let scope = Scope::batch(request, Arc::clone(&replica));
        // Ends with its batch, which ends with the last of its callers or with the replica.
        replica.compute.spawner().tokio.spawn(async move {
            let ended = ended;
            let run = async {
                // Where it was aborted, there is nobody to tell.
                let _ = run.await;
                Ok::<(), CallError>(())
            };
            // Its calls see for themselves that their replica ended.
            let _ = InScope::new(scope, run).await;
            // In the first of these its callers free their slots, and in the second those
            // that waited for a slot come here: they are not too late for the next batch.
            yield_now().await;
            yield_now().await;
            drop(ended);
        });
    }
}

/// Says that a batch has ended, however it has.
struct Finished<M: Batched>(Arc<Batcher<M>>);

impl<M: Batched> Drop for Finished<M> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.queue.finished();
        self.0.drive(state, Instant::now());
    }
}

impl<M: Batched> Place<M> {
    /// The arguments, if the batch has not begun. The call takes part in none then.
    fn take_back(&self) -> Option<M::Args> {
        self.args.lock().take()
    }
}

impl<M: Batched> Drop for Place<M> {
    fn drop(&mut self) {
        let left = self.batcher.state.lock().queue.leave(self.number);
        // After the lock: it holds the user's values.
        drop(left);
        Seat::leave(&self.seat);
    }
}

impl Seat {
    /// Its caller is gone. With the last of them the batch is.
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
