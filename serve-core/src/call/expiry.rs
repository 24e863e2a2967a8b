//! [`Expiry`]: the timer of a call's deadline.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};

use super::alarm::Alarm;
use super::deadline::Deadline;
use super::error::CallError;
use super::pending::PendingCall;

/// The timer of a call's deadline, made when it is first needed. Only a pointer, because every
/// call's future contains one.
#[derive(Default)]
pub(crate) struct Expiry(Option<Pin<Box<Sleep>>>);

impl Expiry {
    /// True once the deadline has passed. Registers nothing.
    pub(crate) fn has_passed(deadline: &Deadline) -> bool {
        deadline.at().is_some_and(|at| at <= Instant::now())
    }

    /// True once the deadline has passed. Until then, registers the task to be woken when the
    /// deadline passes.
    pub(crate) fn passed(&mut self, deadline: &Deadline, cx: &mut Context<'_>) -> bool {
        loop {
            match &mut self.0 {
                None => match deadline.at() {
                    // A timer rounds up to its next millisecond, in which the method would run.
                    Some(at) if at <= Instant::now() => return true,
                    Some(at) => self.0 = Some(Box::pin(sleep_until(at))),
                    None => return false,
                },
                Some(sleep) => {
                    if sleep.as_mut().poll(cx).is_pending() {
                        return false;
                    }
                    // Detaching may have moved the deadline since the timer was set.
                    match deadline.at() {
                        Some(at) if at > sleep.deadline() => sleep.as_mut().reset(at),
                        Some(_) => return true,
                        None => {
                            self.0 = None;
                            return false;
                        }
                    }
                }
            }
        }
    }
}

/// The time for which a caller still waits after the deadline, so that the callee can end by
/// itself.
const GRACE: Duration = Duration::from_millis(5);

/// The caller's own timer of a deadline that the call sets. The callee's future is dropped at the
/// deadline, but only at its next await: a method that computes, or blocks its thread, would keep
/// its caller waiting. The timer expires [`GRACE`] after the deadline, so that a callee that awaits
/// ends by itself. Only a pointer, because every response contains one.
#[derive(Default)]
pub(super) struct CallerExpiry(Option<Box<Timer>>);

enum Timer {
    /// A timer of the process, which expires though all threads of the runtime compute.
    Alarm(Alarm),
    /// A timer of the runtime, on a runtime with a single thread. If that thread computes, nothing
    /// can help, and its clock may be paused.
    Sleep(Pin<Box<Sleep>>),
}

impl CallerExpiry {
    /// True once the call's deadline has passed by [`GRACE`]. Until then, registers the caller to
    /// be woken at that time. Ignores a deadline that the call only inherited, because the caller
    /// that set the deadline has a timer for it.
    #[inline]
    pub(super) fn passed(&mut self, call: &PendingCall, cx: &mut Context<'_>) -> bool {
        match &call.deadline {
            Some(deadline) if deadline.own().is_some() => self.own_passed(call, deadline, cx),
            _ => false,
        }
    }

    #[cold]
    #[inline(never)]
    fn own_passed(
        &mut self,
        call: &PendingCall,
        deadline: &Deadline,
        cx: &mut Context<'_>,
    ) -> bool {
        let Some(at) = deadline.at().and_then(|at| at.checked_add(GRACE)) else { return false };
        if let Some(timer) = &mut self.0 {
            // Detaching may have moved the deadline since the timer was set.
            if at <= timer.time() {
                return timer.has_expired(cx);
            }
            self.0 = None;
        }
        // The timer belongs to the runtime that serves the call, because the caller may have no
        // runtime.
        let Some(runtime) = call.runtime() else { return false };
        let alarm = if runtime.sweeps { Alarm::at(at, cx.waker()) } else { None };
        let timer = match alarm {
            Some(alarm) => Timer::Alarm(alarm),
            None => {
                let _context = runtime.tokio.enter();
                Timer::Sleep(Box::pin(sleep_until(at)))
            }
        };
        self.0.insert(Box::new(timer)).has_expired(cx)
    }
}

impl Timer {
    fn time(&self) -> Instant {
        match self {
            Self::Alarm(alarm) => alarm.time(),
            Self::Sleep(sleep) => sleep.deadline(),
        }
    }

    /// True once the timer has expired. Until then, registers the caller to be woken.
    fn has_expired(&mut self, cx: &mut Context<'_>) -> bool {
        match self {
            Self::Alarm(alarm) => alarm.has_rung(cx.waker()),
            Self::Sleep(sleep) => sleep.as_mut().poll(cx).is_ready(),
        }
    }
}

pin_project! {
    /// A future that fails with `DeadlineExceeded` if it is not ready by its deadline. Without
    /// a deadline it costs a check of an `Option`.
    pub(crate) struct Within<F> {
        #[pin]
        future: F,
        deadline: Option<Arc<Deadline>>,
        expiry: Expiry,
    }
}

impl<F> Within<F> {
    pub(crate) fn new(deadline: Option<Arc<Deadline>>, future: F) -> Self {
        Self { future, deadline, expiry: Expiry::default() }
    }
}

impl<F: Future> Future for Within<F> {
    type Output = Result<F::Output, CallError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Some(deadline) = this.deadline.as_deref()
            && this.expiry.passed(deadline, cx)
        {
            return Poll::Ready(Err(CallError::DeadlineExceeded));
        }
        this.future.poll(cx).map(Ok)
    }
}
