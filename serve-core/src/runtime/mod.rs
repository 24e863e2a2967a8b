//! [`Runtime`]: the entry point of the library, which connects its parts.

mod control_plane;
#[cfg(test)]
mod tests;

use std::any::{Any, TypeId};
use std::fmt;
#[cfg(feature = "http")]
use std::net::{SocketAddr, TcpListener};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use thiserror::Error;
use tokio::runtime::Handle as Tokio;
use tokio::time::{Instant, interval_at};

use self::control_plane::ControlPlane;
pub(crate) use self::control_plane::Parts;
use crate::application::HttpOptions;
use crate::application::{AnyApplication, Application, IntoApplication};
use crate::call::runtime_context::{InPlace, RuntimeContext};
use crate::controller::{ApplicationStatus, DeployError, Resources, Status};
use crate::deployment::OptionFault;
use crate::deployment::{Bound, Deployment, HandleOf};
use crate::dispatch::{AnyHandle, DeploymentHandle};
#[cfg(feature = "http")]
use crate::ingress::{HttpService, Proxy, Tls};
use crate::method::Handlers;
use crate::node::NoSubstitutes;
use crate::time::WallClock;

/// The time after which the log first says which replicas a shutdown waits for: replicas that stop
/// within it are not worth a line.
const FIRST_REPORT: Duration = Duration::from_secs(1);
/// The period of further such lines: four times in the default grace period.
const REPORT: Duration = Duration::from_secs(5);

/// Hosts replicas in one process. Cheap to clone.
///
/// An application lives until it is deleted, the runtime is shut down, or the runtime and every
/// handle outside it are dropped. Applications that end because of such a drop are drained in the
/// background; use [`Runtime::shutdown`] to wait for them.
///
/// ```
/// use serve_core::prelude::*;
///
/// #[deployment]
/// struct Adder(i64);
///
/// #[handle]
/// impl Adder {
///     pub fn new(by: i64) -> Self { Self(by) }
///     pub fn add(&self, to: i64) -> i64 { to + self.0 }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> serve_core::Result<()> {
/// let runtime = Runtime::builder().start().await?;
/// let adder = runtime.run(Adder::bind(1)).await?;
/// assert_eq!(adder.add(5).await?, 6);
/// runtime.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Runtime {
    lease: Arc<Lease>,
}

/// Keeps applications running. The runtime and every handle outside a graph hold a lease.
struct Lease {
    plane: Arc<ControlPlane>,
    #[cfg(feature = "http")]
    http_service: Arc<HttpService>,
    #[cfg(feature = "http")]
    proxy: Option<Proxy>,
    next_actor: AtomicU64,
}

impl Drop for Lease {
    fn drop(&mut self) {
        let plane = Arc::clone(&self.plane);
        let tokio = plane.context().tokio.clone();
        plane.context().stopping.begin();
        #[cfg(feature = "http")]
        drop(self.proxy.take());
        // If the tokio runtime itself is shutting down, this future is dropped together with
        // everything that it owns.
        tokio.spawn(async move { plane.shut_down().await });
    }
}

/// The error of a runtime that did not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// The runtime cannot listen on the HTTP address.
    #[cfg(feature = "http")]
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The runtime cannot use the HTTP socket that it was given.
    #[cfg(feature = "http")]
    #[error("cannot accept connections on the given socket: {0}")]
    Listener(#[source] std::io::Error),
    /// The certificate of the HTTP port cannot be used.
    #[cfg(feature = "http")]
    #[error("the HTTP port has no certificate: {0}")]
    Certificate(String),
    /// Options of HTTP are invalid.
    #[error("the HTTP options are invalid: {}", OptionFault::in_all(.0))]
    HttpOptions(Vec<OptionFault>),
    /// No tokio runtime is current.
    #[error("no tokio runtime is current; start the Serve runtime from async code")]
    NoTokio,
}

/// The place where HTTP is served.
#[cfg(feature = "http")]
#[derive(Debug)]
enum Listen {
    On(SocketAddr),
    Bound(TcpListener),
}

