//! The socket on which HTTP is served: a new one, or one that a supervisor passes on.
//!
//! A supervisor that keeps the socket open while it restarts the program, such as systemd or
//! `cargo serve run --watch`, loses no connection. It passes the socket as systemd does
//! (`sd_listen_fds(3)`), and is told when the program serves (`sd_notify(3)`).

use std::io;
use std::net::{SocketAddr, TcpListener};

use listenfd::ListenFd;
use serve_core::RuntimeBuilder;
use serve_core::config::AdminConfig;

use super::error::Error;

/// The socket on which HTTP is served.
#[derive(Debug)]
pub(super) enum Listening {
    /// A socket that is to be opened.
    On(SocketAddr),
    /// A socket that listens already.
    Passed(TcpListener),
}

impl Listening {
    /// Returns the first socket that was passed on to this process, or else the address.
    pub(super) fn new(passed: &mut ListenFd, address: SocketAddr) -> Result<Self, Error> {
        let passed = passed.take_tcp_listener(0).map_err(Error::PassedSocket)?;
        Ok(passed.map_or(Self::On(address), Self::Passed))
    }

    /// Returns the builder of a runtime that serves on the socket.
    pub(super) fn apply(self, builder: RuntimeBuilder) -> RuntimeBuilder {
        match self {
            Self::On(address) => builder.http(address),
            Self::Passed(listener) => builder.http_listener(listener),
        }
    }
}

/// The admin port.
#[derive(Debug)]
pub(super) enum AdminListening {
    Off,
    /// A socket that is to be opened, or the next free one.
    On {
        address: SocketAddr,
        or_next_free: bool,
    },
    /// A socket that listens already.
    Passed(TcpListener),
}

impl AdminListening {
    /// Returns the second socket that was passed on to this process, or else what the configuration
    /// says. Without a port of its own, the program takes the next free one.
    pub(super) fn new(passed: &mut ListenFd, admin: &AdminConfig) -> Result<Self, Error> {
        let Some(address) = admin.address() else { return Ok(Self::Off) };
        let socket = match passed.len() {
            0 | 1 => None,
            _ => passed.take_tcp_listener(1).map_err(Error::PassedSocket)?,
        };
        let or_next_free = admin.port.is_none();
        Ok(socket.map_or(Self::On { address, or_next_free }, Self::Passed))
    }

    /// Returns the builder of a runtime that has the port.
    pub(super) fn apply(self, builder: RuntimeBuilder) -> RuntimeBuilder {
        match self {
            Self::Off => builder,
            Self::On { address, or_next_free: false } => builder.admin(address),
            Self::On { address, .. } => builder.admin(address).admin_or_next_free(),
            Self::Passed(listener) => builder.admin_listener(listener),
        }
    }
}

/// Tells the supervisor, if there is one, that requests are answered from now on.
pub(super) fn tell_ready() {
    #[cfg(unix)]
    tell(sd_notify::NotifyState::Ready);
}

/// Tells the supervisor, if there is one, that the program ends.
pub(super) fn tell_stopping() {
    #[cfg(unix)]
    tell(sd_notify::NotifyState::Stopping);
}

#[cfg(unix)]
fn tell(state: sd_notify::NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state])
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!("the supervisor behind NOTIFY_SOCKET cannot be told: {error}");
    }
}

/// Raises the number of files that the process may have open to the most that it may set itself:
/// each connection is one. The lower limit is for programs that use `select(2)`.
pub(super) fn allow_many_connections() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        let raised = Rlimit { current: maximum, maximum };
        if current != maximum
            && let Err(error) = setrlimit(Resource::Nofile, raised)
        {
            tracing::debug!("the limit of open files stays at {current:?}: {error}");
        }
    }
}
