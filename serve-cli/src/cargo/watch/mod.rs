//! `cargo serve run --watch`: builds and starts the program again after every change.
//!
//! The running program is replaced only after a successful build: while the source does not
//! compile, the last working program continues to serve. The old program is asked to stop
//! (SIGTERM, so it drains) and has stopped before the new one starts, since both use the
//! same port.

mod changes;
mod content_hashes;
mod dep_info;
mod program;
mod sources;

use std::env;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};

use crate::app::StopSignal;
use crate::arguments::RunArguments;
use crate::failure::show;
use crate::{exit_code, output};

use super::build::{self, Built};
use super::error::Error;
use super::launch;
use super::options::CargoOptions;
use super::target::{Selection, Target};
use super::workspace::Workspace;
use changes::Changes;
use program::Program;

/// Runs the application until Ctrl-C, and replaces it whenever its source changes.
pub(crate) fn run(options: &CargoOptions, arguments: &RunArguments) -> Result<u8, Error> {
    // A signal must end the command even if nobody reads its messages.
    output::write_in_background().map_err(Error::file("start a thread in", "."))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::file("watch", "."))?;
    let outcome = runtime.block_on(Session { options, arguments: arguments.clone() }.run());
    // A build that was interrupted may still hold its thread.
    runtime.shutdown_background();
    outcome
}

struct Session<'s> {
    options: &'s CargoOptions,
    arguments: RunArguments,
}

impl Session<'_> {
    async fn run(mut self) -> Result<u8, Error> {
        let mut stop = StopSignal::listen().map_err(Error::file("listen for signals in", "."))?;
        let mut target = tokio::select! {
            target = self.target() => target?,
            () = stop.received() => return self.end(None, &mut stop).await,
        };
        let mut changes = Changes::watch(&target)?;
        let mut program: Option<Program> = None;
        loop {
            let built = tokio::select! {
                built = self.build(&target) => built,
                () = stop.received() => return self.end(program, &mut stop).await,
            };
            match built {
                // The change has no effect on the program, as in a comment of a manifest.
                Ok(built) if built.fresh && program.is_some() => {}
                Ok(built) => {
                    if let Some(old) = program.take() {
                        output::status("Stopping", "the previous build");
                        if !old.stop(&mut stop).await {
                            return Ok(exit_code::INTERRUPTED);
                        }
                    }
                    changes.learn(&built)?;
                    program =
                        Some(Program::start(self.command(&target, &built), &built.executable)?);
                    // The first program has opened the browser.
                    self.arguments.open = false;
                }
                Err(error) => {
                    show(error);
                    let meanwhile = match program {
                        Some(_) => "for a change; the last working build continues",
                        None => "for a change",
                    };
                    output::status("Waiting", meanwhile);
                }
            }
            target = loop {
                tokio::select! {
                    files = changes.next() => {
                        output::status("Changed", summary(&files));
                    }
                    status = Program::exited(&mut program) => {
                        output::status("Stopped", format_args!("{status}; waiting for a change"));
                        continue;
                    }
                    () = stop.received() => return self.end(program, &mut stop).await,
                }
                tokio::select! {
                    target = self.target() => match target {
                        Ok(target) => break target,
                        Err(error) => show(error),
                    },
                    () = stop.received() => return self.end(program, &mut stop).await,
                }
            };
            changes.follow(&target)?;
        }
    }

    /// Asks cargo for the target on a blocking thread, since cargo may wait for a lock.
    async fn target(&self) -> Result<Target, Error> {
        let options = self.options.clone();
        let path = self.arguments.application.path().cloned();
        let asking = tokio::task::spawn_blocking(move || {
            Target::of(&Workspace::load(&options)?, Selection::of(path.as_ref(), &options)?)
        });
        asking.await.unwrap_or_else(|panicked| resume_unwind(panicked.into_panic()))
    }

    fn command(&self, target: &Target, built: &Built) -> std::process::Command {
        launch::command(target, built, self.options, self.arguments.to_command_line())
    }

    /// Builds the target on a blocking thread. Dropping the future ends cargo.
    async fn build(&self, target: &Target) -> Result<Built, Error> {
        let building = build::start(target, self.options)?;
        let guard = program::EndOnDrop::new(building.id());
        let finished = tokio::task::spawn_blocking(move || building.finish()).await;
        guard.disarm();
        finished.unwrap_or_else(|panicked| resume_unwind(panicked.into_panic()))
    }

    async fn end(&self, program: Option<Program>, stop: &mut StopSignal) -> Result<u8, Error> {
        let patient = match program {
            Some(program) => program.stop(stop).await,
            None => true,
        };
        Ok(if patient { exit_code::OK } else { exit_code::INTERRUPTED })
    }
}

/// Summarizes changed files: `src/lib.rs`, or `src/lib.rs and 3 more files`.
fn summary(files: &[PathBuf]) -> String {
    let here = env::current_dir().unwrap_or_default();
    let shown = |file: &Path| file.strip_prefix(&here).unwrap_or(file).display().to_string();
    match files {
        [] => "a file".to_owned(),
        [file] => shown(file),
        [file, other] => format!("{} and {}", shown(file), shown(other)),
        [file, others @ ..] => format!("{} and {} more files", shown(file), others.len()),
    }
}
