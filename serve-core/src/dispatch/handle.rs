//! [`Handle`]: the client of a deployment, inside every `XHandle`.

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::start::Head;
use crate::call::CallOptions;
use crate::call::request::RequestDetails;
use crate::call::wire::payload::PayloadScope;
use crate::deployment::{Deployment, HandleOf, Link};
use crate::replica::Scope;
use crate::router::Router;

/// The client of the deployment `D`, which every `XHandle` wraps. Cheap to clone.
///
/// A handle keeps the runtime of its deployment, so calls work from any thread. It follows
/// the deployment through redeploys. Once the deployment is gone, calls fail with
/// `Unavailable`.
pub struct Handle<D> {
    client: Client,
    deployment: PhantomData<fn() -> D>,
}

/// A handle without its deployment's type: the router that calls go to, and their options.
#[derive(Clone)]
pub(super) struct Client {
    router: Arc<Router>,
    options: Option<Arc<HandleOptions>>,
    /// Keeps the application alive. None for a handle inside a graph, which would otherwise
    /// keep its own application alive.
    lease: Option<Arc<dyn Any + Send + Sync>>,
}

/// The options of a handle, in the form that all of its calls share.
struct HandleOptions {
    options: CallOptions,
    /// The details that the options set on a request.
    details: Option<Arc<RequestDetails>>,
}

impl Client {
    pub(super) fn connect(link: Link, lease: Option<Arc<dyn Any + Send + Sync>>) -> Self {
        let router = link.open::<Router>().expect("a link leads to a router");
        Self { router, options: None, lease }
    }

    pub(super) fn router(&self) -> &Arc<Router> {
        &self.router
    }

    pub(super) fn set_options(&mut self, options: CallOptions) {
        let options = match &self.options {
            Some(old) => old.options.overridden_by(options),
            None => options,
        };
        let details = RequestDetails::said_by(&options).map(Arc::new);
        self.options = Some(Arc::new(HandleOptions { options, details }));
    }

    /// The head of a call that the running code makes now.
    #[inline]
    pub(super) fn head(&self) -> Head {
        let options = self.options.as_deref();
        let said = options.and_then(|options| options.details.as_ref());
        let timeout = options.and_then(|options| options.options.timeout);
        Head::here(said, timeout, self.router.request_timeout())
    }
}

impl<D: Deployment> Handle<D> {
    /// The handle that a link leads to, for the code that `#[deployment]` writes.
    #[doc(hidden)]
    #[must_use]
    pub fn connect(link: Link) -> Self {
        Self { client: Client::connect(link, None), deployment: PhantomData }
    }

    #[inline]
    pub(super) fn router(&self) -> &Arc<Router> {
        &self.client.router
    }

    pub(crate) fn set_lease(&mut self, lease: Arc<dyn Any + Send + Sync>) {
        self.client.lease = Some(lease);
    }

    #[inline]
    pub(super) fn head(&self) -> Head {
        self.client.head()
    }
}

impl<D> Clone for Handle<D> {
    fn clone(&self) -> Self {
        Self { client: self.client.clone(), deployment: PhantomData }
    }
}

impl<D: Deployment> fmt::Debug for Handle<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Client { router, options, .. } = &self.client;
        f.debug_struct(D::NAME)
            .field("deployment", router.name())
            .field("application", router.application())
            .field("options", &options.as_ref().map(|options| &options.options))
            .finish()
    }
}

/// The names that stand for a handle in a payload.
#[derive(Serialize, Deserialize)]
struct Address {
    application: String,
    deployment: String,
}

impl<D> Serialize for Handle<D> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let address = Address {
            application: self.client.router.application().to_string(),
            deployment: self.client.router.name().to_string(),
        };
        address.serialize(serializer)
    }
}

impl<'de, D: Deployment> Deserialize<'de> for Handle<D> {
    fn deserialize<De: Deserializer<'de>>(deserializer: De) -> Result<Self, De::Error> {
        use serde::de::Error;
        let Address { application, deployment } = Address::deserialize(deserializer)?;
        let directory = PayloadScope::directory().or_else(Scope::directory).ok_or_else(|| {
            De::Error::custom("a handle can be read only inside a running deployment")
        })?;
        let link = directory.find(&application, &deployment, std::any::TypeId::of::<D>());
        link.map(Self::connect).ok_or_else(|| {
            De::Error::custom(format!(
                "no deployment `{deployment}` of type `{}` runs in application `{application}`",
                D::NAME
            ))
        })
    }
}

/// The methods that every handle has besides those of its deployment.
///
/// A method of a deployment cannot have the name of one of them: `#[handle]` refuses it.
pub trait DeploymentHandle: HandleOf + Serialize {
    /// The [`Handle`] that this handle wraps.
    #[doc(hidden)]
    fn handle(&self) -> &Handle<Self::Deployment>;
    /// The [`Handle`] that this handle wraps.
    #[doc(hidden)]
    fn handle_mut(&mut self) -> &mut Handle<Self::Deployment>;

    /// A handle of the same deployment with other call options. An option that `options` does
    /// not set keeps its value.
    #[must_use]
    fn options(&self, options: CallOptions) -> Self {
        let mut handle = self.clone();
        handle.handle_mut().client.set_options(options);
        handle
    }

    /// The deployment's name in its application.
    fn deployment_name(&self) -> &str {
        self.handle().client.router.name()
    }

    /// The application's name.
    fn application_name(&self) -> &str {
        self.handle().client.router.application()
    }
}
