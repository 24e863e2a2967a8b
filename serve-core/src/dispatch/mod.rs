//! The life of a call, from its start to its end, for stubs, calls by name, `#[routes]`,
//! tasks and actors alike.
//!
//! [`start`] decides on whose behalf a call is made, until when, and where it waits.
//! [`Acquire`] brings the call to its slot, [`Serving`] runs it there, and `retry` runs it
//! again. `docs/architecture.md` follows a call through these files.

mod acquire;
mod by_name;
mod entrance;
mod handle;
mod retry;
mod served;
mod serving;
mod start;
mod task;
mod typed;

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
pub use typed::{call, future_sizes, stream};
