//! [`Deferral`]: a call that has been made and begins when its response is polled.
//!
//! Each thread has one place where such a call stands. The first of these events begins the call:
//! the response is polled, another call is made, or the poll of the code that made the call ends.
//! The sweeper begins a call that stands too long. The response may be polled on another thread, so
//! the place is shared. Only its own thread puts calls there.

use std::any::Any;
use std::cell::Cell;
use std::collections::HashMap;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Waker};

use crossbeam_utils::atomic::AtomicCell;
use parking_lot::Mutex;
use tokio::task::coop;
use tokio::task::{self, JoinHandle};

use super::pending::{KnownCall, PendingCall};
use super::sweeper;
use crate::observe;

/// The largest number of calls that are polled in place within one another. Deeper calls run as
/// tasks, so that recursion does not exhaust the stack.
const MAX_DEPTH: u8 = 16;

/// The size of the stack that polls in place within one another may use, in bytes. Calls beyond
/// this limit run as tasks. A thread of tokio has 2 MiB.
const MAX_STACK: usize = 256 << 10;

/// The number of polls in place of which one is timed.
const SAMPLED: u32 = 16;
/// The number of light calls, and of calls within one another, of which one counts for the budget
/// of its task.
const LIGHT: u8 = 4;

/// The future of a call that has not begun, without its type.
pub(crate) trait Deferred: Send {
    /// Polls the call with a no-op waker. Writes the result of a call that ended into `output`, an
    /// `Option` of the future's output, and its description for the response into `known`. Both are
    /// written where they stay, because copies of values that were just written stall the
    /// processor.
    fn poll_in_place(self: Pin<&mut Self>, output: &mut dyn Any, known: &mut KnownCall);
    /// Spawns the call as a task and writes the task's handle into `task`, an `Option<JoinHandle>`
    /// of the future's output.
    fn spawn_into(self: Pin<Box<Self>>, task: &mut dyn Any);
    /// Spawns the call as a task.
    fn spawn(self: Pin<Box<Self>>) -> Box<dyn SpawnedCall>;
    /// True if the events of the callee belong to a span of the callee's own.
    fn has_span(&self) -> bool;
    /// The description of the call for its response. Called only when the description is needed,
    /// because most deferred calls end before that.
    fn pending(&self) -> PendingCall;
    /// Records that the call is dropped and never begins.
    fn forget(&self);
}

/// The task of a call, without its type: a `JoinHandle`.
pub(crate) trait SpawnedCall: Any + Send {
    fn abort(&self);
    fn id(&self) -> task::Id;
}

impl<T: Send + 'static> SpawnedCall for JoinHandle<T> {
    fn abort(&self) {
        Self::abort(self);
    }

    fn id(&self) -> task::Id {
        Self::id(self)
    }
}

type BoxedCall = Pin<Box<dyn Deferred>>;

/// The state of a thread's current poll, as far as calls in place are concerned. Has no destructor,
/// so that access to the state is cheap.
struct Turn {
    /// True if the running code is polled, so that a call which it makes may stand until that
    /// poll ends.
    defers: Cell<bool>,
    /// The data pointer of that poll's waker, which distinguishes the poll from polls of other
    /// runtimes.
    waker: Cell<*const ()>,
    /// True if a scope may be current.
    scoped: Cell<bool>,
    /// True if a call stands, as far as this thread knows.
    stands: Cell<bool>,
    /// True if this poll has spawned a call. A tokio worker keeps the task that it spawned last for
    /// itself, where no other worker takes the task. Therefore the next call is spawned too, and
    /// the two run side by side.
    spawned: Cell<bool>,
    /// The number of calls that are being polled in place, within one another.
    depth: Cell<u8>,
    sample: Cell<u32>,
    /// An address in the stack frame of the outermost poll in place.
    base: Cell<usize>,
    /// The number of light or nested polls in place, counted up to [`LIGHT`].
    light: Cell<u8>,
}

impl Turn {
    /// True if the current polls in place of this thread have left enough of the stack. `depth` is
    /// the number of these polls.
    #[inline]
    fn has_stack(&self, depth: u8) -> bool {
        let marker = 0_u8;
        let here = (&raw const marker).addr();
        if depth == 0 {
            self.base.set(here);
        }
        self.base.get().abs_diff(here) < MAX_STACK
    }
}

