//! [`Opening`]: a WebSocket that is about to open; and [`Talk`], the shape of a `#[websocket]`
//! method.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::body::Body;
use futures::FutureExt as _;
use http::Response;
use hyper_util::rt::TokioIo;
use tokio::time::sleep;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::driver::{Driver, GOODBYE, Io, max_message};
use super::handshake::Handshake;
use super::socket::{WebSocket, socket};
use crate::application::HttpSettings;
use crate::call::CallError;
use crate::call::request::Request;
use crate::ingress::response::http_error::HttpError;
use crate::replica::{InScope, Replica, Scope, SocketSeat, shutting_down};

/// The name of a WebSocket among the calls of a deployment, in errors and logs.
pub(crate) const NAME: &str = "websocket";

/// The size of the buffer in which each WebSocket reads; tungstenite's own default of 128 KiB would be
/// 128 MiB for a thousand of them.
const READ_BUFFER: usize = 8 << 10;
/// The number of bytes that are collected before they are written. Every message is flushed anyway.
const WRITE_BUFFER: usize = 8 << 10;

/// The shape of a method that has a WebSocket, beside `One` and `Many`.
#[derive(Clone, Copy, Debug)]
pub struct Talk;

/// A value that a method with a WebSocket may return.
#[diagnostic::on_unimplemented(
    message = "a `#[websocket]` method cannot return `{Self}`",
    label = "expected nothing, or a `Result<(), E>`",
    note = "send what the client is to receive with `socket.send(..)`; an error, which implements \
            `Display`, closes the socket with code 1011"
)]
pub trait WebSocketOutcome {
    /// Returns the text of the error, if the method failed.
    #[doc(hidden)]
    fn outcome(self) -> Result<(), String>;
}

impl WebSocketOutcome for () {
    fn outcome(self) -> Result<(), String> {
        Ok(())
    }
}

#[diagnostic::do_not_recommend]
impl<E: fmt::Display> WebSocketOutcome for Result<(), E> {
    fn outcome(self) -> Result<(), String> {
        // An error of this crate writes its causes only if it is asked to.
        self.map_err(|error| format!("{error:#}"))
    }
}

/// A WebSocket that is about to open, on a replica.
pub(crate) struct Opening {
    pub(crate) handshake: Handshake,
    pub(crate) seat: SocketSeat,
    pub(crate) request: Request,
    pub(crate) request_id: Arc<str>,
    pub(crate) settings: Arc<HttpSettings>,
    /// The name of the method, for the log.
    pub(crate) name: &'static str,
}

impl Opening {
    /// Returns the response that opens the socket, and spawns the task that runs the method once the
    /// response has been sent. The task ends with the method, the client, or the replica.
    pub(crate) fn start<In, Out, F>(
        self,
        run: impl FnOnce(WebSocket<In, Out>) -> F + Send + 'static,
    ) -> Response<Body>
    where
        In: 'static,
        Out: 'static,
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        let Self { handshake, seat, request, request_id, settings, name } = self;
        let (response, upgrade) = handshake.accepted();
        let replica = Arc::clone(seat.replica());
        let tokio = replica.compute.runtime().tokio.clone();
        let scope = || Scope::hosted(request.clone(), Arc::clone(&replica));
        let drain = scope().enter(shutting_down);
        let (socket, inbox, outbox) = socket(max_message(&settings));
        let method = async move { run(socket).await.map_err(CallError::App) };
        let method = InScope::call(scope(), method, false);
        drop(replica);
        tokio.spawn(async move {
            // Dropped last, when nothing is left of the socket.
            let seat = seat;
            // An error means that the client has left before the response was sent.
            let Ok(upgraded) = upgrade.await else { return };
            let limit = Some(max_message(&settings));
            let config = WebSocketConfig::default()
                .read_buffer_size(READ_BUFFER)
                .write_buffer_size(WRITE_BUFFER)
                .max_message_size(limit)
                .max_frame_size(limit);
            let stream = WebSocketStream::from_raw_socket(
                TokioIo::new(upgraded),
                Role::Server,
                Some(config),
            );
            let io = Io::new(stream.await, inbox, outbox, &settings);
            let method = Box::pin(AssertUnwindSafe(method).catch_unwind());
            let replica = Arc::clone(seat.replica());
            let over = async {
                replica.until_end().await;
                sleep(GOODBYE).await;
            };
            tokio::select! {
                () = Driver { io, method, name, request_id }.run(drain) => {}
                // The client does not read the frame that closes the socket.
                () = over => {}
            }
        });
        response
    }
}

/// The response to a WebSocket for which there is no room.
pub(crate) fn no_room(limit: usize) -> Response<Body> {
    HttpError::not_yet(format!(
        "every replica has {limit} WebSockets, the most that it may have (`max_websockets`)"
    ))
    .into_response()
}

/// The error of a replica whose instance is not in this process.
pub(crate) fn not_here<E>(replica: &Replica, what: &str) -> CallError<E> {
    CallError::Unavailable {
        deployment: replica.context.deployment().to_owned(),
        started: false,
        reason: format!("its {what} are served only by an instance in this process"),
    }
}
