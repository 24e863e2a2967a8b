//! [`Method`]: one method of a deployment as a type.
//!
//! `#[handle]` writes one empty type for each method. Typed handles call methods through
//! [`Method`], and nothing is boxed. The wire, mocks and the command line use
//! [`AnyMethod`](super::AnyMethod), the same method without its types.

use std::fmt;

use super::any_method::AnyMethod;
use super::handlers::Handlers;
use super::info::{BatchLimits, MethodInfo};
use super::reply::IntoReply;
use super::sink::StreamSink;
use crate::deployment::ArgumentsByPlace;

/// One method of a deployment, with its types.
///
/// The trait does not require that the types can cross a handle: [`Erased`](super::Erased)
/// does. `#[handle]` also checks the user's own types, so that a type that cannot cross causes
/// one error, at its own place.
pub trait Method: Sized + Send + Sync + 'static {
    /// The deployment of the method.
    type Deployment: Handlers;
    /// The method's parameters.
    type Args: ArgumentsByPlace + Send + 'static;
    /// The type of the method's result, or of the items of its stream.
    type Ok: Send + 'static;
    /// The method's error; [`Infallible`](std::convert::Infallible) if it has none.
    type Err: MethodError;
    /// The codec by which the method's error travels.
    type ErrCodec: 'static;
    /// The method's index among those of its deployment.
    const INDEX: usize;
    /// The description of the method.
    const INFO: MethodInfo;
    /// The number of times that a call may run again if its replica dies after the call began.
    /// Set by `#[retry]`.
    const RETRIES: usize = 0;
    /// True for a method marked `#[batch]`. Its calls begin in the order of their
    /// admission, and are given back if their replica ends before their batch begins.
    const BATCHED: bool = false;
    /// The limits of the method's batches, if it is marked `#[batch]`; none if `batch_size_fn`
    /// decides what fills a batch.
    const BATCH: Option<BatchLimits> = None;
    /// A copy of the arguments for another try; none unless the method is marked `#[retry]`.
    fn copy_args(args: &Self::Args) -> Option<Self::Args> {
        let _ = args;
        None
    }
    /// The same method without its types.
    fn erased() -> &'static dyn AnyMethod;
}

/// The error of a handle's method, which must have a text.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the error of a handle's method",
    label = "this error has no text",
    note = "derive `Debug` for `{Self}` and implement `Display`; `thiserror` does both",
    note = "or return `serve_core::Result<T>`: `?` turns any standard error into its error"
)]
pub trait MethodError: fmt::Display + fmt::Debug + Send + 'static {}

#[diagnostic::do_not_recommend]
impl<E: fmt::Display + fmt::Debug + Send + 'static> MethodError for E {}

/// A method that returns one value.
pub trait Unary: Method {
    /// Runs the method on the instance.
    fn run(
        cell: <Self::Deployment as Handlers>::Cell,
        args: Self::Args,
    ) -> impl Future<Output = impl IntoReply<Self::Ok, Self::Err, Self::Args>> + Send;
}

/// A method that returns a stream.
pub trait Streaming: Method {
    /// Runs the method on the instance and sends the items of its stream to `items`, until the
    /// stream ends or its consumer is gone. If the future returns an error, the caller's stream
    /// ends with that error.
    fn run(
        cell: <Self::Deployment as Handlers>::Cell,
        args: Self::Args,
        items: StreamSink<Self::Ok, Self::Err>,
    ) -> impl Future<Output = impl IntoReply<(), Self::Err, Self::Args>> + Send;
}
