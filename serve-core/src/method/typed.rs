//! [`Method`]: one method of a deployment as a type.
//!
//! `#[handle]` writes one empty type for each method. Handles use it with its types, on
//! the short path. Whatever crosses a border (wire, mock, command line) uses
//! [`AnyMethod`](super::AnyMethod), the same method without its types.

use std::fmt;

use super::erased::AnyMethod;
use super::handlers::Handlers;
use super::info::{BatchLimits, MethodInfo};
use super::reply::IntoReply;
use super::sink::StreamSink;
use crate::deployment::ArgumentsByPlace;

/// One method of a deployment, with its types.
///
/// That its types can cross a handle is asked for where they do, in
/// [`Erased`](super::Erased). `#[handle]` checks it besides, on the user's own types, so
/// that one at fault gives one error.
pub trait Method: Sized + Send + Sync + 'static {
    /// The deployment of the method.
    type Deployment: Handlers;
    /// The method's parameters.
    type Args: ArgumentsByPlace + Send + 'static;
    /// What the method returns, or one item of its stream.
    type Ok: Send + 'static;
    /// The method's error; [`Infallible`](std::convert::Infallible) if it has none.
    type Err: MethodError;
    /// How the method's error travels.
    type ErrCodec: 'static;
    /// The description of the method.
    const INFO: MethodInfo;
    /// How often a call may run again after the replica that it ran on died: `#[retry]`.
    const RETRIES: usize = 0;
    /// True for a method marked `#[batch]`. Its calls begin in the order of their
    /// admission, and are given back if their replica ends before their batch begins.
    const BATCHED: bool = false;
    /// The batches that calls share, if the method is marked `#[batch]`; none where
    /// `batch_size_fn` says what fills one.
    const BATCH: Option<BatchLimits> = None;
    /// A copy of the arguments, to run again with; none unless the method is marked
    /// `#[retry]`.
    fn copy_args(args: &Self::Args) -> Option<Self::Args> {
        let _ = args;
        None
    }
    /// The same method without its types.
    fn erased() -> &'static dyn AnyMethod;
}

/// The error of a handle's method: it can be shown.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the error of a handle's method",
    label = "this error cannot be shown",
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
    /// Runs the method on the instance and sends what it gives to `items`, until the
    /// stream or its consumer ends. An error is the last item.
    fn run(
        cell: <Self::Deployment as Handlers>::Cell,
        args: Self::Args,
        items: StreamSink<Self::Ok, Self::Err>,
    ) -> impl Future<Output = impl IntoReply<(), Self::Err, Self::Args>> + Send;
}
