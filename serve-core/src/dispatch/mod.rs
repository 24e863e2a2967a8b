//! The life of a call from its start to its end, for stubs, calls by name, `#[routes]`,
//! tasks and actors alike.
//!
//! [`Head`](start::Head) is the request and the deadline of a call.
//! [`start`](start::start()) decides where the call waits and makes a task of it. In the task,
//! [`Acquire`](acquire::Acquire) gets the call its slot, [`Serving`](serving::Serving) runs
//! the method there, and `retry` runs it again. `docs/architecture.md` follows a call through
//! these files.

mod acquire;
mod by_name;
mod entrance;
mod handle;
mod retry;
mod served;
mod serving;
mod start;
mod task;
mod timed;
mod typed_call;

pub(crate) use by_name::read_call;
pub use by_name::{AnyHandle, ByNameError};
pub use handle::{DeploymentHandle, Handle};
#[cfg(feature = "http")]
pub(crate) use served::Plain;
#[cfg(feature = "http")]
pub(crate) use serving::Serving;
#[cfg(feature = "http")]
pub(crate) use start::{Head, start};
pub use task::{Task, start_task};
pub use typed_call::{call, future_sizes, stream};
