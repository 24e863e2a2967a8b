//! `cargo serve`: from a package to a running program.
//!
//! 1. `workspace` asks cargo for the packages and chooses one.
//! 2. `product` decides what to build for the package: a generated `launcher` that
//!    links the library, or the package's own binary.
//! 3. `build` builds the program with cargo and finds its path.
//! 4. `start` becomes that program; `watch` starts it again after changes; `deliver`
//!    copies it to the requested file.
//!
//! `new` and `eject` write packages instead of running them.
//!
//! Source text is never read to find applications: the built program knows them.

mod build;
mod command_line;
mod deliver;
mod eject;
mod error;
mod handed_on;
mod launcher;
mod library_path;
mod new;
mod product;
mod relative;
mod source;
mod start;
mod status_line;
mod watch;
mod workspace;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use crate::failure::conclude;
use crate::{exit_code, output};

use command_line::{CargoOptions, Command, CommandLine};
use error::Error;
use product::{Meant, Product};
use workspace::Workspace;

/// Runs `cargo serve` with the arguments of this process.
#[must_use]
pub fn main() -> ExitCode {
    // Cargo calls `cargo-serve serve ...`; the alias of a clone and people call
    // `cargo-serve ...`.
    let mut words: Vec<OsString> = std::env::args_os().collect();
    if words.get(1).is_some_and(|word| word == "serve") {
        words.remove(1);
    }
    match CommandLine::read(words) {
        Ok(command) => conclude(run(command)),
        Err(planned) => conclude(Err(planned)),
    }
}

fn run(command: Command) -> Result<u8, Error> {
    match command {
        Command::Run { run, watch, cargo } if watch => watch::run(&cargo, &run),
        Command::Run { run, cargo, .. } => {
            start_program(&cargo, Meant::by(&run.application.path), run.to_command_line())
        }
        Command::List { package, list, cargo } => {
            let meant = Meant { package: package.as_deref(), application: None };
            start_program(&cargo, meant, list.to_command_line())
        }
        Command::Graph { graph, cargo } => {
            start_program(&cargo, Meant::by(&graph.application.path), graph.to_command_line())
        }
        Command::Call { call, cargo } => {
            start_program(&cargo, Meant::by(&call.path), call.to_command_line())
        }
        Command::Build { package, output, cargo } => {
            build_program(&cargo, package.as_deref(), output.as_deref())
        }
        Command::New(arguments) => new::run(&arguments),
        Command::Eject { package, cargo } => eject::run(&cargo, package.as_deref()),
    }
}

/// Builds the program and prints its path to stdout, for scripts.
fn build_program(
    options: &CargoOptions,
    package: Option<&str>,
    output: Option<&Path>,
) -> Result<u8, Error> {
    let meant = Meant { package, application: None };
    let product = Product::of(&Workspace::load(options)?, meant)?;
    let built = build::build(&product, options)?;
    match output {
        None => output::result(&built.executable),
        Some(file) => {
            deliver::put(&built.executable, file)?;
            output::result(file.display());
        }
    }
    Ok(exit_code::OK)
}

fn start_program(
    options: &CargoOptions,
    meant: Meant<'_>,
    arguments: Vec<OsString>,
) -> Result<u8, Error> {
    let product = Product::of(&Workspace::load(options)?, meant)?;
    let built = build::build(&product, options)?;
    start::become_program(&product, &built, arguments)
}
