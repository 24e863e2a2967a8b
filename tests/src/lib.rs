//! Tools for tests with several processes: the real `cargo-serve`, copies of fixture packages
//! to run it on, and the servers that it starts.
//!
//! A fixture is a package in `fixtures/`, with a workspace of its own. Tests run copies,
//! so that the source tree stays clean and tests stay apart. All copies are built in one
//! target directory, so that their dependencies are built once.

mod command;
mod fixture;
mod http;
mod repository;
mod server;

pub use command::{CargoServe, Finished};
pub use fixture::Fixture;
pub use http::{Answer, request, try_request};
pub use repository::{cargo_serve, fixtures_target, repository, shared_target};
pub use server::Server;
