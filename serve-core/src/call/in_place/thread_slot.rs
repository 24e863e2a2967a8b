//! [`ThreadSlot`]: a thread's slot for one call that has been made and has not begun.

use std::any::Any;
use std::cell::Cell;
use std::collections::HashMap;
use std::mem;
use std::pin::Pin;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::Waker;

use crossbeam_utils::atomic::AtomicCell;
use parking_lot::Mutex;
use tokio::task::{self, JoinHandle};

use super::known_call::{Deferral, KnownCall};
use super::poll_state::POLL;
use crate::call::pending::PendingCall;

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

pub(super) type BoxedCall = Pin<Box<dyn Deferred>>;

thread_local! {
    static OWN: OwnSlot = OwnSlot::new();
}

/// The slots of all threads, for responses that are polled on other threads and for the sweeper.
static SLOTS: LazyLock<Mutex<HashMap<u64, Arc<ThreadSlot>>>> = LazyLock::new(Mutex::default);

/// The slot of this thread.
struct OwnSlot {
    number: u64,
    slot: Arc<ThreadSlot>,
    /// The serial number of the last call that stood here.
    serial: Cell<u64>,
    /// An empty box for the next call.
    spare: Cell<Option<Box<StandingCall>>>,
}

impl OwnSlot {
    fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let slot = Arc::<ThreadSlot>::default();
        SLOTS.lock().insert(number, Arc::clone(&slot));
        Self { number, slot, serial: Cell::new(0), spare: Cell::new(None) }
    }
}

impl Drop for OwnSlot {
    fn drop(&mut self) {
        let displaced = self.slot.displaced.lock();
        self.slot.abandoned.store(true, Ordering::Relaxed);
        // Otherwise the response that takes the last call from `displaced` removes the slot.
        if displaced.is_empty() {
            SLOTS.lock().remove(&self.number);
        }
    }
}

/// A thread's slot for one call that has not begun.
#[derive(Default)]
pub(super) struct ThreadSlot {
    standing: AtomicCell<Option<Box<StandingCall>>>,
    /// The calls that stood here and were spawned before their responses were polled. A call that
    /// is not found in `standing` has to be looked up again under this lock, because the sweeper
    /// takes the call out for a moment to inspect it.
    displaced: Mutex<HashMap<u64, DisplacedCall>>,
    /// The number of beginnings and ends of polls in place, which is odd during a poll. Written
    /// only by the thread that owns the slot.
    polls: AtomicU64,
    /// The value of `polls` during a poll that lasted too long, as found by the sweeper.
    overdue: AtomicU64,
    /// True if the thread that owns the slot has ended.
    abandoned: AtomicBool,
}

/// A call that stands. Boxed, because an `AtomicCell` exchanges one word.
struct StandingCall {
    serial: u64,
    call: Option<BoxedCall>,
    /// True if the sweeper has seen the call before.
    seen: bool,
}

/// A call that stood at a slot and was spawned.
struct DisplacedCall {
    pending: PendingCall,
    task: DisplacedTask,
}

