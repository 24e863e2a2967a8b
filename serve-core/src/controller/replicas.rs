//! How one replica comes to life, and how it ends.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

use super::spec::Spec;
use super::world::World;
use crate::call::pending::panic_message;
use crate::call::request::{Request, RequestDetails};
use crate::call::spawner::Spawner;
use crate::call::{CallError, Directory, ReplicaContext};
use crate::clock;
use crate::error::Error;
use crate::method::Hook;
use crate::replica::{InScope, Replica, Scope, SlotOwner};
use crate::router::Router;

/// A replica that takes calls, and its place in the router.
///
/// Dropping it without stopping it ends its calls: what is left to do where the runtime
/// is gone, or where the replica is killed.
#[derive(Debug)]
pub(super) struct RunningReplica {
    key: usize,
    pub(super) replica: Arc<Replica>,
    router: Arc<Router>,
}

impl Drop for RunningReplica {
    fn drop(&mut self) {
        self.router.discard(self.key, &self.replica);
    }
}

impl RunningReplica {
    /// Lets a replica take calls. If `ordered`, calls begin in the order of their
    /// admission.
    pub(super) fn admit(
        router: &Arc<Router>,
        replica: Arc<Replica>,
        slots: usize,
        ordered: bool,
    ) -> Self {
        let key = router.add(Arc::clone(&replica), slots, ordered);
        Self { key, replica, router: Arc::clone(router) }
    }

    /// From now on, calls go to other replicas.
    pub(super) fn retire(&self) {
        self.router.retire(self.key, &self.replica);
    }

    /// Concurrent calls, from now on.
    pub(super) fn set_slots(&self, slots: usize) {
        self.router.set_slots(self.key, &self.replica, slots);
    }

    /// Stops it: no new calls, running ones end, `#[shutdown]`, drop; all within `grace`.
    pub(super) async fn stop(self, grace: Duration) {
        let give_up = clock::after_at_most(Instant::now(), grace);
        self.router.drain(self.key, &self.replica, grace).await;
        if self.replica.has_ended() {
            // It ran out of time, and what is left of its calls is gone.
            return;
        }
        let id = self.replica.context.replica_id();
        match timeout_at(give_up, run_hook(&self.replica, Hook::Shutdown)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!("`#[shutdown]` of replica {id} failed: {error:#}"),
            Err(_) => tracing::warn!("`#[shutdown]` of replica {id} ran out of its time"),
        }
        self.replica.end();
    }
}

/// What is known of a replica before it is made.
#[derive(Debug)]
pub(super) struct Birth {
    /// Its id, unique among all replicas.
    pub(super) id: Arc<str>,
    pub(super) rank: Arc<AtomicUsize>,
    pub(super) gpu_ids: Arc<[String]>,
}

/// Where replicas are made: what all of a runtime share.
pub(super) struct Nursery {
    pub(super) spawner: Arc<Spawner>,
    pub(super) world: Arc<dyn World>,
    pub(super) directory: Arc<dyn Directory>,
    pub(super) next_id: AtomicU64,
    /// Tells the replicas of this runtime from those of others, and of the same program before it
    /// was started again. None in tests, where ids are the same in each run.
    pub(super) incarnation: Option<String>,
    /// One process is one node; a cluster will name it.
    pub(super) node: Arc<str>,
    /// Counts the changes of what `status` shows.
    pub(super) changes: watch::Sender<u64>,
}

impl Nursery {
    /// An id that no other replica has, of this runtime or of another one.
    pub(super) fn id_for(&self, spec: &Spec, application: &str) -> Arc<str> {
        let (name, number) = (&spec.node.name, self.next_id.fetch_add(1, Ordering::Relaxed));
        match &self.incarnation {
            Some(incarnation) => format!("{application}#{name}#{incarnation}-{number}").into(),
            None => format!("{application}#{name}#{number}").into(),
        }
    }

    /// Makes a replica that is ready for calls: constructed, given its user config, and
    /// found healthy.
    ///
    /// # Errors
    /// What the user's code said, or its panic.
    pub(super) async fn raise(
        &self,
        spec: &Spec,
        router: &Arc<Router>,
        birth: Birth,
    ) -> Result<Arc<Replica>, Error> {
        let context = ReplicaContext {
            id: birth.id,
            rank: birth.rank,
            deployment: Arc::clone(router.name()),
            application: Arc::clone(router.application()),
            node: Arc::clone(&self.node),
            gpu_ids: birth.gpu_ids,
            directory: Arc::clone(&self.directory),
        };
        let target = match self.world.mock(&spec.node) {
            Some(mock) => mock,
            None => {
                let scope = Scope::constructing(
                    own_request(&self.spawner),
                    Arc::new(context.clone()),
                    Arc::clone(&self.spawner),
                );
                // The constructor itself may panic before it gives a future.
                let construct =
                    async { Ok(spec.node.kind.construct(&spec.node.bound, &spec.wiring).await) };
                guarded("its constructor", InScope::new(scope, construct)).await?
            }
        };
        let target = self.world.wrap(&spec.node, &context, target);
        let threads = spec.options().compute_threads();
        let owner: Arc<dyn SlotOwner> = Arc::<Router>::clone(router);
        let replica = Arc::new(Replica::new(context, owner, target, &self.spawner, threads));
        if let Some(config) = &spec.options().user_config {
            let told = run_hook(&replica, Hook::Reconfigure(config)).await;
            told.map_err(|error| error.context("its user config was refused"))?;
        }
        let patience = spec.options().health_check_timeout();
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
