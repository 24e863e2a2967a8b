//! [`Response`]: a call in flight that returns one value.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::task::{JoinError, JoinHandle, coop};

use super::argument::{Arg, IntoArg};
use super::blocking;
use super::error::{CallError, UpstreamError};
use super::expiry::CallerExpiry;
use super::in_place::KnownCall;
use super::in_place::{Begun, Deferral};
use super::pending::{Outcome, PendingCall, panic_message};
use super::request_ids::RequestIds;

/// A call in flight that returns one `T`, or fails with a `CallError<E>`.
///
/// The call is made when the handle's method is called, and runs even if the response is not
/// awaited. A response that has not been awaited can be passed as an argument of another call.
///
/// **Dropping the response cancels the call**, and with it every call that the callee has made for
/// it. A queued call frees its place in the queue before the drop returns, and never runs. A
/// running call stops at its next await. [`Response::detach`] lets the call run instead.
#[must_use = "dropping a response cancels its call; await it, pass it on, or `detach()` it"]
pub struct Response<T, E = Infallible> {
    state: State<T, E>,
    call: KnownCall,
    expiry: CallerExpiry,
}

enum State<T, E> {
    /// The call has not begun, or was begun by something other than this response.
    Deferred(Begin<T, E>),
    Running(JoinHandle<Outcome<T, E>>),
    Refused(Box<CallError<E>>),
    Done,
}

