//! [`Runtime`]: the entry point of the library, which connects its parts.

#[cfg(feature = "config")]
mod configuration;
mod control_plane;
#[cfg(all(feature = "http", feature = "config"))]
mod operations;
#[cfg(test)]
mod tests;

use std::any::{Any, TypeId};
use std::fmt;
#[cfg(all(feature = "http", feature = "config"))]
use std::io;
#[cfg(feature = "http")]
use std::net::{SocketAddr, TcpListener};
#[cfg(feature = "config")]
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use thiserror::Error;
use tokio::runtime::Handle as Tokio;
use tokio::sync::watch;
use tokio::time::{Instant, interval_at};

#[cfg(feature = "config")]
pub use self::configuration::ApplyError;
use self::control_plane::ControlPlane;
pub(crate) use self::control_plane::Parts;
#[cfg(all(feature = "http", feature = "config"))]
use self::operations::InstanceOperations;
#[cfg(all(feature = "http", feature = "config"))]
use crate::admin::{Access, AdminServer};
use crate::application::HttpOptions;
use crate::application::{AnyApplication, Application, Graph, IntoApplication};
use crate::call::runtime_context::{InPlace, RuntimeContext};
#[cfg(feature = "config")]
use crate::config::Config;
#[cfg(all(feature = "http", feature = "config"))]
use crate::config::{AdminPort, Secret};
use crate::controller::{
    ApplicationStatus, ChangeOrigin, ConfigurationError, DeployError, Resources, Status,
};
use crate::deployment::OptionFault;
use crate::deployment::{Bound, Deployment, HandleOf};
use crate::dispatch::{AnyHandle, DeploymentHandle};
#[cfg(feature = "http")]
use crate::ingress::{CertificateError, HttpService, Proxy, Tls};
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
    #[cfg(all(feature = "http", feature = "config"))]
    admin: Option<AdminServer>,
    /// Set once someone asks the program to shut down.
    shutdown_requested: watch::Sender<bool>,
    next_actor: AtomicU64,
}

impl Drop for Lease {
    fn drop(&mut self) {
        let plane = Arc::clone(&self.plane);
        let tokio = plane.context().tokio.clone();
        plane.context().stopping.begin();
        #[cfg(feature = "http")]
        drop(self.proxy.take());
        #[cfg(all(feature = "http", feature = "config"))]
        drop(self.admin.take());
        // If the tokio runtime itself is shutting down, this future is dropped together with
        // everything that it owns.
        tokio.spawn(async move { plane.shut_down().await });
    }
}

