//! One running instance of a deployment: its slots, its life, and the scope that is current while a
//! method runs on it.
//!
//! `router` decides which replica a call goes to and counts its slots; a [`Slot`] is the proof that
//! a slot was taken. `batch` and `multiplex` use the rest of this folder, never the other way
//! round.

mod any_deployment;
mod batch;
mod blocking;
mod compute;
mod extensions;
mod first_poll;
mod in_scope;
mod local;
mod multiplex;
mod paused_clock;
#[expect(clippy::module_inception, reason = "the replica is what this module is named after")]
mod replica;
mod scope;
mod shutting_down;
mod slot;
mod sockets;
mod spawned;
mod target;

pub use any_deployment::any_deployment;
pub(crate) use any_deployment::{AnyDeployment, deployment_of};
pub use batch::{
    BatchError, Batched, BatchedStreaming, BatchedUnary, Batching, Item as BatchItem, batched,
    batched_stream, rows_of_result, rows_of_results, rows_of_values,
};
pub use blocking::{BlockingSink, blocking, blocking_constructor, blocking_items};
pub(crate) use first_poll::FirstPoll;
pub(crate) use in_scope::InScope;
pub use multiplex::Multiplexed;
pub(crate) use replica::Replica;
#[cfg(feature = "http")]
pub(crate) use replica::WakeAtEnd;
pub(crate) use scope::{Entered, Scope, Seat};
pub use scope::{batch_contexts, context, replica_context};
pub use shutting_down::shutting_down;
pub use slot::Slot;
pub(crate) use slot::SlotOwner;
pub(crate) use sockets::SocketSeat;
pub use spawned::{in_context, spawn};
pub(crate) use target::{Call, Target};
