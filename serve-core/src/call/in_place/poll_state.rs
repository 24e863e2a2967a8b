//! [`PollState`]: what this thread polls now, as far as calls in place are concerned.

use std::cell::Cell;
use std::ptr;

/// The size of the stack that polls in place within one another may use, in bytes. Calls beyond
/// this limit run as tasks. A thread of tokio has 2 MiB.
const MAX_STACK: usize = 256 << 10;

/// The number of polls in place of which one is timed.
const SAMPLED: u32 = 16;
/// The state of a thread's current poll, as far as calls in place are concerned. Has no destructor,
/// so that access to the state is cheap.
pub(super) struct PollState {
    /// True if the running code is polled, so that a call which it makes may stand until that
    /// poll ends.
    pub(super) defers: Cell<bool>,
    /// The data pointer of that poll's waker, which distinguishes the poll from polls of other
    /// runtimes.
    pub(super) waker: Cell<*const ()>,
    /// True if a scope may be current.
    pub(super) scoped: Cell<bool>,
    /// True if a call stands, as far as this thread knows.
    pub(super) stands: Cell<bool>,
    /// True if this poll has spawned a call. A tokio worker keeps the task that it spawned last for
    /// itself, where no other worker takes the task. Therefore the next call is spawned too, and
    /// the two run side by side.
    pub(super) spawned: Cell<bool>,
    /// The number of calls that are being polled in place, within one another.
    pub(super) depth: Cell<u8>,
    pub(super) sample: Cell<u32>,
    /// An address in the stack frame of the outermost poll in place.
    pub(super) base: Cell<usize>,
    /// The number of light or nested polls in place, counted up to [`LIGHT`].
    pub(super) light: Cell<u8>,
}

impl PollState {
    /// True if the current polls in place of this thread have left enough of the stack. `depth` is
    /// the number of these polls.
    #[inline]
    pub(super) fn has_stack(&self, depth: u8) -> bool {
        let marker = 0_u8;
        let here = (&raw const marker).addr();
        if depth == 0 {
            self.base.set(here);
        }
        self.base.get().abs_diff(here) < MAX_STACK
    }
}

thread_local! {
    pub(super) static POLL: PollState = const {
        PollState {
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
}

/// False if no scope is current. Cheaper than access to the scope, and sufficient for most calls
/// from outside of any method.
#[inline]
pub(crate) fn may_have_scope() -> bool {
    POLL.with(|poll| poll.scoped.get())
}

/// True if the running code is polled in a scope of a runtime.
#[inline]
pub(crate) fn in_a_poll() -> bool {
    POLL.with(|poll| poll.defers.get())
}

/// True if a call which is made now may stand until its response is polled.
#[inline]
pub(crate) fn may_defer() -> bool {
    POLL.with(|poll| poll.defers.get() && !poll.spawned.get())
}

/// Notes that a call was spawned.
#[inline]
pub(crate) fn call_spawned() {
    POLL.with(|poll| poll.spawned.set(true));
}

/// True for the polls in place that are timed: one in [`SAMPLED`].
///
/// Uses a Weyl sequence with the golden ratio instead of a counter. With a counter, a loop that
/// calls several methods in poll would time the calls of only one of these methods.
#[inline]
pub(crate) fn is_sampled() -> bool {
    const GOLDEN: u32 = 0x9E37_79B9;
    POLL.with(|poll| {
        let sample = poll.sample.get();
        poll.sample.set(sample.wrapping_add(GOLDEN));
        sample <= u32::MAX / SAMPLED
    })
}
