//! A run of `cargo serve`.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::repository::{cargo, cargo_serve, fixtures_target, repository, shared_target};
use crate::server::Server;

/// A `cargo serve` command that is about to run.
#[derive(Debug)]
pub struct CargoServe {
    command: Command,
    directory: PathBuf,
}

/// The environment variables that the command reads, which tests start without.
const SETTINGS: [&str; 12] = [
    "CARGO_BUILD_TARGET_DIR",
    "CARGO_TERM_COLOR",
    "PORT",
    "RUST_LOG",
    "SERVE_ADDRESS",
    "SERVE_ADMIN_PORT",
    "SERVE_HTTP_HOST",
    "SERVE_HTTP_PORT",
    "SERVE_LOG",
    "SERVE_PACKAGE",
    "SERVE_TOKEN",
    "TOKIO_WORKER_THREADS",
];

/// The outcome of a command.
#[derive(Debug)]
pub struct Finished {
    /// The exit code; `None` if a signal ended the command.
    pub code: Option<i32>,
    /// The standard output, with paths replaced that differ between machines.
    pub stdout: String,
    /// The standard error, with such paths replaced, and without cargo's progress.
    pub stderr: String,
}

impl CargoServe {
    pub(crate) fn new<'a>(directory: &Path, arguments: impl IntoIterator<Item = &'a str>) -> Self {
        let mut command = Command::new(cargo_serve());
        // Cargo calls its subcommands like this.
        command.arg("serve").args(arguments);
        Self::prepare(command, directory)
    }

    /// Creates a `cargo serve` command in the root of this repository, for its examples.
    #[must_use]
    pub fn in_repository<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Self {
        // The launchers of fixtures are built there, so that nothing is built twice.
        Self::new(repository(), arguments).env("CARGO_TARGET_DIR", shared_target())
    }

    /// Creates a cargo command in the root of this repository.
    #[must_use]
    pub fn cargo_in_repository<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Self {
        Self::plain_cargo(repository(), arguments)
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
        // These describe the test's own package, not the package that it runs.
        for (name, _) in env::vars_os().filter(|(name, _)| is_of_this_build(name)) {
            command.env_remove(name);
        }
        command.env("CARGO_TARGET_DIR", fixtures_target());
        // Fixtures are built once and thrown away.
        command.env("CARGO_INCREMENTAL", "0").env("CARGO_PROFILE_DEV_DEBUG", "0");
        command.env("NO_COLOR", "1").env_remove("CLICOLOR_FORCE");
        for setting in SETTINGS {
            command.env_remove(setting);
        }
        // Removes a slash at the end.
        Self { command, directory: directory.components().collect() }
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Removes an environment variable.
    #[must_use]
    pub fn env_remove(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    /// Sets the standard output, which is then not part of [`Finished`].
    #[must_use]
    pub fn stdout(mut self, stdout: impl Into<Stdio>) -> Self {
        self.command.stdout(stdout);
        self
    }

    /// Runs the command to its end.
    ///
    /// # Panics
    /// If the command cannot be started.
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

    /// Starts the command, and waits until it serves.
    ///
    /// # Panics
    /// If the command ends instead.
    #[must_use]
    pub fn start(self) -> Server {
        Server::start(self.command)
    }

    /// Starts the command, and does not wait until it serves.
    ///
    /// # Panics
    /// If the command cannot be started.
    #[must_use]
    pub fn begin(self) -> Server {
        Server::begin(self.command)
    }
}

impl std::fmt::Display for Finished {
    /// Writes the outcome for a snapshot.
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

/// Returns true for a variable in which cargo describes the test's own package.
fn is_of_this_build(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_BIN_") || name == "CARGO_MANIFEST_DIR"
}

/// Returns true for a progress line of cargo, with a verb that ends in the twelfth column.
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

/// Returns the text with the paths of this machine replaced.
fn steady(text: &str, directory: &Path) -> String {
    let directory = directory.to_string_lossy();
    let repository = repository().to_string_lossy();
    text.replace(&*directory, "[fixture]").replace(&*repository, "[repository]")
}
