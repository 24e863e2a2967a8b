//! [`Slot`]: the right to run one call on one replica.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use super::instance::Replica;

/// Takes slots back. The router does.
pub(crate) trait Release: Send + Sync {
    /// The slot of the replica known to the router as `key` is free again.
    fn release(&self, key: usize);
    /// A replica holds these models, of one of its collections, from now on.
    fn hold_models(&self, replica: &Replica, collection: usize, ids: &[String]);
    /// The router itself, for a call that must go elsewhere.
    fn as_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync>;
}

/// The right to run one call on one replica. **Dropping it frees the slot**, which goes
/// to the head of the queue at once.
///
/// A pointer and no more: slots travel with every call, and what does not move is free.
pub struct Slot {
    replica: Arc<Replica>,
}

impl Slot {
    #[inline]
    pub(crate) fn new(replica: Arc<Replica>) -> Self {
        Self { replica }
    }

    #[inline]
    pub(crate) fn replica(&self) -> &Arc<Replica> {
        &self.replica
    }
}

impl Drop for Slot {
    #[inline]
    fn drop(&mut self) {
        self.replica.owner.release(self.replica.key());
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").field("replica", &self.replica).finish_non_exhaustive()
    }
}