/// Builds a [`Runtime`].
#[derive(Debug)]
#[must_use = "a builder does nothing until `start`"]
pub struct RuntimeBuilder {
    #[cfg(feature = "http")]
    http: Option<Listen>,
    http_options: HttpOptions,
    resources: Resources,
    in_place: InPlace,
}

impl Default for RuntimeBuilder {
    fn default() -> Self {
        Self {
            #[cfg(feature = "http")]
            http: None,
            http_options: HttpOptions::new(),
            resources: Resources::of_this_machine(),
            in_place: InPlace::Earned,
        }
    }
}

impl RuntimeBuilder {
    /// Serves HTTP/1.1 and HTTP/2 on this address. By default, no port is opened. Port 0 selects a
    /// free port; [`Runtime::http_address`] returns it.
    #[cfg(feature = "http")]
    pub fn http(mut self, address: impl Into<SocketAddr>) -> Self {
        self.http = Some(Listen::On(address.into()));
        self
    }

    /// Serves HTTP on a socket that is already bound and listens, such as one that a supervisor passes
    /// on when it restarts the program: no connection is refused meanwhile, because the supervisor
    /// keeps the socket open. Connections wait in the socket until the first application can be
    /// reached. Replaces the address of [`RuntimeBuilder::http`].
    #[cfg(feature = "http")]
    pub fn http_listener(mut self, listener: TcpListener) -> Self {
        self.http = Some(Listen::Bound(listener));
        self
    }

    /// Sets the options of the HTTP port, and the defaults of the options that applications have for
    /// their requests.
    #[cfg(feature = "http")]
    pub fn http_options(mut self, options: HttpOptions) -> Self {
        self.http_options = options;
        self
    }

    /// Sets the number of CPUs that replicas may reserve. Default: the CPUs that this process may
    /// use, but at least 2, so that a small application runs in a small container.
    pub fn num_cpus(mut self, num_cpus: f64) -> Self {
        self.resources.num_cpus = num_cpus;
        self
    }

    /// Sets the number of GPUs that replicas may reserve. Their ids are `0`, `1`, ...; default
    /// none.
    pub fn num_gpus(mut self, num_gpus: usize) -> Self {
        self.resources.gpu_ids = Resources::numbered(num_gpus);
        self
    }

    /// Sets the GPUs that replicas may reserve, by their ids.
    pub fn gpu_ids(mut self, ids: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.resources.gpu_ids = ids.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the memory that replicas may reserve, in bytes. Default: no limit, because the memory
    /// that a process may use is not known on every platform.
    pub fn memory(mut self, bytes: u64) -> Self {
        self.resources.memory = bytes;
        self
    }

    /// Sets the amount of another resource that replicas may reserve; default 0.
    pub fn resource(mut self, name: impl Into<String>, amount: f64) -> Self {
        self.resources.others.insert(name.into(), amount);
        self
    }

    /// Sets whether calls are polled in place, regardless of the time that their first polls took.
    /// Intended for tests of the runtime itself: to test applications, use
    /// [`MockRuntimeBuilder::in_place`](crate::testing::MockRuntimeBuilder::in_place).
    #[doc(hidden)]
    pub fn in_place(mut self, in_place: bool) -> Self {
        self.in_place = if in_place { InPlace::Always } else { InPlace::Never };
        self
    }

    /// Starts the runtime on the current tokio runtime.
    ///
    /// # Errors
    /// If an option of HTTP is invalid, the runtime cannot listen on the HTTP address, or no tokio
    /// runtime is current.
    #[cfg_attr(not(feature = "http"), expect(clippy::unused_async, reason = "HTTP needs it"))]
    pub async fn start(self) -> Result<Runtime, StartError> {
        let tokio = Tokio::try_current().map_err(|_| StartError::NoTokio)?;
        self.http_options.check().map_err(StartError::HttpOptions)?;
        let seed = rand::random();
        let mut context = RuntimeContext::new(tokio, seed);
        context.in_place = self.in_place;
        let incarnation = Some(format!("{:08x}", rand::random::<u32>()));
        let substitutes = Arc::new(NoSubstitutes);
        let parts = Parts::in_memory(context, seed, substitutes, self.resources);
        let http_options = self.http_options;
        let parts = Parts { incarnation, clock: WallClock::new(), http_options, ..parts };
        let runtime = Runtime::assemble(parts);
        #[cfg(feature = "http")]
        if let Some(listen) = self.http {
            return runtime.listen(listen).await;
        }
        Ok(runtime)
    }
}

impl Runtime {
    /// Returns a builder with the default options.
    pub fn builder() -> RuntimeBuilder {
        RuntimeBuilder::default()
    }

