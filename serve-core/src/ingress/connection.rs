//! `Connection`: the state that the requests on one socket share; and `Socket`, the socket of a
//! connection.
//!
//! A WebSocket lives on after its request was answered: only the socket itself ends with the
//! WebSocket. The slot of a routed request that was upgraded is therefore stored here, and is freed
//! when the socket is dropped, by whichever task holds the socket then. The socket ends when the
//! replica ends, and when its peer takes nothing of the bytes to send.

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

/// The state that the requests on one socket share.
#[derive(Default)]
pub(super) struct Connection {
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

    /// True if no request is in progress, and nothing has happened since the last call of this
    /// method.
    pub(super) fn is_idle(&self) -> bool {
        !self.active.swap(false, Ordering::Relaxed) && self.ongoing.load(Ordering::Relaxed) == 0
    }

    /// Marks the connection as closed by the proxy, whose grace period is over. Returns the number
    /// of requests that lose their answers.
    pub(super) fn cut_off(&self) -> usize {
        self.cut_off.store(true, Ordering::Relaxed);
        self.ongoing.load(Ordering::Relaxed)
    }

    /// True once the proxy closes the connection: its clients have not left by themselves.
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

    /// True once the replica that the upgraded socket belongs to has ended. If the replica has not
    /// ended, the task is woken when it does.
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

/// The longest time for which a peer may take nothing of the bytes that wait for it. After this
/// time the peer loses its connection, as in nginx (`send_timeout`): it would hold the bytes and
/// its slot forever. A stream that has nothing to send may rest for any time.
pub(super) const STALL: Duration = Duration::from_secs(60);

/// The socket of a [`Connection`].
pub(super) struct Socket {
    stream: TcpStream,
    connection: Arc<Connection>,
    /// The timer that runs while a write waits for the peer.
    stall: Option<Pin<Box<Sleep>>>,
}

impl Socket {
    pub(super) fn new(stream: TcpStream, connection: Arc<Connection>) -> Self {
        Self { stream, connection, stall: None }
    }

    /// Writes, as long as the replica of an upgraded socket lives and the peer takes anything.
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
        // After the lock is released, because freeing a slot wakes other tasks.
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
