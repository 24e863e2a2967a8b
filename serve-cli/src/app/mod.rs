//! The commands of a program that has applications linked into it.
//!
//! `select` finds the named application among the registered ones and builds it.
//! `run` serves it, `call` calls it once, `graph` draws it, and `list` lists all applications.

mod banner;
mod browser;
mod call;
mod command_line;
mod configs;
mod error;
mod error_chain;
mod executor;
mod graph;
mod list;
mod listening;
mod logging;
mod node;
mod progress;
mod run;
mod schema;
mod select;
mod serve_file;
mod signals;

use std::process::ExitCode;

use crate::failure::conclude;
use crate::parse::parse;
use crate::remote;
use command_line::{Command, CommandLine};
use error::Error;

#[cfg(feature = "cargo")]
pub(crate) use signals::StopSignal;

/// Runs the command line of this program on the applications that are linked into it.
///
/// A program's `main` ends with a call of this function. The commands are `run`, `list`,
/// `graph` and `call`. The function writes errors to stderr and returns the status to exit
/// with, one of [`exit_code`](crate::exit_code).
///
/// The function starts its own tokio runtime, so it cannot be called from within another
/// one: there it fails with an error that says so. Logs go to stderr, filtered by
/// `RUST_LOG`, unless `main` has set a `tracing` subscriber before.
#[must_use]
pub fn main() -> ExitCode {
    match parse::<CommandLine>(std::env::args_os()) {
        Ok(line) => conclude(execute(line.command)),
        Err(not_run) => conclude(Err(not_run)),
    }
}

fn execute(command: Command) -> Result<u8, Error> {
    match command {
        Command::Run(arguments) => run::run(&arguments),
        Command::List(arguments) => list::run(&arguments),
        Command::Graph(arguments) => graph::run(&arguments),
        Command::Call(arguments) => call::run(&arguments),
        Command::Validate { file } => configs::validate(&file),
        Command::WriteConfig { file } => configs::write(file.as_deref()),
        Command::Remote(command) => Ok(remote::run(&command)?),
    }
}
