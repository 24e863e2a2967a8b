//! [`MemoryTransport`]: lanes within one process. Frames cross as bytes, and `send` returns
//! after the receiver has handled the frame.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, Weak};

use bytes::Bytes;
use parking_lot::Mutex;

use super::lane::{Accept, Lane, LaneLost, Receive, Transport};

/// Connects nodes of one process.
#[derive(Default)]
pub(crate) struct MemoryTransport {
    nodes: Mutex<HashMap<String, Arc<dyn Accept>>>,
}

impl MemoryTransport {
    /// Adds a node, to which lanes can then be opened.
    pub(crate) fn add_node(&self, name: &str, node: Arc<dyn Accept>) {
        self.nodes.lock().insert(name.to_owned(), node);
    }
}

impl Transport for MemoryTransport {
    fn connect(&self, node: &str, receiver: Weak<dyn Receive>) -> Result<Arc<dyn Lane>, LaneLost> {
        let node = self.nodes.lock().get(node).map(Arc::clone).ok_or(LaneLost)?;
        let back = Arc::new(MemoryLane::default());
        back.open(receiver);
        let there = Arc::new(MemoryLane::default());
        there.open(node.accept(back));
        Ok(there)
    }
}

/// A lane that hands each frame to its receiver at once. Dropping the lane, which its sender
/// owns, is its loss.
#[derive(Default)]
struct MemoryLane(OnceLock<Weak<dyn Receive>>);

impl MemoryLane {
    fn open(&self, receiver: Weak<dyn Receive>) {
        // A lane is opened once, where it is made.
        let _ = self.0.set(receiver);
    }
}

impl Drop for MemoryLane {
    fn drop(&mut self) {
        if let Some(receiver) = self.0.get().and_then(Weak::upgrade) {
            receiver.lost();
        }
    }
}

impl Lane for MemoryLane {
    fn send(&self, frame: Bytes) -> Result<(), LaneLost> {
        let receiver = self.0.get().and_then(Weak::upgrade).ok_or(LaneLost)?;
        receiver.receive(frame);
        Ok(())
    }
}
