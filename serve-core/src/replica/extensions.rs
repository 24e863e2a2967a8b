//! [`Extensions`]: data that a feature keeps on a replica, one value of each type.

use std::any::{Any, TypeId};
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

/// One value of each type, created when it is first asked for. Batchers, batch settings and the
/// axum router of `#[routes]` are kept here, so that `Replica` does not depend on these features.
#[derive(Default)]
pub(crate) struct Extensions(Mutex<Vec<(TypeId, Arc<dyn Any + Send + Sync>)>>);

impl Extensions {
    /// Returns the value of type `T`, if there is one.
    pub(crate) fn get<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        Self::find(&self.0.lock())
    }

    /// Returns the value of type `T`, which `make` creates if there is none. `make` runs under a
    /// lock and must not call the user's code.
    pub(crate) fn get_or_make<T: Send + Sync + 'static>(&self, make: impl FnOnce() -> T) -> Arc<T> {
        let mut all = self.0.lock();
        Self::find(&all).unwrap_or_else(|| {
            let made = Arc::new(make());
            all.push((TypeId::of::<T>(), Arc::clone(&made) as _));
            made
        })
    }

    fn find<T: Send + Sync + 'static>(
        all: &[(TypeId, Arc<dyn Any + Send + Sync>)],
    ) -> Option<Arc<T>> {
        // There are few values, so a search is faster than a hash map.
        let (_, known) = all.iter().find(|(type_id, _)| *type_id == TypeId::of::<T>())?;
        Arc::clone(known).downcast().ok()
    }
}

impl fmt::Debug for Extensions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Extensions").field(&self.0.lock().len()).finish()
    }
}
