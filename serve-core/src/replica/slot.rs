//! [`Slot`]: the right to run one call on one replica.

use std::fmt;
use std::sync::Arc;

use futures::future::BoxFuture;

use super::first_poll::FirstPoll;
use super::replica::Replica;
use crate::call::callee::CalleeRef;
use crate::call::pending::Outcome;

/// The owner of replicas' slots, which knows each replica by a key. Implemented by the router.
pub(crate) trait SlotOwner: Send + Sync {
    /// Frees a slot of the replica with this key.
    fn release(&self, key: usize);

    /// A reference to the owner, for responses.
    fn callee(&self) -> CalleeRef;

    /// Judges a method by the first poll of one of its calls.
    fn judge(&self, method: usize, poll: FirstPoll);

    /// Counts a deferred call of a method that got a task after all or, with `forgotten`, was
    /// dropped before it began.
    fn undeferred(&self, method: usize, forgotten: bool);

    /// The span that events of the owner's calls stand in.
    fn span(&self) -> &tracing::Span;

    /// Records the models that a replica holds in one of its collections, in place of those
    /// recorded before.
    fn hold_models(&self, replica: &Replica, collection: usize, ids: &[String]);

    /// Finds another slot for a call whose replica ended before the call began. The call goes
    /// ahead of the queue, even if the queue is full. Its place is decided when this method
    /// returns.
    fn readmit(self: Arc<Self>) -> BoxFuture<'static, Outcome<Slot>>;
}

/// The right to run one call on one replica. **Dropping it frees the slot**, which goes
/// to the head of the queue at once.
///
/// Only a pointer, because a slot moves with every call, and small values move cheaply.
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
