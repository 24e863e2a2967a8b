//! [`Extensions`]: what a feature keeps on a replica, by its type.

use std::any::{Any, TypeId};
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

/// One value of each type, made when it is first asked for. Batchers, batch settings and the
/// axum router of `#[routes]` are kept here, so that a replica knows nothing of them.
#[derive(Default)]
pub(crate) struct Extensions(Mutex<Vec<(TypeId, Arc<dyn Any + Send + Sync>)>>);

impl Extensions {
    /// The value of type `T`, if it was made.
    pub(crate) fn get<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        Self::find(&self.0.lock())
    }

    /// The value of type `T`. `make` runs under a lock: no code of the user's belongs there.
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
        // There are few, so a search beats a hash.
        let (_, known) = all.iter().find(|(type_id, _)| *type_id == TypeId::of::<T>())?;
        Arc::clone(known).downcast().ok()
    }
}

impl fmt::Debug for Extensions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Extensions").field(&self.0.lock().len()).finish()
    }
}
