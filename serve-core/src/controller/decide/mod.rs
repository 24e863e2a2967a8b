//! The decisions of the controller, as pure functions of (asked, observed, now) on plain data.
//!
//! Nothing in this module starts, stops or waits for anything, reads a clock or draws a random
//! number: the caller passes `now`, and each decision is returned as a value. The loops that act on
//! the decisions belong to the controller.
//!
//! | module | decides |
//! |---|---|
//! | `deploys` | which deploy of an application goes on, and how the last one ended |
//! | `status_machine` | a deployment's status, and its application's |
//! | `autoscale` | how many replicas a load asks for |
//! | `rollout` | which replicas start and which stop |
//! | `replacements` | which replicas that serve are replaced now |
//! | `start_failures` | whether a failed start is tried again |
//! | `ranks` | the places of the replicas |
//! | `resources` | what fits on a node |
//! | `shortage` | what can never fit on a node |
//! | `batches` | whether batches can be full |

mod autoscale;
mod batches;
mod deploys;
mod ranks;
mod replacements;
mod resources;
mod rollout;
mod shortage;
mod start_failures;
mod status_machine;

pub(crate) use autoscale::{
    Asked, Decision, LoggedDecision, Observed, Scaling, decide as autoscale,
};
pub(crate) use batches::starved_batches;
pub(crate) use deploys::Deploys;
pub(crate) use ranks::{close_gaps, free_ranks};
pub(crate) use replacements::Replacements;
pub(crate) use resources::{Capacity, Demand, Grant, Resources};
pub(crate) use rollout::{ReplicaChanges, ReplicaView, RolloutInput, rollout};
pub(crate) use shortage::{Reservations, shortage};
pub(crate) use start_failures::{StartFailures, Verdict};
pub(crate) use status_machine::{StatusEvent, StatusInfo, application_status};
