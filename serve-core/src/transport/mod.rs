//! Calls between processes: frames, the lanes that carry them, and the two ends of a lane.
//!
//! A [`Lane`] carries bytes in order until it is lost. At each of its ends stands a
//! [`Peer`], which makes frames of what is to be sent and does what arriving frames say:
//!
//! * As a caller's end it sends calls and brings their answers back. [`RemoteTarget`] is the
//!   [`Target`](crate::replica::Target) of a replica at the other end.
//! * As a host's end it serves calls: it sets the scope that a call's frame describes, runs
//!   the method, and frees the call's slot when the method has really ended.
//! * Both ends lend each other objects and streams that values refer to.
//!
//! [`MemoryTransport`] carries frames within one process: it is what
//! [`Mode::Wire`](crate::Mode::Wire) stands on.

mod attachments;
mod caller;
mod frame;
mod host;
mod lane;
mod memory;
mod peer;

pub(crate) use caller::RemoteTarget;
#[cfg(test)]
pub(crate) use frame::order_of;
pub(crate) use lane::{Accept, Transport};
#[cfg(test)]
pub(crate) use lane::{Lane, LaneLost, Receive};
pub(crate) use memory::MemoryTransport;
pub(crate) use peer::Peer;
