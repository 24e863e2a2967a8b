//! [`InstanceCell`]: the cell in which a replica holds its instance.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard};

/// The cell in which a replica holds its instance. Clones share the instance.
pub trait InstanceCell<D>: Any + Clone + Send + Sync {
    /// True if the replica runs one call at a time.
    const EXCLUSIVE: bool;
    /// A cell that holds this instance.
    fn new(instance: D) -> Self;
    /// True if a call has exclusive access to the instance, so that other calls wait.
    fn is_busy(&self) -> bool {
        false
    }
    /// The cell without its type.
    fn erased(&self) -> Arc<dyn Any + Send + Sync>;
    /// The cell that was `erased`, if that cell was of this type.
    fn of(erased: &Arc<dyn Any + Send + Sync>) -> Option<Self>;
}

/// The instance of a deployment whose methods all take `&self`: calls run concurrently.
pub struct Shared<D>(Arc<D>);

impl<D> Shared<D> {
    /// The instance.
    #[must_use]
    pub fn instance(self) -> Arc<D> {
        self.0
    }

    /// Returns the instance at once. Has the signature of [`Exclusive::get`], so that generated
    /// code is the same for both cells.
    #[expect(clippy::unused_async, reason = "the signature of `Exclusive::get`")]
    pub async fn get(self) -> Arc<D> {
        self.0
    }
}

impl<D: Send + Sync + 'static> InstanceCell<D> for Shared<D> {
    const EXCLUSIVE: bool = false;

    fn new(instance: D) -> Self {
        Self(Arc::new(instance))
    }

    fn erased(&self) -> Arc<dyn Any + Send + Sync> {
        Arc::<D>::clone(&self.0)
    }

    #[inline]
    fn of(erased: &Arc<dyn Any + Send + Sync>) -> Option<Self> {
        Arc::clone(erased).downcast().ok().map(Self)
    }
}

impl<D> Clone for Shared<D> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<D> fmt::Debug for Shared<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shared")
    }
}

/// The instance of a deployment with a `&mut self` method: calls run one at a time, in the
/// order of their admission.
pub struct Exclusive<D>(Arc<Mutex<D>>);

impl<D> Exclusive<D> {
    /// Waits until the previous call has released the instance, and returns a guard of the
    /// instance.
    pub async fn get(self) -> OwnedMutexGuard<D> {
        self.0.lock_owned().await
    }
}

impl<D: Send + 'static> InstanceCell<D> for Exclusive<D> {
    const EXCLUSIVE: bool = true;

    fn new(instance: D) -> Self {
        Self(Arc::new(Mutex::new(instance)))
    }

    fn is_busy(&self) -> bool {
        self.0.try_lock().is_err()
    }

    fn erased(&self) -> Arc<dyn Any + Send + Sync> {
        Arc::<Mutex<D>>::clone(&self.0)
    }

    #[inline]
    fn of(erased: &Arc<dyn Any + Send + Sync>) -> Option<Self> {
        Arc::clone(erased).downcast().ok().map(Self)
    }
}

impl<D> Clone for Exclusive<D> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<D> fmt::Debug for Exclusive<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Exclusive")
    }
}
