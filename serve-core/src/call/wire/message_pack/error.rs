//! [`Error`]: the reasons why a value cannot be written or read; and the limits of the format.

use std::fmt::Display;

use rmp::encode::ValueWriteError;

/// The MessagePack extension type of a nil inside of `Some`s. See the module's documentation.
pub(super) const NIL_IN_SOMES: i8 = b'O'.cast_signed();

/// The number of sequences, maps, structs and enums with data that may be nested.
///
/// `Some`s are not counted here: no more than 255 may be directly around each other.
///
/// `serde_json` has the same limit. In a debug build, a level takes 4 KiB of the stack for a
/// `serde_json::Value` and some 20 KiB for a large struct, and tokio's threads have 2 MiB.
pub(super) const MAX_DEPTH: u8 = 128;

/// The reason why a value could not be written or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{0}")]
    Message(String),
    #[error("a value is nested more than {MAX_DEPTH} levels deep")]
    TooDeep,
    #[error("a sequence, map or string is longer than 4 GiB")]
    TooLong,
    #[error("a sequence or map of {announced} elements has {actual}")]
    WrongLength { announced: usize, actual: usize },
    #[error("the bytes end within a value")]
    EarlyEnd,
    #[error("{0} bytes follow the value")]
    TrailingBytes(usize),
    #[error("a string is not UTF-8: {0}")]
    NotUtf8(#[from] std::str::Utf8Error),
    #[error(transparent)]
    Write(#[from] ValueWriteError),
}

impl serde::ser::Error for Error {
    fn custom<T: Display>(message: T) -> Self {
        Self::Message(message.to_string())
    }
}

impl serde::de::Error for Error {
    fn custom<T: Display>(message: T) -> Self {
        Self::Message(message.to_string())
    }
}
