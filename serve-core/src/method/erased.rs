//! [`Erased`]: the [`AnyMethod`] of a method whose types are known.

use std::any::Any;
use std::collections::VecDeque;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream;
use serde_json::Value;
use tokio::sync::{Semaphore, mpsc};

use super::any_method::{AnyItems, AnyMethod, AnyReply, AnySink, AnyValue, PayloadWriter};
use super::handlers::Handlers;
use super::info::{BatchLimits, MethodInfo};
use super::reply::{IntoReply, Reply};
use super::sink::{ItemPlace, ItemWriter, StreamSink};
use super::typed::{Method, Streaming, Unary};
use crate::call::context::Directory;
use crate::call::wire::arguments::{ArgumentsSeed, NamedArguments};
use crate::call::wire::payload::OutgoingValue;
use crate::call::wire::text::{TextError, TextSource};
use crate::call::{Arguments, CallError, ErrorCodec, Payload, Wire};
use crate::deployment::{ArgumentsByPlace, Deployment};

type LocalityOf<M> = <<M as Method>::Deployment as Deployment>::Locality;

/// The shape of a method's result: one value, or a stream.
#[doc(hidden)]
pub trait Shape<M: Method>: 'static {
    /// Runs the method without its types.
    fn run(
        cell: <M::Deployment as Handlers>::Cell,
        args: M::Args,
        items: Option<AnySink>,
    ) -> BoxFuture<'static, AnyReply>;
}

/// The [`Shape`] of a method that returns one value.
#[derive(Debug)]
pub enum One {}

/// The [`Shape`] of a method that returns a stream.
#[derive(Debug)]
pub enum Many {}

impl<M: Unary> Shape<M> for One {
    fn run(
        cell: <M::Deployment as Handlers>::Cell,
        args: M::Args,
        _: Option<AnySink>,
    ) -> BoxFuture<'static, AnyReply> {
        let run = M::run(cell, args);
        Box::pin(async move { run.await.into_reply().erase() })
    }
}

impl<M: Streaming> Shape<M> for Many {
    fn run(
        cell: <M::Deployment as Handlers>::Cell,
        args: M::Args,
        items: Option<AnySink>,
    ) -> BoxFuture<'static, AnyReply> {
        let items = typed(items.expect("a streaming method is given a sink for its items"));
        let run = M::run(cell, args, items);
        Box::pin(async move { run.await.into_reply().erase() })
    }
}

impl<T: Send + 'static, E: Send + 'static, A: Send + 'static> Reply<T, E, A> {
    /// The same reply without its types.
    pub(crate) fn erase(self) -> AnyReply {
        match self {
            Self::Answer(Ok(value)) => Reply::Answer(Ok(Box::new(value))),
            Self::Answer(Err(error)) => {
                Reply::Answer(Err(error.map_app(|error| Box::new(error) as AnyValue)))
            }
            Self::GivenBack(args) => Reply::GivenBack(Box::new(args)),
        }
    }
}

impl AnyReply {
    /// The same reply with its types, which must be those of the reply's method.
    pub(crate) fn typed<T: 'static, E: 'static, A: 'static>(self) -> Reply<T, E, A> {
        match self {
            Self::Answer(Ok(value)) => Reply::Answer(Ok(typed(value))),
            Self::Answer(Err(error)) => Reply::Answer(Err(error.map_app(typed))),
            Self::GivenBack(args) => Reply::GivenBack(typed(args)),
        }
    }
}

/// The [`AnyMethod`] of the method `M`.
pub struct Erased<M, S>(PhantomData<fn() -> (M, S)>);

impl<M, S> Erased<M, S> {
    /// The only value of the type.
    pub const NEW: Self = Self(PhantomData);
}

impl<M, S> fmt::Debug for Erased<M, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Erased")
    }
}

fn typed<T: 'static>(value: AnyValue) -> T {
    *value.downcast().expect("a method's boxes hold its own types")
}

fn typed_ref<T: 'static>(value: &AnyValue) -> &T {
    value.downcast_ref().expect("a method's boxes hold its own types")
}

impl<M: Method, S> Erased<M, S>
where
    M::Args: Arguments<LocalityOf<M>>,
{
    fn named(args: &AnyValue) -> NamedArguments<'_, LocalityOf<M>, M::Args> {
        NamedArguments {
            names: M::INFO.param_names,
            arguments: typed_ref(args),
            locality: PhantomData,
        }
    }
}

