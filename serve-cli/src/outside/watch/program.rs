//! The running program, and how it is ended.

use std::process::{Command, ExitStatus};

use cargo_metadata::camino::Utf8Path;
use tokio::process::Child;

use crate::inside::StopSignal;
use crate::output;
use crate::outside::error::Error;

/// A program that was started. Dropped, it is killed.
#[derive(Debug)]
pub(super) struct Program(Child);

impl Program {
    pub(super) fn start(mut command: Command, executable: &Utf8Path) -> Result<Self, Error> {
        // In a group of its own, a Ctrl-C reaches it only through us, and so only once.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let child = tokio::process::Command::from(command).kill_on_drop(true).spawn();
        child.map(Self).map_err(|source| Error::Start { program: executable.to_owned(), source })
    }

    /// Waits until the program, if there is one, has ended of itself, and says how.
    pub(super) async fn exited(program: &mut Option<Self>) -> String {
        let status = match program {
            Some(program) => program.0.wait().await,
            None => std::future::pending().await,
        };
        *program = None;
        status.map_or_else(|error| error.to_string(), |status| describe(&status))
    }

    /// Asks the program to end, and waits until it has. A further signal makes it end at
    /// once; then the answer is `false`.
    pub(super) async fn stop(mut self, stop: &mut StopSignal) -> bool {
        let mut patient = true;
        loop {
            if let Some(id) = self.0.id() {
                terminate(id);
            }
            tokio::select! {
                _ = self.0.wait() => return patient,
                () = stop.received() => {
                    if !patient {
                        // It has been asked twice.
                        let _ = self.0.start_kill();
                    }
                    output::status("Stopping", "without waiting for requests in progress");
                    patient = false;
                }
            }
        }
    }
}

fn describe(status: &ExitStatus) -> String {
    match status.code() {
        Some(code) => format!("with code {code}"),
        None => format!("by {status}"),
    }
}

/// Ends a process when it is dropped, unless that was called off.
#[derive(Debug)]
pub(super) struct EndOnDrop(Option<u32>);

impl EndOnDrop {
    pub(super) fn new(id: u32) -> Self {
        Self(Some(id))
    }

    pub(super) fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        if let Some(id) = self.0 {
            terminate(id);
        }
    }
}

/// Asks a process to end in its own time.
#[cfg(unix)]
fn terminate(id: u32) {
    let id = i32::try_from(id).ok().and_then(rustix::process::Pid::from_raw);
    if let Some(id) = id {
        // It may have ended already.
        let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
    }
}

/// There is no such request here; what can be killed is killed when it is dropped.
#[cfg(not(unix))]
fn terminate(_id: u32) {}
