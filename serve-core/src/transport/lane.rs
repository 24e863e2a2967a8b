//! [`Transport`] and [`Lane`]: what carries frames between two nodes.

use std::sync::{Arc, Weak};

use bytes::Bytes;

/// Connects nodes. One in memory is here; others carry the same frames over a network.
pub(crate) trait Transport: Send + Sync {
    /// Opens a lane to a node. What the node sends comes to `receiver`, which is told if the
    /// lane is lost.
    ///
    /// # Errors
    /// If there is no such node.
    fn connect(&self, node: &str, receiver: Weak<dyn Receive>) -> Result<Arc<dyn Lane>, LaneLost>;
}

/// A node that lanes can be opened to.
pub(crate) trait Accept: Send + Sync {
    /// A lane was opened. The node answers through `back`, and its end receives.
    fn accept(&self, back: Arc<dyn Lane>) -> Weak<dyn Receive>;
}

/// One direction of a connection between two nodes. Frames arrive whole and in the order in
/// which they were sent, or the lane is lost.
pub(crate) trait Lane: Send + Sync {
    /// Sends a frame. It may arrive before this returns.
    ///
    /// # Errors
    /// If the lane was lost before: the frame was not sent. A frame that was sent may be lost
    /// all the same, with the lane.
    fn send(&self, frame: Bytes) -> Result<(), LaneLost>;
}

/// What frames come to.
pub(crate) trait Receive: Send + Sync {
    /// A frame arrived. This does not block.
    fn receive(self: Arc<Self>, frame: Bytes);

    /// The lane is lost. No frame arrives any more, and none can be sent.
    fn lost(&self);
}

/// The lane is lost, or there never was one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the connection to its node was lost")]
pub(crate) struct LaneLost;
