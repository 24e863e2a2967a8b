//! [`Method`]: one method of a deployment as a type, and [`AnyMethod`], the same without
//! its types.
//!
//! `#[handle]` writes one empty type for each method. Handles use it with its types, on
//! the short path; what crosses a border (wire, mock, command line) uses the other.

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use futures::{Stream, StreamExt};
use serde::Serialize;
use serde_json::Value;

use super::batch::BatchLimits;
use super::handlers::Handlers;
use super::items::Items;
use super::target::{AnyValue, Reply};
use crate::call::codec::{ArgumentsSeed, NamedArguments, Outgoing};
use crate::call::context::Directory;
use crate::call::text::{TextError, TextSource};
use crate::call::{Arguments, CallError, ErrorCodec, Payload, Wire};
use crate::deployment::{ArgumentsByPlace, Deployment};

type LocalityOf<M> = <<M as Method>::Deployment as Deployment>::Locality;

/// One method of a deployment, with its types.
///
/// That they can cross a handle is asked for where they do, in [`Erased`]. `#[handle]`
/// checks it besides, on the user's own types, so that one at fault gives one error.
pub trait Method: Sized + Send + Sync + 'static {
    /// Whose method it is.
    type Deployment: Handlers;
    /// Its parameters.
    type Args: ArgumentsByPlace + Send + 'static;
    /// What it returns, or one item of its stream.
    type Ok: Send + 'static;
    /// Its error; [`Infallible`](std::convert::Infallible) if it has none.
    type Err: MethodError;
    /// How its error travels.
    type ErrCodec: 'static;
    /// What is said of it.
    const INFO: MethodInfo;
    /// How often it may run again after the replica that it ran on died: `#[retry]`.
    const RETRIES: usize = 0;
    /// The batches that its calls share, if it is marked `#[batch]`; none where
    /// `batch_size_fn` says what fills one.
    const BATCH: Option<BatchLimits> = None;
    /// A copy of its arguments, to run again with; none unless it is marked `#[retry]`.
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
    /// Runs it on the instance.
    fn run(
        cell: <Self::Deployment as Handlers>::Cell,
        args: Self::Args,
    ) -> impl Future<Output = Result<Self::Ok, CallError<Self::Err>>> + Send;
}

/// A method that returns a stream.
pub trait Streaming: Method {
    /// Runs it on the instance.
    fn run(
        cell: <Self::Deployment as Handlers>::Cell,
        args: Self::Args,
    ) -> impl Stream<Item = Result<Self::Ok, CallError<Self::Err>>> + Send;

    /// Runs it on the instance, and sends what it gives until it or its caller ends. An
    /// error is the last item.
    fn send(
        cell: <Self::Deployment as Handlers>::Cell,
        args: Self::Args,
        items: &Items<Self>,
    ) -> impl Future<Output = Result<(), CallError<Self::Err>>> + Send {
        items.forward(Self::run(cell, args))
    }
}

/// What is said of a method: for people, and for programs that call it by name.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct MethodInfo {
    /// Its name.
    pub name: &'static str,
    /// The first paragraph of its documentation.
    pub doc: &'static str,
    /// Its parameters.
    pub params: &'static [ParamInfo],
    /// The names of its parameters, in order.
    #[serde(skip)]
    pub param_names: &'static [&'static str],
    /// What it returns, as it is written. Empty for nothing.
    pub returns: &'static str,
    /// The HTTP method and path of its endpoint.
    pub endpoint: Option<(&'static str, &'static str)>,
    /// True if it returns a stream.
    pub streaming: bool,
}

/// One parameter of a method.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ParamInfo {
    /// Its name.
    pub name: &'static str,
    /// Its type, as it is written.
    pub type_name: &'static str,
}

impl MethodInfo {
    /// The signature as its handle has it: `say_hello(name: String) -> String`.
    #[must_use]
    pub fn signature(&self) -> String {
        let params: Vec<_> = self
            .params
            .iter()
            .map(|param| format!("{}: {}", param.name, param.type_name))
            .collect();
        let returns = match self.returns {
            "" => String::new(),
            returns => format!(" -> {returns}"),
        };
        format!("{}({}){returns}", self.name, params.join(", "))
    }
}

