//! How running code finds deployments by name.

use std::any::TypeId;
use std::sync::Weak;

use super::controller::Controller;
use crate::call::Directory;
use crate::deployment::Link;

/// The directory that replicas have. Weak, because replicas do not keep the controller
/// alive.
pub(super) struct WeakDirectory(pub(super) Weak<Controller>);

impl Directory for WeakDirectory {
    fn find(&self, application: &str, deployment: &str, type_id: TypeId) -> Option<Link> {
        self.0.upgrade()?.link(application, deployment, type_id)
    }
}
