//! `HttpInterface`: the endpoints and routes of a deployment, as `#[handle]` declares them.
//!
//! An interface is created without knowing where the deployment will run;
//! [`Site`](super::site::Site) connects the interface to a running deployment.

use std::any::{Any, TypeId};
use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;

use super::answer::ResultKind;
use super::endpoint::{Endpoint, Many, One, TypedEndpoint};
use super::routes::{Routes, RoutesOf};
use crate::call::{Arguments, ParamTraits};
use crate::deployment::{Anywhere, Link};
use crate::method::{Handlers, Method, MethodInfo, Shared, Streaming, Unary};

/// The default limit of an endpoint's body in bytes: 2 MiB, as in axum.
const DEFAULT_MAX_BODY: usize = 2 << 20;

/// The place where a parameter of an endpoint is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamPlace {
    /// A segment of the path, by name.
    Path,
    /// A key of the query.
    Query,
    /// A key of the JSON object in the body.
    Field,
    /// The whole body: JSON, or raw if the parameter is `Bytes`.
    Body,
}

impl ParamPlace {
    /// Returns the word for the place in errors and in OpenAPI.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Query => "query",
            Self::Field | Self::Body => "body",
        }
    }
}

/// One endpoint, as `#[handle]` declares it.
pub struct EndpointSpec<M: Method> {
    /// The HTTP method, such as `GET`.
    pub verb: &'static str,
    /// The path below the route prefix, with `{name}` for parameters.
    pub path: &'static str,
    /// The place of each parameter, in the order of the signature.
    pub places: &'static [ParamPlace],
    /// The limit of the body in bytes; 2 MiB if `None`.
    pub max_body: Option<usize>,
    /// The status of the method's own error; `None` means 500 without details.
    pub status: fn(&M::Err) -> Option<u16>,
    /// The schemas of the parameters.
    pub params: fn(&mut SchemaGenerator) -> Vec<Schema>,
    /// The schema of the result, or of one item of the stream.
    pub returns: fn(&mut SchemaGenerator) -> Schema,
}

impl<M: Method> fmt::Debug for EndpointSpec<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({})", self.verb, self.path, M::INFO.name)
    }
}

/// A type that an HTTP endpoint takes or returns: it has a JSON schema.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no JSON schema, so an HTTP endpoint cannot take or return it",
    label = "an endpoint's parameters and results are described in `/openapi.json`",
    note = "derive `schemars::JsonSchema` for `{Self}` (and add `schemars = \"1\"` to `Cargo.toml`)"
)]
pub trait EndpointType {
    /// Returns the schema of the type.
    #[doc(hidden)]
    fn schema(generator: &mut SchemaGenerator) -> Schema;
}

#[diagnostic::do_not_recommend]
impl<T: JsonSchema> EndpointType for T {
    fn schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<T>()
    }
}

/// The facts about an endpoint, without its types.
pub(super) struct Facts {
    pub(super) verb: http::Method,
    pub(super) path: &'static str,
    /// The names in the path, in order.
    pub(super) path_names: Vec<&'static str>,
    pub(super) method: MethodInfo,
    pub(super) places: &'static [ParamPlace],
    pub(super) traits: Vec<ParamTraits>,
    pub(super) max_body: usize,
    pub(super) result: ResultKind,
    /// True if the method has an error of its own.
    pub(super) fallible: bool,
    pub(super) params: fn(&mut SchemaGenerator) -> Vec<Schema>,
    pub(super) returns: fn(&mut SchemaGenerator) -> Schema,
}

impl Facts {
    fn of<M: Method>(spec: &EndpointSpec<M>) -> Self
    where
        M::Args: Arguments<Anywhere>,
    {
        let facts = Self {
            verb: spec.verb.parse().expect("`#[handle]` writes known HTTP methods"),
            path: spec.path,
            path_names: path_names(spec.path),
            method: M::INFO,
            places: spec.places,
            traits: <M::Args as Arguments<Anywhere>>::traits(),
            max_body: spec.max_body.unwrap_or(DEFAULT_MAX_BODY),
            result: ResultKind::of::<M::Ok>(),
            fallible: TypeId::of::<M::Err>() != TypeId::of::<Infallible>(),
            params: spec.params,
            returns: spec.returns,
        };
        debug_assert_eq!(facts.places.len(), facts.traits.len(), "one place for each parameter");
        facts
    }

