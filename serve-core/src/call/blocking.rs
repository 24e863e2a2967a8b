//! Waiting for async results on threads that may block, and refusing on those that may not.

use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

thread_local! {
    static COMPUTE: Cell<bool> = const { Cell::new(false) };
    static PARKING: RefCell<Option<Arc<dyn Parking>>> = const { RefCell::new(None) };
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
    fn asking(&self);
    /// The thread is about to be parked.
    fn parking(&self);
    /// On whatever thread: the future is to be asked again.
    fn woken(&self);
}

/// From now on this is done around every wait of the current thread.
pub(crate) fn park_with(parking: Arc<dyn Parking>) {
    PARKING.set(Some(parking));
}

/// Parks the thread until `future` is done.
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
