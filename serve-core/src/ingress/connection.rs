//! `Connection`: the state that the requests on one socket share.
//!
//! A socket lives on after it was upgraded, with its request answered. A routed request may upgrade it
//! in a way that Serve knows nothing of, as with axum's own `WebSocketUpgrade`: only the socket itself
//! ends with the WebSocket. The seat of the WebSocket is therefore stored here, and is freed when the
//! socket is dropped, by whichever task holds the socket then. The socket ends when the replica ends,
//! and when its peer takes nothing of the bytes to send.

use std::fmt;
use std::iter::Sum;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::task::Waker;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::application::HttpSettings;
use crate::replica::{SocketSeat, WakeAtEnd};

/// The state that the requests on one socket share.
pub(crate) struct Connection {
    settings: Arc<HttpSettings>,
    /// The address of the peer; `None` if the connection has no socket.
    peer: Option<SocketAddr>,
    /// The number of looks at the connection that found it idle, without anything in between.
    idle_looks: AtomicU32,
    /// Notified once the peer is to lose the connection as soon as no request is in progress.
    leave: Notify,
    /// Set once the body of a request was dropped before it had arrived.
    has_unread_body: AtomicBool,
    /// The number of requests whose answers are not complete.
    ongoing: AtomicUsize,
    /// The number of requests whose bodies have not arrived completely.
    uploading: AtomicUsize,
    /// The number of answers of unknown length that are being sent.
    streaming: AtomicUsize,
    /// Set once a part of a request has arrived on an HTTP/1 connection without requests, until that
    /// request begins.
    hearing: AtomicBool,
    /// Set by every sign that the peer is there: requests, and bytes that are sent.
    active: AtomicBool,
    /// The number of requests that have begun.
    begun: AtomicUsize,
    /// Set once the peer has begun the connection as HTTP/2.
    http2: AtomicBool,
    /// The answer that hyper itself gave to bytes that are no request.
    refusal: Mutex<Option<(u16, Arc<str>)>>,
    /// Set when the proxy closes the connection with requests in progress.
    cut_off: AtomicBool,
    /// Set once the socket was upgraded.
    upgraded: AtomicBool,
    upgrade: Mutex<Upgrade>,
}

/// The requests on a number of connections, by what each of them waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) uploading: usize,
    pub(crate) answering: usize,
    pub(crate) streaming: usize,
}

impl Counts {
    /// The number of requests.
    pub(crate) fn requests(&self) -> usize {
        self.uploading + self.answering + self.streaming
    }
}

impl Sum for Counts {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), |sum, one| Self {
            uploading: sum.uploading + one.uploading,
            answering: sum.answering + one.answering,
            streaming: sum.streaming + one.streaming,
        })
    }
}

impl fmt::Display for Counts {
    /// Writes the counts that are not 0: "2 requests being uploaded, 1 stream".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = [
            (self.uploading, "request being uploaded", "requests being uploaded"),
            (self.answering, "request being answered", "requests being answered"),
            (self.streaming, "stream", "streams"),
        ];
        let mut separator = "";
        for (count, one, several) in kinds.into_iter().filter(|(count, ..)| *count > 0) {
            write!(f, "{separator}{count} {}", if count == 1 { one } else { several })?;
            separator = ", ";
        }
        Ok(())
    }
}

enum Upgrade {
    None,
    /// The seat that the socket holds.
    Held {
        seat: SocketSeat,
        reader: Woken,
        writer: Woken,
    },
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
    /// Creates the state of a new connection.
    pub(crate) fn new(settings: &Arc<HttpSettings>, peer: Option<SocketAddr>) -> Self {
        Self {
            settings: Arc::clone(settings),
            peer,
            idle_looks: AtomicU32::new(0),
            leave: Notify::new(),
            has_unread_body: AtomicBool::new(false),
            ongoing: AtomicUsize::new(0),
            uploading: AtomicUsize::new(0),
            streaming: AtomicUsize::new(0),
            hearing: AtomicBool::new(false),
            active: AtomicBool::new(false),
            begun: AtomicUsize::new(0),
            http2: AtomicBool::new(false),
            refusal: Mutex::new(None),
            cut_off: AtomicBool::new(false),
            upgraded: AtomicBool::new(false),
            upgrade: Mutex::new(Upgrade::None),
        }
    }

