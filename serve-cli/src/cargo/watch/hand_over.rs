//! The socket that one build of the program hands over to the next.
//!
//! The command itself keeps the socket open, and passes it on to each program that it starts. While
//! one program ends and another begins, connections wait in the socket, and none is refused. A new
//! program says when it serves; until then, the old one does.

use std::io;
use std::net::TcpListener;
use std::process::Command;

use crate::arguments::{HttpArguments, NotListening, process_variables};
use crate::cargo::error::Error;

/// The descriptor under which a program finds the socket, as with systemd.
#[cfg(unix)]
const FIRST_FD: i32 = 3;

/// A socket that listens, for one program after another.
#[derive(Debug)]
pub(super) struct HandOver(TcpListener);

impl HandOver {
    /// Opens the socket, if this platform can pass it on.
    pub(super) fn open(arguments: &HttpArguments) -> Result<Option<Self>, Error> {
        if !cfg!(unix) {
            return Ok(None);
        }
        let address = arguments.address(&process_variables)?;
        let listener =
            TcpListener::bind(address).map_err(|source| NotListening::new(address, source))?;
        Ok(Some(Self(listener)))
    }

    /// Passes the socket to the program that a command starts, and returns the place where the program
    /// says that it serves.
    #[cfg(unix)]
    pub(super) fn pass_to(&self, command: &mut Command) -> io::Result<Readiness> {
        use command_fds::{CommandFdExt, FdMapping};

        let parent_fd = self.0.try_clone()?.into();
        let mapping = FdMapping { parent_fd, child_fd: FIRST_FD };
        command.fd_mappings(vec![mapping]).map_err(io::Error::other)?;
        // Without the process id, which is not known yet, the program believes the count alone.
        command.env("LISTEN_FDS", "1").env_remove("LISTEN_PID").env_remove("LISTEN_FDNAMES");
        let readiness = Readiness::listen()?;
        command.env("NOTIFY_SOCKET", &readiness.path);
        Ok(readiness)
    }

    /// Never called: this platform has no socket to pass on.
    #[cfg(not(unix))]
    pub(super) fn pass_to(&self, _command: &mut Command) -> io::Result<Readiness> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// The place where a program says that it serves (`sd_notify(3)`).
#[cfg(unix)]
#[derive(Debug)]
pub(super) struct Readiness {
    socket: tokio::net::UnixDatagram,
    path: std::path::PathBuf,
}

#[cfg(unix)]
impl Readiness {
    fn listen() -> io::Result<Self> {
        use std::sync::atomic::{AtomicU32, Ordering};

        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("cargo-serve-{}-{number}.sock", std::process::id());
        let path = std::env::temp_dir().join(name);
        // A process of the same id may have left it behind.
        let _ = std::fs::remove_file(&path);
        Ok(Self { socket: tokio::net::UnixDatagram::bind(&path)?, path })
    }

    /// Waits until the program serves.
    pub(super) async fn ready(&self) {
        let mut message = [0; 1024];
        loop {
            match self.socket.recv(&mut message).await {
                Ok(length) if message[..length].split(|byte| *byte == b'\n').any(is_ready) => {
                    return;
                }
                Ok(_) => {}
                // The socket cannot fail for good; if it does, the program is taken at its exit code.
                Err(_) => std::future::pending().await,
            }
        }
    }
}

#[cfg(unix)]
fn is_ready(line: &[u8]) -> bool {
    line == b"READY=1"
}

#[cfg(unix)]
impl Drop for Readiness {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The place where a program says that it serves. This platform has none.
#[cfg(not(unix))]
#[derive(Debug)]
pub(super) enum Readiness {}

#[cfg(not(unix))]
impl Readiness {
    pub(super) async fn ready(&self) {
        match *self {}
    }
}