thread_local! {
    static TURN: Turn = const {
        Turn {
            defers: Cell::new(false),
            waker: Cell::new(ptr::null()),
            scoped: Cell::new(false),
            stands: Cell::new(false),
            spawned: Cell::new(false),
            depth: Cell::new(0),
            sample: Cell::new(0),
            base: Cell::new(0),
            light: Cell::new(0),
        }
    };
    static OWN: OwnPlace = OwnPlace::new();
}

/// The places of all threads, for responses that are polled on other threads and for the sweeper.
static PLACES: LazyLock<Mutex<HashMap<u64, Arc<Place>>>> = LazyLock::new(Mutex::default);

/// The place of this thread.
struct OwnPlace {
    number: u64,
    place: Arc<Place>,
    /// The serial number of the last call that stood here.
    serial: Cell<u64>,
    /// An empty box for the next call.
    spare: Cell<Option<Box<Standing>>>,
}

impl OwnPlace {
    fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let place = Arc::<Place>::default();
        PLACES.lock().insert(number, Arc::clone(&place));
        Self { number, place, serial: Cell::new(0), spare: Cell::new(None) }
    }
}

impl Drop for OwnPlace {
    fn drop(&mut self) {
        let moved = self.place.moved.lock();
        self.place.abandoned.store(true, Ordering::Relaxed);
        // Otherwise the response that takes the last call from `moved` removes the place.
        if moved.is_empty() {
            PLACES.lock().remove(&self.number);
        }
    }
}

/// A thread's place for one call that has not begun.
#[derive(Default)]
pub(super) struct Place {
    standing: AtomicCell<Option<Box<Standing>>>,
    /// The calls that stood here and were spawned before their responses were polled. A call that
    /// is not found in `standing` has to be looked up again under this lock, because the sweeper
    /// takes the call out for a moment to inspect it.
    moved: Mutex<HashMap<u64, Moved>>,
    /// The number of beginnings and ends of polls in place, which is odd during a poll. Written
    /// only by the thread that owns the place.
    polls: AtomicU64,
    /// The value of `polls` during a poll that lasted too long, as found by the sweeper.
    overdue: AtomicU64,
    /// True if the thread that owns the place has ended.
    abandoned: AtomicBool,
}

/// A call that stands. Boxed, because an `AtomicCell` exchanges one word.
struct Standing {
    serial: u64,
    call: Option<BoxedCall>,
    /// True if the sweeper has seen the call before.
    seen: bool,
}

/// A call that stood at a place and was spawned.
struct Moved {
    pending: PendingCall,
    task: MovedTask,
}

enum MovedTask {
    Spawning(Spawning),
    Spawned(Box<dyn SpawnedCall>),
    /// The call was cancelled before it began.
    Cancelled,
}

/// The actions of a response while its call is being spawned.
#[derive(Default)]
struct Spawning {
    /// Woken once the call is spawned.
    waker: Option<Waker>,
    cancelled: bool,
    /// True if the response was dropped or detached.
    gone: bool,
}

/// An action of a response on its call.
#[derive(Clone, Copy)]
enum Action<'a> {
    Poll(&'a Waker),
    Cancel,
    Drop,
    Detach,
}

/// The state of the code outside of a guard of the scope, as far as calls in place are concerned.
/// Saved by [`enter`] and restored by [`leave`].
#[derive(Clone, Copy)]
pub(crate) struct Outer {
    defers: bool,
    waker: *const (),
    scoped: bool,
    spawned: bool,
}

/// Notes that other code runs from now on, and returns the state of the code before. The other code
/// is polled if `waker` is `Some`.
#[inline]
pub(crate) fn enter(waker: Option<&Waker>) -> Outer {
    TURN.with(|turn| Outer {
        defers: turn.defers.replace(waker.is_some()),
        waker: turn.waker.replace(waker.map_or(ptr::null(), Waker::data)),
        scoped: turn.scoped.replace(true),
        spawned: turn.spawned.replace(false),
    })
}

