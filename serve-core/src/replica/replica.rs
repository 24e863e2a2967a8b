//! [`Replica`]: one running copy of a deployment, as its host keeps it.

use std::any::Any;
use std::fmt;
use std::future::poll_fn;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Poll, Waker};

use parking_lot::Mutex;
use slab::Slab;

use super::compute::Compute;
use super::extensions::Extensions;
use super::slot::SlotOwner;
use super::target::Target;
use crate::call::runtime_context::RuntimeContext;
use crate::call::{CallError, ReplicaContext};

/// Panics in a row, without a success between them, after which a replica is replaced.
const PANICS: usize = 3;

/// One running copy of a deployment, as its host keeps it: its instance, its threads, its slots.
/// Callers know a replica as the router's `Member`.
// Field order matters: what the call path touches comes first, so that a cold replica, one
// of a thousand, costs two cache lines.
#[repr(C)]
pub(crate) struct Replica {
    ended: AtomicBool,
    /// Panics since the last success.
    panics: AtomicUsize,
    /// The slot owner's key for this replica.
    key: AtomicUsize,
    /// The owner of the slots, which counts them. Owner and replica hold each other until the owner
    /// forgets the replica.
    pub(crate) owner: Arc<dyn SlotOwner>,
    /// The target's instance, if calls run right on it.
    direct: Option<Arc<dyn Any + Send + Sync>>,
    pub(crate) context: Arc<ReplicaContext>,
    pub(crate) target: Arc<dyn Target>,
    pub(crate) compute: Compute,
    /// The data that batching, `#[routes]` and other features keep on a replica.
    pub(crate) extensions: Extensions,
    /// Called with the reason when the replica has to be replaced.
    report_worn: OnceLock<Box<dyn Fn(String) + Send + Sync>>,
    /// The calls that wait for something, to be woken when the replica ends.
    waiting: Mutex<Slab<Waker>>,
}

impl Replica {
    pub(crate) fn new(
        context: ReplicaContext,
        owner: Arc<dyn SlotOwner>,
        target: Arc<dyn Target>,
        runtime: &Arc<RuntimeContext>,
        compute_threads: usize,
    ) -> Self {
        Self {
            compute: Compute::new(&context.id, compute_threads, runtime),
            context: Arc::new(context),
            owner,
            extensions: Extensions::default(),
            panics: AtomicUsize::new(0),
            report_worn: OnceLock::new(),
            key: AtomicUsize::new(usize::MAX),
            direct: if target.is_direct() { target.instance() } else { None },
            target,
            ended: AtomicBool::new(false),
            waiting: Mutex::new(Slab::new()),
        }
    }

    /// The slot owner's key for this replica.
    #[inline]
    pub(crate) fn key(&self) -> usize {
        self.key.load(Ordering::Relaxed)
    }

    /// Sets the slot owner's key, before the replica's first slot is given out.
    pub(crate) fn set_key(&self, key: usize) {
        self.key.store(key, Ordering::Relaxed);
    }

    /// The instance (its `Handlers::Cell`, erased), if calls run right on it.
    #[inline]
    pub(crate) fn direct(&self) -> Option<&Arc<dyn Any + Send + Sync>> {
        self.direct.as_ref()
    }

    /// Sets the function to call with the reason when the replica has to be replaced: when
    /// [`PANICS`] calls in a row have panicked.
    pub(crate) fn report_worn_to(&self, report: impl Fn(String) + Send + Sync + 'static) {
        // A replica is watched by the one reconciler that made it.
        let _ = self.report_worn.set(Box::new(report));
    }

    /// Records that a call was served.
    #[inline]
    pub(crate) fn succeeded(&self) {
        // The count is 0 most often, and the cache line stays shared.
        if self.panics.load(Ordering::Relaxed) != 0 {
            self.panics.store(0, Ordering::Relaxed);
        }
    }

    /// Records that a call panicked.
    pub(crate) fn panicked(&self) {
        if self.panics.fetch_add(1, Ordering::Relaxed) + 1 == PANICS
            && let Some(report) = self.report_worn.get()
        {
            report(format!("{PANICS} calls in a row panicked"));
        }
    }

    /// Ends the replica now: its running calls are dropped at their await and fail with
    /// `Unavailable { started: true }`.
    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::Release);
        let waiting = std::mem::take(&mut *self.waiting.lock());
        for (_, waker) in waiting {
            waker.wake();
        }
    }

    #[inline]
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    pub(crate) fn ended_error<E>(&self) -> CallError<E> {
        CallError::Unavailable {
            deployment: self.context.deployment.to_string(),
            started: true,
            reason: format!("replica {} ended", self.context.id),
        }
    }

    /// Wakes `waker` when the replica ends, until `forget_waker` is called.
    pub(super) fn remember_waker(&self, waker: &Waker) -> WakerKey {
        let key = self.waiting.lock().insert(waker.clone());
        // `end` may have swept between the caller's look at the flag and the insertion.
        if self.has_ended() {
            waker.wake_by_ref();
        }
        let key = u32::try_from(key + 1).ok().and_then(NonZeroU32::new);
        WakerKey(key.expect("fewer than four thousand million calls run on a replica"))
    }

    pub(super) fn forget_waker(&self, WakerKey(key): WakerKey) {
        let waker = self.waiting.lock().try_remove(key.get() as usize - 1);
        // Not under the lock, because dropping a waker may free a task and run user code.
        drop(waker);
    }

    /// Waits until the replica ends.
    #[cfg(feature = "http")]
    pub(crate) async fn until_end(self: &Arc<Self>) {
        let mut wake: Option<(Waker, WakeAtEnd)> = None;
        poll_fn(|cx| {
            if self.has_ended() {
                return Poll::Ready(());
            }
            if !wake.as_ref().is_some_and(|(known, _)| known.will_wake(cx.waker())) {
                wake = Some((cx.waker().clone(), self.wake_at_end(cx.waker())));
            }
            Poll::Pending
        })
        .await;
    }

    /// Wakes `waker` when the replica ends, until the result is dropped.
    #[cfg(feature = "http")]
    pub(crate) fn wake_at_end(self: &Arc<Self>, waker: &Waker) -> WakeAtEnd {
        WakeAtEnd { key: self.remember_waker(waker), replica: Arc::clone(self) }
    }
}

impl fmt::Debug for Replica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replica").field("context", &self.context).finish_non_exhaustive()
    }
}

/// The key under which a replica keeps a waker. Half a word, because every call has room for a key.
#[derive(Clone, Copy, Debug)]
pub(super) struct WakerKey(NonZeroU32);

/// The registration of a waker by [`Replica::wake_at_end`]. Dropping it removes the waker.
#[cfg(feature = "http")]
pub(crate) struct WakeAtEnd {
    replica: Arc<Replica>,
    key: WakerKey,
}

#[cfg(feature = "http")]
impl Drop for WakeAtEnd {
    fn drop(&mut self) {
        self.replica.forget_waker(self.key);
    }
}
