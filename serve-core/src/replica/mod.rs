//! One running instance of a deployment: its slots, its life, and how a method runs on it.
//!
//! `router` decides which replica a call goes to and counts its slots; a [`Slot`] is the
//! proof that one was taken.

mod batch;
mod compute;
mod handlers;
mod instance;
mod items;
mod kind;
mod method;
mod multiplex;
mod paused;
mod run;
mod scope;
mod slot;
mod target;
mod unbegun;

pub use batch::{
    BatchError, BatchLimits, Batched, BatchedStreaming, BatchedUnary, Batching, Item as BatchItem,
    batched, batched_stream, batching, rows_of_result, rows_of_results, rows_of_values,
};
pub use handlers::{Exclusive, Handlers, Hook, InstanceCell, Shared};
pub(crate) use instance::Replica;
#[cfg(feature = "http")]
pub(crate) use instance::WakeAtEnd;
pub use items::{Giver, Items, blocking_items, received};
pub use kind::kind_of;
pub(crate) use kind::{Kind, kind_in};
pub use method::{
    AnyMethod, Erased, Many, Method, MethodError, MethodInfo, One, ParamInfo, Shape, Streaming,
    Unary,
};
pub use multiplex::Multiplexed;
pub(crate) use run::{Serving, Turn, Within, serve_one, serve_stream};
pub use run::{blocking, blocking_constructor};
pub(crate) use scope::Scope;
pub use scope::{context, replica_context};
pub(crate) use slot::Release;
pub use slot::Slot;
pub(crate) use target::Target;
pub use target::{AnyValue, Call, Reply};
