//! [`Shown`]: what is to be seen of a deployment, as its reconciler last left it.

use super::autoscaler::Autoscaler;
use super::state::{DeadReplica, Member, Phase, State};
use crate::controller::decide::Standing;
use crate::controller::status::{AutoscalingDecision, ReplicaDetails};
use crate::error::Error;

/// What is to be seen of a deployment.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::controller) struct Shown {
    pub(in crate::controller) standing: Standing,
    pub(in crate::controller) target: usize,
    /// As they are known here, because this is made after everything that happens, and
    /// read seldom.
    members: Vec<Member>,
    pub(in crate::controller) dead: Vec<DeadReplica>,
    pub(in crate::controller) decisions: Vec<AutoscalingDecision>,
    /// The spec that this is about.
    pub(in crate::controller) serial: u64,
    /// How that spec fared, once it is known.
    pub(in crate::controller) outcome: Option<Outcome>,
}

/// How a spec fared.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::controller) enum Outcome {
    /// All that was asked for takes calls.
    Met,
    /// It cannot be met.
    Failed(Unmet),
}

/// Why a spec cannot be met.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::controller) enum Unmet {
    /// Replicas do not start.
    DoesNotStart(Error),
    /// Replicas that run do not take the user config.
    RefusesConfig(Error),
}

impl Shown {
    pub(super) fn of(state: &State, autoscaler: Option<&Autoscaler>) -> Self {
        let outcome = match state.failed() {
            Some(error) => Some(Outcome::Failed(error.clone())),
            None => state.is_settled().then_some(Outcome::Met),
        };
        Self {
            standing: state.standing().clone(),
            target: state.target(),
            members: state.members().cloned().collect(),
            dead: state.dead().cloned().collect(),
            decisions: autoscaler.map(Autoscaler::decisions).unwrap_or_default(),
            serial: state.spec().serial,
            outcome,
        }
    }

    /// The numbers of the replicas that are stopping.
    pub(in crate::controller) fn stopping(&self) -> Vec<u64> {
        let stopping = self.members.iter().filter(|member| member.phase == Phase::Stopping);
        stopping.map(|member| member.number).collect()
    }

    /// True if some replica takes calls.
    pub(in crate::controller) fn serves(&self) -> bool {
        self.members.iter().any(|member| member.phase.serves())
    }

    /// True if one of these has not stopped yet.
    pub(in crate::controller) fn has_any(&self, numbers: &[u64]) -> bool {
        self.members.iter().any(|member| numbers.contains(&member.number))
    }

    /// Its replicas, in the order in which they were begun.
    pub(in crate::controller) fn replicas(&self) -> Vec<ReplicaDetails> {
        let details = |member: &Member| ReplicaDetails {
            replica_id: member.id.to_string(),
            rank: member.rank,
            state: member.phase.shown(),
            message: match &member.phase {
                Phase::Waiting(reason) => reason.clone(),
                _ => String::new(),
            },
        };
        self.members.iter().map(details).collect()
    }
}
