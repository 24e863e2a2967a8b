//! Tests of applications: [`MockRuntime`] is the real runtime with mocks,
//! recorded calls and a seeded random source.
//!
//! The same routers, admission and lifecycle run, on tokio's clock, which a test may pause.
//! Deployments can be mocked by closures with the methods' own types, every call is recorded, and
//! [`Mode::Wire`] encodes and decodes each call as a cluster would. [`HttpClient`] sends HTTP
//! requests without a socket.

mod deployed;
mod faults;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod mock;
mod record;
mod runtime;
mod test_target;
#[cfg(test)]
mod wire_simulation;

#[cfg(feature = "http")]
pub use crate::ingress::{
    HttpClient, HttpRequest, HttpResponse, WebSocketClient, WebSocketRequest,
};
pub use mock::IntoMock;
#[doc(hidden)]
pub use mock::Mock;
pub use record::CallRecord;
#[doc(hidden)]
pub use runtime::MockRuntime;
pub use runtime::{MockRuntimeBuilder, Mode};
