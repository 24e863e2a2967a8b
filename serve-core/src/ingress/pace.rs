//! `Paced`: the body of an HTTP/2 response whose producer is stopped where the client takes
//! no more of it.
//!
//! With HTTP/1 such a client does not read its socket, and loses that (see `connection`). With
//! HTTP/2 it reads the socket and opens no window for the one stream; the others on the
//! connection, which may be those of other clients behind one proxy, must not end with it.

use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use parking_lot::Mutex;
use tokio::task::AbortHandle;
use tokio::time::sleep;

use super::connection::STALL;

/// The producer's turn: the client waits for more.
const WAITED_FOR: u8 = 0;
/// The client's turn: it has a frame to take.
const TO_BE_TAKEN: u8 = 1;
/// The same, and a look has found it so.
const SEEN: u8 = 2;

/// A body whose producer is stopped where the client takes no more of it for [`STALL`], at
/// the latest for twice as long: one look in that time costs less than a timer for each frame.
pub(super) struct Paced {
    pace: Arc<Pace>,
    size: SizeHint,
    looks: AbortHandle,
}

struct Pace {
    /// None once it was stopped.
    body: Mutex<Option<Body>>,
    turn: AtomicU8,
}

impl Paced {
    /// To be called on a tokio runtime.
    pub(super) fn new(body: Body) -> Self {
        let size = body.size_hint();
        let pace = Arc::new(Pace { body: Mutex::new(Some(body)), turn: WAITED_FOR.into() });
        // Ends with the body.
        let looks = tokio::spawn(stop_where_stalled(Arc::downgrade(&pace))).abort_handle();
        Self { pace, size, looks }
    }
}

impl Drop for Paced {
    fn drop(&mut self) {
        self.looks.abort();
    }
}

async fn stop_where_stalled(pace: Weak<Pace>) {
    loop {
        sleep(STALL).await;
        let Some(pace) = pace.upgrade() else { return };
        let seen =
            pace.turn.compare_exchange(TO_BE_TAKEN, SEEN, Ordering::Relaxed, Ordering::Relaxed);
        if seen == Err(SEEN) {
            let body = pace.body.lock().take();
            // After the lock: it cancels the call.
            drop(body);
            return;
        }
    }
}

/// The client took nothing for too long.
#[derive(Debug, thiserror::Error)]
#[error("the client took nothing for {} s", STALL.as_secs())]
struct Stalled;

impl HttpBody for Paced {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let mut body = self.pace.body.lock();
        let Some(body) = &mut *body else {
            return Poll::Ready(Some(Err(axum::Error::new(Stalled))));
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
