//! The bounds of the types that cross a handle. The bounds are checked once, on the user's own
//! types, and taken for granted after that.
//!
//! `#[handle]` writes `const _: () = assert_wire::<L, T>();` with the span of the user's `T`. The
//! rest of the generated code needs the same bounds, and would report a violation at as many
//! places. That code goes through [`Checked`] and [`SchemaOf`] instead, whose methods are chosen by
//! whether the bounds hold. If the bounds do not hold, the chosen method never runs, because the
//! check has stopped the program from compiling.

use std::fmt;
use std::marker::PhantomData;

use crate::call::Wire;
use crate::method::{AnyMethod, Erased, Method, Shape};
#[cfg(feature = "http")]
use {
    super::{
        Anywhere, Arguments, EndpointResult, EndpointSpec, EndpointType, HttpInterface, Received,
        Sent, SocketMethod, SocketSpec, Talk,
    },
    crate::ingress::{Event, Reply},
    crate::method::{Handlers, Many, One, Shared, Streaming, Unary},
    schemars::{Schema, SchemaGenerator},
    serde::Serialize,
};

/// Fails to compile, at the user's own type, if the type cannot cross a handle.
pub const fn assert_wire<L, T: Wire<L>>() {}

/// Fails to compile, at the user's own type, if an endpoint cannot take or return the type.
#[cfg(feature = "http")]
pub const fn assert_endpoint<T: EndpointType>() {}

/// Fails to compile, at the user's own type, if a WebSocket cannot receive the type.
#[cfg(feature = "http")]
pub const fn assert_received<T: Received>() {}

/// Fails to compile, at the user's own type, if a WebSocket cannot send the type.
#[cfg(feature = "http")]
pub const fn assert_sent<T: Sent>() {}

/// The method `M`, whose types are checked elsewhere.
pub struct Checked<M, S>(PhantomData<fn() -> (M, S)>);

impl<M, S> Checked<M, S> {
    /// The receiver of the calls whose methods are chosen by the bounds.
    pub const NEW: Self = Self(PhantomData);
}

impl<M, S> fmt::Debug for Checked<M, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Checked")
    }
}

const CHECKED: &str = "a program with such a type does not compile";

/// The first choice: all types that the method takes and returns can cross a handle.
pub trait ErasedIfWire {
    /// Returns the method without its types.
    fn erased(&self) -> &'static dyn AnyMethod;
}

impl<M: Method, S: Shape<M>> ErasedIfWire for Checked<M, S>
where
    Erased<M, S>: AnyMethod,
{
    fn erased(&self) -> &'static dyn AnyMethod {
        &Erased::<M, S>::NEW
    }
}

/// The second choice: some type violates the bounds.
pub trait ErasedOtherwise {
    /// Never runs.
    fn erased(&self) -> &'static dyn AnyMethod;
}

impl<M, S> ErasedOtherwise for &Checked<M, S> {
    fn erased(&self) -> &'static dyn AnyMethod {
        unreachable!("{CHECKED}")
    }
}

/// The first choice: the method's types can be read from a request, and written to a response.
#[cfg(feature = "http")]
pub trait EndpointIfWire<M: Method> {
    /// Adds the endpoint.
    fn endpoint(&self, http: HttpInterface, spec: EndpointSpec<M>) -> HttpInterface;
}

#[cfg(feature = "http")]
impl<M: Unary> EndpointIfWire<M> for Checked<M, One>
where
    M::Args: Arguments<Anywhere>,
    M::Ok: Serialize,
{
    fn endpoint(&self, http: HttpInterface, spec: EndpointSpec<M>) -> HttpInterface {
        http.endpoint(spec)
    }
}

#[cfg(feature = "http")]
impl<M: Streaming> EndpointIfWire<M> for Checked<M, Many>
where
    M::Args: Arguments<Anywhere>,
    M::Ok: Serialize,
{
    fn endpoint(&self, http: HttpInterface, spec: EndpointSpec<M>) -> HttpInterface {
        http.streaming_endpoint(spec)
    }
}

/// The second choice: some type violates the bounds.
#[cfg(feature = "http")]
pub trait EndpointOtherwise<M: Method> {
    /// Never runs.
    fn endpoint(&self, http: HttpInterface, spec: EndpointSpec<M>) -> HttpInterface;
}

#[cfg(feature = "http")]
impl<M: Method, S> EndpointOtherwise<M> for &Checked<M, S> {
    fn endpoint(&self, _: HttpInterface, _: EndpointSpec<M>) -> HttpInterface {
        unreachable!("{CHECKED}")
    }
}

/// The result of an endpoint, whose type is checked elsewhere. Called as
/// `(&&&ResultOf::<T>::NEW).result()`.
#[cfg(feature = "http")]
pub struct ResultOf<T>(PhantomData<fn() -> T>);

