//! Items that generated code uses. They are not part of the public API: they change with every
//! release, and `serve-macros` of exactly this version expects them.

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use crate::call::wire::finite::Finite;

#[path = "private/checks.rs"]
mod checks;

pub use checks::*;
pub use {async_stream, futures, inventory, schemars, serde, serde_json};

pub use crate::application::{
    AnyApplication, BuildError, EndpointError, ErrorFormatName, IntoApplication,
    RegisteredApplication, no_argument, read_argument,
};
pub use crate::call::{
    Arg, ArgTuple, Arguments, CallError, ErrorCodec, IntoArg, NoError, Response, ResponseStream,
    Wire, WireError,
};
pub use crate::deployment::{
    Aggregation, Anywhere, AutoscalingConfig, Bound, ByBound, ByText, ByValue, Constructor,
    Content, ContentByIdentity, ContentByPointer, ContentBySerde, ContentOf, ContentOtherwise,
    Deployment, DeploymentOptions, HandleOf, InProcess, Init, IntoInit, Link, Locality,
    NamedPolicy, NamedRouter, OptionsError, RequestRouting, Wiring,
};
pub use crate::dispatch::{DeploymentHandle, Handle, Task, call, future_sizes, start_task, stream};
pub use crate::error::{Error, HttpStatus};
#[cfg(feature = "http")]
pub use crate::ingress::{
    BodyFormat, EndpointResult, EndpointSpec, EndpointType, HttpInterface, NamedErrorFormat,
    ParamPlace, Received, Sent, SocketMethod, SocketSpec, SocketTypes, Talk, Unsendable, WebSocket,
    WebSocketOutcome,
};
pub use crate::method::{
    AnyMethod, BatchLimits, Erased, Exclusive, Handlers, Hook, InstanceCell, IntoReply, Many,
    Method, MethodError, MethodInfo, One, ParamInfo, Reply, Shape, Shared, StreamSink, Streaming,
    Unary,
};
pub use crate::replica::{
    BatchError, BatchItem, Batched, BatchedStreaming, BatchedUnary, any_deployment, batched,
    batched_stream, blocking, blocking_constructor, blocking_items, rows_of_result,
    rows_of_results, rows_of_values,
};
pub use crate::testing::{IntoMock, Mock};

// Types in the signatures of the items above; generated code does not name them.
pub use crate::call::{Directory, Names, ParamSource, ParamTraits, Payload};
pub use crate::deployment::{
    AnyBound, ArgumentsByPlace, BoundId, Copies, CustomRouting, SharedPolicy,
};
pub use crate::method::{AnyItems, AnyReply, AnySink, AnyValue, PayloadWriter};
pub use crate::replica::{BlockingSink, Slot};

/// A `Result` with its two types, also behind an alias.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is named `Result` but is not `std::result::Result`",
    label = "expected `std::result::Result<_, _>`, or an alias of it"
)]
pub trait Fallible {
    /// The success type.
    type Ok;
    /// The error type.
    type Err;
    /// Converts the value into a `Result`.
    fn into_result(self) -> Result<Self::Ok, Self::Err>;
}

impl<T, E> Fallible for Result<T, E> {
    type Ok = T;
    type Err = E;

    fn into_result(self) -> Self {
        self
    }
}

/// Converts the result of a method that may fail into the result of its call.
///
/// # Errors
/// Returns the method's own error, as [`CallError::App`].
pub fn fallible<R: Fallible>(result: R) -> Result<R::Ok, CallError<R::Err>> {
    result.into_result().map_err(CallError::App)
}

/// Converts the result of a method that cannot fail into the result of its call.
///
/// # Errors
/// Never.
pub fn infallible<T, E>(value: T) -> Result<T, CallError<E>> {
    Ok(value)
}

