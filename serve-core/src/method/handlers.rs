//! [`Handlers`]: the methods of a deployment, as `#[handle]` implements them.

use std::any::Any;

use futures::future::BoxFuture;
use serde_json::Value;

use super::cell::InstanceCell;
use super::erased::AnyMethod;
use crate::deployment::Deployment;
use crate::error::Error;

/// The methods of a deployment. Implemented by `#[handle]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no methods to call",
    label = "its `impl` block has no `#[handle]`",
    note = "put `#[handle]` on the `impl {Self}` block with the constructor and the methods"
)]
pub trait Handlers: Deployment {
    /// How the instance is held: [`Shared`](super::Shared), or [`Exclusive`](super::Exclusive)
    /// with any `&mut self` method.
    type Cell: InstanceCell<Self>;
    /// The name of the method marked `#[routes]`, if there is one.
    #[doc(hidden)]
    const ROUTES: Option<&'static str> = None;
    /// The methods that a handle has.
    #[doc(hidden)]
    fn methods() -> Vec<&'static dyn AnyMethod>;
    /// Runs the method that is marked for `hook`; none if there is none.
    #[doc(hidden)]
    fn hook(cell: Self::Cell, hook: Hook<'_>) -> Option<BoxFuture<'static, Result<(), Error>>> {
        let _ = (cell, hook);
        None
    }
    /// Whether a user config is what the method marked `#[reconfigure]` takes; none if
    /// there is no such method.
    #[doc(hidden)]
    fn check_user_config(config: &Value) -> Option<Result<(), Error>> {
        let _ = config;
        None
    }
    /// Its endpoints and `#[routes]`: an `ingress::HttpInterface`, opaque here.
    #[doc(hidden)]
    fn http() -> Option<Box<dyn Any + Send + Sync>> {
        None
    }
}

/// When the runtime itself calls a deployment.
#[derive(Clone, Copy, Debug)]
pub enum Hook<'a> {
    /// On schedule: `#[check_health]`.
    CheckHealth,
    /// With the user config, before the first call and when it changes: `#[reconfigure]`.
    Reconfigure(&'a Value),
    /// On the drained instance: `#[shutdown]`.
    Shutdown,
}
