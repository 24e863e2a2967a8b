//! What the controller decides, as pure functions of (asked, observed, now) on plain data.
//!
//! Nothing here starts, stops or waits for anything, reads a clock or draws a random
//! number: `now` is the time since an origin that the caller picked, and what is decided
//! comes back as a value. The loops that act on it are the controller's.

#![cfg_attr(not(test), expect(dead_code, reason = "the controller takes these up next"))]

mod autoscale;
mod ranks;
mod resources;
mod restart;
mod rollout;
mod status;
mod stop_order;

pub use status::DeploymentStatusTrigger;
