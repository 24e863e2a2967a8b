//! The socket on which HTTP is served: a new one, or one that a supervisor passes on.
//!
//! A supervisor that keeps the socket open while it restarts the program, such as systemd or
//! `cargo serve run --watch`, loses no connection. It passes the socket as systemd does
//! (`sd_listen_fds(3)`), and is told when the program serves (`sd_notify(3)`).

use std::io;
use std::net::{SocketAddr, TcpListener};

use listenfd::ListenFd;
use serve_core::RuntimeBuilder;

use super::error::Error;
use crate::arguments::{HttpArguments, process_variables};

/// The socket on which HTTP is served.
#[derive(Debug)]
pub(super) enum Listening {
    /// A socket that is to be opened.
    On(SocketAddr),
    /// A socket that listens already.
    Passed(TcpListener),
}

impl Listening {
    /// Returns the socket that was passed on to this process, or else the address from the arguments
    /// and the environment. To be called before other threads start, because the variables by which
    /// a socket is passed on are removed.
    pub(super) fn new(arguments: &HttpArguments) -> Result<Self, Error> {
        let address = arguments.address(&process_variables)?;
        let passed = ListenFd::from_env().take_tcp_listener(0).map_err(Error::PassedSocket)?;
        Ok(passed.map_or(Self::On(address), Self::Passed))
    }

    /// Returns the builder of a runtime that serves on the socket.
    pub(super) fn apply(self, builder: RuntimeBuilder) -> RuntimeBuilder {
        match self {
            Self::On(address) => builder.http(address),
            Self::Passed(listener) => builder.http_listener(listener),
        }
    }

    /// Returns the address to listen on; none if the socket was passed on.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::On(address) => Some(*address),
            Self::Passed(_) => None,
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
