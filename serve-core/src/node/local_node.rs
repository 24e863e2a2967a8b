//! [`LocalNode`]: the data that all deployments on this node share.

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::directory::NodeDirectory;
use super::replica_starter::ReplicaStarter;
use super::resources::NodeResources;
use crate::application::{BlueprintId, Blueprints, Plan};
use crate::call::runtime_context::RuntimeContext;
use crate::controller::ControlStore;
use crate::deployment::Wiring;

/// The data that all hosted deployments of a node share.
pub(super) struct LocalNode {
    pub(super) starter: ReplicaStarter,
    pub(super) resources: Arc<NodeResources>,
    pub(super) directory: Arc<NodeDirectory>,
    pub(super) blueprints: Arc<Blueprints>,
    /// The store that the node reports to.
    pub(super) reports: Arc<dyn ControlStore>,
    /// The wirings of the plans that are in use.
    wirings: Mutex<HashMap<BlueprintId, Weak<Wiring>>>,
    /// The number of panics in the node's own tasks.
    pub(super) faults: AtomicU64,
}

impl LocalNode {
    pub(super) fn new(
        starter: ReplicaStarter,
        resources: Arc<NodeResources>,
        directory: Arc<NodeDirectory>,
        blueprints: Arc<Blueprints>,
        reports: Arc<dyn ControlStore>,
    ) -> Self {
        let (wirings, faults) = (Mutex::default(), AtomicU64::new(0));
        Self { starter, resources, directory, blueprints, reports, wirings, faults }
    }

    pub(super) fn runtime(&self) -> &Arc<RuntimeContext> {
        &self.starter.runtime
    }

    /// Returns the wiring of a plan, which the plan's deployments share.
    pub(super) fn wiring(&self, blueprint: BlueprintId, plan: &Plan) -> Arc<Wiring> {
        let mut wirings = self.wirings.lock();
        if let Some(wiring) = wirings.get(&blueprint).and_then(Weak::upgrade) {
            return wiring;
        }
        wirings.retain(|_, wiring| wiring.strong_count() > 0);
        let wiring = Arc::new(self.directory.wiring(plan));
        wirings.insert(blueprint, Arc::downgrade(&wiring));
        wiring
    }
}
