//! `Socket`: the socket of a connection. Its peer has to take what is sent, a peer that leaves is
//! seen while its request is answered, and the replica of an upgraded request has to live.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures::FutureExt;
use http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::time::{Sleep, sleep};

use crate::call::request_ids::RequestIds;
use crate::ingress::connection::{Connection, Half};
use crate::ingress::response::error_format::ErrorFormat;
use crate::ingress::server::refusal;
use crate::ingress::server::stream::Stream;

/// The beginning of every HTTP/2 connection (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The largest write that is no sign of activity on an HTTP/2 connection: three pings, or
/// acknowledgements of the peer's pings, at 17 bytes each, and their like.
const CONTROL_FRAMES: usize = 64;
/// The period at which a socket is looked at while bytes of its peer are not read; also the time for
/// which a peer that has closed its sending half may have unread bytes, before it counts as gone.
/// Long for a server that is about to read, and short for a call whose client has left.
const LOOK: Duration = Duration::from_millis(250);

/// The socket of a [`Connection`].
pub(crate) struct Socket {
    stream: Stream,
    connection: Arc<Connection>,
    /// The ids of requests that are refused here.
    ids: Arc<RequestIds>,
    /// The timer that runs while a write waits for the peer.
    stall: Option<Pin<Box<Sleep>>>,
    /// The number of bytes of the preface of HTTP/2 that have arrived; `None` once the version of
    /// HTTP is known.
    preface: Option<usize>,
    /// True if the last read is waiting for bytes. The read will then see the peer leave.
    is_reading: bool,
    /// The timer that runs while bytes of the peer are not read, and whether the peer had closed its
    /// sending half when the timer began.
    look: Option<(Pin<Box<Sleep>>, bool)>,
    /// The number of requests that had begun when hyper last flushed; `None` if hyper has written
    /// since.
    begun: Option<usize>,
    refusal: Option<Refusal>,
    linger: Option<Linger>,
}

/// The time and the size that the peer's unread bytes are still read for, after the last answer was
/// sent.
///
/// Where bytes of the peer are unread, closing the socket resets the connection, and the peer may
/// lose the answer that it has not read yet: an early 413, for example. See `lingering_close` of
/// nginx.
struct Linger {
    over: Pin<Box<Sleep>>,
    /// The number of bytes that are still read.
    left: usize,
}

/// nginx's `lingering_time`.
const LINGER: Duration = Duration::from_secs(30);
/// The most bytes that are read from a peer after the last answer: as many as a peer sends in a
/// while before it looks for an answer.
const LINGER_BYTES: usize = 64 << 20;

/// The completed answer of hyper's parser to bytes that are no request.
struct Refusal {
    /// The part that is not written yet.
    rest: Bytes,
    /// The length of the answer as hyper wrote it.
    length: usize,
}

impl Socket {
    pub(crate) fn new(stream: Stream, connection: Arc<Connection>, ids: Arc<RequestIds>) -> Self {
        Self {
            stream,
            connection,
            ids,
            stall: None,
            preface: Some(0),
            is_reading: false,
            look: None,
            begun: Some(0),
            refusal: None,
            linger: None,
        }
    }

    /// Writes, as long as the replica of an upgraded socket lives and the peer takes anything.
    fn write(
        &mut self,
        cx: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut Stream>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if self.connection.has_ended(Half::Write, cx.waker()) {
            return Poll::Ready(Err(ended()));
        }
        let written = write(Pin::new(&mut self.stream), cx);
        if let Poll::Ready(written) = written {
            self.stall = None;
            // On an HTTP/2 connection, our own pings are no sign that the peer is there.
            let least = if self.connection.is_http2() { CONTROL_FRAMES } else { 0 };
            if written.as_ref().is_ok_and(|written| *written > least) {
                self.connection.touch();
            }
            return Poll::Ready(written);
        }
        let limit = self.connection.settings().send_timeout;
        if limit.is_zero() {
            return Poll::Pending;
        }
        let stall = self.stall.get_or_insert_with(|| Box::pin(sleep(limit)));
        ready!(stall.as_mut().poll(cx));
        Poll::Ready(Err(stalled(limit)))
    }

    /// Looks at bytes that were read: hyper decides by the first ones which version of HTTP it is.
    fn note_read(&mut self, read: &[u8]) {
        let Some(known) = self.preface else { return };
        let next = &PREFACE[known..];
        let length = read.len().min(next.len());
        if read[..length] != next[..length] {
            self.preface = None;
        } else if known + length == PREFACE.len() {
            self.preface = None;
            self.connection.speaks_http2();
        } else {
            self.preface = Some(known + length);
        }
    }

