//! The start of a built program.

use std::ffi::OsString;
use std::process::Command;

use super::build::Built;
use super::error::Error;
use super::library_path;
use super::options::CargoOptions;
use super::target::Target;
use crate::PACKAGE_VARIABLE;

/// Returns the command that starts the program with these arguments.
pub(crate) fn command(
    target: &Target,
    built: &Built,
    options: &CargoOptions,
    arguments: Vec<OsString>,
) -> Command {
    let mut command = Command::new(&built.executable);
    command.args(arguments);
    command.env(PACKAGE_VARIABLE, target.package.name.as_str());
    // As with `cargo run`, the program finds its files and libraries.
    if let Some(directory) = target.package.manifest_path.parent() {
        command.env("CARGO_MANIFEST_DIR", directory);
    }
    if let Some(path) = library_path::for_program(target, built) {
        command.env(library_path::VARIABLE, path);
    }
    options.color_the_program(&mut command);
    command
}

/// Replaces this process by the program, which keeps the process id, signals and terminal.
/// Returns only if that fails.
#[cfg(unix)]
pub(crate) fn exec(
    target: &Target,
    built: &Built,
    options: &CargoOptions,
    arguments: Vec<OsString>,
) -> Result<u8, Error> {
    use std::os::unix::process::CommandExt;

    let source = command(target, built, options, arguments).exec();
    Err(Error::Start { program: built.executable.clone(), source })
}

/// Runs the program and returns its exit code. Ctrl-C reaches the program through the console.
#[cfg(not(unix))]
pub(crate) fn exec(
    target: &Target,
    built: &Built,
    options: &CargoOptions,
    arguments: Vec<OsString>,
) -> Result<u8, Error> {
    use crate::exit_code;

    let failed = |source| Error::Start { program: built.executable.clone(), source };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    runtime.block_on(async {
        let mut command = tokio::process::Command::from(command(target, built, options, arguments));
        let mut child = command.spawn().map_err(failed)?;
        loop {
            tokio::select! {
                status = child.wait() => {
                    let code = status.map_err(failed)?.code().and_then(|code| u8::try_from(code).ok());
                    return Ok(code.unwrap_or(exit_code::FAILED));
                }
                // The program has received it, too, and ends in its own time.
                _ = tokio::signal::ctrl_c() => {}
            }
        }
    })
}
