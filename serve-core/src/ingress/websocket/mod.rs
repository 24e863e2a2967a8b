//! WebSockets: the handshake, the socket as user code sees it, and the task that drives it.
//!
//! A WebSocket has one task (`driver`), which reads and writes the connection and polls the user's
//! method. Both meet in two queues: `inbox` holds what has arrived, a channel holds what is to be
//! sent. The task therefore sees the client leave while the method waits for something else, and the
//! method's future is dropped in its scope, like that of any call.

mod close_code;
mod driver;
mod error;
pub(crate) mod handshake;
mod inbox;
mod message;
mod open;
mod socket;
mod upgrade;

pub use close_code::CloseCode;
pub use error::WebSocketError;
pub(crate) use message::Format;
pub use message::{Message, Received, Sent};
pub(crate) use open::{NAME, Opening, no_room, not_here};
pub use open::{Talk, WebSocketOutcome};
pub use socket::{SocketTypes, WebSocket, WebSocketSender};
pub(crate) use upgrade::{Opened, RoutedSocket};
pub use upgrade::{WebSocketRejection, WebSocketUpgrade};
