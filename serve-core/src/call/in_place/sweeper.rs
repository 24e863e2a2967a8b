//! The sweeper: a thread that begins calls which stand too long.
//!
//! A call stands until the code that made it suspends. Code that blocks its thread instead, under
//! `block_in_place` for example, might wait for that very call. Therefore one thread of the process
//! inspects all slots every two milliseconds while calls are made, and spawns each call that it
//! sees twice.

use std::collections::HashMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Thread};
use std::time::Duration;

use super::thread_slot;

/// The time between two inspections. Long compared with a call that runs in slot, and short
/// compared with a delay that people notice.
const INTERVAL: Duration = Duration::from_millis(2);

static ARMED: AtomicBool = AtomicBool::new(false);
static SWEEPER: OnceLock<Option<Thread>> = OnceLock::new();

/// Makes the sweeper inspect the slots for as long as it finds calls or polls there. Only reads
/// one flag while the sweeper is running.
#[inline]
pub(super) fn arm() {
    if !ARMED.load(Ordering::SeqCst) {
        wake();
    }
}

#[cold]
#[inline(never)]
fn wake() {
    ARMED.store(true, Ordering::SeqCst);
    let sweeper = SWEEPER.get_or_init(|| {
        let thread = thread::Builder::new().name("serve sweeper".to_owned()).spawn(sweep);
        thread.ok().map(|thread| thread.thread().clone())
    });
    if let Some(sweeper) = sweeper {
        sweeper.unpark();
    }
}

fn sweep() {
    let mut polls = HashMap::new();
    loop {
        thread::park_timeout(INTERVAL);
        let slots = thread_slot::slots();
        let mut seen = false;
        for (number, slot) in &slots {
            seen |= slot.sweep(polls.entry(*number).or_insert(0));
        }
        if seen {
            continue;
        }
        polls.clear();
        ARMED.swap(false, Ordering::SeqCst);
        // One more inspection, for a call that was stored before the flag was cleared, perhaps at a
        // new slot.
        let seen_late = thread_slot::slots().iter().any(|(_, slot)| slot.sweep(&mut 0));
        if !seen_late {
            thread::park();
        }
    }
}
