//! Blocking waits for async results, and the check that the current thread may block.

use std::cell::{Cell, RefCell};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, LocalKey, Thread};

use pin_project_lite::pin_project;

thread_local! {
    static COMPUTE: Cell<bool> = const { Cell::new(false) };
    /// True while [`wait`] polls.
    static WAITS: Cell<bool> = const { Cell::new(false) };
    static PARKING: RefCell<Option<Arc<dyn Parking>>> = const { RefCell::new(None) };
}

/// Marks the current thread as a compute thread, which may block, while `f` runs.
pub(crate) fn on_compute_thread<R>(f: impl FnOnce() -> R) -> R {
    let _restore = Restore::set(&COMPUTE);
    f()
}

/// Restores a mark of the current thread when it is dropped.
struct Restore(&'static LocalKey<Cell<bool>>, bool);

impl Restore {
    /// Sets the mark until the result is dropped.
    fn set(mark: &'static LocalKey<Cell<bool>>) -> Self {
        Self(mark, mark.replace(true))
    }
}

impl Drop for Restore {
    fn drop(&mut self) {
        self.0.set(self.1);
    }
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
    /// Called after an executor other than [`wait`], such as `Handle::block_on`, has polled a call
    /// on this thread. Such an executor may park the thread if the call is pending.
    fn polled(&self, is_pending: bool);
}

/// Notes that a call was polled. Must be called wherever a call or its items are awaited, because a
/// `#[blocking]` method may wait for them with an executor of its own choice.
#[inline]
pub(crate) fn polled(is_pending: bool) {
    if COMPUTE.get() {
        polled_on_compute_thread(is_pending);
    }
}

#[cold]
#[inline(never)]
fn polled_on_compute_thread(is_pending: bool) {
    if !WAITS.get()
        && let Some(parking) = PARKING.with_borrow(Clone::clone)
    {
        parking.polled(is_pending);
    }
}

pin_project! {
    /// A future whose polls are [noted](polled).
    pub(crate) struct Noted<F> {
        #[pin]
        future: F,
    }
}

impl<F> Noted<F> {
    pub(crate) fn new(future: F) -> Self {
        Self { future }
    }
}

impl<F: Future> Future for Noted<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let polled_future = self.project().future.poll(cx);
        polled(polled_future.is_pending());
        polled_future
    }
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
        let polled = {
            let _polling = Restore::set(&WAITS);
            future.as_mut().poll(&mut context)
        };
        match polled {
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
