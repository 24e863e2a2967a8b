//! [`Response`]: a call in flight that will give one value.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::task::{JoinError, JoinHandle};

use super::argument::{Arg, IntoArg};
use super::blocking;
use super::error::{CallError, UpstreamError};
use super::object_ref::ObjectRef;
use super::pending::{Outcome, PendingCall, panic_message};

/// A call in flight that will give one `T`, or fail with a `CallError<E>`.
///
/// The call started when the handle's method was called, and runs whether or not this
/// is awaited. It may be passed, un-awaited, as an argument of another call.
///
/// **Dropping it cancels the call**, and with it every call that the callee had started
/// for it: a queued call gives its place back before the drop returns and never runs, a
/// running one stops at its next await. [`Response::detach`] lets it run instead.
#[must_use = "dropping a response cancels its call; await it, pass it on, or `detach()` it"]
pub struct Response<T, E = Infallible> {
    state: State<T, E>,
    call: PendingCall,
}

enum State<T, E> {
    Running(JoinHandle<Outcome<T, E>>),
    Refused(Box<CallError<E>>),
    Done,
}

/// Pinning is not structural: the task's handle is `Unpin`, and a refusal is moved out.
impl<T, E> Unpin for Response<T, E> {}

impl<T, E> Response<T, E> {
    pub(crate) fn running(call: PendingCall, task: JoinHandle<Outcome<T, E>>) -> Self {
        Self { state: State::Running(task), call }
    }

    pub(crate) fn refused(call: PendingCall, error: CallError<E>) -> Self {
        Self { state: State::Refused(Box::new(error)), call }
    }

    /// The id of the request that the call belongs to.
    #[must_use]
    pub fn request_id(&self) -> String {
        self.call.request_id().to_string()
    }

    /// Cancels the call: queued, it never runs; running, it stops at its next await.
    /// Awaiting it gives [`CallError::Cancelled`], or its result if that came first.
    pub fn cancel(&self) {
        if let State::Running(task) = &self.state {
            self.call.cancel(task.id());
            task.abort();
        }
    }

    /// Lets the call run to its end unattended, free of the caller's deadline. A
    /// deadline of its own (option or handle) still holds.
    pub fn detach(mut self) {
        self.call.detach();
        // Dropping tokio's handle lets its task run on.
        self.state = State::Done;
    }

    pub(crate) fn full_name(&self) -> String {
        self.call.full_name()
    }
}

impl<T, E> Response<T, E>
where
    T: Send + 'static,
    E: Send + 'static,
{
    /// Blocks the thread until the call is done.
    ///
    /// # Errors
    /// As awaiting it; and [`CallError::BlockingInAsync`] where a tokio context is
    /// current, except on the threads of `#[blocking]` methods. The call is then
    /// cancelled.
    pub fn result(self) -> Result<T, CallError<E>> {
        if !blocking::may_block() {
            return Err(CallError::BlockingInAsync);
        }
        blocking::wait(self)
    }

    /// Blocks the thread until the call is done, or cancels it after `timeout`.
    ///
    /// # Errors
    /// As [`Response::result`], and [`CallError::DeadlineExceeded`] after `timeout`.
    pub fn result_timeout(self, timeout: Duration) -> Result<T, CallError<E>> {
        if !blocking::may_block() {
            return Err(CallError::BlockingInAsync);
        }
        let tokio = self.call.callee.spawner().tokio.clone();
        // Waited for inside the runtime, because the clock is there.
        let waiting = tokio.spawn(async move {
            match tokio::time::timeout(timeout, self).await {
                Ok(result) => result,
                Err(_) => Err(CallError::DeadlineExceeded),
            }
        });
        blocking::wait(waiting).unwrap_or_else(|error| Err(task_failure(error)))
    }

    /// A shareable reference to the result, which need not exist yet.
    ///
    /// The call runs on while any clone of the reference lives, and is cancelled with
    /// the last.
    pub fn object_ref(self) -> ObjectRef<T>
    where
        T: Sync,
        E: fmt::Display + fmt::Debug,
    {
        ObjectRef::from_response(self)
    }
}

impl<T, E> Future for Response<T, E> {
    type Output = Result<T, CallError<E>>;

    /// # Panics
    /// If polled again after it was ready.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let State::Running(task) = &mut self.state {
            let result = ready!(Pin::new(task).poll(cx));
            self.state = State::Done;
            return Poll::Ready(outcome(result));
        }
        match std::mem::replace(&mut self.state, State::Done) {
            State::Refused(error) => Poll::Ready(Err(*error)),
            _ => panic!("a `Response` was polled after it had given its result"),
        }
    }
}

impl<T, E> Drop for Response<T, E> {
    fn drop(&mut self) {
        self.cancel();
    }
}

impl<T, E> fmt::Debug for Response<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Running(task) if task.is_finished() => "finished",
            State::Running(_) => "running",
            State::Refused(_) => "refused",
            State::Done => "done",
        };
        f.debug_struct("Response").field("state", &state).field("call", &self.call).finish()
    }
}

impl<T, E> IntoArg<T> for Response<T, E>
where
    T: Send + 'static,
    E: fmt::Display + fmt::Debug + Send + 'static,
{
    fn into_arg(self) -> Arg<T> {
        Arg::Later(Box::pin(async move {
            let mut response = self;
            match (&mut response).await {
                Ok(value) => Ok(value),
                Err(error) => Err(UpstreamError::from_call(response.full_name(), &error)),
            }
        }))
    }
}

impl<T, E> IntoArg<ObjectRef<T>> for Response<T, E>
where
    T: Send + Sync + 'static,
    E: fmt::Display + fmt::Debug + Send + 'static,
{
    fn into_arg(self) -> Arg<ObjectRef<T>> {
        Arg::Value(self.object_ref())
    }
}

/// The result of a call, from how its task ended.
#[inline]
pub(crate) fn outcome<T, E>(ended: Result<Outcome<T, E>, JoinError>) -> Result<T, CallError<E>> {
    match ended {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(*error),
        Err(error) => Err(task_failure(error)),
    }
}

/// The failure of a call whose task did not return.
pub(crate) fn task_failure<E>(error: JoinError) -> CallError<E> {
    if error.is_cancelled() {
        return CallError::Cancelled;
    }
    CallError::Panicked(panic_message(&*error.into_panic()))
}
