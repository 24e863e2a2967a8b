//! [`SocketSeat`]: the right to keep one WebSocket open on one replica.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

use super::replica::Replica;

/// The WebSockets that are open on a replica, kept on the replica.
#[derive(Default)]
struct Sockets {
    open: AtomicUsize,
    /// Notified when the last of them closes.
    none: Notify,
}

/// The right to keep one WebSocket open on one replica. **Dropping it frees the seat.** Seats have
/// nothing to do with [`Slot`](super::Slot)s: a WebSocket may be silent for hours.
pub(crate) struct SocketSeat {
    replica: Arc<Replica>,
    sockets: Arc<Sockets>,
}

impl SocketSeat {
    /// Takes a seat on the replica, unless `limit` seats are taken, or the replica has ended.
    pub(crate) fn take(replica: &Arc<Replica>, limit: usize) -> Option<Self> {
        if replica.has_ended() {
            return None;
        }
        let sockets = replica.sockets();
        let more = |open: usize| (open < limit).then_some(open + 1);
        sockets.open.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).ok()?;
        Some(Self { replica: Arc::clone(replica), sockets })
    }

    pub(crate) fn replica(&self) -> &Arc<Replica> {
        &self.replica
    }
}

impl Drop for SocketSeat {
    fn drop(&mut self) {
        if self.sockets.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.sockets.none.notify_waiters();
        }
    }
}

impl fmt::Debug for SocketSeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SocketSeat").field("replica", &self.replica).finish_non_exhaustive()
    }
}

impl Replica {
    fn sockets(&self) -> Arc<Sockets> {
        self.extensions.get_or_make(Sockets::default)
    }

    /// The number of WebSockets that are open on the replica.
    pub(crate) fn open_sockets(&self) -> usize {
        let sockets = self.extensions.get::<Sockets>();
        sockets.map_or(0, |sockets| sockets.open.load(Ordering::Acquire))
    }

    /// Waits until no WebSocket is open on the replica.
    pub(crate) async fn sockets_closed(&self) {
        let sockets = self.sockets();
        loop {
            let mut none = pin!(sockets.none.notified());
            // Registered before the check, so that no notification is missed between the two.
            none.as_mut().enable();
            if sockets.open.load(Ordering::Acquire) == 0 {
                return;
            }
            none.await;
        }
    }
}
