//! [`CloseCode`]: the code with which a WebSocket is closed.

use std::fmt;

/// The code with which a WebSocket is closed (RFC 6455, section 7.4). It compares with numbers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CloseCode(u16);

impl CloseCode {
    /// 1000: the method has ended, or the client is done.
    pub const NORMAL: Self = Self(1000);
    /// 1001: the replica or the process shuts down, or the client leaves the page.
    pub const GOING_AWAY: Self = Self(1001);
    /// 1002: the protocol was violated.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// 1003: a text message was expected and a binary one came, or the other way round.
    pub const UNSUPPORTED_DATA: Self = Self(1003);
    /// 1005: the peer has sent no code. It is never sent.
    pub const NO_CODE: Self = Self(1005);
    /// 1006: the connection was lost. It is never sent.
    pub const LOST: Self = Self(1006);
    /// 1007: a message is not JSON, not of the expected type, or not UTF-8.
    pub const INVALID_DATA: Self = Self(1007);
    /// 1008: a rule of the application was violated.
    pub const POLICY_VIOLATION: Self = Self(1008);
    /// 1009: a message is larger than `max_websocket_message`.
    pub const TOO_LARGE: Self = Self(1009);
    /// 1011: the method has failed.
    pub const INTERNAL_ERROR: Self = Self(1011);

    /// The code with this number. Applications have the numbers from 4000 to 4999.
    #[must_use]
    pub const fn new(code: u16) -> Self {
        Self(code)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl fmt::Debug for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CloseCode({})", self.0)
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl PartialEq<u16> for CloseCode {
    fn eq(&self, other: &u16) -> bool {
        self.0 == *other
    }
}

impl From<u16> for CloseCode {
    fn from(code: u16) -> Self {
        Self(code)
    }
}
