//! [`CallError`]: the failures of a call.

use std::any::Any;
use std::convert::Infallible;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{CallErrorKind, Error, GrpcCode};

/// The error of a call: the method's own error, or a failure that kept the method from answering.
///
/// `E` is the error type of the method, or [`Infallible`] if the method returns no `Result`. For
/// every error type of a method, a `CallError` is a standard error, and `?` converts it into
/// [`serve_core::Error`](crate::Error).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum CallError<E = Infallible> {
    /// The method ran and returned this error. The caller decides whether to try again.
    App(E),
    /// An argument that came from another call did not arrive, so the method did not run. Safe to
    /// retry if the failure of the other call is safe to retry.
    Upstream(UpstreamError),
    /// The deadline passed. The method may have run, and was stopped at its next await.
    DeadlineExceeded,
    /// The call was cancelled by its caller. The method may have run in part.
    Cancelled,
    /// Every slot and every place in the queue was taken. The method did not run. Safe to retry
    /// after a pause.
    Overloaded {
        /// The number of calls that were waiting.
        queued: usize,
        /// The largest number of calls that may wait (`max_queued_requests`).
        limit: usize,
        /// The time to wait before the next try.
        retry_after: Option<Duration>,
    },
    /// No replica could take the call, or its replica ended while the call ran.
    Unavailable {
        /// The deployment that was called.
        deployment: String,
        /// True if the method may have run. If false, a retry is safe.
        started: bool,
        /// The reason why the deployment was unavailable.
        reason: String,
    },
    /// The method panicked with this message, and ran in part. A single panic does not end the
    /// replica.
    Panicked(String),
    /// The owner of an object reference is gone, and the value with it. The method
    /// did not run.
    ObjectLost,
    /// The arguments or the result could not be encoded or decoded. The method may have run, if the
    /// failure is one of the result.
    Codec(String),
    /// The connection to another process failed. The method may have run.
    Transport(String),
    /// A blocking wait was requested on a thread that drives async code, where the wait would stop
    /// other calls. The call was cancelled, and may have begun. Use `.await` on such a thread.
    BlockingInAsync,
}

impl<E> CallError<E> {
    /// True if trying again may succeed and does no harm, because the method did not run.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Overloaded { .. } => true,
            Self::Unavailable { started, .. } => !started,
            Self::Upstream(upstream) => upstream.retryable,
            _ => false,
        }
    }

    /// True if the method may have run, wholly or in part.
    #[must_use]
    pub fn may_have_run(&self) -> bool {
        match self {
            Self::App(_)
            | Self::DeadlineExceeded
            | Self::Cancelled
            | Self::Panicked(_)
            | Self::Codec(_)
            | Self::Transport(_)
            | Self::BlockingInAsync => true,
            Self::Unavailable { started, .. } => *started,
            Self::Upstream(_) | Self::Overloaded { .. } | Self::ObjectLost => false,
        }
    }

    /// The HTTP status of the failure: 408, 499 or 503, and 500 for all other failures. The status
    /// of [`CallError::App`] is 500 too: an endpoint reads the status of the method's own error
    /// from `E`.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.fault().map_or(500, CallErrorKind::status)
    }

    /// The number of the gRPC status of the failure:
    ///
    /// | failure | gRPC |
    /// |---|---|
    /// | [`App`](Self::App) | 2 `UNKNOWN`: what the method's own error means, only you know |
    /// | [`DeadlineExceeded`](Self::DeadlineExceeded) | 4 `DEADLINE_EXCEEDED` |
    /// | [`Cancelled`](Self::Cancelled) | 1 `CANCELLED` |
    /// | [`Overloaded`](Self::Overloaded) | 8 `RESOURCE_EXHAUSTED` |
    /// | [`Unavailable`](Self::Unavailable), [`ObjectLost`](Self::ObjectLost), [`Transport`](Self::Transport) | 14 `UNAVAILABLE` |
    /// | [`Upstream`](Self::Upstream) | that of its cause |
    /// | all others | 13 `INTERNAL` |
    ///
    /// Serve does not depend on an implementation of gRPC; with tonic, `Code::from_i32` takes the number.
    ///
    /// ```
    /// use serve_core::CallError;
    ///
    /// let late: CallError = CallError::DeadlineExceeded;
    /// assert_eq!(late.grpc_code(), 4);
    /// ```
    #[must_use]
    pub fn grpc_code(&self) -> i32 {
        self.fault().map_or(GrpcCode::Unknown.number(), CallErrorKind::grpc_code)
    }

    /// The kind of the failure; none for [`CallError::App`].
    #[must_use]
    pub fn fault(&self) -> Option<CallErrorKind> {
        match self {
            Self::App(_) => None,
            Self::Upstream(upstream) => Some(upstream.cause.root_fault()),
            Self::DeadlineExceeded => Some(CallErrorKind::DeadlineExceeded),
            Self::Cancelled => Some(CallErrorKind::Cancelled),
            Self::Overloaded { .. } => Some(CallErrorKind::Overloaded),
            Self::Unavailable { .. } | Self::ObjectLost | Self::Transport(_) => {
                Some(CallErrorKind::Unavailable)
            }
            Self::Panicked(_) | Self::Codec(_) | Self::BlockingInAsync => {
                Some(CallErrorKind::Internal)
            }
        }
    }

    /// Maps a `CallError<E>` to a `CallError<F>` by applying `f` to the method's own error.
    pub fn map_app<F>(self, f: impl FnOnce(E) -> F) -> CallError<F> {
        match self {
            Self::App(error) => CallError::App(f(error)),
            Self::Upstream(upstream) => CallError::Upstream(upstream),
            Self::DeadlineExceeded => CallError::DeadlineExceeded,
            Self::Cancelled => CallError::Cancelled,
            Self::Overloaded { queued, limit, retry_after } => {
                CallError::Overloaded { queued, limit, retry_after }
            }
            Self::Unavailable { deployment, started, reason } => {
                CallError::Unavailable { deployment, started, reason }
            }
            Self::Panicked(message) => CallError::Panicked(message),
            Self::ObjectLost => CallError::ObjectLost,
            Self::Codec(message) => CallError::Codec(message),
            Self::Transport(message) => CallError::Transport(message),
            Self::BlockingInAsync => CallError::BlockingInAsync,
        }
    }
}

