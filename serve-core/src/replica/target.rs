//! [`Target`]: the seam between a call and what serves it.
//!
//! A replica in this process, one in another, and a mock are told apart here and nowhere
//! above.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use futures::future::BoxFuture;

use super::slot::Slot;
use crate::call::deadline::Deadline;
use crate::call::request::Request;
use crate::error::Error;
use crate::method::{AnyMethod, AnyReply, AnySink, AnyValue, Hook};

/// What serves the calls of one replica.
pub(crate) trait Target: Send + Sync {
    /// The instance (its `Handlers::Cell`, erased), if it is in this process.
    fn instance(&self) -> Option<Arc<dyn Any + Send + Sync>>;

    /// True if calls are to run right on the instance. This is the short path: the
    /// call's own task runs the method, and nothing is boxed.
    fn is_direct(&self) -> bool {
        self.instance().is_some()
    }

    /// True if calls are served by another task or process, whose host frees the slot when
    /// the method has really ended.
    fn is_remote(&self) -> bool {
        false
    }

    /// True if calls of the method have to begin in the order in which they were admitted.
    fn keeps_order(&self, method: &dyn AnyMethod) -> bool {
        method.is_batched()
    }

    /// Serves a call that does not take the short path. Runs in the call's scope, which
    /// holds the call's slot unless the target [is remote](Self::is_remote).
    fn call(&self, call: Call) -> BoxFuture<'static, AnyReply>;

    /// Runs the deployment's method that is marked for `hook`, if there is one.
    fn hook(&self, hook: Hook<'_>) -> Option<BoxFuture<'static, Result<(), Error>>>;

    /// True if a call has the instance for itself, and a hook would wait for it.
    fn is_busy(&self) -> bool {
        false
    }
}

/// A call without its types: what is called, with what, and on whose behalf.
pub(crate) struct Call {
    pub(crate) method: &'static dyn AnyMethod,
    /// The method's `Args`.
    pub(crate) arguments: AnyValue,
    /// Where the items of a streaming method go.
    pub(crate) items: Option<AnySink>,
    /// The request that the call belongs to.
    pub(crate) request: Request,
    /// The call's deadline, with its caller's.
    pub(crate) deadline: Option<Arc<Deadline>>,
    /// The slot, if the call is served elsewhere. Its replica is the one that the call is
    /// for.
    pub(crate) slot: Option<Slot>,
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("method", &self.method.info().name).finish_non_exhaustive()
    }
}
