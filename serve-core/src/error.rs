//! [`Error`]: an error type for user code, which can travel between deployments.
//!
//! This module depends on no other module, because constructors, methods and the runtime all use
//! [`Error`]. The error of a *call* is [`CallError`](crate::CallError).

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A `Result` whose error type is [`Error`] unless another type is named.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error with a message, its causes and an optional HTTP status.
///
/// `?` converts any standard error and any [`CallError`](crate::CallError) into an `Error`. An
/// `Error` is plain data, so it crosses process borders whole: the chain of causes arrives as text.
///
/// The status is sent to an HTTP client when a method returns the error from an endpoint. Without a
/// status, the client receives 500 with no detail, so that internals do not leak. The status of a
/// call's own failure (503 of an overloaded callee, 408 of a passed deadline) survives `?`. The
/// status of the *callee's own* error never survives `?`.
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
    /// The causes, the nearest first.
    causes: Vec<String>,
    status: Option<u16>,
    retry_after: Option<Duration>,
}

impl Error {
    /// Creates an error with this message, no cause and no status.
    pub fn msg(message: impl fmt::Display) -> Self {
        Self(Box::new(Report {
            message: message.to_string(),
            causes: Vec::new(),
            status: None,
            retry_after: None,
        }))
    }

    /// Puts a new message in front of the error. The old message becomes the first cause.
    #[must_use]
    pub fn context(mut self, message: impl fmt::Display) -> Self {
        let cause = std::mem::replace(&mut self.0.message, message.to_string());
        self.0.causes.insert(0, cause);
        self
    }

    /// Sets the HTTP status. HTTP clients receive this status and the error's message.
    ///
    /// A number that is not the status of a final response (outside 200 to 999) is sent as 500 with
    /// no detail.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.0.status = Some(status);
        self
    }

    /// The HTTP status, if a status was set or came from a call's own failure.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.0.status
    }

    /// The time after which a client may try again, if the failed call set such a time.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// The number of the gRPC status that fits the error, by its HTTP status:
    ///
    /// | HTTP | gRPC |
    /// |---|---|
    /// | 400, 422 | 3 `INVALID_ARGUMENT` |
    /// | 401 | 16 `UNAUTHENTICATED` |
    /// | 403 | 7 `PERMISSION_DENIED` |
    /// | 404, 410 | 5 `NOT_FOUND` |
    /// | 408, 504 | 4 `DEADLINE_EXCEEDED` |
    /// | 409 | 10 `ABORTED` |
    /// | 412 | 9 `FAILED_PRECONDITION` |
    /// | 405, 415, 501 | 12 `UNIMPLEMENTED` |
    /// | 413, 429, and 503 of an overload | 8 `RESOURCE_EXHAUSTED` |
    /// | 499 | 1 `CANCELLED` |
    /// | 503 | 14 `UNAVAILABLE` |
    /// | 500, or none | 13 `INTERNAL` |
    /// | any other | 2 `UNKNOWN` |
    ///
    /// Serve does not depend on an implementation of gRPC; with tonic, `Code::from_i32` takes the number.
    #[must_use]
    pub fn grpc_code(&self) -> i32 {
        let code = match (self.status(), self.retry_after()) {
            // Of the failures that `?` converts, only an overload says when to try again.
            (Some(503), Some(_)) => GrpcCode::ResourceExhausted,
            (Some(status), _) => GrpcCode::of_status(status),
            (None, _) => GrpcCode::Internal,
        };
        code.number()
    }

    /// Returns an iterator over the message and then its causes, the nearest first.
    pub fn chain(&self) -> impl DoubleEndedIterator<Item = &str> {
        std::iter::once(self.0.message.as_str()).chain(self.0.causes.iter().map(String::as_str))
    }

    /// Converts an error and its causes. If a call's own failure is among the causes, takes the
    /// status of that failure.
    pub(crate) fn from_chain(error: &(dyn std::error::Error + 'static)) -> Self {
        let mut whole = Self::msg(error);
        let report = &mut *whole.0;
        let mut source = error.source();
        while let Some(cause) = source {
            if let Some(fault) = cause.downcast_ref::<CallErrorKind>() {
                // An internal failure sets no status, because its message is not for clients.
                let status = (*fault != CallErrorKind::Internal).then(|| fault.status());
                report.status = report.status.or(status);
                report.retry_after = report.retry_after.or_else(|| fault.retry_after());
            } else {
                report.causes.push(cause.to_string());
            }
            source = cause.source();
        }
        whole
    }

    /// Removes the status and the retry time, which a callee set for its own clients and not for
    /// those of its caller.
    pub(crate) fn without_status(mut self) -> Self {
        self.0.status = None;
        self.0.retry_after = None;
        self
    }

    /// Converts a value that may implement only `Display`. Returns an [`Error`] unchanged.
    pub(crate) fn from_display<E: fmt::Display + 'static>(error: E) -> Self {
        let any: Box<dyn std::any::Any> = match same::<E, Error>(error) {
            Ok(error) => return error,
            Err(error) => Box::new(error),
        };
        let error = any.downcast::<E>().expect("the box was made of an `E` one line above");
        Self::msg(error)
    }
}

