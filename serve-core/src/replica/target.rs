//! [`Target`]: the trait of everything that serves calls: an instance in this process, a
//! replica in another process, a mock. Other modules do not tell these apart.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use futures::future::BoxFuture;

use super::slot::Slot;
use crate::call::deadline::Deadline;
use crate::call::request::Request;
use crate::error::Error;
use crate::method::{AnyMethod, AnyReply, AnySink, AnyValue, Hook};

/// Serves the calls of one replica.
pub(crate) trait Target: Send + Sync {
    /// The instance (its `Handlers::Cell`, erased), if the instance is in this process.
    fn instance(&self) -> Option<Arc<dyn Any + Send + Sync>>;

    /// True if calls run right on the instance: the call's own task runs the method, and nothing
    /// is boxed.
    fn is_direct(&self) -> bool {
        self.instance().is_some()
    }

    /// True if calls are served by another task or process. Its host frees the slot when the
    /// method has really ended.
    fn is_remote(&self) -> bool {
        false
    }

    /// True if calls of the method have to begin in the order in which they were admitted.
    fn keeps_order(&self, method: &dyn AnyMethod) -> bool {
        method.is_batched()
    }

    /// Serves a call if the target is not [direct](Self::is_direct). Runs in the call's scope,
    /// which holds the call's slot unless the target [is remote](Self::is_remote).
    fn call(&self, call: Call) -> BoxFuture<'static, AnyReply>;

    /// Runs the deployment's method that is marked for `hook`, if there is such a method.
    fn hook(&self, hook: Hook<'_>) -> Option<BoxFuture<'static, Result<(), Error>>>;

    /// True if a call has exclusive access to the instance, so that a hook would wait.
    fn is_busy(&self) -> bool {
        false
    }
}

/// A call without its types: the method, its arguments, and the request it belongs to.
pub(crate) struct Call {
    pub(crate) method: &'static dyn AnyMethod,
    /// The method's `Args`.
    pub(crate) arguments: AnyValue,
    /// The sink for the items of a streaming method.
    pub(crate) items: Option<AnySink>,
    /// The request that the call belongs to.
    pub(crate) request: Request,
    /// The call's deadline, which includes its caller's.
    pub(crate) deadline: Option<Arc<Deadline>>,
    /// The slot of a call that is served elsewhere. None for other targets, since the call's
    /// scope holds the slot.
    pub(crate) slot: Option<Slot>,
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("method", &self.method.info().name).finish_non_exhaustive()
    }
}
