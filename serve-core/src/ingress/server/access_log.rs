//! The access log: one line per request, written when the response is complete, the client is gone,
//! or the proxy has cut off the request.

use std::error::Error;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Method, Response};
use hyper::body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep};

use crate::call::request::Request;
use crate::call::wire::echo::shown;
use crate::ingress::connection::{Connection, Ongoing};
use crate::ingress::response::grpc::GRPC_STATUS;
use crate::ingress::response::into_response::InPieces;

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
    /// The path, as it is shown.
    path: String,
    request_id: Arc<str>,
    began: Instant,
    client: Option<IpAddr>,
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
        client: Option<IpAddr>,
        connection: Option<&Arc<Connection>>,
    ) -> Self {
        let line = began.map(|began| Line {
            method: head.method.clone(),
            request: request.clone(),
            path: shown(head.uri.path()).into_owned(),
            request_id: Arc::clone(request_id),
            began,
            client,
            connection: connection.cloned(),
        });
        Self { line }
    }

    /// Writes the line. A gRPC call has a status of its own, beside that of HTTP.
    fn complete(mut self, status: u16, grpc_status: Option<u16>) {
        self.write(status, grpc_status);
    }

    fn write(&mut self, status: u16, grpc_status: Option<u16>) {
        let Some(line) = self.line.take() else { return };
        // Any token of any length is a method.
        let method = shown(line.method.as_str());
        // If no route matched, the path itself is logged.
        let route = line.request.route().map_or(line.path.as_str(), |route| route);
        // In whole microseconds: the digits after them are noise.
        let ms = line.began.elapsed().as_micros() as f64 / 1000.0;
        let grpc = grpc_status.map(|status| format!(" grpc {status}")).unwrap_or_default();
        tracing::info!(
            target: "serve_core::access",
            method = &*method,
            route,
            status,
            grpc_status,
            ms,
            request_id = &*line.request_id,
            client = line.client.map(tracing::field::display),
            "{method} {route} {status} {ms:.1}ms{grpc}",
        );
    }
}

impl Drop for AccessRecord {
    fn drop(&mut self) {
        let Some(line) = &self.line else { return };
        let cut_off = line.connection.as_ref().is_some_and(|connection| connection.is_cut_off());
        self.write(if cut_off { CUT_OFF } else { CLIENT_GONE }, None);
    }
}

/// Logs the answer that hyper's parser gave to bytes that are no request. `error` is the error with
/// which the connection ended.
pub(crate) fn log_refusal(connection: &Connection, error: Option<Box<dyn Error + Send + Sync>>) {
    let Some(error) = error else { return };
    let error = error.downcast_ref::<hyper::Error>().filter(|error| error.is_parse());
    let Some(error) = error else { return };
    // Where earlier requests were still being answered, hyper closes the connection instead.
    let (status, request_id) = connection.take_refusal().unwrap_or_else(|| (400, Arc::from("-")));
    tracing::info!(
        target: "serve_core::access",
        method = "-",
        route = "-",
        status,
        ms = 0.0,
        request_id = &*request_id,
        "- - {status} 0.0ms: {error}",
    );
}

/// The time for which a broken body waits before it breaks, so that the data before the fault is
/// sent: hyper drops what it has not written yet when a body fails. Long for a socket that takes
/// data, and short for a client that waits for the end.
const LAST_DATA: Duration = Duration::from_millis(20);

/// Returns the response, with the end of its body watched. A response whose body is complete is
/// complete now.
pub(crate) fn watch(
    mut response: Response<Body>,
    access: AccessRecord,
    ongoing: Option<Ongoing>,
    multiplexed: bool,
) -> Response<Body> {
    let status = response.status().as_u16();
    let length = response.body().size_hint().exact();
    let in_pieces = response.extensions_mut().remove::<InPieces>().is_some();
    if response.body().is_end_stream() || (length.is_some() && !in_pieces) {
        access.complete(status, grpc_status(response.headers()));
        // An HTTP/2 connection is not idle while a client takes an answer.
        return match ongoing.filter(|_| multiplexed && length != Some(0)) {
            Some(ongoing) => {
                response.map(|body| Body::new(Watched::new(body, status, None, Some(ongoing))))
            }
            None => response,
        };
    }
    let ongoing = ongoing.map(Ongoing::streams);
    response.map(|body| Body::new(Watched::new(body, status, Some(access), ongoing)))
}

/// Returns the status of a gRPC call, from the headers or the trailers of its response.
fn grpc_status(headers: &HeaderMap) -> Option<u16> {
    headers.get(GRPC_STATUS)?.to_str().ok()?.parse().ok()
}

/// A body whose end is logged.
struct Watched {
    body: Body,
    status: u16,
    /// The status of a gRPC call, once the trailers have said it.
    grpc_status: Option<u16>,
    access: Option<AccessRecord>,
    /// The number of bytes that are left, if the length of the body is known.
    left: Option<u64>,
    /// The fault of the body, and the time until it breaks.
    fault: Option<(axum::Error, Pin<Box<Sleep>>)>,
    _ongoing: Option<Ongoing>,
}

impl Watched {
    fn new(
        body: Body,
        status: u16,
        access: Option<AccessRecord>,
        ongoing: Option<Ongoing>,
    ) -> Self {
        let left = body.size_hint().exact();
        Self { body, status, grpc_status: None, access, left, fault: None, _ongoing: ongoing }
    }

    fn complete(&mut self) {
        if let Some(access) = self.access.take() {
            access.complete(self.status, self.grpc_status);
        }
    }
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.fault.is_none() {
            let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
            let Some(Err(fault)) = frame else {
                let sent = frame.as_ref().and_then(|frame| frame.as_ref().ok());
                if let Some(trailers) = sent.and_then(Frame::trailers_ref) {
                    self.grpc_status = grpc_status(trailers);
                }
                let data = sent.and_then(Frame::data_ref);
                let length = data.map_or(0, |data| data.len() as u64);
                self.left = self.left.map(|left| left.saturating_sub(length));
                // hyper does not poll a body of known length for its end.
                if frame.is_none() || self.left == Some(0) {
                    self.complete();
                }
                return Poll::Ready(frame);
            };
            self.complete();
            self.fault = Some((fault, Box::pin(sleep(LAST_DATA))));
        }
        if let Some((_, wait)) = &mut self.fault {
            ready!(wait.as_mut().poll(cx));
        }
        Poll::Ready(self.fault.take().map(|(fault, _)| Err(fault)))
    }

    fn is_end_stream(&self) -> bool {
        // A body of unknown length is never at its end early: its end would not be polled, and not
        // be seen.
        self.left == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
