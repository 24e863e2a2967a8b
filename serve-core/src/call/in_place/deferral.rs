//! The response's end of a deferred call: [`Deferral`] begins, cancels and detaches the call.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Poll, Waker};

use tokio::task::JoinHandle;
use tokio::task::coop;

use super::known_call::{Deferral, KnownCall};
use super::poll_state::{POLL, call_spawned};
use super::sweeper;
use super::thread_slot::{Action, BoxedCall, Found, count_poll, put};
use crate::observe;

/// The largest number of calls that are polled in place within one another. Deeper calls run as
/// tasks, so that recursion does not exhaust the stack.
const MAX_DEPTH: u8 = 16;

/// The number of light calls, and of calls within one another, of which one counts for the budget
/// of its task.
const LIGHT: u8 = 4;

/// Puts a call at the slot of this thread. With `swept`, the sweeper spawns the call if it still
/// stands after some milliseconds, as happens if the code blocks its thread. A `light` call takes
/// at most about as long as a task costs.
#[inline]
pub(crate) fn defer(call: BoxedCall, swept: bool, light: bool) -> Deferral {
    let (slot, serial) = put(call);
    // Armed after the call is stored, so that the sweeper misses no call while it goes to sleep.
    if swept {
        sweeper::arm();
    }
    Deferral { slot, serial, light }
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
        let (may_poll, depth) = POLL.with(|poll| {
            let depth = poll.depth.get();
            // With another waker, the response may be polled by another runtime, under `block_on`,
            // and the method must not run there.
            let same = poll.defers.get() && poll.waker.get() == cx.waker().data();
            (same && depth < MAX_DEPTH && poll.has_stack(depth), depth)
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
            || POLL.with(|poll| {
                let light = poll.light.get() % LIGHT;
                poll.light.set(light + 1);
                light == 0
            })
    }

    /// Begins a call that does not stand at the slot of this thread. The call has a task, or gets
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
    if depth == 0 {
        count_poll();
    }
    POLL.with(|poll| poll.depth.set(depth + 1));
    let poll = || call.as_mut().poll_in_place(output, known);
    let polled = catch_unwind(AssertUnwindSafe(poll));
    POLL.with(|poll| poll.depth.set(depth));
    if depth == 0 {
        count_poll();
    }
    polled
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
