//! [`AnyMethod`]: a method of a deployment without its types, for the wire, for mocks and for calls
//! by name.

use std::any::Any;
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use serde_json::Value;
use tokio::sync::{Semaphore, mpsc};

use super::info::{BatchLimits, MethodInfo};
use super::reply::Reply;
use crate::call::context::Directory;
use crate::call::wire::text::{TextError, TextSource};
use crate::call::{CallError, Payload};
use crate::deployment::ArgumentsByPlace;

/// A value whose type only its method knows.
pub type AnyValue = Box<dyn Any + Send>;

/// The [`StreamSink`](super::StreamSink) of a streaming method's items, without its types.
pub type AnySink = Box<dyn Any + Send>;

/// The items of a streaming method, each the method's `Ok` or `Err`.
pub type AnyItems = BoxStream<'static, Result<AnyValue, CallError<AnyValue>>>;

/// A [`Reply`] whose values are the method's `Ok`, `Err` and `Args`. For a streaming
/// method the value is `()`.
pub type AnyReply = Reply<AnyValue, AnyValue, AnyValue>;

/// A method without its types. The boxes hold its `Args`, `Ok` and `Err`.
#[doc(hidden)]
pub trait AnyMethod: Send + Sync {
    /// The description of the method.
    fn info(&self) -> MethodInfo;
    /// The method's index among those of its deployment.
    fn index(&self) -> usize;
    /// True for a method marked `#[batch]`.
    fn is_batched(&self) -> bool;
    /// The limits of a batch, unless `batch_size_fn` decides what fills one.
    fn batch(&self) -> Option<BatchLimits>;
    /// Runs the method on a cell of its deployment. A streaming method sends its items to
    /// `items`, which must be `Some`.
    fn run(
        &self,
        cell: &(dyn Any + Send + Sync),
        args: AnyValue,
        items: Option<AnySink>,
    ) -> BoxFuture<'static, AnyReply>;
    /// The number of times that a call may run again after its replica died. Set by `#[retry]`.
    fn retries(&self) -> usize;
    /// A copy of the arguments; none unless the method is marked `#[retry]`.
    fn copy_args(&self, args: &AnyValue) -> Option<AnyValue>;
    /// A sink for items of this method, and the stream of the items that are sent to the sink. With
    /// `yields`, the task that forwards a stream to the sink yields after each item.
    fn channel(&self, capacity: usize, yields: bool) -> (AnySink, AnyItems);
    /// Another sink of the same stream.
    fn clone_sink(&self, sink: &AnySink) -> AnySink;
    /// Reads the arguments from text, each as the type of its parameter.
    fn read_args(&self, source: &mut TextSource<'_>) -> Result<AnyValue, TextError>;
    /// The arguments in the form in which a request router looks at them.
    fn args_by_place<'a>(&self, args: &'a AnyValue) -> &'a dyn ArgumentsByPlace;
    /// The arguments as the text of a JSON object, for people to read; none if they cannot be
    /// serialized.
    fn args_as_json(&self, args: &AnyValue) -> Option<Vec<u8>>;
    /// The result as JSON for people to read.
    fn show_ok(&self, value: &AnyValue) -> Result<Value, CallError>;
    /// The result as JSON text, which has all digits of an `f32` and of 128-bit integers.
    fn json_ok(&self, value: &AnyValue) -> Result<String, CallError>;
    /// The error as text for people to read, with its causes.
    fn show_err(&self, error: &AnyValue) -> String;
    /// Encodes the arguments.
    fn encode_args(&self, args: &AnyValue) -> Result<Payload, CallError>;
    /// Decodes arguments. Handles among them find their deployments in `directory`.
    fn decode_args(
        &self,
        from: &Payload,
        directory: &Arc<dyn Directory>,
    ) -> Result<AnyValue, CallError>;
    /// Encodes a result. If the value cannot be encoded, the result is `CallError::Codec`.
    fn encode_result(
        &self,
        result: Result<AnyValue, CallError<AnyValue>>,
    ) -> Result<Payload, CallError<Payload>>;
    /// Decodes a result. Handles in it find their deployments in `directory`.
    fn decode_result(
        &self,
        from: Result<Payload, CallError<Payload>>,
        directory: &Arc<dyn Directory>,
    ) -> Result<AnyValue, CallError<AnyValue>>;
    /// A sink that encodes its items and passes them to `writer`.
    fn writing_sink(&self, writer: Arc<dyn PayloadWriter>) -> AnySink;
    /// Decodes incoming items and sends them to `items`. Whenever `items` has room for more,
    /// calls `grant` with their number. The future ends with `incoming`, or once the items are
    /// not read any more.
    fn receive_items(
        &self,
        items: AnySink,
        incoming: mpsc::UnboundedReceiver<Result<Payload, CallError<Payload>>>,
        directory: Arc<dyn Directory>,
        grant: Box<dyn Fn(usize) + Send + Sync>,
    ) -> BoxFuture<'static, ()>;
}

/// Sends the encoded items of a stream to another process.
#[doc(hidden)]
pub trait PayloadWriter: Send + Sync {
    /// A semaphore with a permit for each item that the consumer has room for. Closed once the
    /// consumer is gone.
    fn room(&self) -> &Semaphore;
    /// Sends one item. The caller has taken a permit of `room` for it.
    fn write(&self, item: Result<Payload, CallError<Payload>>);
}
