//! A running `cargo serve run`.

use std::fmt;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use crate::http::{self, Answer};

/// The time after which silence is an error. The first build of a fixture takes minutes on a slow
/// machine.
const PATIENCE: Duration = Duration::from_secs(600);

/// A running server. It is killed if it is dropped without [`stop`](Self::stop).
pub struct Server {
    child: Child,
    lines: Receiver<String>,
    /// The standard error so far.
    said: String,
    address: SocketAddr,
}

impl Server {
    pub(crate) fn start(command: Command) -> Self {
        let mut server = Self::begin(command);
        server.wait_until_up();
        server
    }

    pub(crate) fn begin(mut command: Command) -> Self {
        command.args(["--port", "0"]);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("cargo-serve can be run");
        let stderr = child.stderr.take().expect("stderr is piped");
        let (sender, lines) = mpsc::channel();
        // The thread ends when the pipe is closed.
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        Self { child, lines, said: String::new(), address }
    }

    /// Waits until the program, or the next program under `--watch`, prints its address.
    ///
    /// # Panics
    /// If the program ends instead.
    pub fn wait_until_up(&mut self) {
        let line = self.wait_for("/-/healthz");
        let url = line.split("http://").nth(1).and_then(|rest| rest.split('/').next());
        self.address =
            url.and_then(|address| address.parse().ok()).expect("the banner names an address");
        let healthy = self.get("/-/healthz");
        assert_eq!(healthy.status, 200, "{healthy:?}");
    }

    /// Waits for a line with `text` on standard error, and returns that line.
    ///
    /// # Panics
    /// If the program ends instead.
    pub fn wait_for(&mut self, text: &str) -> String {
        loop {
            match self.next_line() {
                Some(line) if line.contains(text) => return line,
                Some(_) => {}
                None => panic!("`{text}` was not said:\n{}", self.said),
            }
        }
    }

    /// Returns the next line of standard error; `None` after the last.
    fn next_line(&mut self) -> Option<String> {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => {
                self.said.push_str(&line);
                self.said.push('\n');
                Some(line)
            }
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("nothing more is said:\n{}", self.said),
        }
    }

    /// Returns the standard error so far.
    #[must_use]
    pub fn said(&self) -> &str {
        &self.said
    }

    /// Returns the address of the server.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the id of the started process, which becomes the server itself.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a GET request.
    ///
    /// # Panics
    /// If there is no answer.
    #[must_use]
    pub fn get(&self, path: &str) -> Answer {
        http::request(self.address, "GET", path, "")
    }

    /// Sends a POST request with a JSON body.
    ///
    /// # Panics
    /// If there is no answer.
    #[must_use]
    pub fn post(&self, path: &str, body: &str) -> Answer {
        http::request(self.address, "POST", path, body)
    }

    /// Stops the server with SIGTERM, as a supervisor does, and waits until it has ended.
    ///
    /// # Panics
    /// If the server does not end.
    #[cfg(unix)]
    pub fn stop(&mut self) -> ExitStatus {
        self.signal(rustix::process::Signal::TERM);
        self.wait()
    }

    /// Sends a signal to the server.
    ///
    /// # Panics
    /// If the server has ended already.
    #[cfg(unix)]
    pub fn signal(&self, signal: rustix::process::Signal) {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, signal).expect("the server is running");
    }

    /// Waits until the server has ended.
    ///
    /// # Panics
    /// If the server does not end.
    pub fn wait(&mut self) -> ExitStatus {
        // The pipe is closed when the server and all processes that it has started have ended.
        while self.next_line().is_some() {}
        self.child.wait().expect("the server was started here")
    }

    /// Returns the standard output of a server that has ended.
    ///
    /// # Panics
    /// If the output is not text.
    pub fn printed(&mut self) -> String {
        let mut printed = String::new();
        if let Some(mut stdout) = self.child.stdout.take() {
            stdout.read_to_string(&mut printed).expect("text");
        }
        printed
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The server may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("id", &self.child.id())
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}
