//! [`RuntimeContext`]: the tokio runtime on which calls run, and the state that all calls of one
//! Serve runtime share.

use std::sync::Arc;
use std::task::Poll;

use tokio::runtime::{Handle, RuntimeFlavor};

use super::request_ids::RequestIds;
use super::stopping::Stopping;

/// The state that all calls of one runtime share. Handles keep this state, so that calls can be
/// made from any thread.
#[derive(Debug)]
pub(crate) struct RuntimeContext {
    pub(crate) tokio: Handle,
    pub(crate) ids: Arc<RequestIds>,
    /// True if compute work goes to threads for which the paused clock of a test waits, instead of
    /// to the threads of the replica.
    pub(crate) clock_waits: bool,
    pub(crate) in_place: InPlace,
    /// True if the sweeper begins calls that stand too long. On a single thread, nothing could run
    /// such calls sooner anyway.
    pub(crate) sweeps: bool,
    /// The moment at which the runtime begins to shut down.
    pub(crate) stopping: Stopping,
}

/// The methods that are polled in place, if their callers allow that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InPlace {
    /// Methods whose first polls are short.
    Earned,
    /// All methods, for tests.
    Always,
    /// No methods, for tests.
    Never,
}

impl RuntimeContext {
    pub(crate) fn new(tokio: Handle, seed: u64) -> Self {
        let sweeps = tokio.runtime_flavor() != RuntimeFlavor::CurrentThread;
        let (ids, in_place) = (Arc::new(RequestIds::new(seed)), InPlace::Earned);
        let stopping = Stopping::default();
        Self { tokio, ids, clock_waits: false, in_place, sweeps, stopping }
    }
}

/// Yields to the tasks that are ready to run.
///
/// `tokio::task::yield_now` hands a task to its worker thread until that thread has nothing else to
/// do. This function leaves the task where other threads can take it, so that user code that blocks
/// the thread meanwhile does not hold up the task.
pub(crate) async fn reschedule() {
    let mut yielded = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
