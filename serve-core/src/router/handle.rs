//! [`Handle`]: the client of a deployment, inside every `XHandle`.

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tokio::time::Instant;

use super::router::Router;
use crate::call::CallOptions;
use crate::call::codec::Session;
use crate::call::context::{Request, RequestDetails};
use crate::call::deadline::Deadline;
use crate::clock;
use crate::deployment::{Deployment, HandleOf, Link};
use crate::replica::Scope;

/// The client of the deployment `D`; what every `XHandle` wraps. Cheap to clone.
///
/// A handle remembers its runtime, so calls work from any thread. It follows its
/// deployment through redeploys, and its calls fail with `Unavailable` once that is gone.
pub struct Handle<D> {
    router: Arc<Router>,
    options: Option<Arc<HandleOptions>>,
    /// What keeps the application alive; none inside a graph.
    lease: Option<Arc<dyn Any + Send + Sync>>,
    deployment: PhantomData<fn() -> D>,
}

/// What a handle's calls carry, once for all of them.
struct HandleOptions {
    options: CallOptions,
    /// What the options say of a request.
    details: Option<Arc<RequestDetails>>,
}

impl<D: Deployment> Handle<D> {
    /// For `#[deployment]`, which wraps it.
    #[doc(hidden)]
    #[must_use]
    pub fn connect(link: Link) -> Self {
        let router = link.open::<Router>().expect("a link leads to a router");
        Self { router, options: None, lease: None, deployment: PhantomData }
    }

    #[inline]
    pub(crate) fn router(&self) -> &Arc<Router> {
        &self.router
    }

    pub(crate) fn set_lease(&mut self, lease: Arc<dyn Any + Send + Sync>) {
        self.lease = Some(lease);
    }

    fn set_options(&mut self, options: CallOptions) {
        let options = match &self.options {
            Some(old) => old.options.overridden_by(options),
            None => options,
        };
        let details = RequestDetails::said_by(&options).map(Arc::new);
        self.options = Some(Arc::new(HandleOptions { options, details }));
    }

    /// The request of a call that is made now, here. It has not begun if nothing is known
    /// of it.
    #[inline]
    pub(crate) fn request(&self) -> Request {
        let request = Scope::current_request();
        match self.options.as_deref().and_then(|options| options.details.as_ref()) {
            Some(details) => request.with_options(details),
            None => request,
        }
    }

    /// The deadline of a call that is made now, here.
    #[inline]
    pub(crate) fn deadline(&self) -> Option<Arc<Deadline>> {
        let options = self.options.as_deref().map(|options| &options.options);
        // A request from outside brings its deadline with it, for this very call.
        let brings_one = || {
            Scope::current(|scope| {
                scope.is_some_and(|scope| scope.is_outside() && scope.deadline().is_some())
            })
        };
        let by_default = || self.router.request_timeout().filter(|_| !brings_one());
        let timeout = options.and_then(|options| options.timeout).or_else(by_default);
        let own = timeout.and_then(|timeout| clock::after(Instant::now(), timeout));
        Deadline::for_call(own, Scope::current_deadline().as_ref())
    }
}

impl<D> Clone for Handle<D> {
    fn clone(&self) -> Self {
        Self {
            router: Arc::clone(&self.router),
            options: self.options.clone(),
            lease: self.lease.clone(),
            deployment: PhantomData,
        }
    }
}

impl<D: Deployment> fmt::Debug for Handle<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(D::NAME)
            .field("deployment", self.router.name())
            .field("application", self.router.application())
            .field("options", &self.options.as_ref().map(|options| &options.options))
            .finish()
    }
}

/// A handle as it travels.
#[derive(Serialize, Deserialize)]
struct Address {
    application: String,
    deployment: String,
}

impl<D> Serialize for Handle<D> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let address = Address {
            application: self.router.application().to_string(),
            deployment: self.router.name().to_string(),
        };
        address.serialize(serializer)
    }
}

impl<'de, D: Deployment> Deserialize<'de> for Handle<D> {
    fn deserialize<De: Deserializer<'de>>(deserializer: De) -> Result<Self, De::Error> {
        use serde::de::Error;
        let Address { application, deployment } = Address::deserialize(deserializer)?;
        let directory = Session::directory().or_else(Scope::directory).ok_or_else(|| {
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

/// What every handle can do besides calling its deployment's methods.
///
/// A trait rather than methods, so that a deployment's own `options` or `name` method
/// wins.
pub trait DeploymentHandle: HandleOf + Serialize {
    /// The handle inside.
    #[doc(hidden)]
    fn handle(&self) -> &Handle<Self::Deployment>;
    /// The handle inside.
    #[doc(hidden)]
    fn handle_mut(&mut self) -> &mut Handle<Self::Deployment>;

    /// The same handle with other call options. What `options` leaves unset stays as it
    /// was.
    #[must_use]
    fn options(&self, options: CallOptions) -> Self {
        let mut handle = self.clone();
        handle.handle_mut().set_options(options);
        handle
    }

    /// The deployment's name in its application.
    fn deployment_name(&self) -> &str {
        self.handle().router.name()
    }

    /// The application's name.
    fn application_name(&self) -> &str {
        self.handle().router.application()
    }
}
