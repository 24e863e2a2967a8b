//! [`Application`]: a bound graph with a name and a route prefix.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::configured::Configured;
use super::http_options::HttpOptions;
use crate::deployment::{AnyBound, Bound, Deployment};
use crate::dispatch::{ByNameError, read_call};
use crate::replica::deployment_of;

/// The name of an application without a name of its own.
pub(crate) const UNNAMED: &str = "default";

/// A bound graph of deployments with one ingress, a name and a route prefix.
///
/// `Bound<D>` converts into it with the name `default` and the prefix `/`.
#[must_use = "an application does nothing until a runtime runs it"]
pub struct Application<D> {
    bound: Bound<D>,
    name: String,
    route_prefix: Option<String>,
    http_options: HttpOptions,
    external_scaler_enabled: bool,
}

impl<D: Deployment> Application<D> {
    /// Creates an application with the ingress `ingress`.
    pub fn new(ingress: Bound<D>) -> Self {
        Self {
            bound: ingress,
            name: UNNAMED.to_owned(),
            route_prefix: Some("/".to_owned()),
            http_options: HttpOptions::new(),
            external_scaler_enabled: false,
        }
    }

    /// Sets the name of the application in the runtime; default `default`. Running a name again is
    /// a redeploy.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets the prefix of the application's HTTP routes; default `/`. The prefix starts with a
    /// slash and, except for `/` itself, does not end with one.
    pub fn route_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.route_prefix = Some(prefix.into());
        self
    }

    /// Removes the HTTP route, even if the ingress has endpoints.
    pub fn without_route(mut self) -> Self {
        self.route_prefix = None;
        self
    }

    /// Sets the options of the application's HTTP requests. They override those of the runtime;
    /// [`Runtime::run`](crate::Runtime::run) rejects options of the port.
    #[cfg(feature = "http")]
    pub fn http_options(mut self, options: HttpOptions) -> Self {
        self.http_options = options;
        self
    }

    /// Allows [`Runtime::scale`](crate::Runtime::scale), and the admin port, to set the number of
    /// replicas of the application's deployments; by default, they may not. No deployment of such
    /// an application may autoscale.
    pub fn external_scaler_enabled(mut self, enabled: bool) -> Self {
        self.external_scaler_enabled = enabled;
        self
    }
}

impl<D: Deployment> From<Bound<D>> for Application<D> {
    fn from(ingress: Bound<D>) -> Self {
        Self::new(ingress)
    }
}

impl<D> Clone for Application<D> {
    fn clone(&self) -> Self {
        Self {
            bound: self.bound.clone(),
            name: self.name.clone(),
            route_prefix: self.route_prefix.clone(),
            http_options: self.http_options.clone(),
            external_scaler_enabled: self.external_scaler_enabled,
        }
    }
}

impl<D: Deployment> fmt::Debug for Application<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Application")
            .field("name", &self.name)
            .field("route_prefix", &self.route_prefix)
            .field("ingress", &self.bound)
            .finish()
    }
}

/// A type that a runtime can run: an [`Application`], or the [`Bound`] ingress of one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an application",
    label = "expected the result of `bind(...)`, or an `Application`",
    note = "to run a deployment, bind it: `{Self}::bind(...)`"
)]
pub trait IntoApplication {
    /// The type of the ingress.
    type Deployment: Deployment;
    /// Converts the value into an application.
    fn into_application(self) -> Application<Self::Deployment>;
}

impl<D: Deployment> IntoApplication for Application<D> {
    type Deployment = D;

    fn into_application(self) -> Self {
        self
    }
}

impl<D: Deployment> IntoApplication for Bound<D> {
    type Deployment = D;

    fn into_application(self) -> Application<D> {
        Application::new(self)
    }
}

/// An [`Application`] without the type of its ingress, as the registry builds it.
#[derive(Clone, Debug)]
#[must_use = "an application does nothing until a runtime runs it"]
pub struct AnyApplication {
    pub(crate) ingress: AnyBound,
    pub(crate) name: String,
    pub(crate) route_prefix: Option<String>,
    pub(crate) http_options: HttpOptions,
    pub(crate) external_scaler_enabled: bool,
    /// What a configuration decides, if the application comes from one.
    pub(crate) configured: Option<Box<Configured>>,
    /// The registered application from which this application was built.
    pub(crate) source: Option<Source>,
}

/// The registered application, and its arguments, from which an application was built. By contract,
/// the result depends on these alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Source {
    pub(crate) application: String,
    pub(crate) arguments: Map<String, Value>,
}

impl AnyApplication {
    /// Sets the name of the application in the runtime.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets the prefix of the application's HTTP routes.
    pub fn route_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.route_prefix = Some(prefix.into());
        self
    }

    /// Checks that [`AnyHandle::call`](crate::dynamic::AnyHandle::call) would accept a method of the ingress
    /// with these arguments, before anything is deployed.
    ///
    /// # Errors
    /// If there is no such method, or the arguments do not fit.
    pub fn check_call(
        &self,
        method: &str,
        arguments: &BTreeMap<String, Vec<String>>,
    ) -> Result<(), ByNameError> {
        let kind = deployment_of(&self.ingress);
        let deployment = self.ingress.given_name().unwrap_or_else(|| kind.name());
        read_call(&*kind, deployment, method, arguments).map(drop)
    }
}

impl<D: Deployment> From<Application<D>> for AnyApplication {
    fn from(application: Application<D>) -> Self {
        let Application { bound, name, route_prefix, http_options, external_scaler_enabled } =
            application;
        Self {
            ingress: bound.erase(),
            name,
            route_prefix,
            http_options,
            external_scaler_enabled,
            configured: None,
            source: None,
        }
    }
}
