//! Calls between processes: frames, the lanes that carry frames, and the two ends of a lane.
//!
//! A [`Lane`](lane::Lane) carries frames as bytes until it is lost. A [`Peer`] is one end of
//! a lane: it sends frames and acts on the frames that arrive.
//!
//! * The caller's end sends calls and passes their answers on. [`RemoteTarget`] is the
//!   [`Target`](crate::replica::Target) of a replica at the other end.
//! * The host's end serves calls: it sets the scope that a call's frame describes, runs the
//!   method, and frees the call's slot when the method has really ended.
//! * Both ends lend each other the objects and streams that values refer to.
//!
//! [`MemoryTransport`] carries frames within one process, for
//! [`Mode::Wire`](crate::testing::Mode::Wire).

mod attachments;
mod caller;
mod frame;
mod host;
mod lane;
mod memory;
mod peer;

pub(crate) use caller::RemoteTarget;
#[cfg(any(test, fuzzing))]
pub(crate) use frame::is_frame;
#[cfg(test)]
pub(crate) use frame::order_of;
pub(crate) use lane::{Accept, Transport};
#[cfg(any(test, fuzzing))]
pub(crate) use lane::{Lane, LaneLost, Receive};
pub(crate) use memory::MemoryTransport;
pub(crate) use peer::Peer;
