//! [`Target`]: the seam between a call and what serves it.
//!
//! A replica in this process, one in another, and a mock are told apart here and nowhere
//! above.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::stream::BoxStream;

use super::handlers::{Handlers, Hook, InstanceCell};
use super::method::AnyMethod;
use crate::call::CallError;
use crate::error::Error;

/// A value whose type only the method knows.
pub type AnyValue = Box<dyn Any + Send>;

/// What serves the calls of one replica.
pub(crate) trait Target: Send + Sync {
    /// The instance (its `Handlers::Cell`, erased), if it is in this process.
    fn instance(&self) -> Option<Arc<dyn Any + Send + Sync>>;

    /// True if calls are to run right on the instance. This is the short path: the
    /// call's own task runs the method, and nothing is boxed.
    fn is_direct(&self) -> bool {
        self.instance().is_some()
    }

    /// Serves a call that does not take the short path.
    fn call(&self, call: Call) -> Reply;

    /// Runs the deployment's method that is marked for `hook`, if there is one.
    fn hook(&self, hook: Hook<'_>) -> Option<BoxFuture<'static, Result<(), Error>>>;

    /// True if a call has the instance for itself, and a hook would wait for it.
    fn is_busy(&self) -> bool {
        false
    }
}

/// A call without its types.
pub struct Call {
    /// The method.
    pub method: &'static dyn AnyMethod,
    /// The method's `Args`.
    pub arguments: AnyValue,
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("method", &self.method.info().name).finish_non_exhaustive()
    }
}

/// What a [`Call`] gives: values and errors are the method's `Ok` and `Err`.
pub enum Reply {
    /// One value.
    One(BoxFuture<'static, Result<AnyValue, CallError<AnyValue>>>),
    /// A stream.
    Many(BoxStream<'static, Result<AnyValue, CallError<AnyValue>>>),
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::One(_) => "One(..)",
            Self::Many(_) => "Many(..)",
        })
    }
}

/// An instance in this process.
pub(crate) struct LocalTarget<D: Handlers> {
    cell: D::Cell,
}

impl<D: Handlers> LocalTarget<D> {
    pub(crate) fn new(instance: D) -> Self {
        Self { cell: D::Cell::new(instance) }
    }
}

impl<D: Handlers> Target for LocalTarget<D> {
    fn instance(&self) -> Option<Arc<dyn Any + Send + Sync>> {
        Some(self.cell.erased())
    }

    fn call(&self, call: Call) -> Reply {
        call.method.run(&self.cell, call.arguments)
    }

    fn hook(&self, hook: Hook<'_>) -> Option<BoxFuture<'static, Result<(), Error>>> {
        D::hook(self.cell.clone(), hook)
    }

    fn is_busy(&self) -> bool {
        self.cell.is_busy()
    }
}