/// Sends the items of a method's stream.
///
/// # Errors
/// The error that ends the caller's stream.
pub async fn forward<T, E, S: futures::Stream>(
    items: &StreamSink<T, E>,
    stream: S,
    turn: impl Fn(S::Item) -> Result<T, CallError<E>>,
) -> Result<(), CallError<E>> {
    items.forward(futures::StreamExt::map(stream, turn)).await
}

/// Sends the items of a method's stream, or the error that the method returned in its place.
///
/// # Errors
/// The error that ends the caller's stream.
pub async fn forward_or_fail<T, E, R, S: futures::Stream>(
    items: &StreamSink<T, E>,
    made: R,
    turn: impl Fn(S::Item) -> Result<T, CallError<E>>,
) -> Result<(), CallError<E>>
where
    R: Fallible<Ok = S, Err = E>,
{
    match made.into_result() {
        Ok(stream) => forward(items, stream, turn).await,
        Err(error) => {
            items.send(Err(CallError::App(error))).await;
            Ok(())
        }
    }
}

/// Sends the items of a method's iterator.
pub fn send_all<T, E, I: Iterator>(
    sink: &mut BlockingSink<'_, T, E>,
    iterator: I,
    turn: impl Fn(I::Item) -> Result<T, CallError<E>>,
) {
    sink.send_all(iterator, turn);
}

/// Sends the items of a method's iterator, or the error that the method returned in its place.
pub fn send_all_or_fail<T, E, R, I: Iterator>(
    sink: &mut BlockingSink<'_, T, E>,
    made: R,
    turn: impl Fn(I::Item) -> Result<T, CallError<E>>,
) where
    R: Fallible<Ok = I, Err = E>,
{
    match made.into_result() {
        Ok(iterator) => sink.send_all(iterator, turn),
        Err(error) => sink.fail(error),
    }
}

/// Converts one step of a batched stream into the results of its calls.
pub fn rows_of_step<R, T>(step: Vec<Option<R>>, turn: impl Fn(R) -> T) -> Vec<Option<T>> {
    step.into_iter().map(|row| row.map(&turn)).collect()
}

/// The future of a method that returns one value. A trait of its own, because generated code names
/// it with the span of the user's method, where the compiler reports a future that is not `Send`.
pub trait RunsOne<M: Method>: Future<Output = Result<M::Ok, CallError<M::Err>>> + Send {}

impl<M: Method, F: Future<Output = Result<M::Ok, CallError<M::Err>>> + Send> RunsOne<M> for F {}

/// The future of a method that returns a stream. See [`RunsOne`].
pub trait RunsMany<M: Method>: Future<Output = Result<(), CallError<M::Err>>> + Send {}

impl<M: Method, F: Future<Output = Result<(), CallError<M::Err>>> + Send> RunsMany<M> for F {}

/// The future of a method with a WebSocket. See [`RunsOne`].
pub trait RunsSocket: Future<Output = Result<(), String>> + Send {}

impl<F: Future<Output = Result<(), String>> + Send> RunsSocket for F {}

/// The future of a batch. See [`RunsOne`].
pub trait RunsBatch<M: Method>:
    Future<Output = Result<Vec<BatchItem<M>>, CallError>> + Send
{
}

impl<M: Method, F: Future<Output = Result<Vec<BatchItem<M>>, CallError>> + Send> RunsBatch<M>
    for F
{
}

/// The stream of a batch. See [`RunsOne`].
pub trait RunsSteps<M: Method>: futures::Stream<Item = Vec<Option<BatchItem<M>>>> + Send {}

impl<M: Method, S: futures::Stream<Item = Vec<Option<BatchItem<M>>>> + Send> RunsSteps<M> for S {}

