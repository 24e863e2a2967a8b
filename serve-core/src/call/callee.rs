//! [`Callee`]: the callee of a call; and [`CalleeRef`], a response's reference to it.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Weak};

use parking_lot::RwLock;
use tokio::task;

use super::runtime_context::RuntimeContext;

/// A call's place in a deployment's queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Ticket {
    pub(crate) key: usize,
    pub(crate) serial: u64,
}

/// The callee of a call: a deployment's router, or a task.
pub(crate) trait Callee: Send + Sync {
    /// The name that errors show.
    fn name(&self) -> &str;
    fn runtime(&self) -> &Arc<RuntimeContext>;
    /// A reference to this callee.
    fn reference(self: &Arc<Self>) -> CalleeRef
    where
        Self: Sized;
    /// The span of the events of this callee's calls.
    fn span(&self) -> &tracing::Span;
    /// Frees the place of a queued call, or the slot that the call was granted and has not taken.
    /// Does nothing if the call has neither.
    fn leave(&self, ticket: Ticket);
    /// Does the same as [`leave`](Self::leave) for a call that waits again because its replica
    /// ended. Such a call is identified only by its task.
    fn leave_again(&self, task: task::Id);
}

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
