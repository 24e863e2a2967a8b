//! The bounds of what crosses a handle: checked once, on the user's own types, and after
//! that taken for granted.
//!
//! `#[handle]` writes `const _: () = assert_wire::<L, T>();` with the span of the user's
//! `T`. What else it writes needs the same bounds, and would say so at as many places; it
//! goes through [`Checked`] and [`SchemaOf`] instead, whose methods are chosen by whether
//! the bounds hold. Where they do not, the choice falls on one that never runs, because
//! the check has stopped the program from compiling.

use std::fmt;
use std::marker::PhantomData;

use crate::call::Wire;
use crate::method::{AnyMethod, Erased, Method, Shape};
#[cfg(feature = "http")]
use {
    super::{Anywhere, Arguments, EndpointSpec, EndpointType, HttpInterface},
    crate::method::{Many, One, Streaming, Unary},
    schemars::{Schema, SchemaGenerator},
    serde::Serialize,
};

/// Fails to compile, on the user's own type, if it cannot cross a handle.
pub const fn assert_wire<L, T: Wire<L>>() {}

/// Fails to compile, on the user's own type, if an endpoint cannot take or return it.
#[cfg(feature = "http")]
pub const fn assert_endpoint<T: EndpointType>() {}

/// The method `M`, whose types are checked elsewhere.
pub struct Checked<M, S>(PhantomData<fn() -> (M, S)>);

impl<M, S> Checked<M, S> {
    /// The question whether they are as they should be.
    pub const NEW: Self = Self(PhantomData);
}

impl<M, S> fmt::Debug for Checked<M, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Checked")
    }
}

const CHECKED: &str = "a program with such a type does not compile";

/// First choice: all that the method takes and gives can cross a handle.
pub trait ErasedIfWire {
    /// The method without its types.
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

/// Second choice: some type is at fault.
pub trait ErasedOtherwise {
    /// Never runs.
    fn erased(&self) -> &'static dyn AnyMethod;
}

impl<M, S> ErasedOtherwise for &Checked<M, S> {
    fn erased(&self) -> &'static dyn AnyMethod {
        unreachable!("{CHECKED}")
    }
}

/// First choice: the method's types can be read from a request, and written to a response.
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

/// Second choice: some type is at fault.
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

/// The schema of a type that is checked elsewhere.
#[cfg(feature = "http")]
pub struct SchemaOf<T>(PhantomData<fn() -> T>);

#[cfg(feature = "http")]
impl<T> SchemaOf<T> {
    /// The question whether it has one.
    pub const NEW: Self = Self(PhantomData);
}

#[cfg(feature = "http")]
impl<T> fmt::Debug for SchemaOf<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SchemaOf")
    }
}

/// First choice: it has.
#[cfg(feature = "http")]
pub trait SchemaIfEndpoint {
    /// The schema.
    fn schema(&self, generator: &mut SchemaGenerator) -> Schema;
}

#[cfg(feature = "http")]
impl<T: EndpointType> SchemaIfEndpoint for SchemaOf<T> {
    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        T::schema(generator)
    }
}

/// Second choice: it has none.
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