    pub(crate) fn assemble(parts: Parts) -> Self {
        #[cfg(feature = "http")]
        let http_service = Arc::new(HttpService::new(parts.http_options.clone()));
        #[cfg(feature = "http")]
        let parts = {
            let http_service = Arc::clone(&http_service);
            let on_routes = Box::new(move |routes| http_service.publish(routes));
            Parts { on_routes, ..parts }
        };
        let lease = Lease {
            plane: Arc::new(ControlPlane::start(parts)),
            #[cfg(feature = "http")]
            http_service,
            #[cfg(feature = "http")]
            proxy: None,
            next_actor: AtomicU64::new(0),
        };
        Self { lease: Arc::new(lease) }
    }

    #[cfg(feature = "http")]
    async fn listen(mut self, listen: Listen) -> Result<Self, StartError> {
        let http_service = Arc::clone(&self.lease.http_service);
        let tls = Tls::of(http_service.settings())
            .map_err(|error| StartError::Certificate(error.to_string()))?;
        let proxy = match listen {
            Listen::On(address) => Proxy::start(address, tls, http_service)
                .await
                .map_err(|source| StartError::Listen { address, source })?,
            Listen::Bound(listener) => {
                Proxy::listen_on(listener, tls, http_service).map_err(StartError::Listener)?
            }
        };
        Arc::get_mut(&mut self.lease).expect("the runtime was just made, and not cloned").proxy =
            Some(proxy);
        Ok(self)
    }

    /// Deploys an application and returns the handle of its ingress once the whole application
    /// runs.
    ///
    /// Running an application under a name that is already in use is a redeploy: only changed
    /// deployments are replaced, callees before callers and a few replicas at a time. No call fails
    /// meanwhile, and old handles follow the new version. A deploy that is still in progress gives
    /// way to the redeploy, and returns the handle of the version that runs in the end. Dropping
    /// the future does not stop the deploy.
    ///
    /// # Errors
    /// If the graph is invalid, the route prefix is taken, or replicas do not start. A version that
    /// ran before keeps running.
    pub async fn run<A: IntoApplication>(
        &self,
        application: A,
    ) -> Result<<A::Deployment as Deployment>::Handle, DeployError>
    where
        A::Deployment: Handlers,
        <A::Deployment as Deployment>::Handle: DeploymentHandle,
    {
        let application = AnyApplication::from(application.into_application());
        let link = self.lease.plane.deploy(&application, false).await?;
        Ok(self.outside(HandleOf::connect(link)))
    }

    /// Deploys an application whose ingress type is not known at compile time. Otherwise the same
    /// as [`Runtime::run`].
    ///
    /// # Errors
    /// The same as for [`Runtime::run`].
    pub async fn run_any(&self, application: AnyApplication) -> Result<AnyHandle, DeployError> {
        let kind = crate::replica::deployment_of(&application.ingress);
        let link = self.lease.plane.deploy(&application, false).await?;
        Ok(AnyHandle::new(link, kind, Arc::clone(&self.lease) as _))
    }

