//! [`Peer`]: one end of a lane.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot};

use super::attachments::{Borrowed, Lent};
use super::caller::OpenCalls;
use super::frame::Frame;
use super::host::{Grants, HostedCalls, HostedReplicas};
use super::lane::{Accept, Lane, LaneLost, Receive, Transport};

/// One end of a lane, which sends frames and acts on the frames that arrive.
///
/// No lock of a peer is held while a frame is sent, or while a value of the user's is dropped,
/// because both may call into the peer again.
pub(crate) struct Peer {
    pub(super) tokio: Handle,
    /// The lane to the other end, once it is open.
    lane: OnceLock<Arc<dyn Lane>>,
    lost: AtomicBool,
    /// The number of the next call or ping.
    next: AtomicU64,
    /// The calls that this end made and that are not answered.
    pub(super) open: OpenCalls,
    /// The calls that this end serves.
    pub(super) hosted: HostedCalls,
    /// The replicas that serve those calls.
    pub(super) replicas: HostedReplicas,
    pub(super) grants: Grants,
    pub(super) lent: Mutex<Lent>,
    pub(super) borrowed: Mutex<Borrowed>,
    pings: Mutex<Vec<(u64, oneshot::Sender<()>)>>,
}

impl Peer {
    /// An end whose lane is not open yet. Its tasks run on `tokio`.
    fn new(tokio: Handle) -> Arc<Self> {
        Arc::new(Self {
            tokio,
            lane: OnceLock::new(),
            lost: AtomicBool::new(false),
            next: AtomicU64::new(0),
            open: OpenCalls::default(),
            hosted: HostedCalls::default(),
            replicas: HostedReplicas::default(),
            grants: Grants::default(),
            lent: Mutex::default(),
            borrowed: Mutex::default(),
            pings: Mutex::default(),
        })
    }

    /// A host's end, to which a caller can connect.
    pub(crate) fn host(tokio: Handle) -> Arc<Self> {
        Self::new(tokio)
    }

    /// Opens a lane to `node` and returns the caller's end of the lane.
    ///
    /// # Errors
    /// If there is no such node.
    pub(crate) fn connect(
        transport: &dyn Transport,
        node: &str,
        tokio: Handle,
    ) -> Result<Arc<Self>, LaneLost> {
        let peer = Self::new(tokio);
        peer.open(transport.connect(node, peer.receiver())?);
        Ok(peer)
    }

    fn open(&self, lane: Arc<dyn Lane>) {
        // A lane is opened once, where it is made.
        let _ = self.lane.set(lane);
    }

    fn receiver(self: &Arc<Self>) -> Weak<dyn Receive> {
        let receiver: Arc<dyn Receive> = Arc::clone(self) as _;
        Arc::downgrade(&receiver)
    }

    /// A new number for a call or a ping of this end.
    pub(super) fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Sends a frame. False if the lane was lost before, so that the frame was not sent.
    pub(super) fn send(&self, frame: &Frame) -> bool {
        if self.is_lost() {
            // Attachments of the frame may have been lent after the lane was lost, and nobody
            // will return them.
            self.loans_lost();
            return false;
        }
        let lane = self.lane.get().expect("a lane is open before anything is sent");
        if lane.send(frame.to_bytes()).is_err() {
            // The loss was noticed before the transport reported it.
            self.lost();
            return false;
        }
        true
    }

    pub(super) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    /// Waits until the other end answers a ping.
    ///
    /// # Errors
    /// If the lane is lost.
    #[cfg_attr(not(test), expect(dead_code, reason = "a lane in memory is always there"))]
    pub(crate) async fn ping(&self) -> Result<(), LaneLost> {
        let (answered, answer) = oneshot::channel();
        let number = self.number();
        self.pings.lock().push((number, answered));
        if !self.send(&Frame::Ping { number }) {
            return Err(LaneLost);
        }
        answer.await.map_err(|_| LaneLost)
    }

    /// True if this end keeps nothing for any call, object or stream.
    #[cfg(test)]
    pub(crate) fn is_idle(&self) -> bool {
        self.open.is_empty()
            && self.hosted.is_empty()
            && self.grants.is_empty()
            && self.lent.lock().is_empty()
            && self.borrowed.lock().is_empty()
    }
}

impl Accept for Arc<Peer> {
    fn accept(&self, back: Arc<dyn Lane>) -> Weak<dyn Receive> {
        self.open(back);
        self.receiver()
    }
}

impl Receive for Peer {
    fn receive(self: Arc<Self>, frame: Bytes) {
        let frame = match Frame::from_bytes(&frame) {
            Ok(frame) => frame,
            Err(error) => {
                tracing::error!(%error, "a frame from another node cannot be read");
                return;
            }
        };
        match frame {
            Frame::Call(call) => self.on_call(*call),
            Frame::Reply { call, result } => self.on_reply(call, result),
            Frame::GivenBack { call } => self.on_given_back(call),
            Frame::Begun { call } => self.on_begun(call),
            Frame::Item { call, item } => self.on_item(call, item),
            Frame::Credit { call, items } => self.on_credit(call, items),
            Frame::Cancel { call } => self.on_cancel(call),
            Frame::Detach { call, detached, inherited } => {
                self.on_detach(call, detached, inherited);
            }
            Frame::Fetch { object, fetch } => self.on_fetch(object, fetch),
            Frame::Object { fetch, value, .. } => self.on_object(fetch, value),
            Frame::Release { object } => self.on_release(object),
            Frame::Pull { stream, items } => self.on_pull(stream, items),
            Frame::StreamItem { stream, item } => self.on_stream_item(stream, item),
            Frame::StreamEnd { stream } => self.on_stream_end(stream),
            Frame::CloseStream { stream } => self.on_close_stream(stream),
            Frame::Ping { number } => {
                self.send(&Frame::Pong { number });
            }
            Frame::Pong { number } => {
                let mut pings = self.pings.lock();
                if let Some(at) = pings.iter().position(|(known, _)| *known == number) {
                    let _ = pings.swap_remove(at).1.send(());
                }
            }
        }
    }

    fn lost(&self) {
        if self.lost.swap(true, Ordering::AcqRel) {
            return;
        }
        self.pings.lock().clear();
        self.calls_lost();
        self.hosted_lost();
        self.loans_lost();
    }
}

/// Adds room for further items of a stream. The other end says how many, and a semaphore cannot count
/// every number: room for more items than anybody sends is enough.
pub(super) fn add_room(room: &Semaphore, items: usize) {
    const ENOUGH: usize = Semaphore::MAX_PERMITS / 2;
    room.add_permits(items.min(ENOUGH.saturating_sub(room.available_permits())));
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer").field("lost", &self.is_lost()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_that_cannot_be_counted_is_enough_room() {
        let room = Semaphore::new(0);
        add_room(&room, 3);
        assert_eq!(room.available_permits(), 3);
        for items in [usize::MAX, 0, Semaphore::MAX_PERMITS, 1, usize::MAX] {
            add_room(&room, items);
        }
        assert!(room.available_permits() > 1 << 40);
    }
}