enum DisplacedTask {
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

/// The state of the code outside of a guard of the scope, as far as calls in place are concerned.
/// Saved by [`enter`] and restored by [`leave`].
#[derive(Clone, Copy)]
pub(crate) struct OuterPoll {
    defers: bool,
    waker: *const (),
    scoped: bool,
    spawned: bool,
}

/// Notes that other code runs from now on, and returns the state of the code before. The other code
/// is polled if `waker` is `Some`.
#[inline]
pub(crate) fn enter(waker: Option<&Waker>) -> OuterPoll {
    POLL.with(|poll| OuterPoll {
        defers: poll.defers.replace(waker.is_some()),
        waker: poll.waker.replace(waker.map_or(ptr::null(), Waker::data)),
        scoped: poll.scoped.replace(true),
        spawned: poll.spawned.replace(false),
    })
}

/// Notes that the code which [`enter`] announced has ended. Spawns the call that this code made and
/// did not await.
#[inline]
pub(crate) fn leave(outer: OuterPoll) {
    POLL.with(|poll| {
        if poll.stands.get() {
            displace();
        }
        poll.defers.set(outer.defers);
        poll.waker.set(outer.waker);
        poll.scoped.set(outer.scoped);
        poll.spawned.set(poll.spawned.get() | outer.spawned);
    });
}

/// Notes that another call is made. Spawns the call that stands at the slot of this thread.
#[inline]
pub(crate) fn another_call() {
    if POLL.with(|poll| poll.stands.get()) {
        displace();
    }
}

/// Spawns the call that stands at the slot of this thread.
#[cold]
#[inline(never)]
fn displace() {
    POLL.with(|poll| {
        poll.stands.set(false);
        poll.spawned.set(true);
    });
    let _ = OWN.try_with(|own| own.slot.displace(|_| true));
}

impl ThreadSlot {
    /// Spawns the call that stands here, if `which` returns true for the call.
    fn displace(&self, which: impl FnOnce(&mut StandingCall) -> bool) {
        let mut displaced = self.displaced.lock();
        let Some(mut standing) = self.standing.take() else { return };
        if !which(&mut standing) {
            self.standing.store(Some(standing));
            return;
        }
        let call = standing.call.take().expect("a call stands until it is taken");
        let (serial, task) = (standing.serial, DisplacedTask::Spawning(Spawning::default()));
        displaced.insert(serial, DisplacedCall { pending: call.pending(), task });
        drop(displaced);
        // Not under the lock: a runtime that shuts down drops the call's future right here.
        let spawned = call.spawn();
        let mut displaced = self.displaced.lock();
        let entry = displaced.get_mut(&serial).expect("only this function removes what it spawns");
        let DisplacedTask::Spawning(meanwhile) = &mut entry.task else {
            unreachable!("only this function makes a task of what it spawns");
        };
        let Spawning { waker, cancelled, gone } = mem::take(meanwhile);
        if cancelled {
            spawned.abort();
        }
        let gone = if gone {
            displaced.remove(&serial).map(|displaced| displaced.pending)
        } else {
            entry.task = DisplacedTask::Spawned(spawned);
            None
        };
        drop(displaced);
        if let Some(pending) = gone
            && !cancelled
        {
            pending.detach();
        }
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Inspects the slot from the sweeper's thread. True if the slot has to be inspected again.
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

/// The slots of all threads.
pub(super) fn slots() -> Vec<(u64, Arc<ThreadSlot>)> {
    SLOTS.lock().iter().map(|(number, slot)| (*number, Arc::clone(slot))).collect()
}

/// An action of a response on its call.
#[derive(Clone, Copy)]
pub(super) enum Action<'a> {
    Poll(&'a Waker),
    Cancel,
    Drop,
    Detach,
}

/// The state in which a response finds its call.
pub(super) enum Found {
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

/// Puts a call at the slot of this thread. Returns the number of the slot, and the serial number of
/// the call there.
#[inline]
pub(super) fn put(call: BoxedCall) -> (u64, u64) {
    POLL.with(|poll| poll.stands.set(true));
    OWN.with(|own| {
        let serial = own.serial.get() + 1;
        own.serial.set(serial);
        let standing = match own.spare.take() {
            Some(mut spare) => {
                spare.serial = serial;
                spare.seen = false;
                spare.call = Some(call);
                spare
            }
            None => Box::new(StandingCall { serial, call: Some(call), seen: false }),
        };
        own.slot.standing.store(Some(standing));
        (own.number, serial)
    })
}

/// Counts the beginning, or the end, of a poll in place on this thread.
#[inline]
pub(super) fn count_poll() {
    OWN.with(|own| {
        let polls = own.slot.polls.load(Ordering::Relaxed) + 1;
        own.slot.polls.store(polls, Ordering::Relaxed);
    });
}

/// True if the sweeper found that the current poll in place lasts too long. Always false for a poll
/// within another one, which is a part of the outermost poll.
#[inline]
pub(crate) fn is_overdue() -> bool {
    POLL.with(|poll| poll.depth.get() == 1)
        && OWN.with(|own| {
            let polls = own.slot.polls.load(Ordering::Relaxed);
            own.slot.overdue.load(Ordering::Relaxed) == polls && polls > 0
        })
}

impl Deferral {
    /// Takes the call if it stands at the slot of this thread.
    #[inline]
    pub(super) fn take_here(&self) -> Option<BoxedCall> {
        OWN.try_with(|own| {
            if own.number != self.slot || own.serial.get() != self.serial {
                return None;
            }
            let mut standing = own.slot.standing.take()?;
            let call = standing.call.take();
            own.spare.set(Some(standing));
            POLL.with(|poll| poll.stands.set(false));
            call
        })
        .ok()
        .flatten()
    }

    /// Takes the call, wherever it is.
    #[cold]
    #[inline(never)]
    pub(super) fn take_anywhere(&self, action: Action<'_>) -> Found {
        let Some(slot) = SLOTS.lock().get(&self.slot).cloned() else { return Found::Nothing };
        let mut displaced = slot.displaced.lock();
        let Some(entry) = displaced.get_mut(&self.serial) else {
            let Some(mut standing) = slot.standing.take() else { return Found::Nothing };
            if standing.serial == self.serial {
                let call = standing.call.take().expect("a call stands until it is taken");
                return Found::Standing(call);
            }
            slot.standing.store(Some(standing));
            return Found::Nothing;
        };
        match &mut entry.task {
            DisplacedTask::Spawning(meanwhile) => {
                match action {
                    Action::Poll(waker) => meanwhile.waker = Some(waker.clone()),
                    Action::Cancel => meanwhile.cancelled = true,
                    Action::Drop => (meanwhile.cancelled, meanwhile.gone) = (true, true),
                    Action::Detach => meanwhile.gone = true,
                }
                return Found::Spawning;
            }
            // Kept, because the task may already have returned its result.
            DisplacedTask::Spawned(task) if matches!(action, Action::Cancel) => {
                entry.pending.cancel(task.id());
                task.abort();
                return Found::Nothing;
            }
            DisplacedTask::Cancelled if matches!(action, Action::Cancel) => return Found::Nothing,
            DisplacedTask::Spawned(_) | DisplacedTask::Cancelled => {}
        }
        let Some(taken) = displaced.remove(&self.serial) else { return Found::Nothing };
        if displaced.is_empty() && slot.abandoned.load(Ordering::Relaxed) {
            SLOTS.lock().remove(&self.slot);
        }
        match taken.task {
            DisplacedTask::Spawned(task) => Found::Spawned(task, taken.pending),
            DisplacedTask::Cancelled => Found::Cancelled(taken.pending),
            DisplacedTask::Spawning(_) => unreachable!("returned above"),
        }
    }

    /// Keeps the description of a call that was cancelled before it began, for the call's response.
    #[cold]
    pub(super) fn keep_cancelled(&self, pending: PendingCall) {
        let slots = SLOTS.lock();
        // If the slot is gone, its thread has ended, and nothing is kept.
        if let Some(slot) = slots.get(&self.slot).cloned() {
            drop(slots);
            let cancelled = DisplacedCall { pending, task: DisplacedTask::Cancelled };
            slot.displaced.lock().insert(self.serial, cancelled);
        }
    }

    #[inline]
    pub(super) fn take(&self, action: Action<'_>) -> Found {
        match self.take_here() {
            Some(call) => Found::Standing(call),
            None => self.take_anywhere(action),
        }
    }

    /// The description of the call for its response; none if nothing is left of the call.
    pub(crate) fn pending(&self) -> Option<PendingCall> {
        let slot = SLOTS.lock().get(&self.slot).cloned()?;
        let displaced = slot.displaced.lock();
        if let Some(displaced) = displaced.get(&self.serial) {
            return Some(displaced.pending.clone());
        }
        let standing = slot.standing.take()?;
        let call = standing.call.as_ref().filter(|_| standing.serial == self.serial);
        let pending = call.map(|call| call.pending());
        slot.standing.store(Some(standing));
        pending
    }
}
