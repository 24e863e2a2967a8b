//! The running program and its end.

use std::process::{Command, ExitStatus};

use cargo_metadata::camino::Utf8Path;
use tokio::process::Child;

use super::hand_over::{HandOver, Readiness};
use crate::app::StopSignal;
use crate::cargo::error::Error;
use crate::output;

/// A started program, which is killed on drop.
#[derive(Debug)]
pub(super) struct Program {
    child: Child,
    /// The place where the program says that it serves; `None` once it has said so, and where it
    /// cannot.
    readiness: Option<Readiness>,
}

impl Program {
    /// Starts the program on a socket of its own, or on one that is handed over.
    pub(super) fn start(
        mut command: Command,
        executable: &Utf8Path,
        socket: Option<&HandOver>,
    ) -> Result<Self, Error> {
        let failed = |source| Error::Start { program: executable.to_owned(), source };
        // In its own process group, the program receives a Ctrl-C only from here, and so only once.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let readiness = socket.map(|socket| socket.pass_to(&mut command)).transpose();
        let readiness = readiness.map_err(failed)?;
        let child = tokio::process::Command::from(command).kill_on_drop(true).spawn();
        Ok(Self { child: child.map_err(failed)?, readiness })
    }

    /// Waits until the program serves, or has ended. Returns a description of the end, if it has.
    /// Never completes if there is no program.
    pub(super) async fn ready(program: &mut Option<Self>) -> Result<(), String> {
        let Some(Self { child, readiness }) = program else { return std::future::pending().await };
        let ready = async {
            match &readiness {
                Some(readiness) => readiness.ready().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = ready => {
                *readiness = None;
                Ok(())
            }
            status = child.wait() => {
                *program = None;
                Err(status.map_or_else(|error| error.to_string(), |status| describe(&status)))
            }
        }
    }

    /// Waits until the program has ended by itself, and describes how. Never completes if there is
    /// no program.
    pub(super) async fn exited(program: &mut Option<Self>) -> String {
        let status = match program {
            Some(program) => program.child.wait().await,
            None => std::future::pending().await,
        };
        *program = None;
        status.map_or_else(|error| error.to_string(), |status| describe(&status))
    }

    /// Asks the program to end, and waits until it has ended after its requests in progress.
    pub(super) async fn retire(mut self) {
        if let Some(id) = self.child.id() {
            terminate(id);
        }
        let _ = self.child.wait().await;
    }

    /// Asks the program to end and waits until it has ended. On a further signal, the program is
    /// asked again, which ends it at once, and the result is `false`. Later signals kill it.
    pub(super) async fn stop(mut self, stop: &mut StopSignal) -> bool {
        let mut patient = true;
        loop {
            if let Some(id) = self.child.id() {
                terminate(id);
            }
            tokio::select! {
                _ = self.child.wait() => return patient,
                () = stop.received() => {
                    if !patient {
                        // The program has been asked twice.
                        let _ = self.child.start_kill();
                    }
                    output::status("Stopping", "without waiting for the requests in progress");
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

/// A guard that asks a process to end when it is dropped, unless it was disarmed.
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

/// Asks a process to end.
#[cfg(unix)]
fn terminate(id: u32) {
    let id = i32::try_from(id).ok().and_then(rustix::process::Pid::from_raw);
    if let Some(id) = id {
        // The process may have ended already.
        let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
    }
}

/// Does nothing: this platform has no such request. A [`Program`] is killed when it is dropped.
#[cfg(not(unix))]
fn terminate(_id: u32) {}
