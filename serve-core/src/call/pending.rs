//! [`PendingCall`]: what a response knows of its call, whatever the call returns.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::task::{self, JoinError};

use super::context::Request;
use super::deadline::Deadline;
use super::error::{CallError, UpstreamError};
use super::spawner::Spawner;

/// A call's place in a deployment's queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Ticket {
    pub(crate) key: usize,
    pub(crate) serial: u64,
}

/// What stands behind a call: a deployment's router, or a task.
pub(crate) trait Callee: Send + Sync {
    /// The name that errors show.
    fn name(&self) -> &str;
    fn spawner(&self) -> &Arc<Spawner>;
    /// Gives a queued call's place back, or the slot that it was granted and has not taken.
    /// Nothing happens if it has neither.
    fn leave(&self, ticket: Ticket);
    /// The same, for a call that waits again because its replica ended: it is known by its
    /// task only.
    fn leave_again(&self, task: task::Id);
}

/// Where in a queue the call waits, if it does.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// It has a slot already, or never needs one.
    Started,
    Queued(Ticket),
    /// It changes: its arguments come first, or it may run again. None where it waits in no
    /// queue.
    Moving(Arc<Mutex<Option<Ticket>>>),
}

/// What a response knows of its call.
pub(crate) struct PendingCall {
    pub(crate) callee: Arc<dyn Callee>,
    pub(crate) method: &'static str,
    pub(crate) request: Request,
    pub(crate) deadline: Option<Arc<Deadline>>,
    pub(crate) place: Place,
}

impl PendingCall {
    /// Gives the place in the queue back that the call's task has, before this returns.
    pub(crate) fn leave_queue(&self, task: task::Id) {
        self.callee.leave_again(task);
        match &self.place {
            Place::Started => {}
            Place::Queued(ticket) => self.callee.leave(*ticket),
            Place::Moving(ticket) => {
                let ticket = ticket.lock().take();
                if let Some(ticket) = ticket {
                    self.callee.leave(ticket);
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
        self.request.id(Some(&self.callee.spawner().ids))
    }

    /// `Deployment.method`, or a task's name.
    pub(crate) fn full_name(&self) -> String {
        match self.method {
            "" => self.callee.name().to_owned(),
            method => format!("{}.{method}", self.callee.name()),
        }
    }

    /// The failure of this call, as whoever waits for its result sees it.
    pub(crate) fn upstream<E: fmt::Display + fmt::Debug + 'static>(
        full_name: String,
        error: &CallError<E>,
    ) -> UpstreamError {
        UpstreamError::from_call(full_name, error)
    }
}

impl fmt::Debug for PendingCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingCall")
            .field("call", &self.full_name())
            .field("request_id", &self.request_id())
            .field("place", &self.place)
            .finish()
    }
}

/// What a call's task gives. The error is boxed, because tokio moves a result several
/// times, and a `CallError` is five times as large as most results.
pub(crate) type Outcome<T, E> = Result<T, Box<CallError<E>>>;

/// What became of a call's task.
pub(crate) fn outcome<T, E>(ended: Result<Outcome<T, E>, JoinError>) -> Result<T, CallError<E>> {
    match ended {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(*error),
        Err(error) => Err(task_failure(error)),
    }
}

/// How a call's task ended, if not by returning.
pub(crate) fn task_failure<E>(error: JoinError) -> CallError<E> {
    if error.is_cancelled() {
        return CallError::Cancelled;
    }
    CallError::Panicked(panic_message(&*error.into_panic()))
}

/// What a panic said.
pub(crate) fn panic_message(payload: &(dyn std::any::Any + Send)) -> String {
    payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned())
}