/// Returns the name without the `r#` of a raw identifier.
#[must_use]
pub const fn plain(name: &'static str) -> &'static str {
    match name.as_bytes() {
        [b'r', b'#', ..] => name.split_at(2).1,
        _ => name,
    }
}

/// Returns the value that generated code may have written between the brackets.
#[must_use]
pub const fn first<T: Copy>(of: &[T]) -> Option<T> {
    match of {
        [first, ..] => Some(*first),
        [] => None,
    }
}

/// Converts a constructor's error into [`Error`]: by `Into` if possible, or else by `Display`.
///
/// Called as `(&&Raised::new(error)).raise()`; method resolution takes the first trait that fits.
pub struct Raised<E>(std::cell::Cell<Option<E>>);

impl<E> Raised<E> {
    /// Wraps the error to convert.
    pub fn new(error: E) -> Self {
        Self(std::cell::Cell::new(Some(error)))
    }

    fn take(&self) -> E {
        self.0.take().expect("an error is raised once")
    }
}

impl<E> fmt::Debug for Raised<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Raised")
    }
}

/// The first choice: an error that converts into [`Error`].
pub trait RaiseInto {
    /// Converts the error.
    fn raise(&self) -> Error;
}

impl<E: Into<Error>> RaiseInto for &Raised<E> {
    fn raise(&self) -> Error {
        self.take().into()
    }
}

/// The second choice: an error that can be displayed.
pub trait RaiseDisplay<E> {
    /// Converts the error.
    fn raise(&self) -> Error
    where
        E: ConstructorError;
}

// The bound is that of the method, not of the implementation, so that an error that can be neither
// converted nor displayed gets here, where the compiler reports it in the words of the trait.
impl<E> RaiseDisplay<E> for Raised<E> {
    fn raise(&self) -> Error
    where
        E: ConstructorError,
    {
        self.take().into_error()
    }
}

/// The error of a constructor, which must have a text.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the error of a constructor",
    label = "this error has no text",
    note = "implement `Display` for `{Self}`; `thiserror` does it",
    note = "or return `serve_core::Result<Self>`: `?` turns any standard error into its error"
)]
pub trait ConstructorError {
    /// Converts the error.
    fn into_error(self) -> Error;
}

#[diagnostic::do_not_recommend]
impl<E: fmt::Display + 'static> ConstructorError for E {
    fn into_error(self) -> Error {
        Error::from_display(self)
    }
}

/// The argument of an application.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the argument of an application",
    label = "this type cannot be filled from the command line",
    note = "derive `serde::Deserialize` and `schemars::JsonSchema` for `{Self}` (and add \
            `schemars = \"1\"` to `Cargo.toml`)"
)]
pub trait ApplicationArgument: Sized {
    /// Returns the JSON schema of the argument.
    fn schema() -> serde_json::Value;
    /// Reads the argument.
    ///
    /// # Errors
    /// Returns an error that names the place that does not fit.
    fn read(value: serde_json::Value) -> Result<Self, BuildError>;
}

#[diagnostic::do_not_recommend]
impl<T: serde::de::DeserializeOwned + schemars::JsonSchema> ApplicationArgument for T {
    fn schema() -> serde_json::Value {
        schemars::schema_for!(T).to_value()
    }

    fn read(value: serde_json::Value) -> Result<Self, BuildError> {
        read_argument(value)
    }
}

/// Finds the HTTP status of an error type, if it has one.
/// Called as `(&StatusOf::<E>::NEW).status_of()`.
pub struct StatusOf<E>(PhantomData<fn(E)>);

impl<E> StatusOf<E> {
    /// The receiver of the call to `status_of`.
    pub const NEW: Self = Self(PhantomData);
}

impl<E> fmt::Debug for StatusOf<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StatusOf")
    }
}

/// The first choice: the error type implements [`HttpStatus`].
pub trait StatusByTrait<E> {
    /// Returns a function from the error to its status.
    fn status_of(&self) -> fn(&E) -> Option<u16>;
    /// Returns the statuses that the errors may have.
    fn statuses(&self) -> &'static [(u16, &'static str)];
}

impl<E: HttpStatus> StatusByTrait<E> for StatusOf<E> {
    fn status_of(&self) -> fn(&E) -> Option<u16> {
        |error| Some(error.status())
    }