    /// The settings of the port.
    pub(crate) fn settings(&self) -> &HttpSettings {
        &self.settings
    }

    /// The address of the peer.
    pub(crate) fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// Records how many looks have found the connection idle.
    pub(crate) fn note_looks(&self, looks: u32) {
        self.idle_looks.store(looks, Ordering::Relaxed);
    }

    /// Returns how many looks have found the connection idle; `None` if the connection has a request,
    /// or a part of one.
    pub(crate) fn idle_looks(&self) -> Option<u32> {
        let busy = self.ongoing.load(Ordering::Relaxed) > 0
            || self.upgraded.load(Ordering::Relaxed)
            || self.partial_head().is_some();
        (!busy).then(|| self.idle_looks.load(Ordering::Relaxed))
    }

    /// Asks the task of the connection to close it once no request is in progress.
    pub(crate) fn ask_to_leave(&self) {
        self.leave.notify_one();
    }

    /// Waits until the connection is to be closed.
    pub(crate) async fn asked_to_leave(&self) {
        self.leave.notified().await;
    }

    /// Records that nobody will read the rest of a request's body.
    pub(crate) fn note_unread_body(&self) {
        self.has_unread_body.store(true, Ordering::Relaxed);
    }

    /// True if the rest of a request's body is still on its way, and nobody will read it. Always
    /// false for HTTP/2, which can refuse one body alone.
    pub(crate) fn has_unread_body(&self) -> bool {
        self.has_unread_body.load(Ordering::Relaxed) && !self.is_http2()
    }

    /// Counts a request as ongoing until the result is dropped.
    pub(crate) fn begin(self: &Arc<Self>) -> Ongoing {
        self.ongoing.fetch_add(1, Ordering::Relaxed);
        self.active.store(true, Ordering::Relaxed);
        self.count();
        Ongoing { connection: Arc::clone(self), streams: false }
    }

    /// Counts the body of a request as being uploaded until the result is dropped.
    pub(crate) fn begin_upload(self: &Arc<Self>) -> Uploading {
        self.uploading.fetch_add(1, Ordering::Relaxed);
        Uploading(Arc::clone(self))
    }

    /// Counts a request that is answered at once.
    pub(crate) fn count(&self) {
        self.hearing.store(false, Ordering::Relaxed);
        // The rest of the body of the request before has arrived by now.
        self.has_unread_body.store(false, Ordering::Relaxed);
        self.begun.fetch_add(1, Ordering::Relaxed);
    }

    /// The number of requests that have begun on this connection.
    pub(crate) fn begun(&self) -> usize {
        self.begun.load(Ordering::Relaxed)
    }

    /// True on an HTTP/1 connection on which no request waits for its answer, and which was not
    /// upgraded.
    pub(crate) fn is_between_requests(&self) -> bool {
        let busy = self.ongoing.load(Ordering::Relaxed) > 0 || self.is_http2();
        !busy && !self.upgraded.load(Ordering::Relaxed)
    }

    /// Records that bytes of the peer were read.
    pub(crate) fn note_read(&self) {
        if self.ongoing.load(Ordering::Relaxed) == 0 {
            self.hearing.store(true, Ordering::Relaxed);
        }
    }

    /// Returns the number of requests that have begun, if a part of the head of the next one has
    /// arrived on an HTTP/1 connection.
    pub(crate) fn partial_head(&self) -> Option<usize> {
        let hears = self.is_between_requests() && self.hearing.load(Ordering::Relaxed);
        hears.then(|| self.begun())
    }

    /// True while the answer to a request is not complete, unless the socket was upgraded.
    pub(crate) fn is_answering(&self) -> bool {
        self.ongoing.load(Ordering::Relaxed) > 0 && !self.upgraded.load(Ordering::Relaxed)
    }

