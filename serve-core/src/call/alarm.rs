//! [`Alarm`]: a timer that rings though every thread of the runtime computes.
//!
//! The timers of tokio are driven by one of the runtime's worker threads. If a method computes on
//! that thread, or on all of them, no timer of the runtime expires, and a caller on another thread
//! would not hear of its deadline. Therefore one thread of the process has the alarms of callers.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::LazyLock;
use std::task::Waker;
use std::thread;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::time::Instant;

/// The time after which the thread ends if no alarm is set.
const IDLE: Duration = Duration::from_secs(10);

static ALARMS: LazyLock<Alarms> = LazyLock::new(Alarms::default);

#[derive(Default)]
struct Alarms {
    set: Mutex<Set>,
    /// Notified when the first alarm changes.
    changed: Condvar,
}

#[derive(Default)]
struct Set {
    /// The alarms in the order in which they ring, each with a number of its own.
    wakers: BTreeMap<(Instant, u64), Waker>,
    next: u64,
    /// True while there is a thread.
    runs: bool,
}

/// An alarm that is set. Dropping it cancels the alarm.
#[derive(Debug)]
pub(super) struct Alarm {
    key: (Instant, u64),
    waker: Waker,
}

impl Alarm {
    /// Sets an alarm that wakes `waker` at a time. Returns `None` if there can be no thread for it.
    pub(super) fn at(time: Instant, waker: &Waker) -> Option<Self> {
        let mut set = ALARMS.set.lock();
        if !set.runs {
            let thread = thread::Builder::new().name("serve deadlines".to_owned());
            thread.spawn(ring).ok()?;
            set.runs = true;
        }
        let key = (time, set.next);
        set.next += 1;
        set.wakers.insert(key, waker.clone());
        if set.wakers.first_key_value().is_some_and(|(first, _)| *first == key) {
            ALARMS.changed.notify_one();
        }
        Some(Self { key, waker: waker.clone() })
    }

    pub(super) fn time(&self) -> Instant {
        self.key.0
    }

    /// True once the alarm has rung. Until then, it wakes `waker`.
    pub(super) fn has_rung(&mut self, waker: &Waker) -> bool {
        if Instant::now() >= self.key.0 {
            return true;
        }
        if !self.waker.will_wake(waker) {
            self.waker = waker.clone();
            let before = ALARMS.set.lock().wakers.insert(self.key, waker.clone());
            // After the lock, because dropping a waker may run user code.
            drop(before);
        }
        false
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        let waker = ALARMS.set.lock().wakers.remove(&self.key);
        drop(waker);
    }
}

/// Rings the alarms, until none has been set for a while.
fn ring() {
    let mut set = ALARMS.set.lock();
    loop {
        let now = Instant::now();
        let mut due = Vec::new();
        while let Some(first) = set.wakers.first_entry()
            && first.key().0 <= now
        {
            due.push(first.remove());
        }
        if !due.is_empty() {
            drop(set);
            for waker in due {
                // The waker may be of another executor. Its panic must not end the thread.
                let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
            }
            set = ALARMS.set.lock();
            continue;
        }
        match set.wakers.first_key_value() {
            Some(((time, _), _)) => {
                let time = time.into_std();
                ALARMS.changed.wait_until(&mut set, time);
            }
            None => {
                let waited = ALARMS.changed.wait_for(&mut set, IDLE);
                if waited.timed_out() && set.wakers.is_empty() {
                    set.runs = false;
                    return;
                }
            }
        }
    }
}
