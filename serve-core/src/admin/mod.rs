//! The admin port: the REST API by which people and programs look at a running instance and change
//! it.
//!
//! The paths below `/api/serve` and `/api/ray` are Ray Serve's, with its fields, so that Ray's own
//! tools work. Everything else is below `/api/v1`. This module knows HTTP and JSON; [`Operations`]
//! is the instance, which `runtime` implements: it reads the status and writes the desired state.

mod access;
mod api;
mod operations;
mod ray;
mod server;

pub(crate) use self::access::Access;
pub(crate) use self::operations::{
    ChangeView, ConfigView, Effect, Fault, Instance, Operations, Refusal,
};
pub(crate) use self::server::AdminServer;
