//! The access log: one line per request, written when the response is complete, the client is gone,
//! or the proxy has cut off the request.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use http::request::Parts;
use http::{Method, Response};
use hyper::body::{Frame, SizeHint};
use tokio::time::Instant;

use crate::call::request::Request;
use crate::ingress::connection::{Connection, Ongoing};

/// nginx's "client closed request". This status is never sent, because nobody is there to read it.
const CLIENT_GONE: u16 = 499;

/// The status of a request that the server aborted, not the client, as if the status could still
/// have been sent.
const CUT_OFF: u16 = 503;

/// A request that is being answered. If `AccessRecord` is dropped before [`AccessRecord::complete`] is called,
/// the client has left, unless the proxy has cut off the connection.
pub(crate) struct AccessRecord {
    line: Option<Line>,
}

struct Line {
    method: Method,
    /// The request, which knows its route once it has found one.
    request: Request,
    path: String,
    request_id: Arc<str>,
    began: Instant,
    /// The connection; `None` for a request without a socket.
    connection: Option<Arc<Connection>>,
}

impl AccessRecord {
    /// Returns the time at which a request begins, or `None` if the access log is disabled: then no
    /// clock is read.
    pub(crate) fn begin() -> Option<Instant> {
        tracing::enabled!(target: "serve_core::access", tracing::Level::INFO).then(Instant::now)
    }

    /// Creates the line of a request that began at `began`.
    pub(crate) fn new(
        began: Option<Instant>,
        head: &Parts,
        request: &Request,
        request_id: &Arc<str>,
        connection: Option<&Arc<Connection>>,
    ) -> Self {
        let line = began.map(|began| Line {
            method: head.method.clone(),
            request: request.clone(),
            path: head.uri.path().to_owned(),
            request_id: Arc::clone(request_id),
            began,
            connection: connection.cloned(),
        });
        Self { line }
    }

    /// Writes the line.
    fn complete(mut self, status: u16) {
        self.write(status);
    }

    fn write(&mut self, status: u16) {
        let Some(line) = self.line.take() else { return };
        // If no route matched, the path itself is logged.
        let route = line.request.route().map_or(line.path.as_str(), |route| route);
        // In whole microseconds: the digits after them are noise.
        let ms = line.began.elapsed().as_micros() as f64 / 1000.0;
        tracing::info!(
            target: "serve_core::access",
            method = line.method.as_str(),
            route,
            status,
            ms,
            request_id = &*line.request_id,
            "{} {route} {status} {ms:.1}ms",
            line.method,
        );
    }
}

impl Drop for AccessRecord {
    fn drop(&mut self) {
        let Some(line) = &self.line else { return };
        let cut_off = line.connection.as_ref().is_some_and(|connection| connection.is_cut_off());
        self.write(if cut_off { CUT_OFF } else { CLIENT_GONE });
    }
}

/// Returns the response, with the end of its body watched. A response whose body has a known length
/// is complete now.
pub(crate) fn watch(
    response: Response<Body>,
    access: AccessRecord,
    ongoing: Option<Ongoing>,
) -> Response<Body> {
    let status = response.status().as_u16();
    if response.body().size_hint().exact().is_some() {
        access.complete(status);
        return response;
    }
    response
        .map(|body| Body::new(Watched { body, status, access: Some(access), _ongoing: ongoing }))
}

/// A body whose end is logged.
struct Watched {
    body: Body,
    status: u16,
    access: Option<AccessRecord>,
    _ongoing: Option<Ongoing>,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if !matches!(frame, Some(Ok(_)))
            && let Some(access) = self.access.take()
        {
            access.complete(self.status);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        // Never true early: the end of the body would not be polled, and not be seen.
        false
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
