//! [`Blueprints`]: the code that stored plans refer to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;
use serde::{Deserialize, Serialize};

use super::plan::{Plan, PlanNode};

/// The number of a plan, unique within its process.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub(crate) struct BlueprintId(u64);

/// The plans of which this process can create replicas.
///
/// A plan contains constructors and user values, which cannot be stored. Stored data refers to its
/// plan by a [`BlueprintId`], and code that needs the plan finds it here.
#[derive(Debug, Default)]
pub(crate) struct Blueprints {
    next: AtomicU64,
    plans: RwLock<BTreeMap<BlueprintId, Arc<Plan>>>,
}

impl Blueprints {
    /// Adds a plan. The plan is kept at least as long as the returned reference.
    pub(crate) fn add(&self, plan: Plan) -> (BlueprintId, Arc<Plan>) {
        let id = BlueprintId(self.next.fetch_add(1, Ordering::Relaxed));
        let plan = Arc::new(plan);
        self.plans.write().insert(id, Arc::clone(&plan));
        (id, plan)
    }

    /// Removes a plan that nothing refers to.
    pub(crate) fn forget(&self, id: BlueprintId) {
        let forgotten = self.plans.write().remove(&id);
        // Dropped after the lock is released, because the plan contains user values.
        drop(forgotten);
    }

    pub(crate) fn get(&self, id: BlueprintId) -> Option<Arc<Plan>> {
        self.plans.read().get(&id).cloned()
    }

    /// Calls `look` with a deployment of a plan.
    pub(crate) fn with_node<T>(
        &self,
        id: BlueprintId,
        deployment: &str,
        look: impl FnOnce(&PlanNode) -> T,
    ) -> Option<T> {
        let plan = self.get(id)?;
        plan.node(deployment).map(look)
    }

    /// Calls `compare` with the deployments of this name in two plans. Returns `None` if one of the
    /// plans has no such deployment.
    pub(crate) fn compare<T>(
        &self,
        one: BlueprintId,
        other: BlueprintId,
        deployment: &str,
        compare: impl FnOnce(&PlanNode, &PlanNode) -> T,
    ) -> Option<T> {
        let (one, other) = (self.get(one)?, self.get(other)?);
        Some(compare(one.node(deployment)?, other.node(deployment)?))
    }

    /// Removes the plans that are not in `used` and that nothing else refers to, and returns them:
    /// the plans contain user values, which should be dropped without holding a lock.
    pub(crate) fn retain(&self, used: &BTreeSet<BlueprintId>) -> Vec<Arc<Plan>> {
        let mut plans = self.plans.write();
        let unused: Vec<BlueprintId> = plans
            .iter()
            .filter(|(id, plan)| !used.contains(id) && Arc::strong_count(plan) == 1)
            .map(|(id, _)| *id)
            .collect();
        unused.iter().filter_map(|id| plans.remove(id)).collect()
    }
}
