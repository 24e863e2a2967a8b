//! [`Frame`]: what one end of a lane says to the other.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::call::CallError;
use crate::call::request::SentRequest;

/// One message of a lane, in postcard's format. Values within it are payloads, in
/// MessagePack.
///
/// Calls are numbered by the end that makes them, objects and streams by the end that lends
/// them.
#[derive(Debug, Deserialize, PartialEq, Serialize)]
pub(super) enum Frame {
    /// A call. Answered by any number of `Item`s, and then a `Reply` or `GivenBack`.
    Call(CallFrame),
    /// The result of a call.
    Reply { call: u64, result: SentResult },
    /// The call did not begin, and may go to another replica.
    GivenBack { call: u64 },
    /// An item of the stream that a call gives.
    Item { call: u64, item: SentResult },
    /// The consumer of that stream has room for so many more items.
    Credit { call: u64, items: usize },
    /// Nobody waits for the call any more.
    Cancel { call: u64 },
    /// What is left of the deadline of the call's caller changed; the call itself runs
    /// unattended if it is `detached`.
    Detach { call: u64, detached: bool, inherited: Option<Duration> },
    /// Asks for the value of a lent object. Answered by `Object`.
    Fetch { object: u64 },
    /// The value of an object.
    Object { object: u64, value: SentResult },
    /// The object is needed no more.
    Release { object: u64 },
    /// Asks for so many more items of a lent stream.
    Pull { stream: u64, items: usize },
    /// An item of a lent stream.
    StreamItem { stream: u64, item: SentResult },
    /// A lent stream has ended.
    StreamEnd { stream: u64 },
    /// The stream is read no more.
    CloseStream { stream: u64 },
    /// Asks whether the other end is there. Answered by `Pong`.
    Ping { number: u64 },
    /// The answer to a `Ping`.
    Pong { number: u64 },
}

/// A call as it travels.
#[derive(Debug, Deserialize, PartialEq, Serialize)]
pub(super) struct CallFrame {
    pub(super) call: u64,
    /// The replica that the call is for.
    pub(super) replica: String,
    /// The slot that the host granted.
    pub(super) grant: u64,
    pub(super) method: String,
    pub(super) request: SentRequest,
    /// What is left of the call's own deadline.
    pub(super) own: Option<Duration>,
    /// What is left of its caller's deadline.
    pub(super) inherited: Option<Duration>,
    pub(super) arguments: SentPayload,
}

/// A value, or a failure whose own error is a value.
pub(super) type SentResult = Result<SentPayload, CallError<SentPayload>>;

/// A payload as it travels: its attachments stay, and are named by number.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(super) struct SentPayload {
    pub(super) bytes: Bytes,
    pub(super) attachments: Vec<SentAttachment>,
}

/// What a value refers to, by the number that its lender gave it.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub(super) enum SentAttachment {
    Object(u64),
    Stream(u64),
}

impl Frame {
    pub(super) fn to_bytes(&self) -> Bytes {
        postcard::to_allocvec(self)
            .expect("a frame holds nothing that postcard cannot write")
            .into()
    }

    /// The frame, if these bytes are one.
    pub(super) fn from_bytes(bytes: &Bytes) -> Result<Self, postcard::Error> {
        postcard::from_bytes(bytes)
    }
}

/// What a frame belongs to. A transport keeps the order of the frames of one call, of one
/// object and of one stream; it may keep no other.
#[cfg(test)]
pub(crate) fn order_of(frame: &Bytes) -> String {
    match Frame::from_bytes(frame).expect("an end sends frames") {
        Frame::Call(CallFrame { call, .. })
        | Frame::Reply { call, .. }
        | Frame::GivenBack { call }
        | Frame::Item { call, .. }
        | Frame::Credit { call, .. }
        | Frame::Cancel { call }
        | Frame::Detach { call, .. } => format!("call {call}"),
        Frame::Fetch { object } | Frame::Object { object, .. } | Frame::Release { object } => {
            format!("object {object}")
        }
        Frame::Pull { stream, .. }
        | Frame::StreamItem { stream, .. }
        | Frame::StreamEnd { stream }
        | Frame::CloseStream { stream } => format!("stream {stream}"),
        Frame::Ping { .. } | Frame::Pong { .. } => "ping".to_owned(),
    }
}