/// Returns `value` as a `B` if `A` and `B` are the same type.
///
/// # Errors
/// `value` unchanged, if the types differ.
pub(crate) fn same<A: 'static, B: 'static>(value: A) -> std::result::Result<B, A> {
    let mut slot = Some(value);
    match (&mut slot as &mut dyn std::any::Any).downcast_mut::<Option<B>>().and_then(Option::take) {
        Some(value) => Ok(value),
        None => Err(slot.expect("taken only when the types are the same")),
    }
}

impl fmt::Display for Error {
    /// Writes the message. With `{:#}`, also writes the causes, each after a colon.
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
    /// Writes the message and its causes. A program whose main function is
    /// `fn main() -> serve_core::Result<()>` prints this text.
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

/// The kind of a call's failure, except for the method's own error. The `source()` of a
/// [`CallError`](crate::CallError) exposes this type as the concrete error.
///
/// [`Error`] finds a `CallErrorKind` in a chain of causes, whatever error types lie between, and keeps its
/// status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum CallErrorKind {
    /// The deadline passed.
    #[error("out of time")]
    DeadlineExceeded,
    /// The call was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// Every slot and every place in the queue was taken.
    #[error("overloaded, try again later")]
    Overloaded,
    /// No replica could take or finish the call, or a connection or the owner of an object was
    /// lost.
    #[error("unavailable, try again later")]
    Unavailable,
    /// The method panicked, the codec failed, or a blocking wait was refused. Also the kind of an
    /// argument's failure that was another method's own error.
    #[error("internal failure")]
    Internal,
}

impl CallErrorKind {
    /// The HTTP status of the failure: 408, 499, 503 or 500.
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

    /// The number of the gRPC status of the failure: 4 `DEADLINE_EXCEEDED`, 1 `CANCELLED`, 8
    /// `RESOURCE_EXHAUSTED` for an overload, 14 `UNAVAILABLE` or 13 `INTERNAL`.
    #[must_use]
    pub const fn grpc_code(self) -> i32 {
        let code = match self {
            Self::DeadlineExceeded => GrpcCode::DeadlineExceeded,
            Self::Cancelled => GrpcCode::Cancelled,
            Self::Overloaded => GrpcCode::ResourceExhausted,
            Self::Unavailable => GrpcCode::Unavailable,
            Self::Internal => GrpcCode::Internal,
        };
        code.number()
    }

    /// The time that a client should wait, if waiting helps: 1 s for an overload, the shortest wait
    /// that `Retry-After` can carry.
    #[must_use]
    pub const fn retry_after(self) -> Option<Duration> {
        match self {
            Self::Overloaded => Some(Duration::from_secs(1)),
            _ => None,
        }
    }
}

/// The statuses of gRPC that failures have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GrpcCode {
    Cancelled = 1,
    Unknown = 2,
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    NotFound = 5,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    FailedPrecondition = 9,
    Aborted = 10,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    Unauthenticated = 16,
}

impl GrpcCode {
    pub(crate) const fn number(self) -> i32 {
        self as i32
    }

    /// Returns the code that fits an HTTP status, the other way round of the mapping in
    /// `google/rpc/code.proto`. The table is in the docs of [`Error::grpc_code`].
    pub(crate) const fn of_status(status: u16) -> Self {
        match status {
            400 | 422 => Self::InvalidArgument,
            401 => Self::Unauthenticated,
            403 => Self::PermissionDenied,
            404 | 410 => Self::NotFound,
            408 | 504 => Self::DeadlineExceeded,
            409 => Self::Aborted,
            412 => Self::FailedPrecondition,
            405 | 415 | 501 => Self::Unimplemented,
            413 | 429 => Self::ResourceExhausted,
            499 => Self::Cancelled,
            503 => Self::Unavailable,
            500 => Self::Internal,
            _ => Self::Unknown,
        }
    }
}

/// The HTTP status of a custom error type, for methods that are endpoints.
///
/// Without this trait, an `Err` is answered with 500 and no detail. With this trait, the response
/// has this status, and its body is the error's `Display`.
///
/// ```
/// use serve_core::http::HttpStatus;
///
/// enum ShelfError {
///     Missing,
///     Taken,
/// }
///
/// impl HttpStatus for ShelfError {
///     fn status(&self) -> u16 {
///         match self {
///             Self::Missing => 404,
///             Self::Taken => 409,
///         }
///     }
///
///     fn statuses() -> &'static [(u16, &'static str)] {
///         &[(404, "There is no such paper."), (409, "The paper is there already.")]
///     }
/// }
/// ```
pub trait HttpStatus {
    /// Returns a status between 400 and 599.
    fn status(&self) -> u16;

    /// Returns the statuses that errors of this type may have, each with its meaning, for
    /// `/openapi.json`. By default there are none, and the description says only that an error may have
    /// any status.
    #[must_use]
    fn statuses() -> &'static [(u16, &'static str)]
    where
        Self: Sized,
    {
        &[]
    }
}

impl HttpStatus for Error {
    fn status(&self) -> u16 {
        self.0.status.unwrap_or(500)
    }
}
