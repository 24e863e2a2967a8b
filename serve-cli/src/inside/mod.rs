//! The commands of a program that has applications linked into it.
//!
//! `select` finds the application that is meant among those registered, and builds
//! it. `run` serves it, `call` calls it once, `graph` draws it, `list` shows all.

mod banner;
mod browser;
mod call;
mod chain;
mod command_line;
mod error;
mod executor;
mod graph;
mod list;
mod logging;
mod node;
mod run;
mod schema;
mod select;
mod starting;
mod stop;

use std::process::ExitCode;

use crate::failure::conclude;
use command_line::{Command, CommandLine};
use error::Error;

#[cfg(feature = "cargo")]
pub(crate) use stop::StopSignal;

/// Runs the applications that are linked into this program, as its command line says.
///
/// This is what a program's `main` ends with. It takes `run`, `list`, `graph` and `call`,
/// and returns the status to exit with, one of [`exit_code`](crate::exit_code). Errors
/// are on stderr by then.
///
/// It starts a tokio runtime of its own, so it is not called from within one: there it
/// fails with an error that says so. Logs go to stderr as `RUST_LOG` says, unless `main`
/// has set a `tracing` subscriber before.
#[must_use]
pub fn main() -> ExitCode {
    match CommandLine::read(std::env::args_os()) {
        Ok(command) => conclude(execute(command)),
        Err(planned) => conclude(Err(planned)),
    }
}

fn execute(command: Command) -> Result<u8, Error> {
    match command {
        Command::Run(arguments) => run::run(&arguments),
        Command::List(arguments) => list::run(&arguments),
        Command::Graph(arguments) => graph::run(&arguments),
        Command::Call(arguments) => call::run(&arguments),
    }
}
