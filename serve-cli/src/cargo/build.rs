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

use cargo_metadata::camino::Utf8PathBuf;
use cargo_metadata::{Artifact, Message};

use super::command_line::CargoOptions;
use super::error::Error;
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
            // The features are part of the launcher's manifest.
            (launcher.manifest_path(), launcher.name.clone())
        }
        Kind::OwnBinary(name) => {
            command.args(["--bin", name]).args(feature_flags(options));
            (target.package.manifest_path.clone(), name.clone())
        }
    };
    command.arg("--manifest-path").arg(&manifest);
    command.arg("--target-dir").arg(&target.target_directory);
    command.args(build_flags(options, &target.kind));
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let cargo = command.spawn().map_err(Error::NoCargo)?;
    Ok(Building { cargo, manifest, binary })
}

/// Returns a command for the cargo that called this process, or else the cargo on the `PATH`.
pub(crate) fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")))
}

fn feature_flags(options: &CargoOptions) -> Vec<String> {
    let mut flags = Vec::new();
    if options.features.all_features {
        flags.push("--all-features".to_owned());
    }
    if options.features.no_default_features {
        flags.push("--no-default-features".to_owned());
    }
    let names = options.feature_names();
    if !names.is_empty() {
        flags.push(format!("--features={}", names.join(",")));
    }
    flags
}

fn build_flags(options: &CargoOptions, kind: &Kind) -> Vec<String> {
    let mut flags = Vec::new();
    if options.release {
        flags.push("--release".to_owned());
    }
    if let Some(profile) = &options.profile {
        flags.push(format!("--profile={profile}"));
    }
    // `cargo metadata` has already checked the user's lock file. A launcher's lock file has to
    // change.
    if options.locked && matches!(kind, Kind::OwnBinary(_)) {
        flags.push("--locked".to_owned());
    }
    if options.offline {
        flags.push("--offline".to_owned());
    }
    flags
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
        artifact.manifest_path == self.manifest
            && artifact.target.is_bin()
            && artifact.target.name == self.binary
            && artifact.executable.is_some()
    }
}

fn warn_of_several(serve_cores: &BTreeSet<String>) {
    output::warning(
        "the program contains more than one version of serve-core; the applications of one are invisible to the other",
    );
    for id in serve_cores {
        output::note(format_args!("  {id}"));
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        cargo: CargoOptions,
    }

    fn options(flags: &[&str]) -> CargoOptions {
        Line::parse_from(["serve"].iter().chain(flags)).cargo
    }

    #[test]
    fn what_is_for_cargo_is_passed_on() {
        let own = Kind::OwnBinary("server".to_owned());
        let flags = |given: &[&str]| build_flags(&options(given), &own);
        assert_eq!(flags(&["-r", "--offline", "--locked"]), ["--release", "--locked", "--offline"]);
        assert_eq!(flags(&["--profile", "fast"]), ["--profile=fast"]);
        let features = |given: &[&str]| feature_flags(&options(given));
        assert_eq!(
            features(&["--all-features", "--no-default-features", "-F", "a,b"]),
            ["--all-features", "--no-default-features", "--features=a,b"]
        );
    }
}