/// Begins a deferred call: as a task if there is no context, else perhaps in place. Stored as a
/// function pointer, because a `Response` does not require that its types can be those of a task.
type Begin<T, E> =
    fn(Deferral, Option<&mut Context<'_>>, &mut KnownCall) -> Poll<Begun<Outcome<T, E>>>;

/// Pinning is not structural: the task's handle is `Unpin`, and a refusal is moved out.
impl<T, E> Unpin for Response<T, E> {}

impl<T: Send + 'static, E: Send + 'static> Response<T, E> {
    #[inline]
    pub(crate) fn deferred(deferral: Deferral) -> Self {
        let state = State::Deferred(Deferral::begin);
        Self { state, call: KnownCall::Deferred(deferral), expiry: CallerExpiry::default() }
    }
}

impl<T, E> Response<T, E> {
    /// The response of a call that has a task, or was refused.
    #[inline(always)]
    pub(crate) fn started(call: PendingCall, task: Outcome<JoinHandle<Outcome<T, E>>>) -> Self {
        let state = match task {
            Ok(task) => State::Running(task),
            Err(error) => State::Refused(Box::new(error.widen())),
        };
        Self { state, call: KnownCall::Pending(call), expiry: CallerExpiry::default() }
    }

    /// The id of the request that the call belongs to.
    #[must_use]
    pub fn request_id(&self) -> String {
        let id = match &self.call {
            KnownCall::Ended { request, seed, .. } => {
                Some(request.id(Some(&RequestIds::new(*seed))))
            }
            KnownCall::Pending(call) => Some(call.request_id()),
            KnownCall::Deferred(deferral) => deferral.pending().map(|call| call.request_id()),
        };
        id.map(|id| id.to_string()).unwrap_or_default()
    }

    /// Cancels the call. A queued call never runs, and a running call stops at its next await.
    /// Awaiting the response then returns [`CallError::Cancelled`], or the result if the call ended
    /// before.
    pub fn cancel(&self) {
        match (&self.state, &self.call) {
            (State::Running(task), KnownCall::Pending(call)) => {
                call.cancel(task.id());
                task.abort();
            }
            (State::Deferred(_), KnownCall::Deferred(deferral)) => deferral.cancel(),
            _ => {}
        }
    }

    /// Detaches the call, which runs to its end unattended and without the caller's deadline. The
    /// call's own deadline (option or handle) still applies.
    pub fn detach(mut self) {
        match &self.call {
            KnownCall::Pending(call) => call.detach(),
            KnownCall::Deferred(deferral) => deferral.detach(),
            KnownCall::Ended { .. } => {}
        }
        // Dropping tokio's handle lets its task run on.
        self.state = State::Done;
    }

    /// Begins the call as a task, if the call has not begun.
    pub(crate) fn begin(&mut self) {
        if let (State::Deferred(begin), KnownCall::Deferred(deferral)) = (&self.state, &self.call)
            && let Poll::Ready(begun) = begin(*deferral, None, &mut self.call)
        {
            self.state = match begun {
                Begun::Task(task) => State::Running(task),
                Begun::Cancelled => State::Refused(Box::new(CallError::Cancelled)),
                Begun::Ended(_) => unreachable!("nothing is polled without a context"),
            };
        }
    }

    /// The full name of the call: `Deployment.method`, or the name of a task.
    pub(crate) fn full_name(&self) -> String {
        match &self.call {
            KnownCall::Pending(call) => call.full_name(),
            KnownCall::Ended { method, .. } => (*method).to_owned(),
            KnownCall::Deferred(deferral) => {
                deferral.pending().map(|call| call.full_name()).unwrap_or_default()
            }
        }
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
    /// The errors of awaiting the response. Also [`CallError::BlockingInAsync`] if a tokio context
    /// is current, except on the threads of `#[blocking]` methods; the call is then cancelled.
    pub fn result(self) -> Result<T, CallError<E>> {
        if !blocking::may_block() {
            return Err(CallError::BlockingInAsync);
        }
        blocking::wait(self)
    }

    /// Blocks the thread until the call is done, or cancels it after `timeout`.
    ///
    /// # Errors
    /// The errors of [`Response::result`], and [`CallError::DeadlineExceeded`] after `timeout`.
    pub fn result_timeout(mut self, timeout: Duration) -> Result<T, CallError<E>> {
        if !blocking::may_block() {
            return Err(CallError::BlockingInAsync);
        }
        self.begin();
        let tokio = match &self.call {
            KnownCall::Pending(call) => call.tokio(),
            // Another thread is spawning the call just now.
            KnownCall::Deferred(deferral) => deferral.pending().and_then(|call| call.tokio()),
            KnownCall::Ended { .. } => None,
        };
        let Some(tokio) = tokio else { return blocking::wait(self) };
        // Waited for inside the runtime, because the clock is there.
        let waiting = tokio.spawn(async move {
            match tokio::time::timeout(timeout, self).await {
                Ok(result) => result,
                Err(_) => Err(CallError::DeadlineExceeded),
            }
        });
        blocking::wait(waiting).unwrap_or_else(|error| Err(task_failure(error)))
    }
}

impl<T, E> Future for Response<T, E> {
    type Output = Result<T, CallError<E>>;

    /// # Panics
    /// If the response is polled again after it was ready.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let State::Deferred(begin) = self.state
            && let KnownCall::Deferred(deferral) = self.call
        {
            match ready!(begin(deferral, Some(cx), &mut self.call)) {
                // Returned right here, because a copy of a value that was just written stalls.
                Begun::Ended(result) => {
                    self.state = State::Done;
                    return Poll::Ready(ended_in_place(result));
                }
                Begun::Task(task) => self.state = State::Running(task),
                Begun::Cancelled => self.state = State::Refused(Box::new(CallError::Cancelled)),
            }
        }
        let this = &mut *self;
        if let State::Running(task) = &mut this.state {
            let polled = Pin::new(task).poll(cx);
            blocking::polled(polled.is_pending());
            let Poll::Ready(result) = polled else {
                if let KnownCall::Pending(call) = &this.call
                    && this.expiry.passed(call, cx)
                {
                    this.cancel();
                    this.state = State::Done;
                    return Poll::Ready(Err(CallError::DeadlineExceeded));
                }
                return Poll::Pending;
            };
            this.state = State::Done;
            return Poll::Ready(outcome(result));
        }
        // Counted like the await of a task, so that a loop over calls which are refused lets other
        // tasks run.
        ready!(coop::poll_proceed(cx)).made_progress();
        match std::mem::replace(&mut self.state, State::Done) {
            State::Refused(error) => Poll::Ready(Err(*error)),
            _ => panic!("a `Response` was polled after it had returned its result"),
        }
    }
}

impl<T, E> Drop for Response<T, E> {
    #[inline]
    fn drop(&mut self) {
        match (&self.state, &self.call) {
            (State::Running(_), _) => self.cancel(),
            (State::Deferred(_), KnownCall::Deferred(deferral)) => deferral.drop_response(),
            _ => {}
        }
    }
}

impl<T, E> fmt::Debug for Response<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Deferred(_) => "not awaited",
            State::Running(task) if task.is_finished() => "finished",
            State::Running(_) => "running",
            State::Refused(_) => "refused",
            State::Done => "done",
        };
        let mut response = f.debug_struct("Response");
        response.field("state", &state);
        match &self.call {
            KnownCall::Deferred(deferral) => response.field("call", &deferral.pending()),
            call => response.field("call", call),
        };
        response.finish()
    }
}

impl<T, E> IntoArg<T> for Response<T, E>
where
    T: Send + 'static,
    E: fmt::Display + fmt::Debug + Send + 'static,
{
    fn into_arg(mut self) -> Arg<T> {
        // The call runs side by side with the call that takes its result.
        self.begin();
        Arg::Later(Box::pin(async move {
            let mut response = self;
            match (&mut response).await {
                Ok(value) => Ok(value),
                Err(error) => Err(UpstreamError::from_call(response.full_name(), &error)),
            }
        }))
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

/// The result of a call, from how its poll in place ended.
#[inline]
fn ended_in_place<T, E>(ended: std::thread::Result<Outcome<T, E>>) -> Result<T, CallError<E>> {
    match ended {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(*error),
        Err(panic) => Err(CallError::Panicked(panic_message(&*panic))),
    }
}

/// The failure of a call whose task did not return.
pub(crate) fn task_failure<E>(error: JoinError) -> CallError<E> {
    if error.is_cancelled() {
        return CallError::Cancelled;
    }
    CallError::Panicked(panic_message(&*error.into_panic()))
}