    /// Starts one replica of a deployment outside any application, and returns its handle. The
    /// replica stops when the last clone of the handle is dropped, or with the runtime.
    ///
    /// # Errors
    /// The same as for [`Runtime::run`].
    pub async fn actor<D>(&self, actor: Bound<D>) -> Result<D::Handle, DeployError>
    where
        D: Handlers,
        D::Handle: DeploymentHandle,
    {
        let number = self.lease.next_actor.fetch_add(1, Ordering::Relaxed);
        let name = match self.lease.plane.incarnation() {
            Some(incarnation) => format!("{}-actor-{incarnation}-{number}", D::NAME),
            None => format!("{}-actor-{number}", D::NAME),
        };
        let application = Application::new(actor.num_replicas(1)).name(&name).without_route();
        // From here on, so that an actor which fails to start, or whose future is dropped, goes too.
        let lease = ActorLease { runtime: Arc::clone(&self.lease), name };
        let link = self.lease.plane.deploy(&application.into(), true).await?;
        let mut handle: D::Handle = HandleOf::connect(link);
        handle.handle_mut().set_lease(Arc::new(lease));
        Ok(handle)
    }

    /// Returns the handle of a running application's ingress.
    ///
    /// # Errors
    /// If there is no application with this name, or its ingress is not a `D`.
    pub fn get_app_handle<D>(&self, application: &str) -> Result<D::Handle, DeployError>
    where
        D: Handlers,
        D::Handle: DeploymentHandle,
    {
        self.look_up::<D>(application, None)
    }

    /// Returns the handle of a running deployment.
    ///
    /// # Errors
    /// If there is no deployment with this name, or the deployment is not a `D`.
    pub fn get_deployment_handle<D>(
        &self,
        application: &str,
        deployment: &str,
    ) -> Result<D::Handle, DeployError>
    where
        D: Handlers,
        D::Handle: DeploymentHandle,
    {
        self.look_up::<D>(application, Some(deployment))
    }

    fn look_up<D>(
        &self,
        application: &str,
        deployment: Option<&str>,
    ) -> Result<D::Handle, DeployError>
    where
        D: Handlers,
        D::Handle: DeploymentHandle,
    {
        let expected = (TypeId::of::<D>(), std::any::type_name::<D>());
        let link = self.lease.plane.directory().look_up(application, deployment, expected)?;
        Ok(self.outside(HandleOf::connect(link)))
    }

    /// Returns a handle that keeps its deployment alive.
    fn outside<H: DeploymentHandle>(&self, mut handle: H) -> H {
        handle.handle_mut().set_lease(Arc::clone(&self.lease) as Arc<dyn Any + Send + Sync>);
        handle
    }

    /// Returns the status of every application.
    #[must_use]
    pub fn status(&self) -> Status {
        self.lease.plane.status()
    }

    /// Waits until an application has this status. [`ApplicationStatus::NotStarted`] is the status
    /// of an application that does not exist.
    ///
    /// Returns at once if the application already has the status. A status that lasts only for a
    /// moment may be missed. There is no time limit: use `tokio::time::timeout` to set one.
    ///
    /// ```
    /// # use serve_core::prelude::*;
    /// use serve_core::status::ApplicationStatus;
    ///
    /// # #[deployment]
    /// # #[derive(Default)]
    /// # struct Greeter;
    /// # #[handle]
    /// # impl Greeter { pub async fn greet(&self) {} }
    /// # #[tokio::main]
    /// # async fn main() -> Result<()> {
    /// let runtime = Runtime::builder().start().await?;
    /// let deploy = runtime.clone();
    /// tokio::spawn(async move { deploy.run(Greeter::bind()).await.map(drop) });
    /// runtime.wait_for("default", ApplicationStatus::Running).await;
    /// let status = runtime.status();
    /// assert!(status.application("default").is_some());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn wait_for(&self, application: &str, status: ApplicationStatus) {
        self.lease.plane.wait_for(application, status).await;
    }

    /// Stops an application: callers before their callees, each drained for at most its
    /// `graceful_shutdown_timeout`. Dropping the future does not stop the deletion.
    ///
    /// User code that blocks its thread, in a constructor or a `#[shutdown]`, cannot be stopped.
    /// One second after the timeout, such a replica is abandoned, and the log names it; the replica
    /// is dropped when its code returns.
    ///
    /// # Errors
    /// If there is no application with this name.
    pub async fn delete(&self, application: &str) -> Result<(), DeployError> {
        self.lease.plane.delete(application).await
    }

