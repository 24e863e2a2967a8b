//! Running `cargo serve` to its end.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::repository::{cargo, cargo_serve, fixtures_target, repository, shared_target};
use crate::server::Server;

/// `cargo serve` with its arguments, about to run.
#[derive(Debug)]
pub struct CargoServe {
    command: Command,
    directory: PathBuf,
}

/// Variables that the command reads.
const SETTINGS: [&str; 9] = [
    "CARGO_BUILD_TARGET_DIR",
    "CARGO_TERM_COLOR",
    "PORT",
    "RUST_LOG",
    "SERVE_HTTP_HOST",
    "SERVE_HTTP_PORT",
    "SERVE_LOG",
    "SERVE_PACKAGE",
    "TOKIO_WORKER_THREADS",
];

/// What a command has left behind.
#[derive(Debug)]
pub struct Finished {
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// What it printed, without what differs from run to run.
    pub stdout: String,
    /// What it said meanwhile, without what differs from run to run and without cargo's
    /// progress.
    pub stderr: String,
}

impl CargoServe {
    pub(crate) fn new<'a>(directory: &Path, arguments: impl IntoIterator<Item = &'a str>) -> Self {
        let mut command = Command::new(cargo_serve());
        // As cargo calls it.
        command.arg("serve").args(arguments);
        Self::prepare(command, directory)
    }

    /// `cargo serve` in the root of this repository, for its examples.
    #[must_use]
    pub fn in_repository<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Self {
        // As a directory of its own it shares what fixtures have built.
        Self::new(repository(), arguments).env("CARGO_TARGET_DIR", shared_target())
    }

    pub(crate) fn plain_cargo<'a>(
        directory: &Path,
        arguments: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let mut command = Command::new(cargo());
        command.args(arguments);
        Self::prepare(command, directory)
    }

    fn prepare(mut command: Command, directory: &Path) -> Self {
        command.current_dir(directory).stdin(Stdio::null());
        command.env("CARGO", cargo());
        // Of the test, not of what it runs.
        for (name, _) in env::vars_os().filter(|(name, _)| is_of_this_build(name)) {
            command.env_remove(name);
        }
        command.env("CARGO_TARGET_DIR", fixtures_target());
        // Built once and thrown away.
        command.env("CARGO_INCREMENTAL", "0").env("CARGO_PROFILE_DEV_DEBUG", "0");
        command.env("NO_COLOR", "1").env_remove("CLICOLOR_FORCE");
        for setting in SETTINGS {
            command.env_remove(setting);
        }
        // Without a slash at the end.
        Self { command, directory: directory.components().collect() }
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Removes a variable of its environment.
    #[must_use]
    pub fn env_remove(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    /// Sets its standard output. What goes there is not in [`Finished`].
    #[must_use]
    pub fn stdout(mut self, stdout: impl Into<Stdio>) -> Self {
        self.command.stdout(stdout);
        self
    }

    /// Runs it to its end.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn finish(mut self) -> Finished {
        let Output { status, stdout, stderr } =
            self.command.output().expect("cargo-serve can be run");
        let stderr = String::from_utf8_lossy(&stderr);
        let told: Vec<&str> = stderr.lines().filter(|line| !is_progress(line)).collect();
        Finished {
            code: status.code(),
            stdout: steady(&String::from_utf8_lossy(&stdout), &self.directory),
            stderr: steady(told.join("\n").trim_start_matches('\n'), &self.directory),
        }
    }

    /// Starts it, and waits until it serves.
    ///
    /// # Panics
    /// If it ends instead.
    #[must_use]
    pub fn start(self) -> Server {
        Server::start(self.command)
    }

    /// Starts it, and does not wait until it serves.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn begin(self) -> Server {
        Server::begin(self.command)
    }
}

impl std::fmt::Display for Finished {
    /// For snapshots.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let code = self.code.map_or_else(|| "none".to_owned(), |code| code.to_string());
        write!(f, "exit code: {code}")?;
        for (name, text) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !text.is_empty() {
                write!(f, "\n----- {name} -----\n{}", text.trim_end())?;
            }
        }
        Ok(())
    }
}

/// What cargo tells a test about its own package.
fn is_of_this_build(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_BIN_") || name == "CARGO_MANIFEST_DIR"
}

/// Whether a line is one of cargo's, with a verb that ends in its twelfth column.
fn is_progress(line: &str) -> bool {
    const OURS: [&str; 7] =
        ["Starting", "Serving", "Stopping", "Waiting", "Created", "Changed", "Wrote"];
    let Some((verb, rest)) = line.split_at_checked(12) else {
        return false;
    };
    let verb = verb.trim_start();
    rest.starts_with(' ')
        && verb.starts_with(|c: char| c.is_ascii_uppercase())
        && !OURS.contains(&verb)
}

/// The text with the paths of this machine replaced.
fn steady(text: &str, directory: &Path) -> String {
    let directory = directory.to_string_lossy();
    let repository = repository().to_string_lossy();
    text.replace(&*directory, "[fixture]").replace(&*repository, "[repository]")
}
