//! [`KnownCall`]: the knowledge of a response about its call.

use crate::call::pending::PendingCall;
use crate::call::request::Request;

/// A response's reference to a call that had not begun when the response was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deferral {
    /// The number of the slot of the thread that made the call.
    pub(super) slot: u64,
    /// The serial number of the call at its slot.
    pub(super) serial: u64,
    pub(super) light: bool,
}

/// The knowledge of a response about its call, which depends on the progress of the call.
#[derive(Debug)]
pub(crate) enum KnownCall {
    /// The call is deferred. The deferred call itself holds its description.
    Deferred(Deferral),
    Pending(PendingCall),
    /// The call ended in place, as most deferred calls do. No reference is counted, because hardly
    /// any response is asked for more after that.
    Ended {
        request: Request,
        /// The seed of the ids of the runtime's requests.
        seed: u64,
        method: &'static str,
    },
}
