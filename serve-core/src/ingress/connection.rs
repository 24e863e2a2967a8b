//! `Connection`: what the requests on one socket share, and `Socket`, which ends with
//! it.
//!
//! A WebSocket lives on after its request was answered: all that ends with it is the
//! socket itself. So the slot of a routed request that was upgraded is put here, and is
//! freed when the socket is dropped, by whoever holds it then. When the replica ends, the
//! socket does.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::replica::{Replica, Scope, WakeAtEnd};

/// What the requests on one socket share.
#[derive(Default)]
pub(super) struct Connection {
    /// Requests whose answers are not complete.
    ongoing: AtomicUsize,
    /// Set by whatever shows that the peer is there: requests and bytes sent.
    active: AtomicBool,
    /// Whether `upgrade` has something.
    upgraded: AtomicBool,
    upgrade: Mutex<Upgrade>,
}

#[derive(Default)]
enum Upgrade {
    #[default]
    None,
    /// The slot that the socket holds.
    Held { replica: Arc<Replica>, _slot: Scope, wake: Option<(Waker, WakeAtEnd)> },
    /// The socket is gone.
    Closed,
}

impl Connection {
    /// Counts a request as ongoing until the result is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> Ongoing {
        self.ongoing.fetch_add(1, Ordering::Relaxed);
        self.active.store(true, Ordering::Relaxed);
        Ongoing(Arc::clone(self))
    }

    /// True if nothing is going on, and nothing has since this was asked last.
    pub(super) fn is_idle(&self) -> bool {
        !self.active.swap(false, Ordering::Relaxed) && self.ongoing.load(Ordering::Relaxed) == 0
    }

    /// Keeps a slot, which the scope holds, as long as the socket lives.
    pub(super) fn hold(&self, replica: Arc<Replica>, slot: Scope) {
        let mut upgrade = self.upgrade.lock();
        if matches!(*upgrade, Upgrade::None) {
            *upgrade = Upgrade::Held { replica, _slot: slot, wake: None };
            self.upgraded.store(true, Ordering::Release);
        }
    }

    /// True once the replica that the upgraded socket belongs to has ended. Else the task
    /// is woken when it does.
    fn has_ended(&self, waker: &Waker) -> bool {
        if !self.upgraded.load(Ordering::Acquire) {
            return false;
        }
        let mut upgrade = self.upgrade.lock();
        let Upgrade::Held { replica, wake, .. } = &mut *upgrade else { return false };
        if replica.has_ended() {
            return true;
        }
        if !wake.as_ref().is_some_and(|(known, _)| known.will_wake(waker)) {
            *wake = Some((waker.clone(), replica.wake_at_end(waker)));
        }
        false
    }
}

/// A request whose answer is not complete. See [`Connection::begin`].
pub(super) struct Ongoing(Arc<Connection>);

impl Drop for Ongoing {
    fn drop(&mut self) {
        self.0.ongoing.fetch_sub(1, Ordering::Relaxed);
        self.0.active.store(true, Ordering::Relaxed);
    }
}

/// The socket of a [`Connection`].
pub(super) struct Socket {
    stream: TcpStream,
    connection: Arc<Connection>,
}

impl Socket {
    pub(super) fn new(stream: TcpStream, connection: Arc<Connection>) -> Self {
        Self { stream, connection }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let held = std::mem::replace(&mut *self.connection.upgrade.lock(), Upgrade::Closed);
        // After the lock: freeing a slot wakes others.
        drop(held);
    }
}

fn ended() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the replica that served this socket ended")
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.connection.has_ended(cx.waker()) {
            return Poll::Ready(Err(ended()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.connection.active.store(true, Ordering::Relaxed);
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.connection.active.store(true, Ordering::Relaxed);
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
