//! The sweeper: a thread that begins calls which stand too long.
//!
//! A call stands until the code that made it suspends. Code that blocks its thread instead, under
//! `block_in_place` for example, might wait for the very call. So a thread of the process looks
//! at all places every other millisecond while calls are made, and spawns what it sees twice.

use std::collections::HashMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Thread};
use std::time::Duration;

use super::deferred;

/// The time between two looks. Long beside a call that runs in place, and short beside what
/// people notice.
const INTERVAL: Duration = Duration::from_millis(2);

static ARMED: AtomicBool = AtomicBool::new(false);
static SWEEPER: OnceLock<Option<Thread>> = OnceLock::new();

/// Makes the sweeper look at the places for as long as there is anything to see. Only reads one
/// number while the sweeper is at work.
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
        let places = deferred::places();
        let mut seen = false;
        for (number, place) in &places {
            seen |= place.sweep(polls.entry(*number).or_insert(0));
        }
        if seen {
            continue;
        }
        polls.clear();
        ARMED.swap(false, Ordering::SeqCst);
        // One more look, at a call that was put at its place before that, perhaps at a new place.
        let seen_late = deferred::places().iter().any(|(_, place)| place.sweep(&mut 0));
        if !seen_late {
            thread::park();
        }
    }
}
