//! Blocking waits for async results, and the check that the current thread may block.

use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

thread_local! {
    static COMPUTE: Cell<bool> = const { Cell::new(false) };
    static PARKING: RefCell<Option<Arc<dyn Parking>>> = const { RefCell::new(None) };
}

/// Marks the current thread as a compute thread, which may block, while `f` runs.
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

/// False if a blocking wait would stop the async work of the current thread.
pub(crate) fn may_block() -> bool {
    COMPUTE.get() || tokio::runtime::Handle::try_current().is_err()
}

/// The actions around a blocking wait, besides parking the thread.
pub(crate) trait Parking: Send + Sync + 'static {
    /// Called before the future is polled.
    fn asking(&self);
    /// Called before the thread is parked.
    fn parking(&self);
    /// Called on any thread when the future has to be polled again.
    fn woken(&self);
}

/// Sets the actions that are performed around every wait of the current thread from now on.
pub(crate) fn park_with(parking: Arc<dyn Parking>) {
    PARKING.set(Some(parking));
}

/// Blocks the thread until `future` is ready, and returns the future's output.
pub(crate) fn wait<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread, Option<Arc<dyn Parking>>);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            if let Some(parking) = &self.1 {
                parking.woken();
            }
            self.0.unpark();
        }
    }
    let parking = PARKING.with_borrow(Clone::clone);
    let waker = Waker::from(Arc::new(Unpark(thread::current(), parking.clone())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Some(parking) = &parking {
            parking.asking();
        }
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => {
                if let Some(parking) = &parking {
                    parking.parking();
                }
                thread::park();
            }
        }
    }
}