    /// Returns the parameter that is the whole body. The boolean is true if the parameter takes raw
    /// bytes.
    pub(super) fn body_param(&self) -> Option<(usize, bool)> {
        let index = self.places.iter().position(|place| *place == ParamPlace::Body)?;
        let raw = [TypeId::of::<Bytes>(), TypeId::of::<Option<Bytes>>()];
        Some((index, raw.contains(&self.traits[index].type_id)))
    }
}

/// Returns the names of a path's parameters: `{id}` and `{*id}` both have the name `id`.
fn path_names(path: &'static str) -> Vec<&'static str> {
    let braces = path.split('{').skip(1).filter_map(|rest| rest.split_once('}'));
    braces.map(|(name, _)| name.trim_start_matches('*')).collect()
}

/// An endpoint that is not connected to a running deployment yet.
pub(super) struct Declared {
    pub(super) facts: Arc<Facts>,
    pub(super) connect: Box<dyn FnOnce(Link) -> Arc<dyn Endpoint> + Send + Sync>,
}

/// The interface of a deployment over HTTP: its typed endpoints and its `#[routes]`.
pub struct HttpInterface {
    pub(super) endpoints: Vec<Declared>,
    pub(super) routes: Option<Arc<dyn Routes>>,
}

impl HttpInterface {
    /// Creates an interface without endpoints.
    #[must_use]
    pub fn new<D: Handlers>() -> Self {
        Self { endpoints: Vec::new(), routes: None }
    }

    /// Adds an endpoint that returns one value.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "generated code makes the spec in place")]
    pub fn endpoint<M: Unary>(mut self, spec: EndpointSpec<M>) -> Self
    where
        M::Args: Arguments<Anywhere>,
        M::Ok: Serialize,
    {
        let facts = Arc::new(Facts::of(&spec));
        let connected = Arc::clone(&facts);
        let connect = Box::new(move |link| {
            Arc::new(TypedEndpoint::<M, One>::new(connected, spec.status, link))
                as Arc<dyn Endpoint>
        });
        self.endpoints.push(Declared { facts, connect });
        self
    }

    /// Adds an endpoint that returns a stream.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "generated code makes the spec in place")]
    pub fn streaming_endpoint<M: Streaming>(mut self, spec: EndpointSpec<M>) -> Self
    where
        M::Args: Arguments<Anywhere>,
        M::Ok: Serialize,
    {
        let facts = Arc::new(Facts::of(&spec));
        let connected = Arc::clone(&facts);
        let connect = Box::new(move |link| {
            Arc::new(TypedEndpoint::<M, Many>::new(connected, spec.status, link))
                as Arc<dyn Endpoint>
        });
        self.endpoints.push(Declared { facts, connect });
        self
    }

    /// Adds the method marked `#[routes]`, which is called once for each replica.
    #[must_use]
    pub fn routes<D>(mut self, make: fn(Arc<D>) -> axum::Router) -> Self
    where
        D: Handlers<Cell = Shared<D>> + Sync,
    {
        self.routes = Some(Arc::new(RoutesOf::new(make)));
        self
    }

    /// Returns the interface that `Handlers::http` returned without its type.
    pub(super) fn from_any(any: Box<dyn Any + Send + Sync>) -> Self {
        *any.downcast().expect("`Handlers::http` gives an `HttpInterface`")
    }
}

impl fmt::Debug for HttpInterface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let endpoints = self
            .endpoints
            .iter()
            .map(|endpoint| format!("{} {}", endpoint.facts.verb, endpoint.facts.path));
        f.debug_struct("HttpInterface")
            .field("endpoints", &endpoints.collect::<Vec<_>>())
            .field("routes", &self.routes.is_some())
            .finish()
    }
}
