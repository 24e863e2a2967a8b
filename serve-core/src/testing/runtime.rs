//! [`MockRuntime`]: the real runtime with the world replaced.

use std::any::TypeId;
use std::ops::Deref;
use std::sync::Arc;

use tokio::runtime::Handle as Tokio;

use super::mock::{Answers, IntoMock};
use super::record::{CallRecord, Records};
use super::target::TestTarget;
use crate::application::PlanNode;
use crate::call::ReplicaContext;
use crate::call::spawner::Spawner;
use crate::controller::World;
use crate::deployment::Deployment;
use crate::replica::{Kind, Target};
use crate::runtime::Runtime;

/// How calls reach their deployment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// As values, like in one process.
    #[default]
    Local,
    /// Encoded and decoded, arguments and results, as a cluster would. `#[deployment(local)]`
    /// ones stay as they are, because their calls never leave a process.
    Wire,
}

/// The real runtime with the world replaced: mocks, recorded calls, a seeded random
/// source. It derefs to [`Runtime`].
///
/// The test pauses the clock, not the runtime: `#[tokio::test(start_paused = true)]`.
/// `#[blocking]` methods run where a paused clock waits for them. Such a method must not
/// itself wait for time to pass: the clock stands still as long as it runs.
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
    records: Arc<Records>,
}

/// Builds a [`MockRuntime`].
#[derive(Default)]
#[must_use = "a builder does nothing until `start`"]
pub struct MockRuntimeBuilder {
    mocks: Vec<Answers>,
    seed: u64,
    mode: Mode,
}

impl MockRuntimeBuilder {
    /// Puts a mock in the place of its deployment. Its constructor is not called, and
    /// what only it would have called does not run.
    pub fn mock(mut self, mock: impl IntoMock) -> Self {
        self.mocks.push(mock.into_mock().answers());
        self
    }

    /// The seed of every random choice; default 0.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// How calls reach their deployment; default [`Mode::Local`].
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// Starts the runtime.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn start(self) -> MockRuntime {
        let tokio = Tokio::try_current()
            .expect("a mock runtime starts inside a tokio runtime: use `#[tokio::test]`");
        let mut spawner = Spawner::new(tokio, self.seed);
        spawner.compute_on_tokio = true;
        let records = Arc::<Records>::default();
        let world = TestWorld { mocks: self.mocks, records: Arc::clone(&records), mode: self.mode };
        let runtime = Runtime::assemble(spawner, self.seed, Arc::new(world));
        MockRuntime { runtime, records }
    }
}

impl std::fmt::Debug for MockRuntimeBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MockRuntimeBuilder")
            .field("mocks", &self.mocks.len())
            .field("seed", &self.seed)
            .field("mode", &self.mode)
            .finish()
    }
}

impl MockRuntime {
    /// A mock runtime with no option set.
    pub fn builder() -> MockRuntimeBuilder {
        MockRuntimeBuilder::default()
    }

    /// The calls that deployments of type `D` have been given, in order.
    #[must_use]
    pub fn calls<D: Deployment>(&self) -> Vec<CallRecord> {
        self.records.of(TypeId::of::<D>())
    }

    /// HTTP without a socket: requests go straight to the front door.
    #[cfg(feature = "http")]
    #[must_use]
    pub fn http(&self) -> crate::ingress::HttpClient {
        crate::ingress::HttpClient::new(Arc::clone(self.runtime.front_door()))
    }
}

impl Deref for MockRuntime {
    type Target = Runtime;

    fn deref(&self) -> &Runtime {
        &self.runtime
    }
}

/// The world under a mock runtime.
struct TestWorld {
    mocks: Vec<Answers>,
    records: Arc<Records>,
    mode: Mode,
}

impl World for TestWorld {
    fn may_mock(&self, kind: &dyn Kind) -> bool {
        // One that is mocked by name only may also run unmocked, and then needs its callees.
        self.mocks.iter().any(|mock| mock.type_id == kind.type_id() && mock.name.is_none())
    }

    fn mock(&self, node: &PlanNode) -> Option<Arc<dyn Target>> {
        let its_own = |mock: &&Answers| mock.type_id == node.kind.type_id();
        let named = |mock: &&Answers| mock.name.as_deref() == Some(&*node.name);
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
        Arc::new(TestTarget {
            target,
            deployment: node.kind.type_id(),
            replica: replica.clone(),
            records: Arc::clone(&self.records),
            wire: self.mode == Mode::Wire && node.kind.travels(),
        })
    }
}