impl CallError<Infallible> {
    /// Converts a failure that is not a method's own error into the error of any method.
    pub(crate) fn widen<E>(self) -> CallError<E> {
        self.map_app(|never| match never {})
    }
}

impl<E: fmt::Display> fmt::Display for CallError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::App(error) => error.fmt(f),
            Self::Upstream(upstream) => upstream.fmt(f),
            Self::DeadlineExceeded => f.write_str("the deadline passed before the call ended"),
            Self::Cancelled => f.write_str("the call was cancelled"),
            Self::Overloaded { queued, limit, .. } => write!(
                f,
                "overloaded: every slot is taken and {queued} calls wait, of at most {limit} \
                 (max_queued_requests)"
            ),
            Self::Unavailable { deployment, started: false, reason } => {
                write!(f, "`{deployment}` is unavailable: {reason}; the call had not started")
            }
            Self::Unavailable { deployment, started: true, reason } => {
                write!(f, "`{deployment}` became unavailable while the call ran: {reason}")
            }
            Self::Panicked(message) => write!(f, "the method panicked: {message}"),
            Self::ObjectLost => f.write_str("the referenced object is gone with its owner"),
            Self::Codec(message) => write!(f, "could not encode or decode: {message}"),
            Self::Transport(message) => write!(f, "the connection failed: {message}"),
            Self::BlockingInAsync => f.write_str(
                "a blocking wait on a thread that runs async code would stop other calls; \
                 use `.await`, or a `#[blocking]` method",
            ),
        }
    }
}

impl<E: fmt::Display + fmt::Debug> std::error::Error for CallError<E> {
    /// The cause. A chain of causes ends with a [`CallErrorKind`], unless it comes from a method's own
    /// error, so that the status survives wrapping.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::App(_) => None,
            Self::Upstream(upstream) => Some(&*upstream.cause),
            Self::DeadlineExceeded => Some(&CallErrorKind::DeadlineExceeded),
            Self::Cancelled => Some(&CallErrorKind::Cancelled),
            Self::Overloaded { .. } => Some(&CallErrorKind::Overloaded),
            Self::Unavailable { .. } | Self::ObjectLost | Self::Transport(_) => {
                Some(&CallErrorKind::Unavailable)
            }
            Self::Panicked(_) | Self::Codec(_) | Self::BlockingInAsync => {
                Some(&CallErrorKind::Internal)
            }
        }
    }
}

/// The failure of an argument that came from another call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UpstreamError {
    producer: String,
    consumer: Option<String>,
    retryable: bool,
    cause: Box<Cause>,
}

impl UpstreamError {
    /// The call that failed, as `Deployment.method`.
    #[must_use]
    pub fn producer(&self) -> &str {
        &self.producer
    }

    /// The call that was waiting for the argument, as `Deployment.method`; none if the failure came
    /// from awaiting an object reference or from reading an input stream.
    #[must_use]
    pub fn consumer(&self) -> Option<&str> {
        self.consumer.as_deref()
    }

    /// The same failure, as seen by the call or the task that waited for the argument.
    pub(crate) fn for_consumer(mut self, consumer: String) -> Self {
        self.consumer = Some(consumer);
        self
    }

    /// The failure of an argument that was an object reference.
    pub(crate) fn of_reference(error: CallError) -> Self {
        match error {
            CallError::Upstream(upstream) => upstream,
            other => Self::from_call("ObjectRef".to_owned(), &other),
        }
    }