/// Notes that the code which [`enter`] announced has ended. Spawns the call that this code made and
/// did not await.
#[inline]
pub(crate) fn leave(outer: Outer) {
    TURN.with(|turn| {
        if turn.stands.get() {
            displace();
        }
        turn.defers.set(outer.defers);
        turn.waker.set(outer.waker);
        turn.scoped.set(outer.scoped);
        turn.spawned.set(turn.spawned.get() | outer.spawned);
    });
}

/// False if no scope is current. Cheaper than access to the scope, and sufficient for most calls
/// from outside of any method.
#[inline]
pub(crate) fn may_have_scope() -> bool {
    TURN.with(|turn| turn.scoped.get())
}

/// True if the running code is polled in a scope of a runtime.
#[inline]
pub(crate) fn in_a_poll() -> bool {
    TURN.with(|turn| turn.defers.get())
}

/// True if a call which is made now may stand until its response is polled.
#[inline]
pub(crate) fn may_defer() -> bool {
    TURN.with(|turn| turn.defers.get() && !turn.spawned.get())
}

/// Notes that another call is made. Spawns the call that stands at the place of this thread.
#[inline]
pub(crate) fn another_call() {
    if TURN.with(|turn| turn.stands.get()) {
        displace();
    }
}

/// Notes that a call was spawned.
#[inline]
pub(crate) fn call_spawned() {
    TURN.with(|turn| turn.spawned.set(true));
}

/// True for the polls in place that are timed: one in [`SAMPLED`].
///
/// Uses a Weyl sequence with the golden ratio instead of a counter. With a counter, a loop that
/// calls several methods in turn would time the calls of only one of these methods.
#[inline]
pub(crate) fn is_sampled() -> bool {
    const GOLDEN: u32 = 0x9E37_79B9;
    TURN.with(|turn| {
        let sample = turn.sample.get();
        turn.sample.set(sample.wrapping_add(GOLDEN));
        sample <= u32::MAX / SAMPLED
    })
}

/// Puts a call at the place of this thread. With `swept`, the sweeper spawns the call if it still
/// stands after some milliseconds, as happens if the code blocks its thread. A `light` call takes
/// at most about as long as a task costs.
#[inline]
pub(crate) fn defer(call: BoxedCall, swept: bool, light: bool) -> Deferral {
    TURN.with(|turn| turn.stands.set(true));
    let deferral = OWN.with(|own| {
        let serial = own.serial.get() + 1;
        own.serial.set(serial);
        let standing = match own.spare.take() {
            Some(mut spare) => {
                spare.serial = serial;
                spare.seen = false;
                spare.call = Some(call);
                spare
            }
            None => Box::new(Standing { serial, call: Some(call), seen: false }),
        };
        own.place.standing.store(Some(standing));
        Deferral { place: own.number, serial, light }
    });
    // Armed after the call is stored, so that the sweeper misses no call while it goes to sleep.
    if swept {
        sweeper::arm();
    }
    deferral
}

/// Spawns the call that stands at the place of this thread.
#[cold]
#[inline(never)]
fn displace() {
    TURN.with(|turn| {
        turn.stands.set(false);
        turn.spawned.set(true);
    });
    let _ = OWN.try_with(|own| own.place.displace(|_| true));
}

