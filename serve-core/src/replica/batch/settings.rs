//! [`Batching`]: changes the limits of a batched method while its replica runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::method::BatchLimits;
use crate::replica::scope::Scope;

/// The limits that were set in place of those that the attribute declares.
#[derive(Debug)]
pub(crate) struct Overrides {
    /// The maximum batch size; 0 if none was set.
    max_batch_size: AtomicUsize,
    /// The batch wait timeout in nanoseconds; `u64::MAX` if none was set.
    batch_wait_timeout: AtomicU64,
}

impl Default for Overrides {
    fn default() -> Self {
        Self { max_batch_size: AtomicUsize::new(0), batch_wait_timeout: AtomicU64::new(u64::MAX) }
    }
}

impl Overrides {
    pub(super) fn over(&self, declared: BatchLimits) -> BatchLimits {
        let mut limits = declared;
        match self.max_batch_size.load(Ordering::Relaxed) {
            0 => {}
            size => limits.max_batch_size = size,
        }
        match self.batch_wait_timeout.load(Ordering::Relaxed) {
            u64::MAX => {}
            nanos => limits.batch_wait_timeout = Duration::from_nanos(nanos),
        }
        limits
    }
}

/// The overrides of a replica, by method.
#[derive(Debug, Default)]
pub(super) struct BatchSettings(Mutex<Vec<(String, Arc<Overrides>)>>);

impl BatchSettings {
    pub(super) fn of(&self, method: &str) -> Arc<Overrides> {
        let mut all = self.0.lock();
        if let Some((_, known)) = all.iter().find(|(name, _)| name == method) {
            return Arc::clone(known);
        }
        let made = Arc::<Overrides>::default();
        all.push((method.to_owned(), Arc::clone(&made)));
        made
    }
}

/// The limits of a `#[batch]` method on the running replica. See [`Batching::of`].
#[derive(Clone, Debug)]
pub struct Batching {
    overrides: Arc<Overrides>,
}

impl Batching {
    /// Returns the limits of the `#[batch]` method of this name on the replica that runs this code, or
    /// `None` outside of a replica. Most often called in a `#[reconfigure]` method, to change the
    /// limits.
    ///
    /// ```
    /// # use serve_core::prelude::*;
    /// # use std::time::Duration;
    /// #[deployment]
    /// #[derive(Default)]
    /// struct Embedder;
    ///
    /// #[handle]
    /// impl Embedder {
    ///     #[batch(max_batch_size = 32, batch_wait_timeout = "5ms")]
    ///     pub async fn embed(&self, texts: Vec<String>) -> Vec<usize> {
    ///         texts.iter().map(String::len).collect()
    ///     }
    ///
    ///     #[reconfigure]
    ///     fn tune(&self, max_batch_size: usize) {
    ///         if let Some(batching) = serve_core::batching::Batching::of("embed") {
    ///             batching.set_max_batch_size(max_batch_size);
    ///         }
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn of(method: &str) -> Option<Self> {
        let replica = Scope::current(|scope| scope?.replica().cloned())?;
        let settings = replica.extensions.get_or_make(BatchSettings::default);
        Some(Self { overrides: settings.of(method) })
    }

    /// Sets the most that the items of one batch may weigh, from the next batch on. 0 restores the
    /// limit that the attribute declares.
    pub fn set_max_batch_size(&self, size: usize) {
        self.overrides.max_batch_size.store(size, Ordering::Relaxed);
    }

    /// Sets the time that the first item of a batch waits for others, from the next batch on.
    pub fn set_batch_wait_timeout(&self, timeout: Duration) {
        let nanos = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX - 1);
        self.overrides.batch_wait_timeout.store(nanos, Ordering::Relaxed);
    }
}
