//! [`Deployed`]: the deployments that a mock runtime has had, which reveal the mocks and faults of
//! deployments that never existed.

use std::any::TypeId;
use std::panic::Location;

use parking_lot::Mutex;

use super::mock::{Answers, Name};
use crate::application::PlanNode;

/// The deployments that were asked for so far, and the faults that were set before the first
/// deploy.
#[derive(Debug, Default)]
pub(super) struct Deployed(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The type and the name of each deployment.
    deployments: Vec<(TypeId, String)>,
    /// The faults that were set before anything was deployed.
    early: Vec<Early>,
}

/// A fault of a deployment that did not exist yet.
#[derive(Debug)]
struct Early {
    deployment: TypeId,
    name: &'static str,
    at: &'static Location<'static>,
}

impl Deployed {
    /// Adds deployments that are about to be deployed.
    pub(super) fn enter(&self, nodes: &[PlanNode]) {
        let mut state = self.0.lock();
        for node in nodes {
            let one = (node.deployment_type.type_id(), node.name.clone());
            if !state.deployments.contains(&one) {
                state.deployments.push(one);
            }
        }
    }

    /// Checks that a fault of this deployment can occur: the deployment was deployed, or nothing
    /// was deployed yet. In the latter case the fault is kept for `never_met`.
    pub(super) fn check_fault(
        &self,
        deployment: TypeId,
        name: &'static str,
        at: &'static Location<'static>,
    ) -> Result<(), String> {
        let mut state = self.0.lock();
        if state.deployments.is_empty() {
            state.early.push(Early { deployment, name, at });
            return Ok(());
        }
        if state.has(deployment) {
            return Ok(());
        }
        Err(format!(
            "there is no deployment `{name}`, so the fault would never fire; the deployments are {}",
            state.names()
        ))
    }

    /// Returns a message about a mock with a name, or an early fault, whose deployment never
    /// existed.
    pub(super) fn never_met(&self, mocks: &[Answers]) -> Option<String> {
        let state = self.0.lock();
        if state.deployments.is_empty() {
            return None;
        }
        for mock in mocks {
            let Some(Name { name, at }) = &mock.name else { continue };
            let its_own =
                |(type_id, known): &(TypeId, String)| *type_id == mock.type_id && known == name;
            if !state.deployments.iter().any(its_own) {
                return Some(format!(
                    "the mock of `{}` named `{name}` (at {at}) was never used; the deployments \
                     were {}",
                    mock.type_name,
                    state.names()
                ));
            }
        }
        let early = state.early.iter().find(|early| !state.has(early.deployment))?;
        Some(format!(
            "the fault of `{}` (at {}) never fired, because there was no such deployment; \
             the deployments were {}",
            early.name,
            early.at,
            state.names()
        ))
    }
}

impl State {
    fn has(&self, deployment: TypeId) -> bool {
        self.deployments.iter().any(|(type_id, _)| *type_id == deployment)
    }

    /// Returns the names of all deployments: `` `A`, `B` ``.
    fn names(&self) -> String {
        let names = self.deployments.iter().map(|(_, name)| format!("`{name}`"));
        names.collect::<Vec<_>>().join(", ")
    }
}
