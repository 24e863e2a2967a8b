//! [`Frame`]: a message from one end of a lane to the other.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::call::CallError;
use crate::call::request::SentRequest;

/// One message of a lane, in postcard's format. The user's values in a frame are payloads, in
/// MessagePack.
///
/// The end that makes a call numbers it, and the end that lends an object or a stream numbers
/// the object or the stream.
#[derive(Debug, Deserialize, PartialEq, Serialize)]
pub(super) enum Frame {
    /// A call. Answered by any number of `Item`s, and then a `Reply` or `GivenBack`.
    Call(Box<CallFrame>),
    /// The result of a call.
    Reply { call: u64, result: SentResult },
    /// The call did not begin on its replica, and may go to another one.
    GivenBack { call: u64 },
    /// The call has begun, and will not be given back. Sent if the arguments have attachments,
    /// which the caller keeps until then. Not sent for a call that begins in order, because its
    /// batch may still give the call back.
    Begun { call: u64 },
    /// An item of the stream that a call returns.
    Item { call: u64, item: SentResult },
    /// The number of further items that the consumer of a call's stream has room for.
    Credit { call: u64, items: usize },
    /// Cancels the call, whose caller no longer waits for it.
    Cancel { call: u64 },
    /// A change of the deadline that the call inherits from its caller. With `detached`, the call
    /// itself was detached, and runs unattended.
    Detach { call: u64, detached: bool, inherited: Option<Duration> },
    /// Asks for the value of a lent object. Answered by `Object`.
    Fetch { object: u64, fetch: u64 },
    /// The value of an object.
    Object { object: u64, fetch: u64, value: SentResult },
    /// Returns a lent object, which is no longer needed.
    Release { object: u64 },
    /// Asks for further items of a lent stream.
    Pull { stream: u64, items: usize },
    /// An item of a lent stream.
    StreamItem { stream: u64, item: SentResult },
    /// The end of a lent stream.
    StreamEnd { stream: u64 },
    /// Returns a lent stream, which is no longer read.
    CloseStream { stream: u64 },
    /// Asks whether the other end still answers. Answered by `Pong`.
    Ping { number: u64 },
    /// The answer to a `Ping`.
    Pong { number: u64 },
}

/// The content of a [`Frame::Call`].
#[derive(Debug, Deserialize, PartialEq, Serialize)]
pub(super) struct CallFrame {
    pub(super) call: u64,
    /// The replica that the call is for.
    pub(super) replica: String,
    /// The grant by which the host finds the call's slot.
    pub(super) grant: u64,
    pub(super) method: String,
    pub(super) request: SentRequest,
    /// The time that remains until the call's own deadline.
    pub(super) own: Option<Duration>,
    /// The time that remains until the deadline of the call's caller.
    pub(super) inherited: Option<Duration>,
    pub(super) arguments: SentPayload,
}

/// A result in a frame: a value, or a failure whose own error is a value.
pub(super) type SentResult = Result<SentPayload, CallError<SentPayload>>;

/// A payload in a frame. Its attachments stay with the sender, and the frame has their numbers.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(super) struct SentPayload {
    pub(super) bytes: Bytes,
    pub(super) attachments: Vec<SentAttachment>,
}

/// An attachment of a payload, by the number that its lender gave it.
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

    /// The frame that `bytes` hold.
    pub(super) fn from_bytes(bytes: &Bytes) -> Result<Self, postcard::Error> {
        postcard::from_bytes(bytes)
    }
}

/// Returns whether bytes are a frame. Checks that a frame is read as the same frame after it was
/// written again.
#[cfg(any(test, fuzzing))]
pub(crate) fn is_frame(bytes: &Bytes) -> bool {
    let Ok(frame) = Frame::from_bytes(bytes) else { return false };
    let again = Frame::from_bytes(&frame.to_bytes()).expect("what was written is a frame");
    assert_eq!(again, frame);
    true
}

/// The call, object or stream that a frame belongs to. A lane keeps the order of frames that
/// belong together, and may keep no other order.
#[cfg(test)]
pub(crate) fn order_of(frame: &Bytes) -> String {
    match Frame::from_bytes(frame).expect("an end sends frames") {
        Frame::Call(frame) => format!("call {}", frame.call),
        Frame::Reply { call, .. }
        | Frame::GivenBack { call }
        | Frame::Begun { call }
        | Frame::Item { call, .. }
        | Frame::Credit { call, .. }
        | Frame::Cancel { call }
        | Frame::Detach { call, .. } => format!("call {call}"),
        Frame::Fetch { object, .. } | Frame::Object { object, .. } | Frame::Release { object } => {
            format!("object {object}")
        }
        Frame::Pull { stream, .. }
        | Frame::StreamItem { stream, .. }
        | Frame::StreamEnd { stream }
        | Frame::CloseStream { stream } => format!("stream {stream}"),
        Frame::Ping { .. } | Frame::Pong { .. } => "ping".to_owned(),
    }
}
