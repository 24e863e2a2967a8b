//! [`NodeResources`]: what the replicas of a runtime have reserved, and who waits for more.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::controller::{Capacity, Demand, Grant, Reservations, Resources, Shortage, shortage};
use crate::deployment::DeploymentOptions;
use crate::router::Router;

/// The resources of this process's node.
pub(crate) struct NodeResources {
    /// All that there is, free or not.
    total: Resources,
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    /// Counts what was given back.
    freed: watch::Sender<u64>,
}

struct State {
    capacity: Capacity,
    /// Replicas of each deployment, by application and name.
    replicas: HashMap<(Arc<str>, Arc<str>), usize>,
}

/// What one replica has reserved. **Dropping it gives it back.**
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

    /// Finds the first of these deployments that can never have room, whatever else stops.
    /// Returns its index.
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

    /// Reserves what a replica of a deployment needs.
    ///
    /// # Errors
    /// Why there is no room for it, in a sentence.
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
            return Err(format!("the node has {there} replicas of it, of at most {most}"));
        }
        let grant = state.capacity.reserve(&demand(options))?;
        *state.replicas.entry(deployment.clone()).or_default() += 1;
        Ok(Reservation { shared: Arc::clone(&self.shared), deployment, grant })
    }

    /// Changes whenever something is given back.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.shared.freed.subscribe()
    }
}

/// What a replica of a deployment with these options needs.
fn demand(options: &DeploymentOptions) -> Demand {
    Demand {
        num_cpus: options.num_cpus.unwrap_or_default(),
        num_gpus: options.num_gpus.unwrap_or_default(),
        memory: options.memory.unwrap_or_default(),
        others: options.resources.clone(),
    }
}

impl Reservation {
    /// The GPUs that are reserved.
    pub(super) fn gpu_ids(&self) -> Arc<[String]> {
        let ids = self.shared.state.lock().capacity.gpu_ids(&self.grant);
        // What is empty is the same for all.
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
