//! [`PendingCall`]: a response's description of its call, independent of the call's types.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::task;

use super::callee::{Callee, CalleeRef, Ticket};
use super::deadline::Deadline;
use super::error::CallError;
use super::request::Request;
use super::request_ids::RequestIds;
use super::runtime_context::RuntimeContext;

/// The place of a call in the queue, or the fact that the call has a slot.
#[derive(Clone, Debug)]
pub(crate) enum QueuePosition {
    /// The call has a slot already, or never needs one.
    Started,
    Queued(Ticket),
    /// The position changes, because the call waits for its arguments first, or may run again. None
    /// while the call waits in no queue. Shared with the call's task, so that a response that is
    /// dropped frees the place before its drop returns.
    Moving(Arc<Mutex<Option<Ticket>>>),
}

/// The description of a call, by which its response can cancel the call.
#[derive(Clone)]
pub(crate) struct PendingCall {
    pub(crate) callee: CalleeRef,
    /// The seed of the ids of the runtime's requests.
    pub(crate) seed: u64,
    pub(crate) method: &'static str,
    pub(crate) request: Request,
    pub(crate) deadline: Option<Arc<Deadline>>,
    pub(crate) position: QueuePosition,
}

impl PendingCall {
    /// Cancels the call, except for its task, which the caller aborts. Frees the place of the call
    /// in the queue before this method returns, and notifies the call's host if the call runs
    /// elsewhere.
    pub(crate) fn cancel(&self, task: task::Id) {
        if let Some(deadline) = &self.deadline {
            deadline.cancel();
        }
        // Nothing waits in the queue of a callee that is gone.
        let Some(callee) = self.callee.get() else { return };
        callee.leave_again(task);
        match &self.position {
            QueuePosition::Started => {}
            QueuePosition::Queued(ticket) => callee.leave(*ticket),
            QueuePosition::Moving(ticket) => {
                let ticket = ticket.lock().take();
                if let Some(ticket) = ticket {
                    callee.leave(ticket);
                }
            }
        }
    }

    pub(crate) fn detach(&self) {
        if let Some(deadline) = &self.deadline {
            deadline.detach();
        }
    }

    pub(crate) fn request_id(&self) -> Arc<str> {
        self.request.id(Some(&RequestIds::new(self.seed)))
    }

    /// The full name of the call: `Deployment.method`, or the name of a task.
    pub(crate) fn full_name(&self) -> String {
        match self.callee.get() {
            Some(callee) => Self::name_of(&*callee, self.method),
            None => self.method.to_owned(),
        }
    }

    /// The runtime on which the call was spawned; none if the runtime is gone.
    pub(crate) fn runtime(&self) -> Option<Arc<RuntimeContext>> {
        self.callee.get().map(|callee| Arc::clone(callee.runtime()))
    }

    /// The tokio runtime on which the call was spawned; none if the runtime is gone.
    pub(crate) fn tokio(&self) -> Option<Handle> {
        self.runtime().map(|runtime| runtime.tokio.clone())
    }

    /// The full name of a call of this method.
    pub(crate) fn name_of<C: Callee + ?Sized>(callee: &C, method: &str) -> String {
        match method {
            "" => callee.name().to_owned(),
            method => format!("{}.{method}", callee.name()),
        }
    }
}

impl fmt::Debug for PendingCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingCall")
            .field("call", &self.full_name())
            .field("request_id", &self.request_id())
            .field("position", &self.position)
            .finish()
    }
}

/// The outcome of a call, or of a step of a call. The error is boxed, because tokio moves a result
/// several times, and a `CallError` is five times as large as most results. An unboxed one would
/// also be copied field by field, which stalls on store forwarding.
pub(crate) type Outcome<T, E = Infallible> = Result<T, Box<CallError<E>>>;

/// The message of a panic.
pub(crate) fn panic_message(payload: &(dyn std::any::Any + Send)) -> String {
    payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned())
}
