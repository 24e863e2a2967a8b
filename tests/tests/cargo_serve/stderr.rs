//! A program whose stderr nobody reads, like a log driver that hangs, serves and ends all the same.

use std::io::{BufRead, BufReader, PipeReader, PipeWriter, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serve_tests::{Answer, Fixture, request, try_request};

/// A program that does not end within this time is stuck, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(180);

/// Builds the program of a fixture under this name.
fn built(library: &Fixture, name: &'static str) -> PathBuf {
    let built = library.serve(["build", "greeter", "-o", name]).finish();
    assert_eq!(built.code, Some(0), "{built}");
    library.path(name)
}

/// A running program.
struct Running(Child);

impl Running {
    fn start(program: &Path, arguments: &[&str], stderr: PipeWriter) -> Self {
        let mut command = Command::new(program);
        command.args(arguments).stderr(stderr).stdout(Stdio::null());
        for variable in ["RUST_LOG", "SERVE_LOG", "PORT", "SERVE_HTTP_PORT", "SERVE_HTTP_HOST"] {
            command.env_remove(variable);
        }
        Self(command.spawn().expect("the program can be run"))
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).expect("it is running");
    }

    /// Waits until the program has ended.
    fn ended(mut self) -> ExitStatus {
        let id = Pid::from_child(&self.0);
        let (done, waits) = mpsc::channel::<()>();
        let watchdog = thread::spawn(move || {
            let timed_out = waits.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout);
            if timed_out {
                let _ = kill_process(id, Signal::KILL);
            }
            timed_out
        });
        let status = self.0.wait().expect("the program was started here");
        drop(done);
        assert!(!watchdog.join().expect("the watchdog ends"), "it had to be killed");
        status
    }
}

/// A port that was free a moment ago.
fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address")
}

/// A pipe in which there is no space.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    let flags = rustix::fs::fcntl_getfl(&writer).expect("flags");
    rustix::fs::fcntl_setfl(&writer, flags | rustix::fs::OFlags::NONBLOCK).expect("flags");
    while writer.write(&[b'.'; 4096]).is_ok() {}
    while writer.write(b".").is_ok() {}
    rustix::fs::fcntl_setfl(&writer, flags).expect("flags");
    (reader, writer)
}

fn wait_until_up(address: SocketAddr) {
    for _ in 0..6_000 {
        if let Ok(Answer { status: 200, .. }) = try_request(address, "GET", "/-/healthz", "") {
            return;
        }
        thread::park_timeout(Duration::from_millis(10));
    }
    panic!("it is not up");
}

#[test]
fn requests_are_answered_and_signals_are_heard_though_nobody_reads_the_log() {
    let library = Fixture::shared("library");
    let program = built(&library, "stuck-server");
    for signal in [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT] {
        let address = free_address();
        let port = address.port().to_string();
        // Not even the banner can be written.
        let (reader, stderr) = full_pipe();
        let server = Running::start(
            &program,
            &["run", "spanish", "--port", &port, "--log", "trace"],
            stderr,
        );
        wait_until_up(address);
        for number in 0..600 {
            let answer = request(address, "GET", &format!("/?name={number}"), "");
            assert_eq!(answer.body, format!("Hola {number}!"));
        }
        server.signal(signal);
        assert_eq!(server.ended().code(), Some(0), "{signal:?}");
        drop(reader);
    }
}

#[test]
fn signals_end_a_start_whose_progress_cannot_be_written() {
    let library = Fixture::shared("library");
    let program = built(&library, "stuck-start");
    let (reader, stderr) = full_pipe();
    let address = free_address();
    let port = address.port().to_string();
    let server = Running::start(&program, &["run", "stuck", "--port", &port], stderr);
    // The port is open, and the constructor never returns.
    while try_request(address, "GET", "/-/healthz", "").is_err() {
        thread::park_timeout(Duration::from_millis(10));
    }
    server.signal(Signal::TERM);
    // Two signals that come at once would be one.
    thread::park_timeout(Duration::from_millis(500));
    server.signal(Signal::TERM);
    assert_eq!(server.ended().code(), Some(130));
    drop(reader);
}

/// The usual report of a panic goes to stderr, from the thread that panics.
#[test]
fn a_panic_that_cannot_be_reported_blocks_no_worker() {
    let library = Fixture::shared("library");
    let program = built(&library, "panicking-server");
    let (reader, stderr) = full_pipe();
    let address = free_address();
    let port = address.port().to_string();
    let mut command = Command::new(program);
    command.args(["run", "numbers", "--port", &port]).env("TOKIO_WORKER_THREADS", "1");
    let server = Running(command.stderr(stderr).spawn().expect("the program can be run"));
    wait_until_up(address);
    for _ in 0..2 {
        assert_eq!(request(address, "GET", "/panic", "").status, 500);
    }
    assert_eq!(request(address, "GET", "/double?number=1", "").body, "1.0");
    server.signal(Signal::TERM);
    assert_eq!(server.ended().code(), Some(0));
    drop(reader);
}

#[test]
fn dropped_lines_are_counted_once_the_reader_goes_on() {
    let library = Fixture::shared("library");
    let program = built(&library, "stuck-log");
    let (mut reader, stderr) = full_pipe();
    let address = free_address();
    let port = address.port().to_string();
    let log = ["--log", "trace"];
    let server = Running::start(
        &program,
        &[&["run", "spanish", "--port", &port][..], &log[..]].concat(),
        stderr,
    );
    wait_until_up(address);
    // Each writes some 500 bytes, and 4 MiB may wait.
    let clients = [(); 4].map(|()| {
        thread::spawn(move || {
            for number in 0..3_000 {
                let path = format!("/?name={number}");
                assert_eq!(request(address, "GET", &path, "").status, 200);
            }
        })
    });
    for client in clients {
        client.join().expect("all are answered");
    }
    let mut filler = vec![0; 65_536];
    reader.read_exact(&mut filler).expect("the pipe was full");
    let (counted, count) = mpsc::channel();
    // Reads to the end, so that nothing is stuck any more.
    thread::spawn(move || {
        for line in BufReader::new(reader).lines().map_while(Result::ok) {
            if line.contains("lines were dropped here") {
                let _ = counted.send(line);
            }
        }
    });
    let line = count.recv_timeout(PATIENCE).expect("the count is told");
    assert!(line.starts_with("warning: "), "{line}");
    server.signal(Signal::TERM);
    assert_eq!(server.ended().code(), Some(0));
}

/// `nohup` starts a program that a closed terminal does not end.
#[cfg(target_os = "linux")]
#[test]
fn a_hangup_that_is_ignored_stays_ignored() {
    let library = Fixture::shared("library");
    let program = built(&library, "nohup-server");
    let address = free_address();
    let port = address.port().to_string();
    let (reader, stderr) = std::io::pipe().expect("a pipe");
    thread::spawn(move || BufReader::new(reader).lines().for_each(drop));
    let script = "trap '' HUP; exec \"$0\" run spanish --port \"$1\"";
    let program = program.to_str().expect("a path in UTF-8");
    let server = Running::start(Path::new("sh"), &["-c", script, program, &port], stderr);
    wait_until_up(address);
    server.signal(Signal::HUP);
    assert_eq!(request(address, "GET", "/?name=Dora", "").body, "Hola Dora!");
    server.signal(Signal::TERM);
    assert_eq!(server.ended().code(), Some(0));
}
