//! [`Transport`] and [`Lane`]: the traits of connections that carry frames between two nodes.

use std::sync::{Arc, Weak};

use bytes::Bytes;

/// Connects nodes. `MemoryTransport` does so within a process; a transport over a network would
/// carry the same frames.
pub(crate) trait Transport: Send + Sync {
    /// Opens a lane to a node. Frames from the node go to `receiver`, which is also notified if
    /// the lane is lost.
    ///
    /// # Errors
    /// If there is no such node.
    fn connect(&self, node: &str, receiver: Weak<dyn Receive>) -> Result<Arc<dyn Lane>, LaneLost>;
}

/// A node to which lanes can be opened.
pub(crate) trait Accept: Send + Sync {
    /// Accepts a new lane. The node sends its own frames through `back`. Returns the receiver of
    /// the frames that come to the node.
    fn accept(&self, back: Arc<dyn Lane>) -> Weak<dyn Receive>;
}

/// One direction of a connection between two nodes.
///
/// Frames arrive whole. The frames of one call, of one object and of one stream arrive in the
/// order in which they were sent, until the lane is lost. Other frames may overtake each other.
pub(crate) trait Lane: Send + Sync {
    /// Sends a frame, which may arrive before this method returns.
    ///
    /// # Errors
    /// If the lane was lost before, so that the frame was not sent. A frame that was sent may
    /// still be lost together with the lane.
    fn send(&self, frame: Bytes) -> Result<(), LaneLost>;
}

/// The receiver of a lane's frames.
pub(crate) trait Receive: Send + Sync {
    /// Handles a frame that arrived. Does not block.
    fn receive(self: Arc<Self>, frame: Bytes);

    /// Handles the loss of the lane: no frame arrives any more, and none can be sent.
    fn lost(&self);
}

/// The error of a lane that is lost, or that could not be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the connection to its node was lost")]
pub(crate) struct LaneLost;