    fn statuses(&self) -> &'static [(u16, &'static str)] {
        E::statuses()
    }
}

/// The second choice: the error type has no status.
pub trait StatusUnknown<E> {
    /// Returns a function from the error to its status.
    fn status_of(&self) -> fn(&E) -> Option<u16>;
    /// Returns no statuses.
    fn statuses(&self) -> &'static [(u16, &'static str)];
}

impl<E> StatusUnknown<E> for &StatusOf<E> {
    fn status_of(&self) -> fn(&E) -> Option<u16> {
        |_| None
    }

    fn statuses(&self) -> &'static [(u16, &'static str)] {
        &[]
    }
}

/// Returns the bound deployments among the arguments of `bind`.
#[must_use]
pub fn needs(of_each: &[&[AnyBound]]) -> Vec<AnyBound> {
    of_each.concat()
}

/// Creates the return value of `bind`: `needs` are the bound deployments among its arguments,
/// `content` is the content of each argument.
pub fn bound<D: Handlers, F>(
    needs: Vec<AnyBound>,
    content: Vec<Content>,
    construct: impl Fn(&Wiring) -> F + Send + Sync + 'static,
) -> Bound<D>
where
    F: Future<Output = Result<D, Error>> + Send + 'static,
{
    let constructor: Constructor<D> = Arc::new(move |wiring| Box::pin(construct(wiring)));
    let kind: Arc<dyn Any + Send + Sync> = any_deployment::<D>();
    Bound::new(needs, content, kind, constructor)
}

/// The type of a constructor's parameter.
pub struct Taken<T>(PhantomData<fn() -> T>);

impl<T> fmt::Debug for Taken<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Taken")
    }
}

impl<T: Deployment> Taken<T> {
    /// Fails to compile if a constructor cannot take the deployment. A method of the type itself,
    /// which the compiler prefers to that of [`TakenOtherwise`].
    pub fn check()
    where
        Given: ByItself<T>,
    {
    }
}

/// The types that are not deployments.
pub trait TakenOtherwise {
    /// Does nothing.
    fn check() {}
}

impl<T> TakenOtherwise for Taken<T> {}

/// The type that implements [`ByItself`].
#[derive(Clone, Copy, Debug)]
pub struct Given;

/// Implemented by [`Given`] for every deployment that a constructor may take as a plain value. (If
/// the trait were implemented by the deployment, the compiler would propose to take a reference.)
#[diagnostic::on_unimplemented(
    message = "`{T}` is a deployment: a constructor takes its handle, `{T}Handle`",
    label = "write `{T}Handle`",
    note = "`bind` takes the result of `{T}::bind(..)` for it"
)]
pub trait ByItself<T> {}

#[diagnostic::do_not_recommend]
impl<T: Clone + Send + Sync + 'static> ByItself<T> for Given {}

/// The value that a constructor returned, or the value in its `Result`.
#[diagnostic::on_unimplemented(
    message = "the constructor of `{D}` cannot return `{Self}`",
    label = "expected `Self`, or a `Result<Self, E>`"
)]
pub trait Constructed<D> {
    /// Returns the instance.
    fn constructed(self) -> D;
}

impl<D> Constructed<D> for D {
    fn constructed(self) -> D {
        self
    }
}

/// A deployment without a constructor, whose instances are created by [`Default`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no constructor",
    label = "no `new` in this block, and no `Default`",
    note = "write `pub fn new(..) -> Self` in this block, or derive `Default` for `{Self}`; `new` and \
            all methods of the handle are in one block marked `#[handle]`"
)]
pub trait ByDefault {
    /// Creates an instance.
    fn by_default() -> Self;
}

#[diagnostic::do_not_recommend]
impl<D: Default> ByDefault for D {
    fn by_default() -> Self {
        D::default()
    }
}

/// Creates the return value of `bind` for a deployment without a constructor.
#[must_use]
pub fn bound_by_default<D: Handlers + ByDefault>() -> Bound<D> {
    bound(Vec::new(), Vec::new(), |_| std::future::ready(Ok(D::by_default())))
}

