//! [`Message`]s, and the conversion between messages and the types of a socket.

use std::any::{Any, TypeId};

use bytes::Bytes;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio_tungstenite::tungstenite;

use super::close_code::CloseCode;
use super::error::WebSocketError;
use crate::call::wire::text::without_position;

/// One message of a WebSocket, text or binary.
///
/// A [`WebSocket<Message, Message>`](super::WebSocket) receives and sends both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Message {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Bytes),
}

impl Message {
    /// The number of bytes.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
        }
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<Bytes> for Message {
    fn from(bytes: Bytes) -> Self {
        Self::Binary(bytes)
    }
}

impl From<Message> for tungstenite::Message {
    fn from(message: Message) -> Self {
        match message {
            Message::Text(text) => Self::text(text),
            Message::Binary(bytes) => Self::binary(bytes),
        }
    }
}

/// The form that the messages of a type have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// `String`: text as it is.
    Text,
    /// `Bytes`: binary as it is.
    Binary,
    /// [`Message`]: text or binary.
    Any,
    /// Every other type: JSON, as text.
    Json,
}

impl Format {
    pub(crate) fn of<T: 'static>() -> Self {
        let id = TypeId::of::<T>();
        if id == TypeId::of::<String>() {
            Self::Text
        } else if id == TypeId::of::<Bytes>() {
            Self::Binary
        } else if id == TypeId::of::<Message>() {
            Self::Any
        } else {
            Self::Json
        }
    }

    /// The word for the format in OpenAPI.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Binary => "binary",
            Self::Any => "any",
            Self::Json => "json",
        }
    }
}

/// A type that a WebSocket receives.
#[diagnostic::on_unimplemented(
    message = "a WebSocket cannot receive `{Self}`",
    label = "this type cannot be read from JSON",
    note = "derive `serde::Deserialize` and `schemars::JsonSchema` for `{Self}`; it must also be \
            `Send` and own its data",
    note = "`String` is received as text, `Bytes` as binary"
)]
pub trait Received: DeserializeOwned + Send + 'static {}

#[diagnostic::do_not_recommend]
impl<T: DeserializeOwned + Send + 'static> Received for T {}

/// A type that a WebSocket sends.
#[diagnostic::on_unimplemented(
    message = "a WebSocket cannot send `{Self}`",
    label = "this type cannot be written as JSON",
    note = "derive `serde::Serialize` and `schemars::JsonSchema` for `{Self}`; it must also be `Send`",
    note = "`String` is sent as text, `Bytes` as binary"
)]
pub trait Sent: Serialize + Send + 'static {}

#[diagnostic::do_not_recommend]
impl<T: Serialize + Send + 'static> Sent for T {}

const KNOWN: &str = "the format is that of the type";

/// Returns the value as `T`, which is its type.
fn same<T: 'static, V: 'static>(value: V) -> T {
    let mut value = Some(value);
    let any: &mut dyn Any = &mut value;
    any.downcast_mut::<Option<T>>().and_then(Option::take).expect(KNOWN)
}

/// Reads a message as a value of the socket.
pub(super) fn decode<T: Received>(message: Message) -> Result<T, WebSocketError> {
    let unsupported = |expected: &str| WebSocketError::Invalid {
        code: CloseCode::UNSUPPORTED_DATA,
        message: format!("expected a {expected} message"),
    };
    match (Format::of::<T>(), message) {
        (Format::Any, message) => Ok(same(message)),
        (Format::Text, Message::Text(text)) => Ok(same(text)),
        (Format::Binary, Message::Binary(bytes)) => Ok(same(bytes)),
        (Format::Json, Message::Text(text)) => {
            serde_json::from_str(&text).map_err(|error| WebSocketError::Invalid {
                code: CloseCode::INVALID_DATA,
                message: fault(&text, &error, |json| {
                    serde_path_to_error::deserialize::<_, T>(json)
                        .err()
                        .map(|error| (error.path().to_string(), without_position(error.inner())))
                }),
            })
        }
        (Format::Text | Format::Json, Message::Binary(_)) => Err(unsupported("text")),
        (Format::Binary, Message::Text(_)) => Err(unsupported("binary")),
    }
}

/// The fault of a message, with the path to it if the message is JSON.
fn fault(
    text: &str,
    error: &serde_json::Error,
    read: impl FnOnce(
        &mut serde_json::Deserializer<serde_json::de::StrRead<'_>>,
    ) -> Option<(String, String)>,
) -> String {
    if !error.is_data() {
        return format!("not JSON: {error}");
    }
    match read(&mut serde_json::Deserializer::from_str(text)) {
        Some((path, message)) if path != "." => format!("`{path}`: {message}"),
        Some((_, message)) => message,
        None => error.to_string(),
    }
}

/// Writes a value of the socket as a message.
pub(super) fn encode<T: Sent>(value: T) -> Result<Message, WebSocketError> {
    Ok(match Format::of::<T>() {
        Format::Any => same(value),
        Format::Text => Message::Text(same(value)),
        Format::Binary => Message::Binary(same(value)),
        Format::Json => Message::Text(
            serde_json::to_string(&value)
                .map_err(|error| WebSocketError::Encode(error.to_string()))?,
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Point {
        x: i32,
        y: Vec<i32>,
    }

    #[test]
    fn text_and_bytes_are_raw_and_all_else_is_json() {
        assert_eq!(encode("a".to_owned()), Ok(Message::Text("a".to_owned())));
        assert_eq!(encode(Bytes::from("a")), Ok(Message::Binary(Bytes::from("a"))));
        let point = Message::Text(r#"{"x":1,"y":[2]}"#.to_owned());
        assert_eq!(encode(Point { x: 1, y: vec![2] }), Ok(point.clone()));
        assert_eq!(decode(point), Ok(Point { x: 1, y: vec![2] }));
        assert_eq!(decode(Message::from("a")), Ok("a".to_owned()));
        assert_eq!(decode(Message::from("a")), Ok(Message::from("a")));
        assert_eq!(decode(Message::Binary(Bytes::from("a"))), Ok(Bytes::from("a")));
    }

    #[test]
    fn a_message_that_does_not_fit_names_its_fault() {
        let fault = |message: Message| match decode::<Point>(message).unwrap_err() {
            WebSocketError::Invalid { code, message } => (code.get(), message),
            other => panic!("{other:?}"),
        };
        let (code, message) = fault(Message::from(r#"{"x": 1, "y": [1, "a"]}"#));
        assert_eq!((code, &*message), (1007, "`y[1]`: invalid type: string \"a\", expected i32"));
        let (code, message) = fault(Message::from("{"));
        assert!(code == 1007 && message.starts_with("not JSON"), "{message}");
        assert_eq!(fault(Message::from(Bytes::from("1"))).0, 1003);
        assert!(matches!(
            decode::<Bytes>(Message::from("a")),
            Err(WebSocketError::Invalid { code: CloseCode::UNSUPPORTED_DATA, .. })
        ));
    }
}
