//! [`NodeResources`]: the resources that the replicas of a runtime have reserved, and notifications
//! when resources are released.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::controller::{Capacity, Demand, Grant, Reservations, Resources, Shortage, shortage};
use crate::deployment::DeploymentOptions;
use crate::router::Router;

/// The resources of this process as a node.
pub(crate) struct NodeResources {
    /// The total resources, whether free or reserved.
    total: Resources,
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    /// Counts the releases.
    freed: watch::Sender<u64>,
}

struct State {
    capacity: Capacity,
    /// The number of replicas of each deployment, by application and name.
    replicas: HashMap<(Arc<str>, Arc<str>), usize>,
}

/// The resources that one replica has reserved. **Dropping the value releases them.**
pub(super) struct Reservation {
    shared: Arc<Shared>,
    deployment: (Arc<str>, Arc<str>),
    grant: Grant,
}

impl NodeResources {
    pub(crate) fn new(resources: Resources) -> Self {
        let capacity = Capacity::new(resources.clone());
        let state = State { capacity, replicas: HashMap::new() };
        let shared = Shared { state: Mutex::new(state), freed: watch::Sender::new(0) };
        Self { total: resources, shared: Arc::new(shared) }
    }

    /// Finds the first of these deployments that can never have enough room, even if everything
    /// else stops. Returns its index.
    pub(crate) fn shortage<'a>(
        &self,
        deployments: impl Iterator<Item = &'a DeploymentOptions>,
    ) -> Option<(usize, Shortage)> {
        let reservations = |options: &DeploymentOptions| Reservations {
            demand: demand(options),
            replicas: options.num_replicas(),
            max_replicas_per_node: options.max_replicas_per_node,
        };
        shortage(&self.total, &deployments.map(reservations).collect::<Vec<_>>())
    }

    /// Reserves the resources that a replica of a deployment requires.
    ///
    /// # Errors
    /// If there is no room for the replica. The error is a sentence that says why.
    pub(super) fn reserve(
        &self,
        options: &DeploymentOptions,
        router: &Router,
    ) -> Result<Reservation, String> {
        let deployment = (Arc::clone(router.application()), Arc::clone(router.name()));
        let mut state = self.shared.state.lock();
        let there = state.replicas.get(&deployment).copied().unwrap_or_default();
        if let Some(most) = options.max_replicas_per_node
            && there >= most
        {
            return Err(format!("the node already has {there} of at most {most} replicas"));
        }
        let grant = state.capacity.reserve(&demand(options))?;
        *state.replicas.entry(deployment.clone()).or_default() += 1;
        Ok(Reservation { shared: Arc::clone(&self.shared), deployment, grant })
    }

    /// Returns a receiver that is notified of every release.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.shared.freed.subscribe()
    }
}

/// Returns the resources that a replica with these options requires.
fn demand(options: &DeploymentOptions) -> Demand {
    Demand {
        num_cpus: options.num_cpus.unwrap_or_default(),
        num_gpus: options.num_gpus.unwrap_or_default(),
        memory: options.memory.unwrap_or_default(),
        others: options.resources.clone(),
    }
}

impl Reservation {
    /// Returns the ids of the reserved GPUs.
    pub(super) fn gpu_ids(&self) -> Arc<[String]> {
        let ids = self.shared.state.lock().capacity.gpu_ids(&self.grant);
        // All empty lists share one allocation.
        if ids.is_empty() { Arc::default() } else { ids.into() }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        state.capacity.release(&self.grant);
        if let Some(there) = state.replicas.get_mut(&self.deployment) {
            *there -= 1;
            if *there == 0 {
                state.replicas.remove(&self.deployment);
            }
        }
        drop(state);
        self.shared.freed.send_modify(|freed| *freed += 1);
    }
}

impl fmt::Debug for NodeResources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeResources")
            .field("capacity", &self.shared.state.lock().capacity)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Reservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reservation").field("grant", &self.grant).finish_non_exhaustive()
    }
}