/// Returns `mock` with one more answer.
#[must_use]
pub fn mocked<M: IntoMock>(
    mock: M,
    add: impl FnOnce(Mock<M::Deployment>) -> Mock<M::Deployment>,
) -> M {
    M::from_mock(add(mock.into_mock()))
}

/// The argument of a `#[reconfigure]` method.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a user config",
    label = "this type cannot be read from JSON",
    note = "derive `serde::Deserialize` for `{Self}`; it must also be `Send` and own its data"
)]
pub trait UserConfig: Sized + Send {
    /// Reads the user config from JSON.
    ///
    /// # Errors
    /// Returns an error that names the place that does not fit, and what was expected.
    fn read(config: &serde_json::Value) -> Result<Self, Error>;
}

#[diagnostic::do_not_recommend]
impl<T: serde::de::DeserializeOwned + Send> UserConfig for T {
    fn read(config: &serde_json::Value) -> Result<Self, Error> {
        serde_path_to_error::deserialize(Finite::new(config)).map_err(|error| {
            let path = error.path().to_string();
            match path.as_str() {
                "." => Error::msg(error.into_inner()),
                _ => Error::msg(format!("`{path}`: {}", error.into_inner())),
            }
        })
    }
}

/// Reads the user config for a `#[reconfigure]` method.
///
/// # Errors
/// Returns an error that names the place that does not fit, and what was expected.
pub fn read_user_config<T: UserConfig>(config: &serde_json::Value) -> Result<T, Error> {
    T::read(config)
}

/// The type that copies the arguments of a `#[retry]` method for another run.
#[derive(Clone, Copy, Debug)]
pub struct Again;

/// Implemented by [`Again`] for every type whose values can be passed to a method again. (If the
/// trait were implemented by the type itself, the compiler would propose to take a reference.)
#[diagnostic::on_unimplemented(
    message = "`{T}` cannot be copied for a retry",
    label = "a `#[retry]` method may run again with the same arguments",
    note = "derive `Clone` for `{T}`, or leave out `#[retry]`"
)]
pub trait SentAgain<T> {
    /// Returns a copy of the argument.
    fn sent_again(argument: &T) -> T;
}

#[diagnostic::do_not_recommend]
impl<T: Clone> SentAgain<T> for Again {
    fn sent_again(argument: &T) -> T {
        argument.clone()
    }
}

/// Returns a copy of an argument.
pub fn sent_again<T>(argument: &T) -> T
where
    Again: SentAgain<T>,
{
    Again::sent_again(argument)
}

/// A value that a `#[check_health]`, `#[reconfigure]` or `#[shutdown]` method may return.
#[diagnostic::on_unimplemented(
    message = "a method that the runtime calls cannot return `{Self}`",
    label = "expected nothing, or a `Result<(), E>`",
    note = "`#[check_health]`, `#[reconfigure]` and `#[shutdown]` methods return nothing or a \
            `Result<(), E>`, with an `E` that implements `Display`",
    note = "a `#[check_health]` that finds its replica unhealthy returns an error that says why: \
            `Err(Error::msg(\"the model is gone\"))`"
)]
pub trait Ended {
    /// Returns the error of the method, if it failed.
    fn ended(self) -> Result<(), Error>;
}

impl Ended for () {
    fn ended(self) -> Result<(), Error> {
        Ok(())
    }
}

#[diagnostic::do_not_recommend]
impl<E: fmt::Display + 'static> Ended for Result<(), E> {
    fn ended(self) -> Result<(), Error> {
        self.map_err(Error::from_display)
    }
}

/// Returns the text of the error of a method with a WebSocket, if the method failed.
///
/// # Errors
/// The text of the method's own error.
#[cfg(feature = "http")]
pub fn socket_outcome<R: WebSocketOutcome>(returned: R) -> Result<(), String> {
    returned.outcome()
}
