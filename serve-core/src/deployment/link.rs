//! [`Link`] and [`Wiring`]: the source of the handles that a constructor receives when a replica
//! starts.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::BoundId;

/// The running end of a bound deployment, to which a handle connects.
///
/// A link is opaque in this module: `node` creates it, and `dispatch` opens it.
#[derive(Clone)]
pub struct Link(Arc<dyn Any + Send + Sync>);

impl Link {
    pub(crate) fn new<T: Send + Sync + 'static>(target: Arc<T>) -> Self {
        Self(target)
    }

    pub(crate) fn open<T: Send + Sync + 'static>(self) -> Option<Arc<T>> {
        self.0.downcast().ok()
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Link")
    }
}

/// The links of the bound deployments of one application, while the application starts.
#[derive(Clone, Debug, Default)]
pub struct Wiring {
    links: HashMap<BoundId, Link>,
}

impl Wiring {
    pub(crate) fn insert(&mut self, id: BoundId, link: Link) {
        self.links.insert(id, link);
    }

    pub(crate) fn link(&self, id: BoundId) -> Link {
        self.links
            .get(&id)
            .cloned()
            .expect("a graph holds every deployment that its members were bound to")
    }
}
