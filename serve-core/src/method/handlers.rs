//! [`Handlers`]: the methods of a deployment, implemented by `#[handle]`.

use std::any::Any;

use futures::future::BoxFuture;
use serde_json::Value;

use super::any_method::AnyMethod;
use super::cell::InstanceCell;
use crate::deployment::Deployment;
use crate::error::Error;

/// The methods of a deployment. Implemented by `#[handle]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no methods to call",
    label = "its `impl` block has no `#[handle]`",
    note = "put `#[handle]` on the `impl {Self}` block with the constructor and the methods"
)]
pub trait Handlers: Deployment {
    /// The cell that holds the instance: [`Shared`](super::Shared), or
    /// [`Exclusive`](super::Exclusive) if any method takes `&mut self`.
    type Cell: InstanceCell<Self>;
    /// The name of the method marked `#[routes]`, if there is one.
    #[doc(hidden)]
    const ROUTES: Option<&'static str> = None;
    /// The methods that a handle of the deployment has.
    #[doc(hidden)]
    fn methods() -> Vec<&'static dyn AnyMethod>;
    /// Runs the method that is marked for `hook`; none if there is no such method.
    #[doc(hidden)]
    fn hook(cell: Self::Cell, hook: Hook<'_>) -> Option<BoxFuture<'static, Result<(), Error>>> {
        let _ = (cell, hook);
        None
    }
    /// Checks that a user config can be read as the parameter of the method marked
    /// `#[reconfigure]`; none if there is no such method.
    #[doc(hidden)]
    fn check_user_config(config: &Value) -> Option<Result<(), Error>> {
        let _ = config;
        None
    }
    /// The deployment's endpoints and `#[routes]`: an `ingress::HttpInterface`. Without its
    /// type, because this module must not use `ingress`.
    #[doc(hidden)]
    fn http() -> Option<Box<dyn Any + Send + Sync>> {
        None
    }
}

/// A call that the runtime itself makes of a deployment.
#[derive(Clone, Copy, Debug)]
pub enum Hook<'a> {
    /// Runs the method marked `#[check_health]`, on schedule.
    CheckHealth,
    /// Runs the method marked `#[reconfigure]` with this user config, before the first call and
    /// whenever the config changes.
    Reconfigure(&'a Value),
    /// Runs the method marked `#[shutdown]`, on the drained instance.
    Shutdown,
}
