//! [`Error`]: one error type for user code, which travels between deployments.
//!
//! It sits below everything else, because constructors, methods and the runtime
//! all speak it. What a *call* can fail with is [`CallError`](crate::CallError).

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A result whose error is [`Error`] unless another is named.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error made of a message, its causes, and perhaps an HTTP status.
///
/// `?` converts any standard error and any [`CallError`](crate::CallError) into it.
/// It is plain data, so it crosses process borders whole: the chain of causes
/// arrives as text.
///
/// The status is what an HTTP client gets when a method returns this error from an
/// endpoint. None means 500 with no detail, so that internals do not leak. A call's
/// own framework status (503 of an overloaded callee, 408 of a passed deadline)
/// survives `?`; the status of the *callee's own* error never does.
///
/// ```
/// use serve_core::Error;
///
/// fn port(text: &str) -> serve_core::Result<u16> {
///     Ok(text.parse::<u16>()?)
/// }
/// assert_eq!(port("x").unwrap_err().to_string(), "invalid digit found in string");
///
/// let missing = Error::msg("no such paper").with_status(404);
/// assert_eq!(missing.status(), Some(404));
/// ```
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Error(Box<Report>);

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Report {
    message: String,
    /// Causes, the nearest first.
    causes: Vec<String>,
    status: Option<u16>,
    retry_after: Option<Duration>,
}

impl Error {
    /// An error with this message, no cause and no status.
    pub fn msg(message: impl fmt::Display) -> Self {
        Self(Box::new(Report {
            message: message.to_string(),
            causes: Vec::new(),
            status: None,
            retry_after: None,
        }))
    }

    /// The same error with a sentence in front; the old message becomes the first cause.
    #[must_use]
    pub fn context(mut self, message: impl fmt::Display) -> Self {
        let cause = std::mem::replace(&mut self.0.message, message.to_string());
        self.0.causes.insert(0, cause);
        self
    }

    /// The same error, answered to HTTP clients with this status and its message.
    ///
    /// A number that is no HTTP status (outside 100 to 999) is sent as 500.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.0.status = Some(status);
        self
    }

    /// The HTTP status, if one was set or came from a call's own failure.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.0.status
    }

    /// When a client may try again, if the failed call said so.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// The message and then its causes, the nearest first.
    pub fn chain(&self) -> impl DoubleEndedIterator<Item = &str> {
        std::iter::once(self.0.message.as_str()).chain(self.0.causes.iter().map(String::as_str))
    }

    /// The error and its causes. Of a call's own failure somewhere among them, the status.
    pub(crate) fn from_chain(error: &(dyn std::error::Error + 'static)) -> Self {
        let mut whole = Self::msg(error);
        let report = &mut *whole.0;
        let mut source = error.source();
        while let Some(cause) = source {
            if let Some(fault) = cause.downcast_ref::<Fault>() {
                // An internal failure sets none: its message is not for clients.
                let status = (*fault != Fault::Internal).then(|| fault.status());
                report.status = report.status.or(status);
                report.retry_after = report.retry_after.or_else(|| fault.retry_after());
            } else {
                report.causes.push(cause.to_string());
            }
            source = cause.source();
        }
        whole
    }

    /// The same error as a caller has it: what it says to clients is the callee's own.
    pub(crate) fn without_status(mut self) -> Self {
        self.0.status = None;
        self.0.retry_after = None;
        self
    }

    /// An error from a value that can only be shown. Keeps an [`Error`] as it is.
    pub(crate) fn from_display<E: fmt::Display + 'static>(error: E) -> Self {
        let any: Box<dyn std::any::Any> = match same::<E, Error>(error) {
            Ok(error) => return error,
            Err(error) => Box::new(error),
        };
        let error = any.downcast::<E>().expect("the box was made of an `E` one line above");
        Self::msg(error)
    }
}

/// `value` as a `B`, where `A` and `B` are one type.
pub(crate) fn same<A: 'static, B: 'static>(value: A) -> std::result::Result<B, A> {
    let mut slot = Some(value);
    match (&mut slot as &mut dyn std::any::Any).downcast_mut::<Option<B>>().and_then(Option::take) {
        Some(value) => Ok(value),
        None => Err(slot.expect("taken only when the types are the same")),
    }
}

impl fmt::Display for Error {
    /// The message; with `{:#}`, the causes too, each after a colon.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        if f.alternate() {
            for cause in &self.0.causes {
                write!(f, ": {cause}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    /// What `fn main() -> serve_core::Result<()>` prints: the message and its causes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        if !self.0.causes.is_empty() {
            f.write_str("\n\nCaused by:")?;
            for cause in &self.0.causes {
                write!(f, "\n    {cause}")?;
            }
        }
        Ok(())
    }
}

/// What went wrong with a call apart from the method's own error: the concrete error
/// that [`CallError`](crate::CallError)'s `source()` exposes.
///
/// [`Error`] finds it in a chain of causes, whatever error types lie between, and
/// keeps its status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The deadline passed.
    #[error("out of time")]
    DeadlineExceeded,
    /// The call was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// Every slot and every place in the queue was taken.
    #[error("overloaded, try again later")]
    Overloaded,
    /// No replica could take or finish the call.
    #[error("unavailable, try again later")]
    Unavailable,
    /// The method, the codec or the transport failed: not the caller's doing.
    #[error("internal failure")]
    Internal,
}

impl Fault {
    /// The HTTP status that says this: 408, 499, 503 or 500.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::DeadlineExceeded => 408,
            // nginx's "client closed request", which Ray Serve uses too.
            Self::Cancelled => 499,
            Self::Overloaded | Self::Unavailable => 503,
            Self::Internal => 500,
        }
    }

    /// How long a client should wait, where waiting helps: 1 s for an overload, the
    /// smallest value that `Retry-After` can carry.
    #[must_use]
    pub const fn retry_after(self) -> Option<Duration> {
        match self {
            Self::Overloaded => Some(Duration::from_secs(1)),
            _ => None,
        }
    }
}

/// The HTTP status of an error type of your own, for methods that are endpoints.
///
/// Without it, an `Err` is answered with 500 and no detail. With it, the status is
/// this one and the body is the error's `Display`.
pub trait HttpStatus {
    /// A status between 400 and 599.
    fn status(&self) -> u16;
}

impl HttpStatus for Error {
    fn status(&self) -> u16 {
        self.0.status.unwrap_or(500)
    }
}
