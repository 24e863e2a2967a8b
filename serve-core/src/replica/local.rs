//! [`LocalTarget`]: the target of an instance in this process.

use std::any::Any;
use std::sync::Arc;

use futures::future::BoxFuture;

use super::target::{Call, Target};
use crate::error::Error;
use crate::method::{AnyReply, Handlers, Hook, InstanceCell};

/// Serves calls with an instance in this process.
pub(super) struct LocalTarget<D: Handlers> {
    cell: D::Cell,
}

impl<D: Handlers> LocalTarget<D> {
    pub(super) fn new(instance: D) -> Self {
        Self { cell: D::Cell::new(instance) }
    }
}

impl<D: Handlers> Target for LocalTarget<D> {
    fn instance(&self) -> Option<Arc<dyn Any + Send + Sync>> {
        Some(self.cell.erased())
    }

    fn call(&self, call: Call) -> BoxFuture<'static, AnyReply> {
        call.method.run(&self.cell, call.arguments, call.items)
    }

    fn hook(&self, hook: Hook<'_>) -> Option<BoxFuture<'static, Result<(), Error>>> {
        D::hook(self.cell.clone(), hook)
    }

    fn is_busy(&self) -> bool {
        self.cell.is_busy()
    }
}
