//! A soak of Serve: everything at once on real sockets and the real clock, with a ledger.
//!
//! `soak --seconds 60` is what CI runs, by `tests/soak.rs`; half an hour is for people:
//!
//! ```console
//! $ cargo run -p serve-tests --bin soak -- --seconds 1800
//! ```
//!
//! One process hosts the runtime, makes calls through handles, updates, kills and deletes. Another,
//! which it starts, is the HTTP clients, so that the descriptors of the two are not mixed up. Every
//! operation that is sent has to be answered, refused, failed with a reason, or given up by its
//! caller. Several times the load pauses. Then no method may be inside, every slot is free, and the
//! process holds as many tasks and descriptors as at the first pause, and not much more memory. In
//! the end everything is deleted, and no instance, task or descriptor is left.
//!
//! The load is random, from a seed that is printed. The same seed makes the same choices, but the
//! clock and the threads are real, so a run cannot be repeated exactly.

#![expect(
    unreachable_pub,
    reason = "a handle has the public methods, and the modules of a program no public face"
)]

mod calls;
mod clients;
mod deployments;
mod dice;
mod gauges;
mod http;
mod ledger;
mod measure;
mod operations;
mod server;
mod world;

use std::alloc::System;
use std::io::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static HEAP: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// What the command line asks for.
#[derive(Clone, Copy, Debug)]
struct Arguments {
    /// For so long there is load.
    time: Duration,
    seed: u64,
    /// The server's address, in the process of the clients.
    clients_of: Option<SocketAddr>,
}

impl Arguments {
    fn parse(mut given: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut seed = None;
        let (mut time, mut clients_of) = (Duration::from_secs(60), None);
        while let Some(name) = given.next() {
            let value = given.next().ok_or_else(|| format!("`{name}` needs a value"))?;
            let invalid = |_| format!("`{value}` is no value of `{name}`");
            match &*name {
                "--seconds" => time = Duration::from_secs(value.parse().map_err(invalid)?),
                "--seed" => seed = Some(value.parse().map_err(invalid)?),
                "--clients-of" => {
                    let address = value.parse();
                    clients_of = Some(address.map_err(|_| format!("`{value}` is no address"))?);
                }
                _ => return Err(format!("`{name}`: give `--seconds N` and `--seed N`")),
            }
        }
        Ok(Self { time, seed: seed.unwrap_or_else(rand::random), clients_of })
    }
}

/// Prints a line.
fn say(line: &str) {
    // Nobody may be listening any more.
    let _ = writeln!(std::io::stderr(), "{line}");
}

fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(message) => {
            say(&message);
            return ExitCode::from(2);
        }
    };
    match arguments.clients_of {
        Some(address) => clients::main(address, arguments.seed),
        None => server::main(arguments),
    }
}