impl<M: Method, S: Shape<M>> AnyMethod for Erased<M, S>
where
    M::Args: Arguments<LocalityOf<M>>,
    M::Ok: Wire<LocalityOf<M>>,
    M::ErrCodec: ErrorCodec<M::Err>,
{
    fn info(&self) -> MethodInfo {
        M::INFO
    }

    fn index(&self) -> usize {
        M::INDEX
    }

    fn is_batched(&self) -> bool {
        M::BATCHED
    }

    fn batch(&self) -> Option<BatchLimits> {
        M::BATCH
    }

    fn run(
        &self,
        cell: &(dyn Any + Send + Sync),
        args: AnyValue,
        items: Option<AnySink>,
    ) -> BoxFuture<'static, AnyReply> {
        let cell: &<M::Deployment as Handlers>::Cell =
            cell.downcast_ref().expect("a method runs on its own deployment's cell");
        S::run(cell.clone(), typed(args), items)
    }

    fn retries(&self) -> usize {
        M::RETRIES
    }

    fn copy_args(&self, args: &AnyValue) -> Option<AnyValue> {
        M::copy_args(typed_ref(args)).map(|args| Box::new(args) as AnyValue)
    }

    fn channel(&self, capacity: usize, yields: bool) -> (AnySink, AnyItems) {
        let (sender, mut receiver) = mpsc::channel(capacity);
        let items = stream::poll_fn(move |cx| receiver.poll_recv(cx)).map(
            |item: Result<M::Ok, Box<CallError<M::Err>>>| match item {
                Ok(value) => Ok(Box::new(value) as AnyValue),
                Err(error) => Err(error.map_app(|error| Box::new(error) as AnyValue)),
            },
        );
        (Box::new(StreamSink::channel(sender).yielding(yields)), items.boxed())
    }

    fn clone_sink(&self, sink: &AnySink) -> AnySink {
        Box::new(typed_ref::<StreamSink<M::Ok, M::Err>>(sink).clone())
    }

    fn read_args(&self, source: &mut TextSource<'_>) -> Result<AnyValue, TextError> {
        M::Args::read(source).map(|args| Box::new(args) as AnyValue)
    }

    fn args_by_place<'a>(&self, args: &'a AnyValue) -> &'a dyn ArgumentsByPlace {
        typed_ref::<M::Args>(args)
    }

    fn args_as_json(&self, args: &AnyValue) -> Option<Vec<u8>> {
        serde_json::to_vec(&Self::named(args)).ok()
    }

    fn show_ok(&self, value: &AnyValue) -> Result<Value, CallError> {
        let value: &M::Ok = typed_ref(value);
        serde_json::to_value(OutgoingValue::<LocalityOf<M>, _>::new(value))
            .map_err(|error| CallError::Codec(error.to_string()))
    }

    fn json_ok(&self, value: &AnyValue) -> Result<String, CallError> {
        let value: &M::Ok = typed_ref(value);
        serde_json::to_string(&OutgoingValue::<LocalityOf<M>, _>::new(value))
            .map_err(|error| CallError::Codec(error.to_string()))
    }

    fn show_err(&self, error: &AnyValue) -> String {
        // The alternate form of `serve_core::Error` has the causes.
        format!("{:#}", typed_ref::<M::Err>(error))
    }

    fn encode_args(&self, args: &AnyValue) -> Result<Payload, CallError> {
        Payload::write(&Self::named(args))
    }

    fn decode_args(
        &self,
        from: &Payload,
        directory: &Arc<dyn Directory>,
    ) -> Result<AnyValue, CallError> {
        let seed = ArgumentsSeed::<LocalityOf<M>, M::Args> {
            names: M::INFO.param_names,
            made: PhantomData,
        };
        from.read_with(Some(directory), seed).map(|args| Box::new(args) as AnyValue)
    }

    fn encode_result(
        &self,
        result: Result<AnyValue, CallError<AnyValue>>,
    ) -> Result<Payload, CallError<Payload>> {
        match result {
            // The items were sent before. The end of the stream has no value.
            Ok(value) if value.is::<()>() && M::INFO.streaming => Ok(Payload::default()),
            Ok(value) => encode_item::<M>(Ok(typed(value))),
            Err(error) => encode_item::<M>(Err(error.map_app(typed))),
        }
    }

    fn decode_result(
        &self,
        from: Result<Payload, CallError<Payload>>,
        directory: &Arc<dyn Directory>,
    ) -> Result<AnyValue, CallError<AnyValue>> {
        if M::INFO.streaming && from.is_ok() {
            return Ok(Box::new(()));
        }
        match decode_item::<M>(from, directory) {
            Ok(value) => Ok(Box::new(value)),
            Err(error) => Err(error.map_app(|error| Box::new(error) as AnyValue)),
        }
    }

    fn writing_sink(&self, writer: Arc<dyn PayloadWriter>) -> AnySink {
        let writer = Arc::new(Encoding::<M>(writer, PhantomData));
        Box::new(StreamSink::<M::Ok, M::Err>::wire(writer))
    }

    fn receive_items(
        &self,
        items: AnySink,
        incoming: mpsc::UnboundedReceiver<Result<Payload, CallError<Payload>>>,
        directory: Arc<dyn Directory>,
        grant: Box<dyn Fn(usize) + Send + Sync>,
    ) -> BoxFuture<'static, ()> {
        let items: StreamSink<M::Ok, M::Err> = typed(items);
        Box::pin(receive_items::<M>(items, incoming, directory, grant))
    }
}

