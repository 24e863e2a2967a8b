//! Helpers that several files of tests share. Each file names a topic; a deployment that only one
//! test needs stands beside that test.
#![cfg_attr(
    not(feature = "http"),
    allow(dead_code, reason = "some helpers are used by the tests of HTTP only")
)]

pub(crate) mod cases;
pub(crate) mod clocks;
pub(crate) mod events;
pub(crate) mod gates;
pub(crate) mod gauges;
#[cfg(feature = "http")]
pub(crate) mod http;
pub(crate) mod log;
pub(crate) mod panics;
pub(crate) mod repository;
pub(crate) mod routers;
pub(crate) mod runtimes;
pub(crate) mod status;
