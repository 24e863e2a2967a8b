//! [`MockRuntime`]: the real runtime with mocks, recorded calls and a seeded random source.

use std::any::TypeId;
use std::ffi::OsStr;
use std::ops::Deref;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle as Tokio;

use super::deployed::Deployed;
use super::faults::Faults;
use super::mock::{Answers, IntoMock};
use super::record::{CallRecord, Records};
use super::test_target::TestTarget;
use crate::application::HttpOptions;
use crate::application::PlanNode;
use crate::call::runtime_context::{InPlace, RuntimeContext};
use crate::call::{CallError, ReplicaContext};
use crate::controller::Resources;
use crate::deployment::Deployment;
use crate::deployment::OptionFault;
use crate::method::Handlers;
use crate::node::Substitutes;
use crate::replica::{AnyDeployment, Target};
use crate::runtime::{Parts, Runtime};
use crate::transport::{Accept, MemoryTransport, Peer, RemoteTarget, Transport};

/// The environment variable that sets the mode of a mock runtime.
const MODE_VARIABLE: &str = "SERVE_TEST_MODE";
/// The environment variable that sets whether the calls of a mock runtime are polled in place.
const IN_PLACE_VARIABLE: &str = "SERVE_TEST_IN_PLACE";

/// The way in which calls reach their deployment.
///
/// The environment variable `SERVE_TEST_MODE` sets the mode of every [`MockRuntime`] whose test
/// sets none: `local` or `wire`. A suite that runs twice, the second time with
/// `SERVE_TEST_MODE=wire`, is tested in both modes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Calls are passed as values, like in one process.
    #[default]
    Local,
    /// Calls are passed as bytes, through the frames that nodes of a cluster send each other:
    /// arguments and results are encoded, context and deadline travel in the call, object
    /// references are fetched and streams pulled. Calls of deployments marked
    /// `#[deployment(local)]` are passed as values, because they never leave a process.
    Wire,
}

impl Mode {
    /// Returns the mode that the value of `SERVE_TEST_MODE` names, or the default if the variable
    /// is not set.
    ///
    /// # Errors
    /// Returns a message that lists the valid values, if the value is none of them.
    fn parse(value: Option<&OsStr>) -> Result<Self, String> {
        let Some(value) = value else { return Ok(Self::default()) };
        match value.to_str() {
            Some("local") => Ok(Self::Local),
            Some("wire") => Ok(Self::Wire),
            _ => Err(format!("`{MODE_VARIABLE}` is {value:?}, but must be `local` or `wire`")),
        }
    }
}

/// Parses the value of `SERVE_TEST_IN_PLACE`, which says whether calls are polled in place. Returns
/// false if the variable is not set.
///
/// # Errors
/// Returns a message that lists the valid values, if the value is none of them.
fn parse_in_place(value: Option<&OsStr>) -> Result<bool, String> {
    let Some(value) = value else { return Ok(false) };
    match value.to_str() {
        Some("true") => Ok(true),
        Some("false") => Ok(false),
        _ => Err(format!("`{IN_PLACE_VARIABLE}` is {value:?}, but must be `true` or `false`")),
    }
}

/// The real runtime with mocks, recorded calls and a seeded random source. It derefs to
/// [`Runtime`].
///
/// The test pauses the clock, not the runtime: `#[tokio::test(start_paused = true)]`. `#[blocking]`
/// methods run where a paused clock waits for them. Such a method must not itself wait for time to
/// pass: the clock stands still as long as the method runs.
///
/// Dropping a mock runtime panics if something was deployed, but no deployment matched a mock with
/// a name, or a fault that was set before the first deploy: the test would prove nothing. The drop
/// does not panic if the thread is already panicking.
///
/// ```
/// use serve_core::prelude::*;
///
/// #[deployment]
/// struct Greeter;
///
/// #[handle]
/// impl Greeter {
///     pub fn new() -> Self { Self }
///     pub async fn greet(&self, name: String) -> String { format!("Hi {name}") }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> serve_core::Result<()> {
/// let mock = GreeterMock::new().greet(|name: String| async move { format!("¡{name}!") });
/// let runtime = MockRuntime::builder().mock(mock).seed(7).start();
/// let greeter = runtime.run(Greeter::bind()).await?;
/// assert_eq!(greeter.greet("Dora").await?, "¡Dora!");
/// assert_eq!(runtime.calls::<Greeter>(), ["greet"]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct MockRuntime {
    runtime: Runtime,
    world: Arc<TestSubstitutes>,
}

