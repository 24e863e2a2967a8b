//! [`WebSocket`]: a WebSocket as the method of an endpoint has it.

use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures::Stream;
use tokio::sync::mpsc;

use super::close_code::CloseCode;
use super::error::WebSocketError;
use super::inbox::Inbox;
use super::message::{Message, Received, Sent, decode, encode};

/// The number of messages that wait to be sent. Beyond it, `send` waits.
const WAITING: usize = 16;

/// A message that is to be sent, or the order to close the socket.
pub(super) enum Outgoing {
    Message(Message),
    Close(CloseCode, String),
}

/// A WebSocket, as a method marked `#[websocket]` or the closure of a
/// [`WebSocketUpgrade`](super::WebSocketUpgrade) has it.
///
/// It is a stream of what the client sends, and [`send`](Self::send) sends to the client. `String` is
/// sent and received as text, [`Bytes`](crate::Bytes) as binary, [`Message`] as either, and every other
/// type as JSON in a text message.
///
/// The stream ends with `None` when the client closes the socket, or when the replica or the process
/// shuts down (the client has received code 1001 then). It ends with an error if the client leaves
/// without closing the socket, if a message is not as expected (code 1007, or 1009 if it is too large),
/// or if the client is silent. After an error, the stream has no more items.
///
/// The socket is closed when the method ends: with code 1000, or with 1011 if the method returns an
/// error or panics. Dropping the `WebSocket` early does not close it; what the client sends is ignored
/// then.
pub struct WebSocket<In, Out = In> {
    inbox: Arc<Inbox>,
    sender: WebSocketSender<Out>,
    receives: PhantomData<fn() -> In>,
}

/// The sending half of a [`WebSocket`]. Cheap to clone, and usable from other tasks.
pub struct WebSocketSender<Out> {
    outbox: mpsc::Sender<Outgoing>,
    sends: PhantomData<fn(Out)>,
}

/// Creates a socket, with the two ends of its queues that the driver has.
pub(super) fn socket<In, Out>(
    most_bytes: usize,
) -> (WebSocket<In, Out>, Arc<Inbox>, mpsc::Receiver<Outgoing>) {
    let inbox = Arc::new(Inbox::new(most_bytes));
    let (outbox, outgoing) = mpsc::channel(WAITING);
    let sender = WebSocketSender { outbox, sends: PhantomData };
    (WebSocket { inbox: Arc::clone(&inbox), sender, receives: PhantomData }, inbox, outgoing)
}

impl<In, Out> WebSocket<In, Out> {
    /// Returns the sending half, for another task or for a part of the method that does not have the
    /// socket.
    #[must_use]
    pub fn sender(&self) -> WebSocketSender<Out> {
        self.sender.clone()
    }

    /// Sends a value to the client. Waits as long as the client does not read what was sent before.
    ///
    /// # Errors
    /// If the socket is closed, or the value cannot be written as JSON.
    pub async fn send(&self, value: Out) -> Result<(), WebSocketError>
    where
        Out: Sent,
    {
        self.sender.send(value).await
    }

    /// Closes the socket after what was sent before. The method may go on; its stream ends.
    ///
    /// `reason` is shortened to the 123 bytes that a reason may have.
    ///
    /// # Errors
    /// If the socket is closed already.
    pub async fn close(
        &self,
        code: impl Into<CloseCode>,
        reason: impl Into<String>,
    ) -> Result<(), WebSocketError> {
        self.sender.close(code, reason).await
    }
}

impl<In: Received, Out> Stream for WebSocket<In, Out> {
    type Item = Result<In, WebSocketError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(message) = ready!(self.inbox.poll_take(cx)) else { return Poll::Ready(None) };
        Poll::Ready(Some(message.and_then(|message| {
            decode(message).inspect_err(|error| self.inbox.fail(error.clone()))
        })))
    }
}

impl<In, Out> Drop for WebSocket<In, Out> {
    fn drop(&mut self) {
        self.inbox.unread();
    }
}

impl<In, Out> fmt::Debug for WebSocket<In, Out> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket").field("closed", &self.sender.is_closed()).finish()
    }
}

impl<Out> WebSocketSender<Out> {
    /// Sends a value to the client, as [`WebSocket::send`] does.
    ///
    /// # Errors
    /// If the socket is closed, or the value cannot be written as JSON.
    pub async fn send(&self, value: Out) -> Result<(), WebSocketError>
    where
        Out: Sent,
    {
        let message = Outgoing::Message(encode(value)?);
        self.outbox.send(message).await.map_err(|_| WebSocketError::Closed)
    }

    /// Closes the socket, as [`WebSocket::close`] does.
    ///
    /// # Errors
    /// If the socket is closed already.
    pub async fn close(
        &self,
        code: impl Into<CloseCode>,
        reason: impl Into<String>,
    ) -> Result<(), WebSocketError> {
        let close = Outgoing::Close(code.into(), reason.into());
        self.outbox.send(close).await.map_err(|_| WebSocketError::Closed)
    }

    /// True once nothing can be sent any more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.outbox.is_closed()
    }

    /// Waits until nothing can be sent any more: until the client has left, or the socket is closed.
    pub async fn closed(&self) {
        self.outbox.closed().await;
    }
}

impl<Out> Clone for WebSocketSender<Out> {
    fn clone(&self) -> Self {
        Self { outbox: self.outbox.clone(), sends: PhantomData }
    }
}

impl<Out> fmt::Debug for WebSocketSender<Out> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocketSender").field("closed", &self.is_closed()).finish()
    }
}

/// The parameter of a `#[websocket]` method.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is named `WebSocket` but is not `serve_core::http::WebSocket`",
    label = "expected `serve_core::http::WebSocket<In, Out>`"
)]
pub trait SocketTypes {
    /// The type that the socket receives.
    type In;
    /// The type that the socket sends.
    type Out;
}

impl<In, Out> SocketTypes for WebSocket<In, Out> {
    type In = In;
    type Out = Out;
}
