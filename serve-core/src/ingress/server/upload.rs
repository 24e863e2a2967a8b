//! `Upload`: the body of a request on a socket, which is counted until it has arrived.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use hyper::body::{Frame, Incoming, SizeHint};

use crate::ingress::connection::{Connection, Uploading};

/// The body of a request on a socket.
pub(crate) struct Upload {
    body: Incoming,
    /// `None` once the body has arrived.
    uploading: Option<Uploading>,
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let Some(uploading) = &self.uploading {
            uploading.note_unread();
        }
    }
}

impl Upload {
    /// Counts a body as being uploaded, unless it is empty.
    pub(crate) fn counted(body: Incoming, connection: &Arc<Connection>) -> Body {
        if body.is_end_stream() {
            return Body::empty();
        }
        Body::new(Self { body, uploading: Some(connection.begin_upload()) })
    }
}

impl HttpBody for Upload {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if !matches!(frame, Some(Ok(_))) || self.body.is_end_stream() {
            self.uploading = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
