//! The port: connections, and what every request passes through, whatever answers it.

pub(crate) mod access_log;
pub(crate) mod certificate_error;
pub(crate) mod connections;
pub(crate) mod proxy;
pub(crate) mod refusal;
pub(crate) mod service;
pub(crate) mod serving;
pub(crate) mod socket;
pub(crate) mod stalled_body;
pub(crate) mod stop;
pub(crate) mod stream;
#[cfg_attr(not(feature = "tls"), path = "no_tls.rs")]
pub(crate) mod tls;
pub(crate) mod upload;
