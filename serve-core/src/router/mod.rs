//! Which replica serves a call, and the queue for the case that none can right now.
//!
//! `Admission` decides, on plain data; `Router` puts it behind a lock, hands out slots and
//! wakes who waits; [`Handle`] is the typed end that users hold.

mod admission;
mod any_handle;
mod budget;
mod dispatch;
mod handle;
mod load;
mod policy;
mod queue;
#[expect(clippy::module_inception, reason = "the router is what this module is named after")]
mod router;
mod way;

pub(crate) use any_handle::read_call;
pub use any_handle::{AnyHandle, ByNameError};
pub use dispatch::{call, stream};
pub use handle::{DeploymentHandle, Handle};
#[cfg(test)]
pub(crate) use load::LoadWindow;
pub(crate) use router::Router;
pub(crate) use way::Wanted;
