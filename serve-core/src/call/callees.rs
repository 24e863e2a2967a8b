//! [`CalleeRef`]: a response's reference to the callee of its call.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Weak};

use parking_lot::RwLock;

use super::pending::Callee;

/// The registered callees of the process.
static CALLEES: LazyLock<RwLock<HashMap<u64, Weak<dyn Callee>>>> = LazyLock::new(RwLock::default);

/// The number by which a callee can be found. Dropping the id removes the callee from the registry.
#[derive(Debug)]
pub(crate) struct CalleeId(u64);

impl CalleeId {
    /// A number that no other callee of the process has.
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// Registers the callee of this number.
    pub(crate) fn register(&self, callee: &Weak<dyn Callee>) {
        CALLEES.write().insert(self.0, Weak::clone(callee));
    }

    #[inline]
    pub(crate) fn reference(&self) -> CalleeRef {
        CalleeRef::Registered(self.0)
    }
}

impl Drop for CalleeId {
    fn drop(&mut self) {
        let gone = CALLEES.write().remove(&self.0);
        drop(gone);
    }
}

/// A reference to a callee. A router is referred to by its number, because most responses never
/// need their callee, and counting references to the router would cost every call two atomic
/// operations.
#[derive(Clone)]
pub(crate) enum CalleeRef {
    Registered(u64),
    Owned(Arc<dyn Callee>),
}

impl CalleeRef {
    /// The callee; none once its runtime and all handles of the callee are gone.
    pub(crate) fn get(&self) -> Option<Arc<dyn Callee>> {
        match self {
            Self::Registered(id) => CALLEES.read().get(id)?.upgrade(),
            Self::Owned(callee) => Some(Arc::clone(callee)),
        }
    }
}

impl fmt::Debug for CalleeRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().map(|callee| callee.name().to_owned()).fmt(f)
    }
}