/// The number of ports after the admin port that are tried if it is in use: more instances on one
/// machine are seldom there at once.
#[cfg(all(feature = "http", feature = "config"))]
const NEXT_PORTS: u16 = 50;

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
    Certificate(#[source] CertificateError),
    /// The admin port cannot be opened safely.
    #[cfg(all(feature = "http", feature = "config"))]
    #[error("{0}")]
    Admin(String),
    /// The configuration is not applied.
    #[cfg(feature = "config")]
    #[error(transparent)]
    Config(#[from] ApplyError),
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
    #[cfg(all(feature = "http", feature = "config"))]
    admin: AdminSettings,
    #[cfg(feature = "config")]
    config: Option<PathBuf>,
    resources: Resources,
    in_place: InPlace,
}

/// The admin port of a runtime that is being built.
#[cfg(all(feature = "http", feature = "config"))]
#[derive(Debug, Default)]
struct AdminSettings {
    address: Option<SocketAddr>,
    listener: Option<TcpListener>,
    /// True if the next free port may be taken instead.
    or_next_free: bool,
    token: Option<Secret>,
    /// The settings that the configuration shows.
    process: Config,
}

impl Default for RuntimeBuilder {
    fn default() -> Self {
        Self {
            #[cfg(feature = "http")]
            http: None,
            http_options: HttpOptions::new(),
            #[cfg(all(feature = "http", feature = "config"))]
            admin: AdminSettings::default(),
            #[cfg(feature = "config")]
            config: None,
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

    /// Opens the admin port on this address: the REST API by which people and programs look at the
    /// runtime and change it. By default, no admin port is opened. Port 0 selects a free port;
    /// [`Runtime::admin_address`] returns it.
    ///
    /// An address that other machines can reach needs [`RuntimeBuilder::admin_token`].
    #[cfg(all(feature = "http", feature = "config"))]
    pub fn admin(mut self, address: impl Into<SocketAddr>) -> Self {
        self.admin.address = Some(address.into());
        self
    }

    /// Serves the admin port on a socket that is already bound and listens. Replaces the address of
    /// [`RuntimeBuilder::admin`].
    #[cfg(all(feature = "http", feature = "config"))]
    pub fn admin_listener(mut self, listener: TcpListener) -> Self {
        self.admin.listener = Some(listener);
        self
    }

    /// Takes the next free port if the port of [`RuntimeBuilder::admin`] is in use.
    #[cfg(all(feature = "http", feature = "config"))]
    #[doc(hidden)]
    pub fn admin_or_next_free(mut self) -> Self {
        self.admin.or_next_free = true;
        self
    }

    /// Sets the token that every request to the admin port has to bring, as `Authorization: Bearer
    /// TOKEN`. Default: none is needed.
    #[cfg(all(feature = "http", feature = "config"))]
    pub fn admin_token(mut self, token: impl Into<String>) -> Self {
        self.admin.token = Some(Secret::new(token));
        self
    }

    /// Reads a configuration, such as `serve.yaml`, when the runtime starts, and applies it: opens
    /// its ports, unless [`RuntimeBuilder::http`] and [`RuntimeBuilder::admin`] name others, and
    /// deploys its applications. [`RuntimeBuilder::start`] then returns once each application runs,
    /// or has failed to deploy: [`Runtime::status`] says which.
    #[cfg(feature = "config")]
    pub fn config(mut self, path: impl Into<PathBuf>) -> Self {
        self.config = Some(path.into());
        self
    }

    /// Sets the settings that the admin port shows as those of the process, and its address and
    /// token, unless [`RuntimeBuilder::admin`] and [`RuntimeBuilder::admin_token`] name others.
    #[cfg(all(feature = "http", feature = "config"))]
    #[doc(hidden)]
    pub fn process_config(mut self, config: &Config) -> Self {
        self.admin.process = config.of_the_process();
        if self.admin.token.is_none() {
            self.admin.token.clone_from(&config.admin.token);
        }
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
        #[cfg(feature = "config")]
        let file = self.config.as_deref().map(configuration::read).transpose()?;
        #[cfg(feature = "config")]
        let http_options = match &file {
            Some(file) => file.http.options.overridden_by(&self.http_options),
            None => self.http_options,
        };
        #[cfg(not(feature = "config"))]
        let http_options = self.http_options;
        let seed = rand::random();
        let mut context = RuntimeContext::new(tokio, seed);
        context.in_place = self.in_place;
        let incarnation = Some(format!("{:08x}", rand::random::<u32>()));
        let substitutes = Arc::new(NoSubstitutes);
        let parts = Parts::in_memory(context, seed, substitutes, self.resources);
        let parts = Parts { incarnation, clock: WallClock::new(), http_options, ..parts };
        #[cfg_attr(not(feature = "http"), expect(unused_mut, reason = "no port is opened"))]
        let mut runtime = Runtime::assemble(parts);
        #[cfg(feature = "http")]
        let listen = self.http;
        #[cfg(all(feature = "http", feature = "config"))]
        let listen = listen.or_else(|| {
            let file = file.as_ref().filter(|file| file.has("http") || file.has("http_options"))?;
            Some(Listen::On(file.http.address()))
        });
        #[cfg(feature = "http")]
        if let Some(listen) = listen {
            runtime = runtime.listen(listen).await?;
        }
        #[cfg(all(feature = "http", feature = "config"))]
        runtime.open_admin(self.admin, file.as_ref()).await?;
        #[cfg(feature = "config")]
        if let Some(config) = file {
            runtime.apply(&config).await?;
            let names = config.applications.iter().map(|it| it.name.clone()).collect();
            runtime.lease.plane.settled(names).await;
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
            #[cfg(all(feature = "http", feature = "config"))]
            admin: None,
            shutdown_requested: watch::Sender::new(false),
            next_actor: AtomicU64::new(0),
        };
        Self { lease: Arc::new(lease) }
    }

    #[cfg(feature = "http")]
    async fn listen(mut self, listen: Listen) -> Result<Self, StartError> {
        let http_service = Arc::clone(&self.lease.http_service);
        let tls = Tls::of(http_service.settings()).map_err(StartError::Certificate)?;
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

    /// Opens the admin port, if the program or its configuration asks for one.
    #[cfg(all(feature = "http", feature = "config"))]
    async fn open_admin(
        &mut self,
        settings: AdminSettings,
        file: Option<&Config>,
    ) -> Result<(), StartError> {
        let AdminSettings { address, listener, or_next_free, token, process } = settings;
        let of_file = file.filter(|file| file.has("admin")).and_then(|file| file.admin.address());
        let passed = listener.as_ref().map(TcpListener::local_addr).transpose();
        let passed = passed.map_err(StartError::Listener)?;
        let Some(address) = passed.or(address).or(of_file) else { return Ok(()) };
        let token = token.or_else(|| file.and_then(|file| file.admin.token.clone()));
        let access = Access::new(address, token.as_ref().map(Secret::expose))
            .map_err(|error| StartError::Admin(error.to_string()))?;
        let bind = async |address: SocketAddr| tokio::net::TcpListener::bind(address).await;
        let mut bound = match listener {
            Some(listener) => listener
                .set_nonblocking(true)
                .and_then(|()| tokio::net::TcpListener::from_std(listener)),
            None => bind(address).await,
        };
        for next in 1..=NEXT_PORTS {
            let is_taken = bound.as_ref().is_err_and(|it| it.kind() == io::ErrorKind::AddrInUse);
            let Some(port) = address.port().checked_add(next) else { break };
            if !(is_taken && or_next_free) {
                break;
            }
            bound = bind(SocketAddr::new(address.ip(), port)).await;
        }
        let listen = |source| StartError::Listen { address, source };
        let listener = bound.map_err(listen)?;
        let actual = listener.local_addr().map_err(listen)?;
        let http = self.http_address();
        let mut process = match file {
            Some(file) => file.of_the_process(),
            None => process,
        };
        process.http.options = self.lease.http_service.options().clone();
        if let Some(http) = http {
            (process.http.host, process.http.port) = (Some(http.ip()), Some(http.port()));
        }
        process.admin.host = Some(actual.ip());
        process.admin.port = Some(AdminPort::Port(actual.port()));
        process.admin.token = token;
        let plane = Arc::clone(&self.lease.plane);
        let node_id = plane.incarnation().unwrap_or("node").to_owned();
        let operations = InstanceOperations {
            plane,
            process,
            http,
            node_id,
            shutdown_requested: self.lease.shutdown_requested.clone(),
        };
        let server = AdminServer::start(listener, access, Arc::new(operations)).map_err(listen)?;
        Arc::get_mut(&mut self.lease).expect("the runtime was just made, and not cloned").admin =
            Some(server);
        Ok(())
    }

    /// Waits until someone asks the program to shut down, by the admin port. The program decides
    /// what to do: most call [`Runtime::shutdown`] and end.
    pub async fn shutdown_requested(&self) {
        let mut requested = self.lease.shutdown_requested.subscribe();
        // The sender belongs to this runtime.
        let _ = requested.wait_for(|requested| *requested).await;
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

    /// Applies a configuration: deploys its applications, and deletes the applications of the
    /// configuration before that it lacks. Applications that the program itself runs stay as they
    /// are, unless the configuration names them.
    ///
    /// Only what differs is changed; see `docs/updates.md`. Returns the revision of the change as
    /// soon as the change is accepted; [`Runtime::wait_for`] waits for an application. The sections
    /// `http`, `admin` and `logging` concern the start of a program and have no effect here.
    ///
    /// # Errors
    /// If anything of the configuration is refused, such as an application that the program does not
    /// have. All faults are returned at once.
    #[cfg(feature = "config")]
    pub async fn apply(&self, config: &Config) -> Result<u64, ApplyError> {
        let origin = ChangeOrigin::program("apply a configuration".to_owned());
        configuration::apply(&self.lease.plane, config, origin).await
    }

    /// Checks that [`Runtime::apply`] would accept a configuration, as far as that can be known now.
    ///
    /// # Errors
    /// The same as for [`Runtime::apply`].
    #[cfg(feature = "config")]
    pub fn check(&self, config: &Config) -> Result<(), ApplyError> {
        let capacity = configuration::capacity_now(&self.lease.plane, config);
        configuration::plans(&self.lease.plane, config, capacity)?;
        Ok(())
    }

    /// Returns the graph of an application, once the application has been deployed.
    #[doc(hidden)]
    #[must_use]
    pub fn graph(&self, application: &str) -> Option<Graph> {
        self.lease.plane.graph(application)
    }

    /// Sets the number of replicas of a deployment, which may be 0. The application must have
    /// [`external_scaler_enabled`](Application::external_scaler_enabled). The number outlives
    /// redeploys of the application that keep the option.
    ///
    /// Returns once the number is accepted; replicas start and stop afterwards.
    ///
    /// # Errors
    /// If there is no such application or deployment, or the application does not allow the change.
    pub async fn scale(
        &self,
        application: &str,
        deployment: &str,
        num_replicas: usize,
    ) -> Result<(), ConfigurationError> {
        let what = format!("scale `{deployment}` of `{application}` to {num_replicas} replicas");
        let origin = ChangeOrigin::program(what);
        self.lease.plane.scale(origin, application, deployment, num_replicas).await.map(drop)
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
        let origin = ChangeOrigin::program(format!("delete application `{application}`"));
        self.lease.plane.delete(origin, application).await
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

    /// Returns the address of the admin port, if it is open.
    #[cfg(all(feature = "http", feature = "config"))]
    #[must_use]
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.lease.admin.as_ref().map(AdminServer::local_addr)
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
            let origin = ChangeOrigin::program(format!("the actor `{name}` is dropped"));
            let _ = plane.delete(origin, &name).await;
        });
    }
}
