//! [`Slot`]: the right to run one call on one replica.

use std::fmt;
use std::sync::Arc;

use futures::future::BoxFuture;

use super::replica::Replica;
use crate::call::CallError;

/// Counts the slots of replicas, by the keys that it gave them. The router does.
pub(crate) trait SlotOwner: Send + Sync {
    /// A slot of the replica with this key is free again.
    fn release(&self, key: usize);

    /// A replica holds these models, of one of its collections, from now on.
    fn hold_models(&self, replica: &Replica, collection: usize, ids: &[String]);

    /// Decides the place of a call whose replica ended before the call began: ahead of the
    /// calls that wait, and however many wait. The place is decided when this returns.
    fn readmit(self: Arc<Self>) -> BoxFuture<'static, Result<Slot, CallError>>;
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
