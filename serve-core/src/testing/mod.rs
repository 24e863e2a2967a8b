//! The mock runtime: the real runtime with mocks, recorded calls and a seeded random source.
//!
//! The same routers, admission and lifecycle run, on tokio's clock, which a test may pause.
//! Deployments can be mocked by closures with the methods' own types, every call is recorded, and
//! `Mode::Wire` encodes and decodes each call as a cluster would.

mod cast;
mod faults;
mod mock;
mod record;
mod runtime;
mod target;
#[cfg(test)]
mod weather;

pub use mock::{IntoMock, Mock};
pub use record::CallRecord;
pub use runtime::{MockRuntime, MockRuntimeBuilder, Mode};
