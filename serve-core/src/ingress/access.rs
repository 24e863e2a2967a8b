//! The access log: one line a request, written when its answer is complete, its client is
//! gone, or the proxy has cut it off.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use http::request::Parts;
use http::{Method, Response};
use hyper::body::{Frame, SizeHint};
use tokio::time::Instant;

use super::connection::{Connection, Ongoing};
use crate::call::request::Request;

/// nginx's "client closed request": never sent, since nobody is there to read it.
const CLIENT_GONE: u16 = 499;

/// The server went away, not the client: as if it had still been told so.
const CUT_OFF: u16 = 503;

/// A request that is being answered. Dropped before [`Access::complete`] was called, it
/// was left by its client, unless the proxy cut its connection off.
pub(super) struct Access {
    line: Option<Line>,
}

struct Line {
    method: Method,
    /// Knows its route once it has found one.
    request: Request,
    path: String,
    request_id: Arc<str>,
    began: Instant,
    /// None for a request that came without a socket.
    connection: Option<Arc<Connection>>,
}

impl Access {
    /// Begins a line, if anyone reads the access log: else no clock is read.
    pub(super) fn begin() -> Option<Instant> {
        tracing::enabled!(target: "serve_core::access", tracing::Level::INFO).then(Instant::now)
    }

    /// The line of a request that began at `began`.
    pub(super) fn new(
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
        // A path that no route matched stands for itself.
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

impl Drop for Access {
    fn drop(&mut self) {
        let Some(line) = &self.line else { return };
        let cut_off = line.connection.as_ref().is_some_and(|connection| connection.is_cut_off());
        self.write(if cut_off { CUT_OFF } else { CLIENT_GONE });
    }
}

/// The response, with the end of its body watched. One whose body is all there is
/// complete now.
pub(super) fn watch(
    response: Response<Body>,
    access: Access,
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
    access: Option<Access>,
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
        // Never early, or the end would not be asked for, and not be seen.
        false
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