/// Builds a [`MockRuntime`].
#[must_use = "a builder does nothing until `start`"]
pub struct MockRuntimeBuilder {
    mocks: Vec<Answers>,
    seed: u64,
    mode: Mode,
    in_place: bool,
    resources: Resources,
    http_options: HttpOptions,
}

impl Default for MockRuntimeBuilder {
    /// Returns the same builder as [`MockRuntime::builder`].
    #[track_caller]
    fn default() -> Self {
        let mode = match Mode::parse(std::env::var_os(MODE_VARIABLE).as_deref()) {
            Ok(mode) => mode,
            Err(invalid) => panic!("{invalid}"),
        };
        let in_place = match parse_in_place(std::env::var_os(IN_PLACE_VARIABLE).as_deref()) {
            Ok(in_place) => in_place,
            Err(invalid) => panic!("{invalid}"),
        };
        Self {
            mocks: Vec::new(),
            seed: 0,
            mode,
            in_place,
            resources: Resources::plenty(),
            http_options: HttpOptions::new(),
        }
    }
}

impl MockRuntimeBuilder {
    /// Puts a mock in the place of its deployment. The deployment's constructor is not called, and
    /// deployments that only this constructor would have called do not run.
    pub fn mock(mut self, mock: impl IntoMock) -> Self {
        self.mocks.push(mock.into_mock().answers());
        self
    }

    /// Sets the seed of every random choice; default 0.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Sets the way in which calls reach their deployment. Default: the value of the environment
    /// variable `SERVE_TEST_MODE`, `local` or `wire`, or [`Mode::Local`] if the variable is not
    /// set.
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// Sets whether calls that served code makes are polled in place, on the task of their caller,
    /// before they get a task of their own. Default: the value of the environment variable
    /// `SERVE_TEST_IN_PLACE`, `true` or `false`, or `false` if the variable is not set.
    ///
    /// A [`Runtime`] measures the first polls of a method's calls to decide this. A mock runtime
    /// measures nothing, because the clock of a test may stand still. A program has to behave the
    /// same either way, so run its tests with both settings.
    pub fn in_place(mut self, in_place: bool) -> Self {
        self.in_place = in_place;
        self
    }

    /// Sets the number of CPUs; default 1,000, whatever machine the test runs on.
    pub fn num_cpus(mut self, num_cpus: f64) -> Self {
        self.resources.num_cpus = num_cpus;
        self
    }

    /// Sets the number of GPUs, which have the ids `0`, `1`, ...; default 1,000.
    pub fn num_gpus(mut self, num_gpus: usize) -> Self {
        self.resources.gpu_ids = Resources::numbered(num_gpus);
        self
    }

    /// Sets the memory in bytes; default 1 PiB.
    pub fn memory(mut self, bytes: u64) -> Self {
        self.resources.memory = bytes;
        self
    }

    /// Sets the amount of some other resource. Default: as much of each as is asked for.
    pub fn resource(mut self, name: impl Into<String>, amount: f64) -> Self {
        self.resources.others.insert(name.into(), amount);
        self
    }

    /// Sets the defaults of the options that applications have for their HTTP requests. Options of
    /// the port that concern a socket have no effect, because there is none.
    #[cfg(feature = "http")]
    pub fn http_options(mut self, options: HttpOptions) -> Self {
        self.http_options = options;
        self
    }

    /// Starts the runtime.
    ///
    /// # Panics
    /// Panics if called outside of a tokio runtime, or if an option of HTTP is invalid.
    #[must_use]
    pub fn start(self) -> MockRuntime {
        let wire = (self.mode == Mode::Wire).then(|| {
            Wire::over(&current_tokio(), |node| {
                let transport = MemoryTransport::default();
                transport.add_node(NODE, node);
                Arc::new(transport)
            })
        });
        self.start_with(wire)
    }

    /// Starts the runtime in [`Mode::Wire`] over a transport other than the default.
    #[cfg(any(test, fuzzing))]
    pub(super) fn start_over(
        self,
        transport: impl FnOnce(Arc<dyn Accept>) -> Arc<dyn Transport>,
    ) -> MockRuntime {
        let wire = Wire::over(&current_tokio(), transport);
        self.start_with(Some(wire))
    }

