//! `HttpInterface`: the endpoints and routes of a deployment, as `#[handle]` declares them.
//!
//! An interface is created without knowing where the deployment will run;
//! [`MountedApp`](crate::ingress::routing::mounted_app::MountedApp) connects the interface to a running deployment.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;

use super::method_endpoint::{Endpoint, TypedEndpoint};
use super::routed::{MakeRoutes, RoutesMethod};
use super::websocket::{SocketEndpoint, SocketMethod};
use crate::application::HttpSettings;
use crate::call::Arguments;
use crate::deployment::{Anywhere, Link};
use crate::ingress::endpoint_info::{EndpointInfo, EndpointSpec, SocketSpec};
use crate::ingress::websocket::Format;
use crate::method::{Handlers, Many, One, Shared, Streaming, Unary};

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

/// Connects an endpoint to a running deployment.
type Connect = Box<dyn FnOnce(Link, Arc<HttpSettings>) -> Arc<dyn Endpoint> + Send + Sync>;

/// An endpoint that is not connected to a running deployment yet.
pub(crate) struct Declared {
    pub(crate) info: Arc<EndpointInfo>,
    pub(crate) connect: Connect,
}

/// The interface of a deployment over HTTP: its typed endpoints and its `#[routes]`.
pub struct HttpInterface {
    pub(crate) endpoints: Vec<Declared>,
    pub(crate) routes: Option<Arc<dyn MakeRoutes>>,
}

impl HttpInterface {
    /// Creates an interface without endpoints.
    #[must_use]
    pub fn new<D: Handlers>() -> Self {
        Self { endpoints: Vec::new(), routes: None }
    }

    /// Adds an endpoint that returns one value.
    #[must_use]
    pub fn endpoint<M: Unary>(mut self, spec: EndpointSpec<M>) -> Self
    where
        M::Args: Arguments<Anywhere>,
        M::Ok: Serialize,
    {
        let info = Arc::new(EndpointInfo::of(&spec));
        let connected = Arc::clone(&info);
        let connect = Box::new(move |link, settings| {
            Arc::new(TypedEndpoint::<M, One>::new(connected, &spec, link, settings))
                as Arc<dyn Endpoint>
        });
        self.endpoints.push(Declared { info, connect });
        self
    }

    /// Adds an endpoint that returns a stream.
    #[must_use]
    pub fn streaming_endpoint<M: Streaming>(mut self, spec: EndpointSpec<M>) -> Self
    where
        M::Args: Arguments<Anywhere>,
        M::Ok: Serialize,
    {
        let info = Arc::new(EndpointInfo::of(&spec));
        let connected = Arc::clone(&info);
        let connect = Box::new(move |link, settings| {
            Arc::new(TypedEndpoint::<M, Many>::new(connected, &spec, link, settings))
                as Arc<dyn Endpoint>
        });
        self.endpoints.push(Declared { info, connect });
        self
    }

    /// Adds a WebSocket.
    #[must_use]
    pub fn websocket<M>(mut self, spec: SocketSpec) -> Self
    where
        M: SocketMethod<Args: Arguments<Anywhere>>,
        M::Deployment: Handlers<Cell = Shared<M::Deployment>> + Sync,
    {
        let formats = (Format::of::<M::In>().word(), Format::of::<M::Out>().word());
        let traits = <M::Args as Arguments<Anywhere>>::traits();
        let info = Arc::new(EndpointInfo::of_socket(&spec, M::INFO, traits, formats));
        let connected = Arc::clone(&info);
        let connect = Box::new(move |link, settings| {
            Arc::new(SocketEndpoint::<M>::new(connected, link, settings)) as Arc<dyn Endpoint>
        });
        self.endpoints.push(Declared { info, connect });
        self
    }

    /// Adds the method marked `#[routes]`, which is called once for each replica.
    #[must_use]
    pub fn routes<D>(mut self, make: fn(Arc<D>) -> axum::Router) -> Self
    where
        D: Handlers<Cell = Shared<D>> + Sync,
    {
        self.routes = Some(Arc::new(RoutesMethod::new(make)));
        self
    }

    /// Returns the interface that `Handlers::http` returned without its type.
    pub(crate) fn from_any(any: Box<dyn Any + Send + Sync>) -> Self {
        *any.downcast().expect("`Handlers::http` gives an `HttpInterface`")
    }
}

impl fmt::Debug for HttpInterface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let endpoints = self
            .endpoints
            .iter()
            .map(|endpoint| format!("{} {}", endpoint.info.verb, endpoint.info.path));
        f.debug_struct("HttpInterface")
            .field("endpoints", &endpoints.collect::<Vec<_>>())
            .field("routes", &self.routes.is_some())
            .finish()
    }
}