    /// Recognises hyper's own answer to bytes that are no request: it is written where no request
    /// waits for an answer, none has begun since hyper last flushed, and nothing that was written
    /// before is left.
    fn note_write(&mut self, written: &[u8]) {
        let Some(begun) = self.begun.take() else { return };
        let connection = &self.connection;
        if begun != connection.begun() || !connection.is_between_requests() {
            return;
        }
        if let Some(status) = refusal::status_of(written) {
            self.refuse(written, status);
        }
    }

    #[cold]
    fn refuse(&mut self, written: &[u8], status: StatusCode) {
        let request_id = self.ids.next();
        let format = ErrorFormat::of(self.connection.settings());
        let rest = refusal::completed(written, status, &request_id, format);
        self.connection.note_refusal(status.as_u16(), request_id);
        self.refusal = Some(Refusal { rest, length: written.len() });
    }

    /// Writes the completed answer, if there is one. Ready with the length of the answer that hyper
    /// gave.
    fn write_refusal(&mut self, cx: &mut Context<'_>) -> Option<Poll<io::Result<usize>>> {
        loop {
            let rest = self.refusal.as_ref()?.rest.clone();
            if rest.is_empty() {
                return self.refusal.take().map(|refusal| Poll::Ready(Ok(refusal.length)));
            }
            match self.write(cx, |stream, cx| stream.poll_write(cx, &rest)) {
                Poll::Ready(Ok(written)) => self.refusal.as_mut()?.rest.advance(written),
                other => return Some(other),
            }
        }
    }

    /// Reads what the peer still sends, and drops it. Ready once the peer has closed the connection,
    /// or has had its time.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let linger = self
            .linger
            .get_or_insert_with(|| Linger { over: Box::pin(sleep(LINGER)), left: LINGER_BYTES });
        let mut bytes = [0; 8192];
        while linger.left > 0 {
            let mut buf = ReadBuf::new(&mut bytes);
            match self.stream.poll_read_below(cx, &mut buf) {
                Poll::Ready(Ok(())) if !buf.filled().is_empty() => {
                    linger.left = linger.left.saturating_sub(buf.filled().len());
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return linger.over.as_mut().poll(cx),
            }
        }
        Poll::Ready(())
    }

    /// True if the peer has left while hyper does not read.
    ///
    /// hyper sees the end of a connection by reading. It does not read while it answers a request
    /// and has more bytes than that request, such as the next request, or while nobody takes the
    /// body of the request.
    fn peer_has_left(&mut self, cx: &mut Context<'_>) -> bool {
        loop {
            match self.stream.tcp().poll_read_ready(cx) {
                // Whatever comes next from the peer wakes the task.
                Poll::Pending => {
                    self.look = None;
                    return false;
                }
                Poll::Ready(Err(_)) => return true,
                Poll::Ready(Ok(())) => {}
            }
            let both = Interest::READABLE | Interest::WRITABLE;
            let has_closed = match self.stream.tcp().ready(both).now_or_never() {
                // Both directions are closed by a reset.
                Some(Ok(ready)) if ready.is_read_closed() && ready.is_write_closed() => {
                    return true;
                }
                Some(Ok(ready)) => ready.is_read_closed(),
                Some(Err(_)) => return true,
                None => false,
            };
            let (timer, had_closed) =
                self.look.get_or_insert_with(|| (Box::pin(sleep(LOOK)), has_closed));
            if timer.as_mut().poll(cx).is_pending() {
                return false;
            }
            // Nothing was read since.
            if *had_closed {
                return true;
            }
            self.look = None;
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.connection.close();
    }
}

fn ended() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the replica that served this socket ended")
}

fn stalled(limit: Duration) -> io::Error {
    let message = format!("the peer read nothing for {} s", limit.as_secs());
    io::Error::new(io::ErrorKind::TimedOut, message)
}

fn left() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, "the peer left before its request was answered")
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
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.is_reading = read.is_pending();
        if read.is_ready() {
            self.look = None;
            let read = &buf.filled()[before..];
            if !read.is_empty() {
                self.connection.note_read();
            }
            self.note_read(read);
        }
        read
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.note_write(buf);
        if let Some(written) = self.write_refusal(cx) {
            return written;
        }
        self.write(cx, |stream, cx| stream.poll_write(cx, buf))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper flushes each time it is polled.
        if !self.is_reading && self.connection.is_answering() && self.peer_has_left(cx) {
            return Poll::Ready(Err(left()));
        }
        // A socket itself buffers nothing: all that hyper had to write is written.
        self.begun = Some(self.connection.begun());
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.linger.is_none() {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
        }
        if self.connection.has_unread_body() {
            ready!(self.poll_linger(cx));
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let [only] = bufs {
            self.note_write(only);
        }
        if let Some(written) = self.write_refusal(cx) {
            return written;
        }
        self.write(cx, |stream, cx| stream.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