impl Place {
    /// Spawns the call that stands here, if `which` returns true for the call.
    fn displace(&self, which: impl FnOnce(&mut Standing) -> bool) {
        let mut moved = self.moved.lock();
        let Some(mut standing) = self.standing.take() else { return };
        if !which(&mut standing) {
            self.standing.store(Some(standing));
            return;
        }
        let call = standing.call.take().expect("a call stands until it is taken");
        let (serial, task) = (standing.serial, MovedTask::Spawning(Spawning::default()));
        moved.insert(serial, Moved { pending: call.pending(), task });
        drop(moved);
        // Not under the lock: a runtime that shuts down drops the call's future right here.
        let spawned = call.spawn();
        let mut moved = self.moved.lock();
        let entry = moved.get_mut(&serial).expect("only this function removes what it spawns");
        let MovedTask::Spawning(meanwhile) = &mut entry.task else {
            unreachable!("only this function makes a task of what it spawns");
        };
        let Spawning { waker, cancelled, gone } = mem::take(meanwhile);
        if cancelled {
            spawned.abort();
        }
        let gone = if gone {
            moved.remove(&serial).map(|moved| moved.pending)
        } else {
            entry.task = MovedTask::Spawned(spawned);
            None
        };
        drop(moved);
        if let Some(pending) = gone
            && !cancelled
        {
            pending.detach();
        }
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Inspects the place from the sweeper's thread. True if the place has to be inspected again.
    pub(super) fn sweep(&self, polls_before: &mut u64) -> bool {
        let polls = self.polls.load(Ordering::Relaxed);
        let is_polling = polls % 2 == 1;
        if is_polling && *polls_before == polls {
            self.overdue.store(polls, Ordering::Relaxed);
        }
        *polls_before = polls;
        let mut stands = false;
        self.displace(|standing| {
            stands = !standing.seen;
            mem::replace(&mut standing.seen, true)
        });
        is_polling || stands
    }
}

/// The places of all threads.
pub(super) fn places() -> Vec<(u64, Arc<Place>)> {
    PLACES.lock().iter().map(|(number, place)| (*number, Arc::clone(place))).collect()
}

/// A response's reference to a call that had not begun when the response was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deferral {
    /// The number of the place of the thread that made the call.
    place: u64,
    /// The serial number of the call at its place.
    serial: u64,
    light: bool,
}

/// The state in which a response finds its call.
pub(crate) enum Found {
    /// The call has not begun.
    Standing(BoxedCall),
    Spawned(Box<dyn SpawnedCall>, PendingCall),
    /// The call is being spawned on another thread, which performs the action afterwards.
    Spawning,
    /// The call was cancelled.
    Cancelled(PendingCall),
    /// The call was cancelled, and there is nothing left to take.
    Nothing,
}

/// The outcome of the first poll of a response.
pub(crate) enum Begun<O> {
    /// The call ran in place.
    Ended(std::thread::Result<O>),
    /// The call has a task.
    Task(JoinHandle<O>),
    /// The call was cancelled.
    Cancelled,
}

impl Deferral {
    /// Takes the call if it stands at the place of this thread.
    #[inline]
    fn take_here(&self) -> Option<BoxedCall> {
        OWN.try_with(|own| {
            if own.number != self.place || own.serial.get() != self.serial {
                return None;
            }
            let mut standing = own.place.standing.take()?;
            let call = standing.call.take();
            own.spare.set(Some(standing));
            TURN.with(|turn| turn.stands.set(false));
            call
        })
        .ok()
        .flatten()
    }

    /// Takes the call, wherever it is.
    #[cold]
    #[inline(never)]
    fn take_anywhere(&self, action: Action<'_>) -> Found {
        let Some(place) = PLACES.lock().get(&self.place).cloned() else { return Found::Nothing };
        let mut moved = place.moved.lock();
        let Some(entry) = moved.get_mut(&self.serial) else {
            let Some(mut standing) = place.standing.take() else { return Found::Nothing };
            if standing.serial == self.serial {
                let call = standing.call.take().expect("a call stands until it is taken");
                return Found::Standing(call);
            }
            place.standing.store(Some(standing));
            return Found::Nothing;
        };
        match &mut entry.task {
            MovedTask::Spawning(meanwhile) => {
                match action {
                    Action::Poll(waker) => meanwhile.waker = Some(waker.clone()),
                    Action::Cancel => meanwhile.cancelled = true,
                    Action::Drop => (meanwhile.cancelled, meanwhile.gone) = (true, true),
                    Action::Detach => meanwhile.gone = true,
                }
                return Found::Spawning;
            }
            // Kept, because the task may already have returned its result.
            MovedTask::Spawned(task) if matches!(action, Action::Cancel) => {
                entry.pending.cancel(task.id());
                task.abort();
                return Found::Nothing;
            }
            MovedTask::Cancelled if matches!(action, Action::Cancel) => return Found::Nothing,
            MovedTask::Spawned(_) | MovedTask::Cancelled => {}
        }
        let Some(taken) = moved.remove(&self.serial) else { return Found::Nothing };
        if moved.is_empty() && place.abandoned.load(Ordering::Relaxed) {
            PLACES.lock().remove(&self.place);
        }
        match taken.task {
            MovedTask::Spawned(task) => Found::Spawned(task, taken.pending),
            MovedTask::Cancelled => Found::Cancelled(taken.pending),
            MovedTask::Spawning(_) => unreachable!("returned above"),
        }
    }