    fn start_with(self, wire: Option<Wire>) -> MockRuntime {
        let tokio = current_tokio();
        let mut runtime = RuntimeContext::new(tokio, self.seed);
        runtime.clock_waits = true;
        runtime.in_place = if self.in_place { InPlace::Always } else { InPlace::Never };
        let world = Arc::new(TestSubstitutes {
            mocks: self.mocks,
            deployed: Deployed::default(),
            records: Arc::default(),
            faults: Arc::default(),
            wire,
        });
        let substitutes = Arc::clone(&world) as Arc<dyn Substitutes>;
        let parts = Parts::in_memory(runtime, self.seed, substitutes, self.resources);
        if let Err(faults) = self.http_options.check() {
            panic!("the HTTP options are invalid: {}", OptionFault::in_all(&faults));
        }
        let runtime = Runtime::assemble(Parts { http_options: self.http_options, ..parts });
        MockRuntime { runtime, world }
    }
}

fn current_tokio() -> Tokio {
    Tokio::try_current()
        .expect("a mock runtime starts inside a tokio runtime: use `#[tokio::test]`")
}

impl std::fmt::Debug for MockRuntimeBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MockRuntimeBuilder")
            .field("mocks", &self.mocks.len())
            .field("seed", &self.seed)
            .field("mode", &self.mode)
            .field("in_place", &self.in_place)
            .finish()
    }
}

impl MockRuntime {
    /// Creates a builder with no option set.
    ///
    /// The environment variable `SERVE_TEST_MODE` sets the [`Mode`], `local` or `wire`, unless
    /// [`mode`](MockRuntimeBuilder::mode) sets another. If the variable is not set, the mode is
    /// [`Mode::Local`].
    ///
    /// # Panics
    /// Panics if `SERVE_TEST_MODE` or `SERVE_TEST_IN_PLACE` has an invalid value.
    #[track_caller]
    pub fn builder() -> MockRuntimeBuilder {
        MockRuntimeBuilder::default()
    }

    /// Returns the calls that deployments of type `D` have received, in order.
    #[must_use]
    pub fn calls<D: Deployment>(&self) -> Vec<CallRecord> {
        self.world.records.of(TypeId::of::<D>())
    }

    /// Ends the replica of this rank at once, in every deployment of type `D`, as if its process
    /// had died.
    ///
    /// The replica's running calls fail with `Unavailable { started: true }`, calls that it had not
    /// begun go to other replicas, and a new replica takes its place. Returns false if there is no
    /// such replica.
    pub fn kill_replica<D: Deployment>(&self, rank: usize) -> bool {
        self.runtime.kill_replica::<D>(rank)
    }

    /// Delays each further call of a method of `D`: the call is held on its replica for this time,
    /// and then served.
    ///
    /// A delay of zero ends this. Calls that are already held are not affected.
    ///
    /// # Panics
    /// Panics if `D` has no such method, or if something was deployed, but no deployment of type
    /// `D`.
    #[track_caller]
    pub fn delay<D: Handlers>(&self, method: &str, delay: Duration) {
        self.check_fault::<D>(method);
        self.world.faults.delay(TypeId::of::<D>(), method, delay);
    }

    /// Makes the next call of a method of `D` fail with `error` instead of being served.
    ///
    /// If this is called several times, the next calls fail one after the other. A method marked
    /// `#[retry]` runs again after an `Unavailable { started: true, .. }` or a `Transport`, like
    /// after the death of a replica.
    ///
    /// # Panics
    /// Panics if `D` has no such method, or if something was deployed, but no deployment of type
    /// `D`. Before the first deploy, a fault may be set ahead, for the calls of constructors.
    #[track_caller]
    pub fn fail_next<D: Handlers>(&self, method: &str, error: CallError) {
        self.check_fault::<D>(method);
        self.world.faults.fail_next(TypeId::of::<D>(), method, error);
    }

    /// Panics if a fault can never occur, because its test would prove nothing.
    #[track_caller]
    fn check_fault<D: Handlers>(&self, method: &str) {
        check_method::<D>(method);
        let checked =
            self.world.deployed.check_fault(TypeId::of::<D>(), D::NAME, Location::caller());
        if let Err(refused) = checked {
            panic!("{refused}");
        }
    }

    /// True if neither end of the lane keeps anything for a call, an object or a stream.
    #[cfg(test)]
    pub(super) fn lane_is_idle(&self) -> bool {
        self.world.wire.as_ref().is_none_or(|wire| wire.caller.is_idle() && wire.host.is_idle())
    }

    /// Checks that the other end of the lane answers.
    #[cfg(test)]
    pub(super) async fn ping(&self) -> Result<(), crate::transport::LaneLost> {
        let wire = self.world.wire.as_ref().expect("only a test of the wire asks");
        wire.caller.ping().await
    }

    /// Returns an HTTP client without a socket: its requests go straight to the HTTP service.
    #[cfg(feature = "http")]
    #[must_use]
    pub fn http(&self) -> crate::ingress::HttpClient {
        crate::ingress::HttpClient::new(Arc::clone(self.runtime.http_service()))
    }
}

