//! [`BoundId`]: the identity of a bound deployment.

use std::sync::atomic::{AtomicU64, Ordering};

/// Identifies a bound deployment. Two `bind` calls are two deployments; one `Bound` given to two
/// parents is one deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BoundId(u64);

impl BoundId {
    pub(super) fn fresh() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}