    /// Stops everything: HTTP takes no new requests, running requests end, and then applications
    /// stop as with [`Runtime::delete`]. Nothing can be run afterwards. User code hears of the
    /// shutdown by [`shutting_down`](crate::shutting_down()), and the log says what is waited for.
    ///
    /// With the HTTP option `drain_delay`, requests are first served as before for that time, while
    /// `/-/healthz` already answers 503.
    pub async fn shutdown(&self) {
        #[cfg(feature = "http")]
        if let Some(proxy) = &self.lease.proxy {
            self.lease.http_service.drain();
            proxy.linger(self.lease.http_service.settings().drain_delay).await;
        }
        self.lease.plane.context().stopping.begin();
        #[cfg(feature = "http")]
        {
            self.lease.http_service.drain();
            if let Some(proxy) = &self.lease.proxy {
                proxy.shut_down(self.lease.plane.directory().longest_grace()).await;
            }
        }
        let mut reports = interval_at(Instant::now() + FIRST_REPORT, REPORT);
        let mut stopped = pin!(self.lease.plane.shut_down());
        loop {
            tokio::select! {
                () = &mut stopped => return,
                _ = reports.tick() => self.report_shutdown(),
            }
        }
    }

    /// Logs the replicas that a shutdown waits for.
    fn report_shutdown(&self) {
        let status = self.status();
        let deployments = status.applications.iter().flat_map(|(application, details)| {
            details.deployments.iter().map(move |(name, details)| (application, name, details))
        });
        let (mut replicas, mut sockets, mut names) = (0, 0, Vec::new());
        for (application, name, details) in deployments {
            if !details.replicas.is_empty() {
                let (count, calls) = (details.replicas.len(), details.ongoing + details.queued);
                replicas += count;
                sockets += details.replicas.iter().map(|it| it.websockets).sum::<usize>();
                names.push(format!("`{name}` of `{application}`: {count}, with {calls} calls"));
            }
        }
        if names.is_empty() {
            return;
        }
        let sockets = match sockets {
            0 => String::new(),
            1 => " and 1 WebSocket".to_owned(),
            sockets => format!(" and {sockets} WebSockets"),
        };
        let what = if replicas == 1 { "replica" } else { "replicas" };
        let names = names.join(", ");
        tracing::info!("shutting down: waiting for {replicas} {what} to drain{sockets} ({names})");
    }

    /// Ends the replica of this rank at once, in every deployment of type `D`, as if its process had
    /// died. Returns false if there is no such replica. Intended for tests of the runtime itself: to
    /// test applications, use [`MockRuntime::kill_replica`](crate::MockRuntime::kill_replica).
    #[doc(hidden)]
    pub fn kill_replica<D: Deployment>(&self, rank: usize) -> bool {
        self.plane().directory().kill(TypeId::of::<D>(), rank)
    }

    /// Returns the address on which HTTP is served, if HTTP is enabled.
    #[cfg(feature = "http")]
    #[must_use]
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.lease.proxy.as_ref().map(Proxy::local_addr)
    }

    pub(crate) fn plane(&self) -> &Arc<ControlPlane> {
        &self.lease.plane
    }

    #[cfg(feature = "http")]
    pub(crate) fn http_service(&self) -> &Arc<HttpService> {
        &self.lease.http_service
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime").field("status", &self.status()).finish_non_exhaustive()
    }
}

/// Keeps an actor running. The handles of the actor hold the lease.
struct ActorLease {
    runtime: Arc<Lease>,
    name: String,
}

impl Drop for ActorLease {
    fn drop(&mut self) {
        let plane = Arc::clone(&self.runtime.plane);
        let name = std::mem::take(&mut self.name);
        let tokio = plane.context().tokio.clone();
        tokio.spawn(async move {
            // The application is already gone if the runtime was shut down.
            let _ = plane.delete(&name).await;
        });
    }
}
