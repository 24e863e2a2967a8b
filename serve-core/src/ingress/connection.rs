//! `Connection`: the state that the requests on one socket share.
//!
//! A WebSocket lives on after its request was answered: only the socket itself ends with the
//! WebSocket. The slot of a routed request that was upgraded is therefore stored here, and is freed
//! when the socket is dropped, by whichever task holds the socket then. The socket ends when the
//! replica ends, and when its peer takes nothing of the bytes to send.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Waker;
use std::time::Duration;

use parking_lot::Mutex;

use crate::replica::{Replica, Scope, WakeAtEnd};

/// The state that the requests on one socket share.
#[derive(Default)]
pub(crate) struct Connection {
    /// The number of requests whose answers are not complete.
    ongoing: AtomicUsize,
    /// Set by every sign that the peer is there: requests, and bytes that are sent.
    active: AtomicBool,
    /// Set when the proxy closes the connection with requests in progress.
    cut_off: AtomicBool,
    /// Set once `upgrade` holds a slot.
    upgraded: AtomicBool,
    upgrade: Mutex<Upgrade>,
}

#[derive(Default)]
enum Upgrade {
    #[default]
    None,
    /// The slot that the socket holds.
    Held { replica: Arc<Replica>, _slot: Scope, reader: Woken, writer: Woken },
    /// The socket is closed.
    Closed,
}

/// A task that is woken when the replica ends.
type Woken = Option<(Waker, WakeAtEnd)>;

/// The half of a socket that a task uses. After an upgrade, two tasks may use the two halves.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Half {
    Read,
    Write,
}

impl Connection {
    /// Counts a request as ongoing until the result is dropped.
    pub(crate) fn begin(self: &Arc<Self>) -> Ongoing {
        self.ongoing.fetch_add(1, Ordering::Relaxed);
        self.active.store(true, Ordering::Relaxed);
        Ongoing(Arc::clone(self))
    }

    /// True if no request is in progress, and nothing has happened since the last call of this
    /// method.
    pub(crate) fn is_idle(&self) -> bool {
        !self.active.swap(false, Ordering::Relaxed) && self.ongoing.load(Ordering::Relaxed) == 0
    }

    /// Marks the connection as closed by the proxy, whose grace period is over. Returns the number
    /// of requests that lose their answers.
    pub(crate) fn cut_off(&self) -> usize {
        self.cut_off.store(true, Ordering::Relaxed);
        self.ongoing.load(Ordering::Relaxed)
    }

    /// True once the proxy closes the connection: its clients have not left by themselves.
    pub(crate) fn is_cut_off(&self) -> bool {
        self.cut_off.load(Ordering::Relaxed)
    }

    /// Records that the peer is there.
    pub(crate) fn touch(&self) {
        self.active.store(true, Ordering::Relaxed);
    }

    /// Frees the slot of an upgraded request: the socket is closed.
    pub(crate) fn close(&self) {
        let held = std::mem::replace(&mut *self.upgrade.lock(), Upgrade::Closed);
        // After the lock is released, because freeing a slot wakes other tasks.
        drop(held);
    }

    /// Keeps a slot, which the scope holds, as long as the socket lives.
    pub(crate) fn hold(&self, replica: Arc<Replica>, slot: Scope) {
        let mut upgrade = self.upgrade.lock();
        if matches!(*upgrade, Upgrade::None) {
            *upgrade = Upgrade::Held { replica, _slot: slot, reader: None, writer: None };
            self.upgraded.store(true, Ordering::Release);
        }
    }

    /// True once the replica that the upgraded socket belongs to has ended. If the replica has not
    /// ended, the task is woken when it does.
    pub(crate) fn has_ended(&self, half: Half, waker: &Waker) -> bool {
        if !self.upgraded.load(Ordering::Acquire) {
            return false;
        }
        let mut upgrade = self.upgrade.lock();
        let Upgrade::Held { replica, reader, writer, .. } = &mut *upgrade else { return false };
        if replica.has_ended() {
            return true;
        }
        let wake = match half {
            Half::Read => reader,
            Half::Write => writer,
        };
        if !wake.as_ref().is_some_and(|(known, _)| known.will_wake(waker)) {
            *wake = Some((waker.clone(), replica.wake_at_end(waker)));
        }
        false
    }
}

/// A request whose answer is not complete. See [`Connection::begin`].
pub(crate) struct Ongoing(Arc<Connection>);

impl Drop for Ongoing {
    fn drop(&mut self) {
        self.0.ongoing.fetch_sub(1, Ordering::Relaxed);
        self.0.active.store(true, Ordering::Relaxed);
    }
}

/// The longest time for which a peer may take nothing of the bytes that wait for it. After this
/// time the peer loses its connection, as in nginx (`send_timeout`): it would hold the bytes and
/// its slot forever. A stream that has nothing to send may rest for any time.
pub(crate) const STALL: Duration = Duration::from_secs(60);
