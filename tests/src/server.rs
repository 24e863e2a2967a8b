//! A `cargo serve run` that is up.

use std::fmt;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use crate::http::{self, Answer};

/// A fixture's first build takes minutes on a slow machine; silence for so long is an
/// error.
const PATIENCE: Duration = Duration::from_secs(600);

/// A running server; killed if it is dropped without [`stop`](Self::stop).
pub struct Server {
    child: Child,
    lines: Receiver<String>,
    /// All that was said on stderr so far.
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
        // Ends with its pipe.
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

    /// Waits until the program, or the next one under `--watch`, says where it serves.
    ///
    /// # Panics
    /// If it ends instead.
    pub fn wait_until_up(&mut self) {
        let line = self.wait_for("/-/healthz");
        let url = line.split("http://").nth(1).and_then(|rest| rest.split('/').next());
        self.address =
            url.and_then(|address| address.parse().ok()).expect("the banner names an address");
        let healthy = self.get("/-/healthz");
        assert_eq!(healthy.status, 200, "{healthy:?}");
    }

    /// Waits until a line that contains `text` is said, and returns that line.
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

    /// The next line on stderr, until the last.
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

    /// What was said on stderr so far.
    #[must_use]
    pub fn said(&self) -> &str {
        &self.said
    }

    /// Where it serves.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The process that was started, which is the server itself.
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

    /// Asks it to stop as a supervisor does, with SIGTERM, and waits until it has.
    ///
    /// # Panics
    /// If it does not stop.
    #[cfg(unix)]
    pub fn stop(&mut self) -> ExitStatus {
        self.signal(rustix::process::Signal::TERM);
        self.wait()
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// If it has ended already.
    #[cfg(unix)]
    pub fn signal(&self, signal: rustix::process::Signal) {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, signal).expect("the server is running");
    }

    /// Waits until it has ended.
    ///
    /// # Panics
    /// If it does not end.
    pub fn wait(&mut self) -> ExitStatus {
        // Its pipe closes with it, and with all that it has started.
        while self.next_line().is_some() {}
        self.child.wait().expect("the server was started here")
    }

    /// What it has printed on stdout, once it has ended.
    ///
    /// # Panics
    /// If that is not text.
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
        // It may have ended.
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
