//! `cargo serve run --watch`: builds and starts the program again after every change.
//!
//! The running program is replaced only by one that serves: while the source does not compile, or
//! the new program does not start, the last working program continues. Both have the same socket,
//! which this command opens and passes on. Once the new program serves, the old one is asked to stop
//! (SIGTERM, so it drains): no request is refused, and none is cut off. On platforms where a socket
//! cannot be passed on, the old program has stopped before the new one starts.

mod changes;
mod content_hashes;
mod dep_info;
mod hand_over;
mod program;
mod sources;

use std::env;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};

use tokio::task::JoinSet;

use crate::app::StopSignal;
use crate::arguments::RunArguments;
use crate::failure::show;
use crate::{exit_code, output};

use super::build::{self, Built};
use super::error::Error;
use super::launch;
use super::options::CargoOptions;
use super::packages::Packages;
use super::target::Target;
use super::workspace::Workspace;
use changes::Changes;
use hand_over::HandOver;
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

/// The programs that the session has started.
#[derive(Default)]
struct Programs {
    /// The socket of the programs; `None` before the first one, and where it cannot be passed on.
    socket: Option<HandOver>,
    /// The program that serves, or that is the first to.
    serving: Option<Program>,
    /// The program that will take its place once it serves, too.
    next: Option<Program>,
    /// Programs that still answer the requests that they have.
    retired: JoinSet<()>,
}

impl Session<'_> {
    async fn run(mut self) -> Result<u8, Error> {
        let mut stop = StopSignal::listen().map_err(Error::file("listen for signals in", "."))?;
        let mut programs = Programs::default();
        let mut target = tokio::select! {
            target = self.target() => target?,
            () = stop.received() => return programs.end(&mut stop).await,
        };
        let mut changes = Changes::watch(&target)?;
        loop {
            let built = tokio::select! {
                built = self.build(&target) => built,
                () = stop.received() => return programs.end(&mut stop).await,
            };
            match built {
                // The change has no effect on the program, as in a comment of a manifest.
                Ok(built) if built.fresh && programs.has_newest() => {}
                Ok(built) => {
                    changes.learn(&built)?;
                    let command = self.command(&target, &built);
                    let started = programs.start(command, &built, &self.arguments, &mut stop);
                    if !started.await? {
                        return Ok(exit_code::INTERRUPTED);
                    }
                    // The first program has opened the browser.
                    self.arguments.open = false;
                }
                Err(error) => {
                    show(error);
                    output::status("Waiting", programs.meanwhile());
                }
            }
            target = loop {
                tokio::select! {
                    files = changes.next() => {
                        output::status("Changed", summary(&files));
                    }
                    () = programs.changed() => continue,
                    () = stop.received() => return programs.end(&mut stop).await,
                }
                tokio::select! {
                    target = self.target() => match target {
                        Ok(target) => break target,
                        Err(error) => show(error),
                    },
                    () = stop.received() => return programs.end(&mut stop).await,
                }
            };
            changes.follow(&target)?;
        }
    }

    /// Asks cargo for the target on a blocking thread, since cargo may wait for a lock.
    async fn target(&self) -> Result<Target, Error> {
        let options = self.options.clone();
        let run = self.arguments.clone();
        let asking = tokio::task::spawn_blocking(move || {
            let packages = Packages::of(&run, &options)?;
            Target::of(&Workspace::load(&options)?, packages.selection())
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
}

impl Programs {
    /// True if the program that was started last has not ended.
    fn has_newest(&self) -> bool {
        self.serving.is_some() || self.next.is_some()
    }

    /// Describes what is waited for after a failed build.
    fn meanwhile(&self) -> &'static str {
        match self.serving {
            Some(_) => "for a change; the last working build continues",
            None => "for a change",
        }
    }

    /// Starts a program. It takes the place of the one that serves once it serves itself; a program
    /// that has not come so far by now is given up. Returns false if a second signal ended this.
    async fn start(
        &mut self,
        command: std::process::Command,
        built: &Built,
        arguments: &RunArguments,
        stop: &mut StopSignal,
    ) -> Result<bool, Error> {
        // The program that was about to serve is older than its source.
        if let Some(next) = self.next.take() {
            self.retired.spawn(next.retire());
        }
        if self.socket.is_none() {
            self.socket = HandOver::open(arguments)?;
        }
        if self.socket.is_none()
            && let Some(old) = self.serving.take()
        {
            output::status("Stopping", "the previous build");
            if !old.stop(stop).await {
                return Ok(false);
            }
        }
        let program = Program::start(command, &built.executable, self.socket.as_ref())?;
        if self.serving.is_none() {
            self.serving = Some(program);
        } else {
            self.next = Some(program);
        }
        Ok(true)
    }

    /// Waits until one of the programs has begun to serve, or has ended. Cancel safe.
    async fn changed(&mut self) {
        tokio::select! {
            ready = Program::ready(&mut self.next) => match ready {
                Ok(()) => {
                    output::status("Replacing", "the previous build, which ends after its requests");
                    let old = std::mem::replace(&mut self.serving, self.next.take());
                    if let Some(old) = old {
                        self.retired.spawn(old.retire());
                    }
                }
                Err(status) => {
                    let what = format_args!("{status}; the last working build continues");
                    output::status("Stopped", what);
                }
            },
            status = Program::exited(&mut self.serving) => {
                output::status("Stopped", format_args!("{status}; waiting for a change"));
                self.serving = self.next.take();
                if self.serving.is_none() {
                    // Nobody answers: connections are refused, and do not wait.
                    self.socket = None;
                }
            }
            Some(_) = self.retired.join_next() => {}
        }
    }

    /// Ends all programs. A second signal ends them at once.
    async fn end(mut self, stop: &mut StopSignal) -> Result<u8, Error> {
        // From now on, connections are refused as soon as no program serves.
        self.socket = None;
        let mut patient = true;
        for program in [self.next, self.serving].into_iter().flatten() {
            patient &= program.stop(stop).await;
        }
        // Programs that retire have been asked already, and have the rest of their time.
        tokio::select! {
            () = async { while self.retired.join_next().await.is_some() {} } => {}
            () = stop.received() => patient = false,
        }
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