/// Decodes incoming items and sends them to `items`. An item is granted only after its place
/// in `items` has been reserved, so an item that arrives never waits here.
async fn receive_items<M: Method>(
    items: StreamSink<M::Ok, M::Err>,
    mut incoming: mpsc::UnboundedReceiver<Result<Payload, CallError<Payload>>>,
    directory: Arc<dyn Directory>,
    grant: Box<dyn Fn(usize) + Send + Sync>,
) where
    M::Ok: Wire<LocalityOf<M>>,
    M::ErrCodec: ErrorCodec<M::Err>,
{
    let mut places = VecDeque::<ItemPlace<M::Ok, M::Err>>::new();
    loop {
        tokio::select! {
            biased;
            item = incoming.recv() => {
                let Some(item) = item else { return };
                let item = decode_item::<M>(item, &directory);
                let place = match places.pop_front() {
                    Some(place) => Some(place),
                    // The peer sends more items than it was granted: none is lost.
                    None => items.reserve().await,
                };
                let Some(place) = place else { return };
                place.send(item);
            }
            place = items.reserve() => {
                let Some(place) = place else { return };
                places.push_back(place);
                let mut granted = 1;
                while let Some(Some(place)) = futures::FutureExt::now_or_never(items.reserve()) {
                    places.push_back(place);
                    granted += 1;
                }
                grant(granted);
            }
        }
    }
}

/// Encodes the items of the method `M` for a [`PayloadWriter`].
struct Encoding<M>(Arc<dyn PayloadWriter>, PhantomData<fn() -> M>);

impl<M: Method> ItemWriter<M::Ok, M::Err> for Encoding<M>
where
    M::Ok: Wire<LocalityOf<M>>,
    M::ErrCodec: ErrorCodec<M::Err>,
{
    fn room(&self) -> &Semaphore {
        self.0.room()
    }

    fn write(&self, item: Result<M::Ok, CallError<M::Err>>) {
        self.0.write(encode_item::<M>(item));
    }
}

fn encode_item<M: Method>(
    item: Result<M::Ok, CallError<M::Err>>,
) -> Result<Payload, CallError<Payload>>
where
    M::Ok: Wire<LocalityOf<M>>,
    M::ErrCodec: ErrorCodec<M::Err>,
{
    match item {
        Ok(value) => Payload::of::<LocalityOf<M>, M::Ok>(&value).map_err(CallError::widen),
        Err(CallError::App(error)) => match M::ErrCodec::encode(&error) {
            Ok(payload) => Err(CallError::App(payload)),
            Err(codec) => Err(codec.widen()),
        },
        Err(other) => Err(other.map_app(|_| Payload::default())),
    }
}

fn decode_item<M: Method>(
    item: Result<Payload, CallError<Payload>>,
    directory: &Arc<dyn Directory>,
) -> Result<M::Ok, CallError<M::Err>>
where
    M::Ok: Wire<LocalityOf<M>>,
    M::ErrCodec: ErrorCodec<M::Err>,
{
    match item {
        Ok(payload) => {
            payload.read::<LocalityOf<M>, M::Ok>(Some(directory)).map_err(CallError::widen)
        }
        Err(CallError::App(payload)) => match M::ErrCodec::decode(&payload, Some(directory)) {
            Ok(error) => Err(CallError::App(error)),
            Err(codec) => Err(codec.widen()),
        },
        Err(other) => Err(other.map_app(|_| unreachable!("every own error was decoded"))),
    }
}
