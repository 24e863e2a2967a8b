//! Tests that need programs which cargo does not bring. They are ignored unless they are asked for:
//! `cargo test -p serve-tests --test external -- --include-ignored`, as `.ci/run` does after it has
//! installed the programs. Each test starts the program itself.
#![cfg(unix)]
#![allow(unreachable_pub, reason = "a handle has the public methods, and a test no public face")]

mod browser;
mod docs_page;
mod proxies;
mod ray_cli;
mod web;

// The application that Ray Serve's command line deploys.
extern crate hello as _;