    /// Keeps the description of a call that was cancelled before it began, for the call's response.
    #[cold]
    fn keep_cancelled(&self, pending: PendingCall) {
        let places = PLACES.lock();
        // If the place is gone, its thread has ended, and nothing is kept.
        if let Some(place) = places.get(&self.place).cloned() {
            drop(places);
            let cancelled = Moved { pending, task: MovedTask::Cancelled };
            place.moved.lock().insert(self.serial, cancelled);
        }
    }

    #[inline]
    fn take(&self, action: Action<'_>) -> Found {
        match self.take_here() {
            Some(call) => Found::Standing(call),
            None => self.take_anywhere(action),
        }
    }

    /// Begins the call. Polls the call in place, and spawns it as a task if it is pending or cannot
    /// be polled here. Without a context, always spawns the call as a task.
    #[inline]
    pub(crate) fn begin<O: Send + 'static>(
        self,
        cx: Option<&mut Context<'_>>,
        known: &mut KnownCall,
    ) -> Poll<Begun<O>> {
        let Some(cx) = cx else { return self.spawn(known) };
        match self.take_here() {
            Some(call) => self.begin_here(call, cx, known),
            None => self.begin_elsewhere(cx.waker(), known),
        }
    }

    #[inline]
    fn begin_here<O: Send + 'static>(
        &self,
        mut call: BoxedCall,
        cx: &mut Context<'_>,
        known: &mut KnownCall,
    ) -> Poll<Begun<O>> {
        let (may_poll, depth) = TURN.with(|turn| {
            let depth = turn.depth.get();
            // With another waker, the response may be polled by another runtime, under `block_on`,
            // and the method must not run there.
            let same = turn.defers.get() && turn.waker.get() == cx.waker().data();
            (same && depth < MAX_DEPTH && turn.has_stack(depth), depth)
        });
        if !may_poll || observe::would_mix(|| call.has_span()) {
            return Poll::Ready(begun(call, known));
        }
        // Counted like the await of a task, so that a method which only makes calls lets other
        // tasks run. Calls within one another are parts of the outermost call.
        let budget = if self.counts(depth) {
            let Poll::Ready(budget) = coop::poll_proceed(cx) else {
                return Poll::Ready(begun(call, known));
            };
            Some(budget)
        } else {
            None
        };
        let mut output: Option<O> = None;
        let polled = poll_in_place(depth, &mut call, &mut output, known);
        let ended = match polled {
            // The user's values may panic when they are dropped, which fails a task too.
            Ok(()) if output.is_some() => catch_unwind(AssertUnwindSafe(|| drop(call))),
            Ok(()) => return Poll::Ready(begun(call, known)),
            Err(panic) => {
                *known = KnownCall::Pending(call.pending());
                let _ = catch_unwind(AssertUnwindSafe(|| drop(call)));
                Err(panic)
            }
        };
        if let Some(budget) = budget {
            budget.made_progress();
        }
        Poll::Ready(Begun::Ended(match (ended, output) {
            (Ok(()), Some(output)) => Ok(output),
            (Ok(()), None) => unreachable!("a call that ended has an output"),
            (Err(panic), output) => {
                let _ = catch_unwind(AssertUnwindSafe(|| drop(output)));
                Err(panic)
            }
        }))
    }

    /// True if the poll in place counts for the budget of the task that polls.
    #[inline]
    fn counts(&self, depth: u8) -> bool {
        (depth == 0 && !self.light)
            || TURN.with(|turn| {
                let light = turn.light.get() % LIGHT;
                turn.light.set(light + 1);
                light == 0
            })
    }

    /// Begins a call that does not stand at the place of this thread. The call has a task, or gets
    /// one.
    #[cold]
    #[inline(never)]
    fn begin_elsewhere<O: Send + 'static>(
        &self,
        waker: &Waker,
        known: &mut KnownCall,
    ) -> Poll<Begun<O>> {
        Poll::Ready(match self.take_anywhere(Action::Poll(waker)) {
            Found::Standing(call) => begun(call, known),
            Found::Spawned(task, pending) => {
                let task: Box<dyn Any> = task;
                let task = task.downcast().expect("a response has the types of its call");
                *known = KnownCall::Pending(pending);
                Begun::Task(*task)
            }
            Found::Spawning => return Poll::Pending,
            Found::Cancelled(pending) => {
                *known = KnownCall::Pending(pending);
                Begun::Cancelled
            }
            Found::Nothing => Begun::Cancelled,
        })
    }

    #[cold]
    fn spawn<O: Send + 'static>(&self, known: &mut KnownCall) -> Poll<Begun<O>> {
        match self.take_here() {
            Some(call) => Poll::Ready(begun(call, known)),
            None => self.begin_elsewhere(Waker::noop(), known),
        }
    }

    /// The description of the call for its response; none if nothing is left of the call.
    pub(crate) fn pending(&self) -> Option<PendingCall> {
        let place = PLACES.lock().get(&self.place).cloned()?;
        let moved = place.moved.lock();
        if let Some(moved) = moved.get(&self.serial) {
            return Some(moved.pending.clone());
        }
        let standing = place.standing.take()?;
        let call = standing.call.as_ref().filter(|_| standing.serial == self.serial);
        let pending = call.map(|call| call.pending());
        place.standing.store(Some(standing));
        pending
    }

    /// Cancels the call.
    pub(crate) fn cancel(&self) {
        self.end(Action::Cancel);
    }

    /// Cancels the call of a response that is dropped.
    pub(crate) fn drop_response(&self) {
        self.end(Action::Drop);
    }

    fn end(&self, action: Action<'_>) {
        match self.take(action) {
            Found::Standing(call) => {
                call.forget();
                if matches!(action, Action::Cancel) {
                    self.keep_cancelled(call.pending());
                }
                // The user's arguments may panic when they are dropped. The panic is ignored, as a
                // panic in a task would be.
                let _ = catch_unwind(AssertUnwindSafe(|| drop(call)));
            }
            Found::Spawned(task, pending) => {
                pending.cancel(task.id());
                task.abort();
            }
            Found::Spawning | Found::Cancelled(_) | Found::Nothing => {}
        }
    }

    /// Spawns the call as a task whose result is not awaited.
    pub(crate) fn detach(&self) {
        match self.take(Action::Detach) {
            Found::Standing(call) => {
                call_spawned();
                call.pending().detach();
                drop(call.spawn());
            }
            // Dropping tokio's handle lets its task run on.
            Found::Spawned(_, pending) => pending.detach(),
            Found::Spawning | Found::Cancelled(_) | Found::Nothing => {}
        }
    }
}

