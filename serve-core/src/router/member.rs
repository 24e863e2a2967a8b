//! [`Member`]: a replica as callers know it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::replica::Replica;

/// A replica as callers know it: its id, its rank, and the way to reach it. The host's side of a
/// replica is the [`Replica`], which for now is in this process for every member.
pub(crate) struct Member {
    id: Arc<str>,
    /// Shared with the replica, because the rank changes when replicas of lower rank go.
    rank: Arc<AtomicUsize>,
    replica: Arc<Replica>,
}

impl Member {
    pub(super) fn new(replica: Arc<Replica>) -> Self {
        let (id, rank) = (Arc::clone(&replica.context.id), Arc::clone(&replica.context.rank));
        Self { id, rank, replica }
    }

    /// The replica's id, unique in the runtime.
    pub(super) fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// The replica's current place among the replicas of its deployment.
    pub(super) fn rank(&self) -> usize {
        self.rank.load(Ordering::Relaxed)
    }

    pub(super) fn has_ended(&self) -> bool {
        self.replica.has_ended()
    }

    #[inline]
    pub(super) fn replica(&self) -> &Arc<Replica> {
        &self.replica
    }
}

/// The replicas of a router, by the keys of its `Admission`.
pub(super) type Replicas = [Option<Member>];
