//! [`ReplicaStarter`]: how one replica comes to life.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use futures::FutureExt;
use tokio::time::timeout;

use super::substitutes::Substitutes;
use crate::application::PlanNode;
use crate::call::pending::panic_message;
use crate::call::request::{Request, RequestDetails};
use crate::call::spawner::Spawner;
use crate::call::{CallError, Directory, ReplicaContext};
use crate::deployment::Wiring;
use crate::error::Error;
use crate::method::Hook;
use crate::replica::{InScope, Replica, Scope, SlotOwner};
use crate::router::Router;

/// What is known of a replica before it is made.
#[derive(Debug)]
pub(super) struct StartRequest {
    /// Its id, unique among all replicas.
    pub(super) id: Arc<str>,
    pub(super) rank: Arc<AtomicUsize>,
    pub(super) gpu_ids: Arc<[String]>,
}

/// Makes replicas: what all replicas of a node share.
pub(super) struct ReplicaStarter {
    pub(super) spawner: Arc<Spawner>,
    pub(super) substitutes: Arc<dyn Substitutes>,
    pub(super) directory: Arc<dyn Directory>,
    /// One process is one node; a cluster will name it.
    pub(super) node: Arc<str>,
}

impl ReplicaStarter {
    /// Makes a replica that is ready for calls: constructed, given its user config, and
    /// found healthy.
    ///
    /// # Errors
    /// What the user's code said, or its panic.
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
                    own_request(&self.spawner),
                    Arc::new(context.clone()),
                    Arc::clone(&self.spawner),
                );
                // The constructor itself may panic before it gives a future.
                let construct = async { Ok(node.kind.construct(&node.bound, wiring).await) };
                guarded("its constructor", InScope::new(scope, construct)).await?
            }
        };
        let target = self.substitutes.wrap(node, &context, target);
        let threads = node.options().compute_threads();
        let owner: Arc<dyn SlotOwner> = Arc::<Router>::clone(router);
        let replica = Arc::new(Replica::new(context, owner, target, &self.spawner, threads));
        if let Some(config) = &node.options().user_config {
            let told = run_hook(&replica, Hook::Reconfigure(config)).await;
            told.map_err(|error| error.context("its user config was refused"))?;
        }
        let patience = node.options().health_check_timeout();
        let healthy = check_health(&replica, patience).await;
        healthy.map_err(|error| error.context("its first health check failed"))?;
        Ok(replica)
    }
}

/// Asks a replica whether it is healthy. One without `#[check_health]` is, and so is one
/// that cannot be asked because a `&mut self` call has it: that may take as long as it does.
pub(super) async fn check_health(replica: &Arc<Replica>, patience: Duration) -> Result<(), Error> {
    let checked = timeout(patience, run_hook(replica, Hook::CheckHealth)).await;
    match checked {
        Ok(checked) => checked,
        // By now the check itself has let go of it.
        Err(_) if replica.target.is_busy() => Ok(()),
        Err(_) => Err(Error::msg(format!(
            "`#[check_health]` did not answer within {}",
            humantime::format_duration(patience)
        ))),
    }
}

/// Runs a hook of the user's, if there is one, as a request of its own.
///
/// # Errors
/// What it said, or its panic.
pub(super) async fn run_hook(replica: &Arc<Replica>, hook: Hook<'_>) -> Result<(), Error> {
    let name = match hook {
        Hook::CheckHealth => "`#[check_health]`",
        Hook::Reconfigure(_) => "`#[reconfigure]`",
        Hook::Shutdown => "`#[shutdown]`",
    };
    let Some(run) = replica.target.hook(hook) else { return Ok(()) };
    let scope = Scope::hosted(own_request(&replica.compute.spawner()), Arc::clone(replica));
    guarded(name, InScope::new(scope, async { Ok(run.await) })).await
}

/// A request that the runtime itself makes.
fn own_request(spawner: &Spawner) -> Request {
    Request::with_details(RequestDetails { id: Some(spawner.ids.next()), ..Default::default() })
}

/// The user's code `what`, a panic of which is an error like any other.
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
