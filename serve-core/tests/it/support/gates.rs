//! Threads that block until their test lets them continue.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use parking_lot::Mutex;

/// Blocks the threads of `#[blocking]` code, or of code that wrongly blocks, until the test sends
/// a value.
#[derive(Debug)]
pub(crate) struct Gate<T = ()>(Arc<Mutex<mpsc::Receiver<T>>>);

impl<T> Clone for Gate<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// A closed gate, and the sender that opens it for one thread at a time.
pub(crate) fn gate<T>() -> (Gate<T>, mpsc::Sender<T>) {
    let (opens, opened) = mpsc::channel();
    (Gate(Arc::new(Mutex::new(opened))), opens)
}

impl<T> Gate<T> {
    /// Blocks this thread until the test sends a value. Returns none if the sender is gone, so that
    /// a test that fails ends.
    pub(crate) fn pass(&self) -> Option<T> {
        self.0.lock().recv().ok()
    }

    /// Blocks this thread like `pass`, but for a limited time.
    pub(crate) fn pass_within(&self, limit: Duration) -> Option<T> {
        self.0.lock().recv_timeout(limit).ok()
    }
}
