//! Builds a program with cargo, and reads the program's path from cargo's messages.
//!
//! Cargo's stderr goes to the user: progress and errors appear as in any build. Its stdout
//! is read here. Cargo runs in the user's directory, so that `.cargo/config.toml` and
//! `rust-toolchain.toml` apply.

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsString;
use std::io::BufReader;
use std::process::{Child, Command, Stdio};

use cargo_metadata::camino::{Utf8Path, Utf8PathBuf};
use cargo_metadata::{Artifact, Message};

use super::error::Error;
use super::options::{self, CargoOptions};
use super::target::{Kind, Target};
use crate::{exit_code, output};

/// A program that is ready to start.
#[derive(Debug)]
pub(crate) struct Built {
    pub(crate) executable: Utf8PathBuf,
    /// True if the program was up to date before the build.
    pub(crate) fresh: bool,
    /// The library search paths of build scripts, from which the program may load libraries.
    pub(crate) linked_paths: Vec<Utf8PathBuf>,
}

/// A build in progress.
#[derive(Debug)]
pub(crate) struct Building {
    cargo: Child,
    /// The manifest of the package whose binary is built.
    manifest: Utf8PathBuf,
    binary: String,
}

/// Builds `target` and waits for the build to end.
pub(crate) fn build(target: &Target, options: &CargoOptions) -> Result<Built, Error> {
    start(target, options)?.finish()
}

/// Starts a build of `target`.
pub(crate) fn start(target: &Target, options: &CargoOptions) -> Result<Building, Error> {
    let mut command = cargo();
    command.args(["build", "--message-format=json-render-diagnostics"]);
    let (manifest, binary) = match &target.kind {
        Kind::Launcher(launcher) => {
            launcher.write()?;
            (launcher.manifest_path(), launcher.name.clone())
        }
        Kind::OwnBinary(name) => {
            command.args(["--bin", name, "--package", &target.package.id.repr]);
            (target.package.manifest_path.clone(), name.clone())
        }
    };
    command.arg("--manifest-path").arg(&manifest);
    command.arg("--target-dir").arg(&target.target_directory);
    let building = match &target.kind {
        Kind::Launcher(_) => options::Building::Launcher,
        Kind::OwnBinary(_) => options::Building::Package,
    };
    command.args(options.build_flags(building));
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let cargo = command.spawn().map_err(Error::NoCargo)?;
    Ok(Building { cargo, manifest, binary })
}

/// Returns a command for the cargo that called this process, or else the cargo on the `PATH`.
pub(crate) fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")))
}

impl Building {
    /// Returns the process id of cargo.
    pub(crate) fn id(&self) -> u32 {
        self.cargo.id()
    }

    /// Waits for the build to end.
    pub(crate) fn finish(mut self) -> Result<Built, Error> {
        let mut executable = None;
        let mut linked_paths = Vec::new();
        let mut serve_cores = BTreeSet::new();
        let stdout = self.cargo.stdout.take();
        let messages =
            stdout.into_iter().flat_map(|stdout| Message::parse_stream(BufReader::new(stdout)));
        for message in messages.map_while(Result::ok) {
            match message {
                Message::CompilerArtifact(artifact) => {
                    if artifact.target.name == "serve_core" {
                        serve_cores.insert(artifact.package_id.repr.clone());
                    }
                    if self.is_ours(&artifact) {
                        executable = artifact.executable.map(|path| (path, artifact.fresh));
                    }
                }
                Message::BuildScriptExecuted(script) => linked_paths.extend(script.linked_paths),
                _ => {}
            }
        }
        let status = self.cargo.wait().map_err(Error::NoCargo)?;
        if !status.success() {
            let code = status.code().and_then(|code| u8::try_from(code).ok());
            return Err(Error::BuildFailed { code: code.unwrap_or(exit_code::BUILD_FAILED) });
        }
        if serve_cores.len() > 1 {
            warn_of_several(&serve_cores);
        }
        let (executable, fresh) = executable.ok_or(Error::NoExecutable)?;
        Ok(Built { executable, fresh, linked_paths })
    }

    fn is_ours(&self, artifact: &Artifact) -> bool {
        same_file(&artifact.manifest_path, &self.manifest)
            && artifact.target.is_bin()
            && artifact.target.name == self.binary
            && artifact.executable.is_some()
    }
}

/// Returns true if both paths name the same file. Cargo may write a path in other words than it
/// was given.
fn same_file(one: &Utf8Path, other: &Utf8Path) -> bool {
    let resolved = |path: &Utf8Path| path.canonicalize().ok();
    one == other || resolved(one).is_some_and(|one| Some(one) == resolved(other))
}

fn warn_of_several(serve_cores: &BTreeSet<String>) {
    output::warning(
        "the program contains more than one version of serve-core; the applications of one are invisible to the other",
    );
    for id in serve_cores {
        output::note(format_args!("  {id}"));
    }
}
