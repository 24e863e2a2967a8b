//! The socket that one build of the program hands over to the next.
//!
//! The command itself keeps the socket open, and passes it on to each program that it starts. While
//! one program ends and another begins, connections wait in the socket, and none is refused. A new
//! program says when it serves; until then, the old one does.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::process::Command;

use serve_core::config::Config;

use crate::arguments::{NotListening, RunArguments, process_variables};
use crate::cargo::error::Error;
use crate::remote;

/// The descriptor under which a program finds the socket, as with systemd.
#[cfg(unix)]
const FIRST_FD: i32 = 3;

/// The ports after the default admin port that are tried if it is in use.
const NEXT_PORTS: u16 = 50;

/// The sockets that listen, for one program after another: that of HTTP, and that of the admin port
/// unless it is off.
#[derive(Debug)]
pub(super) struct HandOver {
    http: TcpListener,
    admin: Option<TcpListener>,
}

impl HandOver {
    /// Opens the socket, if this platform can pass it on.
    pub(super) fn open(arguments: &RunArguments) -> Result<Option<Self>, Error> {
        if !cfg!(unix) {
            return Ok(None);
        }
        let mut config = match arguments.application.file() {
            Some(file) => remote::read(file)?,
            None => Config::default(),
        };
        let (host, port) = arguments.http.given(&process_variables)?;
        config.http.host = host.or(config.http.host);
        config.http.port = port.or(config.http.port);
        config.admin.port = arguments.admin.port(&process_variables)?.or(config.admin.port);
        let bind = |address| {
            TcpListener::bind(address).map_err(|source| NotListening::new(address, source))
        };
        let http = bind(config.http.address())?;
        let admin = match config.admin.address() {
            None => None,
            Some(address) if config.admin.port.is_some() => Some(bind(address)?),
            Some(address) => Some(next_free(address)?),
        };
        Ok(Some(Self { http, admin }))
    }

    /// Passes the sockets to the program that a command starts, and returns the place where the program
    /// says that it serves.
    #[cfg(unix)]
    pub(super) fn pass_to(&self, command: &mut Command) -> io::Result<Readiness> {
        use command_fds::{CommandFdExt, FdMapping};

        let sockets = std::iter::once(&self.http).chain(&self.admin);
        let mappings = sockets.zip(FIRST_FD..).map(|(socket, child_fd)| {
            Ok(FdMapping { parent_fd: socket.try_clone()?.into(), child_fd })
        });
        let mappings: Vec<FdMapping> = mappings.collect::<io::Result<_>>()?;
        let count = mappings.len().to_string();
        command.fd_mappings(mappings).map_err(io::Error::other)?;
        // Without the process id, which is not known yet, the program believes the count alone.
        command.env("LISTEN_FDS", count).env_remove("LISTEN_PID").env_remove("LISTEN_FDNAMES");
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

/// Opens a socket on the port of an address, or on the next port that is free.
fn next_free(address: SocketAddr) -> Result<TcpListener, NotListening> {
    let mut bound = TcpListener::bind(address);
    for next in 1..=NEXT_PORTS {
        let is_taken = bound.as_ref().is_err_and(|it| it.kind() == io::ErrorKind::AddrInUse);
        let Some(port) = address.port().checked_add(next).filter(|_| is_taken) else { break };
        bound = TcpListener::bind(SocketAddr::new(address.ip(), port));
    }
    bound.map_err(|source| NotListening::new(address, source))
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
