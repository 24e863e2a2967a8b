//! `cargo serve`: from a package to a running program.
//!
//! 1. `workspace` asks cargo for the packages and chooses one.
//! 2. `target` decides what to build for the package: a generated `launcher` that
//!    links the library, or the package's own binary.
//! 3. `build` builds the program with cargo and finds its path.
//! 4. `launch` replaces this process by the program; `watch` starts the program again after
//!    changes; `output_file` copies it to the requested file. `forward` writes the command
//!    line that the program gets.
//!
//! `new` and `eject` write packages instead of running them.
//!
//! Source text is never read to find applications: the built program knows them.

mod build;
mod command_line;
mod eject;
mod error;
mod forward;
mod launch;
mod launcher;
mod library_path;
mod metadata_progress;
mod new;
mod options;
mod output_file;
mod packages;
mod relative_path;
mod serve_cli_source;
mod serve_clone;
mod target;
mod watch;
mod workspace;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use tracing_subscriber::filter::LevelFilter;

use crate::arguments::{Method, is_file, process_variables};
use crate::failure::conclude;
use crate::parse::parse;
use crate::{exit_code, output, remote};

use command_line::{Command, CommandLine};
use error::Error;
use options::CargoOptions;
use packages::Packages;
use target::{Selection, Target};
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
    match parse::<CommandLine>(words) {
        Ok(line) => conclude(run(line.command)),
        Err(not_run) => conclude(Err(not_run)),
    }
}

fn run(command: Command) -> Result<u8, Error> {
    if let Some(options) = command.cargo_options() {
        options.set_color();
    }
    match command {
        Command::Run { run, watch, mut cargo } => {
            // Found before the build, not after it.
            run.check()?;
            run.http.address(&process_variables)?;
            run.admin.port(&process_variables)?;
            if let Some(files) = run.tls.files() {
                files.check()?;
                cargo.tls = true;
            }
            run.log.filter(LevelFilter::INFO, &process_variables)?;
            let packages = Packages::of(&run, &cargo)?;
            cargo.tls |= packages.tls;
            if watch {
                return watch::run(&cargo, &run);
            }
            start_program(&cargo, packages.selection(), run.to_command_line())
        }
        Command::List { package, list, cargo } => {
            let package = cargo.package(package.as_deref())?;
            start_program(&cargo, Selection::package(package), list.to_command_line())
        }
        Command::Graph { graph, cargo } => {
            graph.format()?;
            let selection = Selection::of(graph.application.path(), &cargo)?;
            start_program(&cargo, selection, graph.to_command_line())
        }
        Command::Call { call, cargo } => {
            call.log.filter(LevelFilter::WARN, &process_variables)?;
            let selection = match call.method() {
                Method::Of(path, _) => Selection::of(Some(path), &cargo)?,
                Method::Alone(path) => Selection::package(cargo.package(path.package.as_deref())?),
            };
            start_program(&cargo, selection, call.to_command_line())
        }
        Command::Validate { file, mut cargo } => {
            let packages = Packages::of_file(&file)?;
            cargo.tls = packages.tls;
            let line = vec!["validate".into(), file.into_os_string()];
            start_program(&cargo, packages.selection(), line)
        }
        Command::Remote(command) => Ok(remote::run(&command)?),
        Command::Build { package, output, tls, mut cargo } => {
            cargo.tls = tls;
            if let Some(file) = cargo.take_config_file() {
                let package = cargo.package(package.as_deref())?;
                let line = vec!["write-config".into(), file.into()];
                return start_program(&cargo, Selection::package(package), line);
            }
            if let Some(file) = package.as_deref().filter(|word| is_file(word)) {
                let packages = Packages::of_file(Path::new(file))?;
                cargo.tls |= packages.tls;
                return build_program(&cargo, packages.selection(), output.as_deref());
            }
            let selection = Selection::package(cargo.package(package.as_deref())?);
            build_program(&cargo, selection, output.as_deref())
        }
        Command::New(arguments) => new::run(&arguments),
        Command::Eject { package, cargo } => eject::run(&cargo, cargo.package(package.as_deref())?),
    }
}

/// Builds the program and prints its path to stdout, for scripts.
fn build_program(
    options: &CargoOptions,
    selection: Selection<'_>,
    output: Option<&Path>,
) -> Result<u8, Error> {
    let target = Target::of(&Workspace::load(options)?, selection)?;
    let built = build::build(&target, options)?;
    match output {
        None => output::result(&built.executable)?,
        Some(file) => {
            output_file::copy(&built.executable, file)?;
            output::result(file.display())?;
        }
    }
    Ok(exit_code::OK)
}

fn start_program(
    options: &CargoOptions,
    selection: Selection<'_>,
    arguments: Vec<OsString>,
) -> Result<u8, Error> {
    let target = Target::of(&Workspace::load(options)?, selection)?;
    let built = build::build(&target, options)?;
    launch::exec(&target, &built, options, arguments)
}
