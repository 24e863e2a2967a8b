//! `StalledBody`: the body of an HTTP/2 response whose producer is stopped if the client takes no more of
//! it.
//!
//! An HTTP/1 client that takes no more does not read its socket, and loses the socket (see
//! `connection`). An HTTP/2 client reads the socket, but opens no window for the one stream. The
//! other streams on the connection, which may belong to other clients behind one proxy, must not
//! end with it.

use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use parking_lot::Mutex;
use tokio::task::AbortHandle;
use tokio::time::sleep;

/// The producer's turn: the client waits for more.
const WAITED_FOR: u8 = 0;
/// The client's turn: it has a frame to take.
const TO_BE_TAKEN: u8 = 1;
/// The client's turn, which a look has already found.
const SEEN: u8 = 2;

/// A body whose producer is stopped if the client takes no more of it for `send_timeout`, at the
/// latest for twice as long: one look in that time costs less than a timer for each frame.
pub(crate) struct StalledBody {
    pace: Arc<Pace>,
    size: SizeHint,
    looks: AbortHandle,
}

struct Pace {
    /// The body; `None` once it was stopped.
    body: Mutex<Option<Body>>,
    turn: AtomicU8,
    limit: Duration,
}

impl StalledBody {
    /// Creates a paced body. Must be called on a tokio runtime.
    pub(crate) fn new(body: Body, limit: Duration) -> Self {
        let size = body.size_hint();
        let pace = Arc::new(Pace { body: Mutex::new(Some(body)), turn: WAITED_FOR.into(), limit });
        // The task ends with the body.
        let looks = tokio::spawn(stop_where_stalled(Arc::downgrade(&pace), limit)).abort_handle();
        Self { pace, size, looks }
    }
}

impl Drop for StalledBody {
    fn drop(&mut self) {
        self.looks.abort();
    }
}

async fn stop_where_stalled(pace: Weak<Pace>, limit: Duration) {
    loop {
        sleep(limit).await;
        let Some(pace) = pace.upgrade() else { return };
        let seen =
            pace.turn.compare_exchange(TO_BE_TAKEN, SEEN, Ordering::Relaxed, Ordering::Relaxed);
        if seen == Err(SEEN) {
            let body = pace.body.lock().take();
            // After the lock is released, because dropping the body cancels the call.
            drop(body);
            return;
        }
    }
}

/// The error of a body of which the client read nothing for too long.
#[derive(Debug, thiserror::Error)]
#[error("the client read nothing for {} s", .0.as_secs())]
struct Stalled(Duration);

impl HttpBody for StalledBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let mut body = self.pace.body.lock();
        let Some(body) = &mut *body else {
            return Poll::Ready(Some(Err(axum::Error::new(Stalled(self.pace.limit)))));
        };
        let frame = Pin::new(body).poll_frame(cx);
        let turn = if frame.is_ready() { TO_BE_TAKEN } else { WAITED_FOR };
        self.pace.turn.store(turn, Ordering::Relaxed);
        frame
    }

    fn size_hint(&self) -> SizeHint {
        self.size
    }
}
