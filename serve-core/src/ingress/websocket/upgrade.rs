//! [`WebSocketUpgrade`]: the extractor by which a handler of `#[routes]` opens a WebSocket.

use std::fmt;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::response::IntoResponse;
use http::request::Parts;
use http::{Response, StatusCode};

use super::handshake::Handshake;
use super::message::{Received, Sent};
use super::open::{NAME, Opening, WebSocketOutcome, no_room};
use super::socket::WebSocket;
use crate::application::HttpSettings;
use crate::call::request::Request;
use crate::ingress::response::http_error::HttpError;
use crate::replica::{Replica, SocketSeat};

/// The parts of a routed request that a WebSocket needs, kept in the extensions of the request.
#[derive(Clone)]
pub(crate) struct RoutedSocket {
    pub(crate) replica: Arc<Replica>,
    pub(crate) request: Request,
    pub(crate) request_id: Arc<str>,
    pub(crate) settings: Arc<HttpSettings>,
}

/// Marks a response that opens a WebSocket which has its seat.
#[derive(Clone, Copy)]
pub(crate) struct Opened;

/// Opens a WebSocket in a handler of `#[routes]`.
///
/// In contrast to axum's own extractor of this name, the closure runs as a part of its request: it has
/// [`context()`](crate::context()) and [`replica_context()`](crate::replica_context()), and is dropped,
/// with the calls that it waits for, when the client leaves. The socket counts in `max_websockets`
/// instead of `max_ongoing_requests`, is pinged, and is closed with code 1001 when the replica or the
/// process shuts down, with 1009 by a message that is too large, and with 1011 by a panic.
///
/// ```
/// use std::sync::Arc;
///
/// use serve_core::axum::{self, routing::any};
/// use serve_core::http::{WebSocket, WebSocketUpgrade};
/// use serve_core::prelude::*;
///
/// #[deployment]
/// #[derive(Default)]
/// struct Echo;
///
/// #[handle]
/// impl Echo {
///     #[routes]
///     pub fn routes(self: Arc<Self>) -> axum::Router {
///         axum::Router::new().route("/ws", any(echo))
///     }
/// }
///
/// async fn echo(upgrade: WebSocketUpgrade) -> axum::response::Response {
///     upgrade.on_upgrade(async |mut socket: WebSocket<String, String>| {
///         while let Some(Ok(text)) = socket.next().await {
///             if socket.send(text).await.is_err() {
///                 break;
///             }
///         }
///     })
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<()> {
/// let runtime = MockRuntime::builder().start();
/// runtime.run(Echo::bind()).await?;
/// let mut socket = runtime.http().websocket("/ws").await?;
/// socket.send("Dora").await?;
/// assert_eq!(socket.next_text().await?, "Dora");
/// # Ok(())
/// # }
/// ```
#[must_use = "the WebSocket opens with the response of `on_upgrade`"]
pub struct WebSocketUpgrade {
    opening: Opening,
}

impl WebSocketUpgrade {
    /// Chooses the first of these subprotocols that the client offers.
    pub fn protocols<P: AsRef<str>>(mut self, known: impl IntoIterator<Item = P>) -> Self {
        let Handshake { offered, chosen, .. } = &mut self.opening.handshake;
        let mut known = known.into_iter();
        *chosen =
            known.find_map(|known| offered.iter().find(|one| **one == known.as_ref()).cloned());
        self
    }

    /// The subprotocol that was chosen.
    #[must_use]
    pub fn protocol(&self) -> Option<&str> {
        self.opening.handshake.chosen.as_ref()?.to_str().ok()
    }

    /// Returns the response that opens the socket, and runs the closure with it.
    pub fn on_upgrade<In, Out, F>(
        self,
        talk: impl FnOnce(WebSocket<In, Out>) -> F + Send + 'static,
    ) -> Response<Body>
    where
        In: Received,
        Out: Sent,
        F: Future<Output: WebSocketOutcome> + Send + 'static,
    {
        let mut response = self.opening.start(|socket| async move { talk(socket).await.outcome() });
        response.extensions_mut().insert(Opened);
        response
    }
}

impl<S: Send + Sync> FromRequestParts<S> for WebSocketUpgrade {
    type Rejection = WebSocketRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, WebSocketRejection> {
        let Some(routed) = parts.extensions.get::<RoutedSocket>().cloned() else {
            tracing::error!(
                "`serve_core::http::WebSocketUpgrade` works only in the `#[routes]` of a deployment"
            );
            return Err(WebSocketRejection(HttpError::internal().into_response()));
        };
        let RoutedSocket { replica, request, request_id, settings } = routed;
        let handshake = Handshake::of(parts).map_err(|refused| WebSocketRejection(*refused))?;
        let Some(seat) = SocketSeat::take(&replica, settings.max_websockets) else {
            return Err(WebSocketRejection(no_room(settings.max_websockets)));
        };
        let name = NAME;
        Ok(Self { opening: Opening { handshake, seat, request, request_id, settings, name } })
    }
}

impl fmt::Debug for WebSocketUpgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocketUpgrade").field("protocol", &self.protocol()).finish()
    }
}

/// The response to a request that opens no WebSocket: 426 if it does not ask for one, or 503 if there
/// is no room for one.
pub struct WebSocketRejection(Response<Body>);

impl WebSocketRejection {
    /// The status of the response.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.0.status()
    }
}

impl IntoResponse for WebSocketRejection {
    fn into_response(self) -> Response<Body> {
        self.0
    }
}

impl fmt::Debug for WebSocketRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WebSocketRejection").field(&self.0.status()).finish()
    }
}
