//! [`ReplicaStarter`]: creates replicas that are ready for calls.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use futures::FutureExt;
use tokio::time::timeout;

use super::substitutes::Substitutes;
use crate::application::PlanNode;
use crate::call::pending::panic_message;
use crate::call::request::{Request, RequestDetails};
use crate::call::runtime_context::RuntimeContext;
use crate::call::{CallError, Directory, ReplicaContext};
use crate::deployment::Wiring;
use crate::error::Error;
use crate::method::Hook;
use crate::replica::{InScope, Replica, Scope, SlotOwner};
use crate::router::Router;

/// The properties of a replica that are known before it is created.
#[derive(Debug)]
pub(super) struct StartRequest {
    /// The id of the replica, unique among all replicas.
    pub(super) id: Arc<str>,
    pub(super) rank: Arc<AtomicUsize>,
    pub(super) gpu_ids: Arc<[String]>,
}

/// Creates replicas from the parts that all replicas of a node share.
pub(super) struct ReplicaStarter {
    pub(super) runtime: Arc<RuntimeContext>,
    pub(super) substitutes: Arc<dyn Substitutes>,
    pub(super) directory: Arc<dyn Directory>,
    /// The name of the node. One process is one node.
    pub(super) node: Arc<str>,
}

impl ReplicaStarter {
    /// Creates a replica that is ready for calls: constructed, configured with its user config, and
    /// healthy.
    ///
    /// # Errors
    /// If the user's code returns an error or panics.
    pub(super) async fn start(
        &self,
        node: &PlanNode,
        wiring: &Wiring,
        router: &Arc<Router>,
        request: StartRequest,
    ) -> Result<Arc<Replica>, Error> {
        let context = ReplicaContext {
            id: request.id,
            rank: request.rank,
            deployment: Arc::clone(router.name()),
            application: Arc::clone(router.application()),
            node: Arc::clone(&self.node),
            gpu_ids: request.gpu_ids,
            directory: Arc::clone(&self.directory),
        };
        let target = match self.substitutes.mock(node) {
            Some(mock) => mock,
            None => {
                let scope = Scope::constructing(
                    own_request(&self.runtime),
                    Arc::new(context.clone()),
                    Arc::clone(&self.runtime),
                );
                // The constructor itself may panic before it returns a future.
                let construct =
                    async { Ok(node.deployment_type.construct(&node.bound, wiring).await) };
                guarded("its constructor", InScope::new(scope, construct)).await?
            }
        };
        let target = self.substitutes.wrap(node, &context, target);
        let threads = node.options().compute_threads();
        let owner: Arc<dyn SlotOwner> = Arc::<Router>::clone(router);
        let replica = Arc::new(Replica::new(context, owner, target, &self.runtime, threads));
        match prepare(&replica, node).await {
            Ok(()) => Ok(replica),
            Err(error) => {
                let dropped = catch_unwind(AssertUnwindSafe(|| drop(replica)));
                let Err(panic) = dropped else { return Err(error) };
                let panicked =
                    format!("the drop of its instance panicked: {}", panic_message(&*panic));
                Err(error.context(panicked))
            }
        }
    }
}

/// Passes a new replica its user config and checks its health.
async fn prepare(replica: &Arc<Replica>, node: &PlanNode) -> Result<(), Error> {
    if let Some(config) = &node.options().user_config {
        let told = run_hook(replica, Hook::Reconfigure(config)).await;
        told.map_err(|error| error.context("its user config was refused"))?;
    }
    let healthy = check_health(replica, node.options().health_check_timeout()).await;
    healthy.map_err(|error| error.context("its first health check failed"))
}

/// Checks if a replica is healthy. A replica without `#[check_health]` is healthy, and so is a
/// replica that cannot be checked because a `&mut self` call has exclusive access to it: such a
/// call may take any time.
pub(super) async fn check_health(replica: &Arc<Replica>, patience: Duration) -> Result<(), Error> {
    let checked = timeout(patience, run_hook(replica, Hook::CheckHealth)).await;
    match checked {
        Ok(checked) => checked,
        // The check itself has released the instance by now.
        Err(_) if replica.target.is_busy() => Ok(()),
        Err(_) => Err(Error::msg(format!(
            "`#[check_health]` did not answer within {}",
            humantime::format_duration(patience)
        ))),
    }
}

/// Runs a user hook, if the deployment has one, as a separate request.
///
/// # Errors
/// If the hook returns an error or panics.
pub(super) async fn run_hook(replica: &Arc<Replica>, hook: Hook<'_>) -> Result<(), Error> {
    let name = match hook {
        Hook::CheckHealth => "`#[check_health]`",
        Hook::Reconfigure(_) => "`#[reconfigure]`",
        Hook::Shutdown => "`#[shutdown]`",
    };
    let Some(run) = replica.target.hook(hook) else { return Ok(()) };
    let scope = Scope::hosted(own_request(&replica.compute.runtime()), Arc::clone(replica));
    guarded(name, InScope::new(scope, async { Ok(run.await) })).await
}

/// Creates a request that originates from the runtime itself.
fn own_request(runtime: &RuntimeContext) -> Request {
    Request::with_details(RequestDetails { id: Some(runtime.ids.next()), ..Default::default() })
}

/// Runs the user's code `what` and converts a panic into an error.
async fn guarded<T>(
    what: &str,
    run: impl Future<Output = Result<Result<T, Error>, CallError>>,
) -> Result<T, Error> {
    match AssertUnwindSafe(run).catch_unwind().await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(ended)) => Err(Error::from(ended)),
        Err(panic) => Err(Error::msg(format!("{what} panicked: {}", panic_message(&*panic)))),
    }
}