/// Panics if `D` has no such method: a fault of the method would never occur, and its test would
/// prove nothing.
#[track_caller]
fn check_method<D: Handlers>(method: &str) {
    let known: Vec<_> = D::methods().iter().map(|known| known.info().name).collect();
    assert!(
        known.contains(&method),
        "`{}` has no method `{method}`; its methods are `{}`",
        D::NAME,
        known.join("`, `"),
    );
}

impl Drop for MockRuntime {
    fn drop(&mut self) {
        // The message of the first panic is the more important one, and a second panic would abort.
        if std::thread::panicking() {
            return;
        }
        if let Some(unmet) = self.world.deployed.never_met(&self.world.mocks) {
            panic!("{unmet}");
        }
    }
}

impl Deref for MockRuntime {
    type Target = Runtime;

    fn deref(&self) -> &Runtime {
        &self.runtime
    }
}

/// The substitutes of a mock runtime, and its record of calls.
#[derive(Debug)]
struct TestSubstitutes {
    mocks: Vec<Answers>,
    deployed: Deployed,
    records: Arc<Records>,
    faults: Arc<Faults>,
    /// The lane that calls cross in [`Mode::Wire`].
    wire: Option<Wire>,
}

/// The two ends of a lane within this process: callers at one end, replicas at the other.
#[derive(Debug)]
struct Wire {
    caller: Arc<Peer>,
    host: Arc<Peer>,
}

/// The name of the node that the replicas are on.
const NODE: &str = "replicas";

impl Wire {
    /// Opens a lane over the transport that leads to the given node.
    fn over(tokio: &Tokio, to: impl FnOnce(Arc<dyn Accept>) -> Arc<dyn Transport>) -> Self {
        let host = Peer::host(tokio.clone());
        let transport = to(Arc::new(Arc::clone(&host)));
        let caller = Peer::connect(&*transport, NODE, tokio.clone());
        Self { caller: caller.expect("the transport leads to this node"), host }
    }
}

impl Substitutes for TestSubstitutes {
    fn may_mock(&self, deployment_type: &dyn AnyDeployment) -> bool {
        // A deployment that is mocked only by name may also run unmocked, and then needs its
        // callees.
        self.mocks
            .iter()
            .any(|mock| mock.type_id == deployment_type.type_id() && mock.name.is_none())
    }

    fn deploying(&self, nodes: &[PlanNode]) {
        self.deployed.enter(nodes);
    }

    fn mock(&self, node: &PlanNode) -> Option<Arc<dyn Target>> {
        let its_own = |mock: &&Answers| mock.type_id == node.deployment_type.type_id();
        let named = |mock: &&Answers| mock.name() == Some(&*node.name);
        let mocks = || self.mocks.iter().filter(its_own);
        let mock = mocks().find(named).or_else(|| mocks().find(|mock| mock.name.is_none()))?;
        Some(Arc::new(mock.clone()))
    }

    fn wrap(
        &self,
        node: &PlanNode,
        replica: &ReplicaContext,
        target: Arc<dyn Target>,
    ) -> Arc<dyn Target> {
        let target: Arc<dyn Target> = Arc::new(TestTarget {
            target,
            deployment: node.deployment_type.type_id(),
            replica: replica.clone(),
            records: Arc::clone(&self.records),
            faults: Arc::clone(&self.faults),
        });
        match &self.wire {
            Some(Wire { caller, host }) if node.deployment_type.travels() => {
                let methods = node.deployment_type.methods();
                Arc::new(RemoteTarget::new(caller, host, &replica.id, methods, target))
            }
            _ => target,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(value: &str) -> Result<Mode, String> {
        Mode::parse(Some(OsStr::new(value)))
    }

    #[test]
    fn the_environment_names_a_mode_or_leaves_the_default() {
        assert_eq!(Mode::parse(None), Ok(Mode::Local));
        assert_eq!(parse("local"), Ok(Mode::Local));
        assert_eq!(parse("wire"), Ok(Mode::Wire));
    }

    #[test]
    fn any_other_value_is_refused_and_the_valid_ones_are_listed() {
        for value in ["", "Wire", " wire", "wire,local", "cluster"] {
            let refused = format!("`SERVE_TEST_MODE` is {value:?}, but must be `local` or `wire`");
            assert_eq!(parse(value), Err(refused));
        }
    }

    #[test]
    fn a_mode_in_the_test_wins() {
        for mode in [Mode::Local, Mode::Wire] {
            assert_eq!(MockRuntime::builder().mode(mode).mode, mode);
        }
    }
}
