//! [`Stopping`]: a moment that comes once, at which something begins to stop.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// A moment that comes once and that any number of tasks may wait for. Costs no allocation, because
/// every runtime of a `#[task]` has one.
#[derive(Debug, Default)]
pub(crate) struct Stopping {
    begun: AtomicBool,
    begins: Notify,
}

impl Stopping {
    /// Marks the moment as come, and wakes the tasks that wait for it.
    pub(crate) fn begin(&self) {
        self.begun.store(true, Ordering::Release);
        self.begins.notify_waiters();
    }

    /// Waits for the moment. Returns at once if it has come.
    pub(crate) async fn begun(&self) {
        let mut begins = pin!(self.begins.notified());
        // Registered before the check, so that the moment is not missed between the two.
        begins.as_mut().enable();
        if !self.begun.load(Ordering::Acquire) {
            begins.await;
        }
    }
}
