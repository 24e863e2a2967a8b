//! Waiting for async results on threads that may block, and refusing on those that may not.

use std::cell::Cell;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

thread_local! {
    static COMPUTE: Cell<bool> = const { Cell::new(false) };
}

/// Marks the current thread as one for compute work while `f` runs: it may block.
pub(crate) fn on_compute_thread<R>(f: impl FnOnce() -> R) -> R {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            COMPUTE.set(self.0);
        }
    }
    let _restore = Restore(COMPUTE.replace(true));
    f()
}

/// False where a blocking wait would stop the async work of this very thread.
pub(crate) fn may_block() -> bool {
    COMPUTE.get() || tokio::runtime::Handle::try_current().is_err()
}

/// What is to be done around a wait, besides parking the thread.
pub(crate) trait Parking: Send + Sync + 'static {
    /// The future is about to be asked.
    fn asking(&self) {}
    /// The thread is about to be parked.
    fn parking(&self) {}
    /// On whatever thread: the future is to be asked again.
    fn woken(&self) {}
}

/// Nothing.
impl Parking for () {}

/// Parks the thread until `future` is done.
pub(crate) fn wait<F: Future>(future: F) -> F::Output {
    wait_by(&Arc::new(()), future)
}

/// The same, with something to be done around it.
pub(crate) fn wait_by<P: Parking, F: Future>(parking: &Arc<P>, future: F) -> F::Output {
    struct Unpark<P>(Thread, Arc<P>);
    impl<P: Parking> Wake for Unpark<P> {
        fn wake(self: Arc<Self>) {
            self.1.woken();
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current(), Arc::clone(parking))));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        parking.asking();
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => {
                parking.parking();
                thread::park();
            }
        }
    }
}
