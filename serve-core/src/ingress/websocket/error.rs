//! [`WebSocketError`]: the error of a WebSocket.

use super::close_code::CloseCode;

/// The error of a [`WebSocket`](super::WebSocket).
///
/// An error of the stream is its last item: the socket is closed, or will be in a moment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WebSocketError {
    /// The socket is closed, so nothing can be sent.
    #[error("the WebSocket is closed")]
    Closed,
    /// The connection was lost: the client has left without closing the socket.
    #[error("the client left without closing the WebSocket: {0}")]
    Lost(String),
    /// Nothing has arrived for `websocket_idle_timeout`, not even the answer to a ping.
    #[error("the client was silent for {0} s")]
    Silent(u64),
    /// A message is not as expected: not JSON, not of the type, not UTF-8 (the socket is closed with
    /// code 1007), or binary instead of text or the other way round (1003).
    #[error("a message is invalid: {message}")]
    Invalid {
        /// The code with which the socket is closed.
        code: CloseCode,
        /// The fault.
        message: String,
    },
    /// A message is larger than `max_websocket_message`. The socket is closed with code 1009.
    #[error("a message is larger than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// The client violates the protocol. The socket is closed with code 1002.
    #[error("the client violates the WebSocket protocol: {0}")]
    Protocol(String),
    /// A value that was to be sent cannot be written as JSON. The socket stays open.
    #[error("a message cannot be written as JSON: {0}")]
    Encode(String),
}

impl WebSocketError {
    /// Returns the code and the reason with which the socket is closed because of the error.
    pub(super) fn close(&self) -> (CloseCode, String) {
        let code = match self {
            Self::Invalid { code, .. } => *code,
            Self::TooLarge { .. } => CloseCode::TOO_LARGE,
            Self::Protocol(_) => CloseCode::PROTOCOL_ERROR,
            Self::Silent(_) => CloseCode::GOING_AWAY,
            Self::Closed | Self::Lost(_) | Self::Encode(_) => CloseCode::INTERNAL_ERROR,
        };
        (code, self.to_string())
    }
}