#[cfg(feature = "http")]
impl<T> ResultOf<T> {
    /// The receiver of the call to `result`.
    pub const NEW: Self = Self(PhantomData);
}

#[cfg(feature = "http")]
impl<T> fmt::Debug for ResultOf<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResultOf")
    }
}

/// The first choice: the result has a status and headers of its own.
#[cfg(feature = "http")]
pub trait ResultIsReply<R> {
    /// Returns the way in which the result becomes a response.
    fn result(&self) -> EndpointResult<R>;
}

#[cfg(feature = "http")]
impl<T: Serialize + 'static> ResultIsReply<Reply<T>> for &&ResultOf<Reply<T>> {
    fn result(&self) -> EndpointResult<Reply<T>> {
        EndpointResult::reply()
    }
}

/// The first choice, too: the result is an event.
#[cfg(feature = "http")]
pub trait ResultIsEvent<R> {
    /// Returns the way in which the result becomes a response, or a part of one.
    fn result(&self) -> EndpointResult<R>;
}

#[cfg(feature = "http")]
impl<T: Serialize + 'static> ResultIsEvent<Event<T>> for &&ResultOf<Event<T>> {
    fn result(&self) -> EndpointResult<Event<T>> {
        EndpointResult::event()
    }
}

/// The second choice: the result is a value.
#[cfg(feature = "http")]
pub trait ResultIsValue<R> {
    /// Returns the way in which the result becomes a response.
    fn result(&self) -> EndpointResult<R>;
}

#[cfg(feature = "http")]
impl<T: Serialize + 'static> ResultIsValue<T> for &ResultOf<T> {
    fn result(&self) -> EndpointResult<T> {
        EndpointResult::value()
    }
}

/// The third choice: the type violates the bounds.
#[cfg(feature = "http")]
pub trait ResultOtherwise<R> {
    /// Never runs.
    fn result(&self) -> EndpointResult<R>;
}

#[cfg(feature = "http")]
impl<T> ResultOtherwise<T> for ResultOf<T> {
    fn result(&self) -> EndpointResult<T> {
        unreachable!("{CHECKED}")
    }
}

/// The first choice: the parameters of the WebSocket method can be read from a request, and its
/// instance can be shared.
#[cfg(feature = "http")]
pub trait SocketIfWire<M> {
    /// Adds the WebSocket.
    fn websocket(&self, http: HttpInterface, spec: SocketSpec) -> HttpInterface;
}

#[cfg(feature = "http")]
impl<M> SocketIfWire<M> for Checked<M, Talk>
where
    M: SocketMethod<Args: Arguments<Anywhere>>,
    M::Deployment: Handlers<Cell = Shared<M::Deployment>> + Sync,
{
    fn websocket(&self, http: HttpInterface, spec: SocketSpec) -> HttpInterface {
        http.websocket::<M>(spec)
    }
}

/// The second choice: some type violates the bounds.
#[cfg(feature = "http")]
pub trait SocketOtherwise<M> {
    /// Never runs.
    fn websocket(&self, http: HttpInterface, spec: SocketSpec) -> HttpInterface;
}

#[cfg(feature = "http")]
impl<M> SocketOtherwise<M> for &Checked<M, Talk> {
    fn websocket(&self, _: HttpInterface, _: SocketSpec) -> HttpInterface {
        unreachable!("{CHECKED}")
    }
}

/// The schema of a type that is checked elsewhere.
#[cfg(feature = "http")]
pub struct SchemaOf<T>(PhantomData<fn() -> T>);

#[cfg(feature = "http")]
impl<T> SchemaOf<T> {
    /// The receiver of the call to `schema`.
    pub const NEW: Self = Self(PhantomData);
}

#[cfg(feature = "http")]
impl<T> fmt::Debug for SchemaOf<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SchemaOf")
    }
}

/// The first choice: the type has a schema.
#[cfg(feature = "http")]
pub trait SchemaIfEndpoint {
    /// Returns the schema.
    fn schema(&self, generator: &mut SchemaGenerator) -> Schema;
}

#[cfg(feature = "http")]
impl<T: EndpointType> SchemaIfEndpoint for SchemaOf<T> {
    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        T::schema(generator)
    }
}

/// The second choice: the type has no schema.
#[cfg(feature = "http")]
pub trait SchemaOtherwise {
    /// Never runs.
    fn schema(&self, generator: &mut SchemaGenerator) -> Schema;
}

#[cfg(feature = "http")]
impl<T> SchemaOtherwise for &SchemaOf<T> {
    fn schema(&self, _: &mut SchemaGenerator) -> Schema {
        unreachable!("{CHECKED}")
    }
}
