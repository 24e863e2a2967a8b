//! The choice of a replica for each call, and the queue for calls that no replica can serve yet.
//!
//! `Admission` decides, on plain data. `Router` puts it behind a lock, hands out slots and wakes
//! the calls that wait.

mod admission;
mod first_polls;
mod load_window;
mod member;
mod membership;
mod method_calls;
mod policy;
mod queue;
mod queued;
mod retry_budget;
#[expect(clippy::module_inception, reason = "the router is what this module is named after")]
mod router;
#[cfg(feature = "http")]
mod sockets;

#[cfg(test)]
pub(crate) use load_window::LoadWindow;
pub(crate) use method_calls::BegunCalls;
pub(crate) use queued::{Placement, QueuedCall};
pub(crate) use router::{Called, Load, RouteRequest, Router, RouterState, Term, wanted};
#[cfg(feature = "http")]
pub(crate) use sockets::NoSeat;