    /// Records that the peer speaks HTTP/2.
    pub(crate) fn speaks_http2(&self) {
        self.http2.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_http2(&self) -> bool {
        self.http2.load(Ordering::Relaxed)
    }

    /// Records the status and the id with which hyper's parser refused the peer's bytes.
    pub(crate) fn note_refusal(&self, status: u16, request_id: Arc<str>) {
        *self.refusal.lock() = Some((status, request_id));
    }

    /// Returns the status and the id with which the peer's bytes were refused, if they were.
    pub(crate) fn take_refusal(&self) -> Option<(u16, Arc<str>)> {
        self.refusal.lock().take()
    }

    /// Returns the requests on this connection, by what they wait for.
    pub(crate) fn counts(&self) -> Counts {
        let ongoing = self.ongoing.load(Ordering::Relaxed);
        let streaming = self.streaming.load(Ordering::Relaxed).min(ongoing);
        // A request that is uploaded while its answer is sent is counted as a stream.
        let uploading = self.uploading.load(Ordering::Relaxed).min(ongoing - streaming);
        Counts { uploading, answering: ongoing - streaming - uploading, streaming }
    }

    /// True if no request is in progress, and nothing has happened since the last call of this
    /// method.
    pub(crate) fn is_idle(&self) -> bool {
        !self.active.swap(false, Ordering::Relaxed) && self.ongoing.load(Ordering::Relaxed) == 0
    }

    /// Marks the connection as closed by the proxy, whose grace period is over. Returns the requests
    /// that lose their answers.
    pub(crate) fn cut_off(&self) -> Counts {
        self.cut_off.store(true, Ordering::Relaxed);
        self.counts()
    }

    /// True once the proxy closes the connection: its clients have not left by themselves.
    pub(crate) fn is_cut_off(&self) -> bool {
        self.cut_off.load(Ordering::Relaxed)
    }

    /// Records that the peer is there.
    pub(crate) fn touch(&self) {
        self.active.store(true, Ordering::Relaxed);
    }

    /// Frees the seat of an upgraded request: the socket is closed.
    pub(crate) fn close(&self) {
        let held = std::mem::replace(&mut *self.upgrade.lock(), Upgrade::Closed);
        // After the lock is released, because freeing a seat wakes other tasks.
        drop(held);
    }

    /// Keeps a seat as long as the socket lives.
    pub(crate) fn hold(&self, seat: SocketSeat) {
        let mut upgrade = self.upgrade.lock();
        if matches!(*upgrade, Upgrade::None) {
            *upgrade = Upgrade::Held { seat, reader: None, writer: None };
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
        let Upgrade::Held { seat, reader, writer } = &mut *upgrade else { return false };
        let replica = seat.replica();
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
pub(crate) struct Ongoing {
    connection: Arc<Connection>,
    streams: bool,
}

impl Ongoing {
    /// See [`Connection::has_unread_body`].
    pub(crate) fn has_unread_body(&self) -> bool {
        self.connection.has_unread_body()
    }

    /// Counts the request as a stream from now on.
    pub(crate) fn streams(mut self) -> Self {
        if !std::mem::replace(&mut self.streams, true) {
            self.connection.streaming.fetch_add(1, Ordering::Relaxed);
        }
        self
    }
}

impl Drop for Ongoing {
    fn drop(&mut self) {
        if self.streams {
            self.connection.streaming.fetch_sub(1, Ordering::Relaxed);
        }
        self.connection.ongoing.fetch_sub(1, Ordering::Relaxed);
        self.connection.active.store(true, Ordering::Relaxed);
    }
}

/// A body that has not arrived completely. See [`Connection::begin_upload`].
pub(crate) struct Uploading(Arc<Connection>);

impl Uploading {
    /// Records that nobody will read the rest of the body.
    pub(crate) fn note_unread(&self) {
        self.0.note_unread_body();
    }
}

impl Drop for Uploading {
    fn drop(&mut self) {
        self.0.uploading.fetch_sub(1, Ordering::Relaxed);
    }
}
