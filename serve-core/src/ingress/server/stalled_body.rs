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
/// The client's turn: it has a frame to take, or it opens no window for the first one.
const TO_BE_TAKEN: u8 = 1;
/// The client's turn, which a look has already found.
const SEEN: u8 = 2;

/// The largest frame: the most bytes of a response that hyper holds for a client which takes none of
/// them.
const LARGEST_FRAME: usize = 64 << 10;

/// A body whose producer is stopped if the client takes no more of it for `send_timeout`, at the
/// latest for twice as long: one look in that time costs less than a timer for each frame.
pub(crate) struct StalledBody {
    pace: Arc<Pace>,
    size: SizeHint,
    looks: AbortHandle,
}

/// The part of a body that nobody has taken yet.
struct Left {
    /// The rest of a large frame.
    frame: Bytes,
    body: Body,
}

struct Pace {
    /// The part of the body that is left; `None` once the body was stopped.
    left: Mutex<Option<Left>>,
    turn: AtomicU8,
    limit: Duration,
}

impl StalledBody {
    /// Creates a paced body. Must be called on a tokio runtime.
    pub(crate) fn new(body: Body, limit: Duration) -> Self {
        let size = body.size_hint();
        let left = Left { frame: Bytes::new(), body };
        let pace = Arc::new(Pace { left: Mutex::new(Some(left)), turn: TO_BE_TAKEN.into(), limit });
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
            let left = pace.left.lock().take();
            // After the lock is released, because dropping the body cancels the call.
            drop(left);
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
        let mut left = self.pace.left.lock();
        let Some(Left { frame: rest, body }) = &mut *left else {
            return Poll::Ready(Some(Err(axum::Error::new(Stalled(self.pace.limit)))));
        };
        let frame = if rest.is_empty() {
            Pin::new(body).poll_frame(cx)
        } else {
            Poll::Ready(Some(Ok(Frame::data(std::mem::take(rest)))))
        };
        let turn = if frame.is_ready() { TO_BE_TAKEN } else { WAITED_FOR };
        self.pace.turn.store(turn, Ordering::Relaxed);
        let split = |frame: Frame<Bytes>| match frame.into_data() {
            Ok(data) if data.len() > LARGEST_FRAME => {
                // A copy, because a part of it would keep all of it in memory.
                let part = Bytes::copy_from_slice(&data[..LARGEST_FRAME]);
                *rest = data.slice(LARGEST_FRAME..);
                Frame::data(part)
            }
            Ok(data) => Frame::data(data),
            Err(trailers) => trailers,
        };
        frame.map(|frame| frame.map(|frame| frame.map(split)))
    }

    fn is_end_stream(&self) -> bool {
        let left = self.pace.left.lock();
        left.as_ref().is_some_and(|left| left.frame.is_empty() && left.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.size
    }
}