/// Polls a call in place, within `depth` other polls.
#[inline]
fn poll_in_place(
    depth: u8,
    call: &mut BoxedCall,
    output: &mut dyn Any,
    known: &mut KnownCall,
) -> std::thread::Result<()> {
    let count = || {
        OWN.with(|own| {
            let polls = own.place.polls.load(Ordering::Relaxed) + 1;
            own.place.polls.store(polls, Ordering::Relaxed);
        });
    };
    if depth == 0 {
        count();
    }
    TURN.with(|turn| turn.depth.set(depth + 1));
    let poll = || call.as_mut().poll_in_place(output, known);
    let polled = catch_unwind(AssertUnwindSafe(poll));
    TURN.with(|turn| turn.depth.set(depth));
    if depth == 0 {
        count();
    }
    polled
}

/// True if the sweeper found that the current poll in place lasts too long. Always false for a poll
/// within another one, which is a part of the outermost poll.
#[inline]
pub(crate) fn is_overdue() -> bool {
    TURN.with(|turn| turn.depth.get() == 1)
        && OWN.with(|own| {
            let polls = own.place.polls.load(Ordering::Relaxed);
            own.place.overdue.load(Ordering::Relaxed) == polls && polls > 0
        })
}

/// Spawns a call as a task.
#[cold]
#[inline(never)]
fn begun<O: Send + 'static>(call: BoxedCall, known: &mut KnownCall) -> Begun<O> {
    call_spawned();
    *known = KnownCall::Pending(call.pending());
    let mut task: Option<JoinHandle<O>> = None;
    call.spawn_into(&mut task);
    Begun::Task(task.expect("a response has the types of its call"))
}