/// A method without its types. The boxes hold its `Args`, `Ok` and `Err`.
#[doc(hidden)]
pub trait AnyMethod: Send + Sync {
    /// What is said of it.
    fn info(&self) -> MethodInfo;
    /// How many of its calls fill a batch, if that is known.
    fn batch(&self) -> Option<BatchLimits>;
    /// Runs it on a cell of its deployment.
    fn run(&self, cell: &(dyn Any + Send + Sync), args: AnyValue) -> Reply;
    /// Reads its arguments from text, each as its type asks.
    fn read_args(&self, source: &mut TextSource<'_>) -> Result<AnyValue, TextError>;
    /// Its arguments, for whoever routes the call.
    fn args_by_place<'a>(&self, args: &'a AnyValue) -> &'a dyn ArgumentsByPlace;
    /// Its arguments for people to look at; none if they cannot be serialized.
    fn show_args(&self, args: &AnyValue) -> Option<Value>;
    /// Its result for people to look at.
    fn show_ok(&self, value: &AnyValue) -> Result<Value, CallError>;
    /// Its error for people to look at.
    fn show_err(&self, error: &AnyValue) -> String;
    /// Its arguments for the wire.
    fn encode_args(&self, args: &AnyValue) -> Result<Payload, CallError>;
    /// Its arguments from the wire.
    fn decode_args(
        &self,
        from: &Payload,
        directory: &Arc<dyn Directory>,
    ) -> Result<AnyValue, CallError>;
    /// Its result for the wire.
    fn encode_ok(&self, value: &AnyValue) -> Result<Payload, CallError>;
    /// Its result from the wire.
    fn decode_ok(
        &self,
        from: &Payload,
        directory: &Arc<dyn Directory>,
    ) -> Result<AnyValue, CallError>;
    /// Its error for the wire.
    fn encode_err(&self, error: &AnyValue) -> Result<Payload, CallError>;
    /// Its error from the wire.
    fn decode_err(&self, from: &Payload) -> Result<AnyValue, CallError>;
}

/// Whether a method gives one value or many.
#[doc(hidden)]
pub trait Shape<M: Method>: 'static {
    /// Runs it, without its types.
    fn run(cell: <M::Deployment as Handlers>::Cell, args: M::Args) -> Reply;
}

/// One value.
#[derive(Debug)]
pub enum One {}

/// A stream.
#[derive(Debug)]
pub enum Many {}

impl<M: Unary> Shape<M> for One {
    fn run(cell: <M::Deployment as Handlers>::Cell, args: M::Args) -> Reply {
        Reply::One(Box::pin(async move { erase::<M>(M::run(cell, args).await) }))
    }
}

impl<M: Streaming> Shape<M> for Many {
    fn run(cell: <M::Deployment as Handlers>::Cell, args: M::Args) -> Reply {
        Reply::Many(Box::pin(M::run(cell, args).map(erase::<M>)))
    }
}

fn erase<M: Method>(
    result: Result<M::Ok, CallError<M::Err>>,
) -> Result<AnyValue, CallError<AnyValue>> {
    match result {
        Ok(value) => Ok(Box::new(value)),
        Err(error) => Err(error.map_app(|error| Box::new(error) as AnyValue)),
    }
}

/// [`AnyMethod`] of the method `M`.
pub struct Erased<M, S>(PhantomData<fn() -> (M, S)>);

impl<M, S> Erased<M, S> {
    /// There is only one.
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

    fn batch(&self) -> Option<BatchLimits> {
        M::BATCH
    }

    fn run(&self, cell: &(dyn Any + Send + Sync), args: AnyValue) -> Reply {
        let cell: &<M::Deployment as Handlers>::Cell =
            cell.downcast_ref().expect("a method runs on its own deployment's cell");
        S::run(cell.clone(), typed(args))
    }

    fn read_args(&self, source: &mut TextSource<'_>) -> Result<AnyValue, TextError> {
        M::Args::read(source).map(|args| Box::new(args) as AnyValue)
    }

    fn args_by_place<'a>(&self, args: &'a AnyValue) -> &'a dyn ArgumentsByPlace {
        typed_ref::<M::Args>(args)
    }

    fn show_args(&self, args: &AnyValue) -> Option<Value> {
        serde_json::to_value(Self::named(args)).ok()
    }

    fn show_ok(&self, value: &AnyValue) -> Result<Value, CallError> {
        let value: &M::Ok = typed_ref(value);
        serde_json::to_value(Outgoing::<LocalityOf<M>, _>::new(value))
            .map_err(|error| CallError::Codec(error.to_string()))
    }

    fn show_err(&self, error: &AnyValue) -> String {
        // With its causes, where an error has them.
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

    fn encode_ok(&self, value: &AnyValue) -> Result<Payload, CallError> {
        Payload::of::<LocalityOf<M>, M::Ok>(typed_ref(value))
    }

    fn decode_ok(
        &self,
        from: &Payload,
        directory: &Arc<dyn Directory>,
    ) -> Result<AnyValue, CallError> {
        from.read::<LocalityOf<M>, M::Ok>(Some(directory)).map(|value| Box::new(value) as AnyValue)
    }

    fn encode_err(&self, error: &AnyValue) -> Result<Payload, CallError> {
        M::ErrCodec::encode(typed_ref(error))
    }

    fn decode_err(&self, from: &Payload) -> Result<AnyValue, CallError> {
        M::ErrCodec::decode(from).map(|error| Box::new(error) as AnyValue)
    }
}