    /// Creates the failure that a call passes on to the consumer of its result.
    pub(crate) fn from_call<E: fmt::Display + fmt::Debug + 'static>(
        producer: String,
        error: &CallError<E>,
    ) -> Self {
        let cause = own_error(error).and_then(|own| Cause::of(own.chain()));
        Self {
            producer,
            consumer: None,
            retryable: error.is_retryable(),
            cause: Box::new(cause.unwrap_or_else(|| Cause::copy(error))),
        }
    }
}

impl fmt::Display for UpstreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.consumer {
            Some(consumer) => write!(
                f,
                "`{consumer}` was not called: its argument from `{}` failed: {}",
                self.producer, self.cause.message
            ),
            None => write!(f, "`{}` failed: {}", self.producer, self.cause.message),
        }
    }
}

impl std::error::Error for UpstreamError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.cause)
    }
}

/// A copy of an error and its causes, which can be cloned, compared and sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Cause {
    message: String,
    next: Option<Box<Cause>>,
    fault: Option<CallErrorKind>,
}

impl Cause {
    fn copy(error: &dyn std::error::Error) -> Self {
        let fault =
            error.source().and_then(|source| source.downcast_ref::<CallErrorKind>()).copied();
        Self {
            message: error.to_string(),
            next: match fault {
                Some(_) => None,
                None => error.source().map(|source| Box::new(Self::copy(source))),
            },
            fault,
        }
    }

    /// A message and its causes, none of which is a [`CallErrorKind`]; none if `chain` is empty.
    fn of<'a>(chain: impl DoubleEndedIterator<Item = &'a str>) -> Option<Self> {
        chain.rev().fold(None, |next, message| {
            Some(Self { message: message.to_owned(), next: next.map(Box::new), fault: None })
        })
    }

    fn root_fault(&self) -> CallErrorKind {
        match (&self.next, self.fault) {
            (_, Some(fault)) => fault,
            (Some(next), None) => next.root_fault(),
            (None, None) => CallErrorKind::Internal,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Cause {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match (&self.next, &self.fault) {
            (Some(next), _) => Some(&**next),
            (None, Some(fault)) => Some(fault),
            (None, None) => None,
        }
    }
}

/// The method's own error, if it is an [`Error`], whose causes are not part of its text.
fn own_error<E: 'static>(error: &CallError<E>) -> Option<&Error> {
    match error {
        CallError::App(own) => (own as &dyn Any).downcast_ref(),
        _ => None,
    }
}

impl<E> From<E> for Error
where
    E: std::error::Error + Send + Sync + 'static,
{
    fn from(error: E) -> Self {
        let called = (&error as &dyn Any).downcast_ref::<CallError<Error>>();
        match called.and_then(own_error) {
            Some(own) => own.clone().without_status(),
            None => Self::from_chain(&error),
        }
    }
}

impl CallError<Error> {
    /// Converts the failure into an [`Error`]. The method's own error is returned unchanged.
    #[must_use]
    pub fn into_error(self) -> Error {
        match self {
            Self::App(error) => error,
            other => Error::from(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error as _;

    #[test]
    fn an_overloaded_callees_503_survives_and_its_own_404_does_not() {
        let overloaded: CallError<Error> =
            CallError::Overloaded { queued: 3, limit: 3, retry_after: None };
        let error = Error::from(overloaded);
        assert_eq!(error.status(), Some(503));
        assert_eq!(error.retry_after(), Some(Duration::from_secs(1)));

        let own = CallError::App(Error::msg("no such paper").with_status(404));
        let error = Error::from(own);
        assert_eq!(error.status(), None);
        assert_eq!(error.to_string(), "no such paper");
    }

    #[test]
    fn an_upstream_failure_keeps_chain_status_and_both_names() {
        let first: CallError = CallError::DeadlineExceeded;
        let second: CallError = CallError::Upstream(
            UpstreamError::from_call("A.x".into(), &first).for_consumer("B.y".into()),
        );
        let third: CallError = CallError::Upstream(
            UpstreamError::from_call("B.y".into(), &second).for_consumer("C.z".into()),
        );
        let text = third.to_string();
        assert!(
            text.contains("`C.z`") && text.contains("`B.y`") && text.contains("`A.x`"),
            "{text}"
        );
        assert_eq!(third.status(), 408);
        assert_eq!(Error::from(third).status(), Some(408));
    }

    #[test]
    fn an_upstream_failure_keeps_the_causes_of_the_methods_own_error() {
        let own = Error::msg("no such paper").with_status(404).context("cannot look it up");
        let failed = UpstreamError::from_call("A.x".into(), &CallError::App(own));
        let error = Error::from(CallError::<Error>::Upstream(failed));
        let chain: Vec<_> = error.chain().skip(1).collect();
        assert_eq!(chain, ["cannot look it up", "no such paper"]);
        assert_eq!(error.status(), None);
    }

    #[test]
    fn a_callees_own_error_has_no_source_that_could_leak_a_status() {
        let own: CallError<CallErrorKind> = CallError::App(CallErrorKind::Overloaded);
        assert!(own.source().is_none());
        assert_eq!(own.status(), 500);
    }
}
