//! [`ResultKind`]: the form in which values of a type are sent, as the type alone decides.

use std::any::TypeId;

use bytes::Bytes;

/// The form in which values of a type are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResultKind {
    /// `String`.
    Text,
    /// `()`.
    Empty,
    /// `Bytes`.
    Raw,
    /// Any other type.
    Json,
}

impl ResultKind {
    pub(crate) fn of<T: 'static>() -> Self {
        let id = TypeId::of::<T>();
        if id == TypeId::of::<String>() {
            Self::Text
        } else if id == TypeId::of::<()>() {
            Self::Empty
        } else if id == TypeId::of::<Bytes>() {
            Self::Raw
        } else {
            Self::Json
        }
    }

    /// Returns the `Content-Type` of one value.
    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; charset=utf-8",
            // As in Ray Serve, an empty body has no character set.
            Self::Empty => "text/plain",
            Self::Raw => "application/octet-stream",
            Self::Json => "application/json",
        }
    }
}
