//! [`CallOptions`]: the options of the calls that are made through a handle.

use std::time::Duration;

/// Options of the calls made through a handle: `handle.options(CallOptions::new()...)`.
///
/// ```
/// use std::time::Duration;
/// use serve_core::CallOptions;
///
/// let options = CallOptions::new().timeout(Duration::from_millis(50)).session_id("dora");
/// assert_eq!(options.session_id.as_deref(), Some("dora"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallOptions {
    /// The time until the call's deadline, from the moment when the call is made. The caller's
    /// deadline also applies, if it is earlier. Default: the deployment's `request_timeout`.
    pub timeout: Option<Duration>,
    /// The model that the call is for. Default: the caller's.
    pub multiplexed_model_id: Option<String>,
    /// The session that the call belongs to. Default: the caller's.
    pub session_id: Option<String>,
    /// The request's id. Default: the caller's, else a new one.
    pub request_id: Option<String>,
}

impl CallOptions {
    /// Creates options of which none is set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the time until the deadline, from the moment when each call is made.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets the model.
    #[must_use]
    pub fn multiplexed_model_id(mut self, id: impl Into<String>) -> Self {
        self.multiplexed_model_id = Some(id.into());
        self
    }

    /// Sets the session.
    #[must_use]
    pub fn session_id(mut self, id: impl Into<String>) -> Self {
        self.session_id = Some(id.into());
        self
    }

    /// Sets the request's id.
    #[must_use]
    pub fn request_id(mut self, id: impl Into<String>) -> Self {
        self.request_id = Some(id.into());
        self
    }

    /// True if the options change more of a request than its deadline.
    pub(crate) fn change_request(&self) -> bool {
        self.multiplexed_model_id.is_some()
            || self.session_id.is_some()
            || self.request_id.is_some()
    }

    /// The same options, with the options that `newer` sets in place of the old ones.
    pub(crate) fn overridden_by(&self, newer: Self) -> Self {
        Self {
            timeout: newer.timeout.or(self.timeout),
            multiplexed_model_id: newer
                .multiplexed_model_id
                .or_else(|| self.multiplexed_model_id.clone()),
            session_id: newer.session_id.or_else(|| self.session_id.clone()),
            request_id: newer.request_id.or_else(|| self.request_id.clone()),
        }
    }
}
