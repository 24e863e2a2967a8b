//! `Connection`: what the requests on one socket share, and `Socket`, which ends with
//! it.
//!
//! A WebSocket lives on after its request was answered: all that ends with it is the
//! socket itself. So the slot of a routed request that was upgraded is put here, and is
//! freed when the socket is dropped, by whoever holds it then. When the replica ends, the
//! socket does; and so it does when its peer takes nothing of what is to be sent.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

use crate::replica::{Replica, Scope, WakeAtEnd};

/// What the requests on one socket share.
#[derive(Default)]
pub(super) struct Connection {
    /// Requests whose answers are not complete.
    ongoing: AtomicUsize,
    /// Set by whatever shows that the peer is there: requests and bytes sent.
    active: AtomicBool,
    /// Set when the proxy closes it with requests in progress.
    cut_off: AtomicBool,
    /// Whether `upgrade` has something.
    upgraded: AtomicBool,
    upgrade: Mutex<Upgrade>,
}

#[derive(Default)]
enum Upgrade {
    #[default]
    None,
    /// The slot that the socket holds.
    Held { replica: Arc<Replica>, _slot: Scope, reader: Woken, writer: Woken },
    /// The socket is gone.
    Closed,
}

/// A task that is woken when the replica ends.
type Woken = Option<(Waker, WakeAtEnd)>;

/// Which half of a socket a task uses: after an upgrade they may be two.
#[derive(Clone, Copy, Debug)]
enum Half {
    Read,
    Write,
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

    /// The proxy's patience is over, and it closes the connection. Gives how many requests
    /// lose their answers by that.
    pub(super) fn cut_off(&self) -> usize {
        self.cut_off.store(true, Ordering::Relaxed);
        self.ongoing.load(Ordering::Relaxed)
    }

    /// True once the proxy closes it: its clients have not gone of themselves.
    pub(super) fn is_cut_off(&self) -> bool {
        self.cut_off.load(Ordering::Relaxed)
    }

    /// Keeps a slot, which the scope holds, as long as the socket lives.
    pub(super) fn hold(&self, replica: Arc<Replica>, slot: Scope) {
        let mut upgrade = self.upgrade.lock();
        if matches!(*upgrade, Upgrade::None) {
            *upgrade = Upgrade::Held { replica, _slot: slot, reader: None, writer: None };
            self.upgraded.store(true, Ordering::Release);
        }
    }

    /// True once the replica that the upgraded socket belongs to has ended. Else the task
    /// is woken when it does.
    fn has_ended(&self, half: Half, waker: &Waker) -> bool {
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
pub(super) struct Ongoing(Arc<Connection>);

impl Drop for Ongoing {
    fn drop(&mut self) {
        self.0.ongoing.fetch_sub(1, Ordering::Relaxed);
        self.0.active.store(true, Ordering::Relaxed);
    }
}

/// A peer that takes nothing of what is there for it for so long loses its connection, as
/// with nginx (`send_timeout`): it would hold what is being sent, and its slot, for ever. A
/// stream of which nothing is there to be sent may rest as long as it likes.
pub(super) const STALL: Duration = Duration::from_secs(60);

/// The socket of a [`Connection`].
pub(super) struct Socket {
    stream: TcpStream,
    connection: Arc<Connection>,
    /// Runs while a write waits for the peer.
    stall: Option<Pin<Box<Sleep>>>,
}

impl Socket {
    pub(super) fn new(stream: TcpStream, connection: Arc<Connection>) -> Self {
        Self { stream, connection, stall: None }
    }

    /// Writes, for as long as the replica of an upgraded socket lives and the peer takes
    /// anything.
    fn write<T>(
        &mut self,
        cx: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut TcpStream>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if self.connection.has_ended(Half::Write, cx.waker()) {
            return Poll::Ready(Err(ended()));
        }
        self.connection.active.store(true, Ordering::Relaxed);
        let written = write(Pin::new(&mut self.stream), cx);
        if written.is_ready() {
            self.stall = None;
            return written;
        }
        let stall = self.stall.get_or_insert_with(|| Box::pin(sleep(STALL)));
        ready!(stall.as_mut().poll(cx));
        Poll::Ready(Err(stalled()))
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

fn stalled() -> io::Error {
    let message = format!("the peer took nothing for {} s", STALL.as_secs());
    io::Error::new(io::ErrorKind::TimedOut, message)
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.connection.has_ended(Half::Read, cx.waker()) {
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
        self.write(cx, |stream, cx| stream.poll_write(cx, buf))
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
        self.write(cx, |stream, cx| stream.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
