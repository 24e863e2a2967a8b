//! `run --watch`: the program follows its source.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use serve_tests::{Fixture, Server, request};

/// Asks until the answer is this one: two builds share the socket for a moment.
fn wait_for_answer(server: &Server, path: &str, body: &str) {
    for _ in 0..1_000 {
        if server.get(path).body == body {
            return;
        }
        thread::park_timeout(Duration::from_millis(10));
    }
    panic!("{path} is never answered by {body}");
}

#[test]
fn a_change_is_built_and_takes_over() {
    let library = Fixture::new("library");
    let mut server = library.serve(["run", "greeter:spanish", "--watch"]).start();
    assert_eq!(server.get("/?name=Dora").body, "Hola Dora!");

    library.edit("src/lib.rs", "\"Hola\"", "\"¡Hola,\"");
    server.wait_for("Changed src/lib.rs");
    server.wait_until_up();
    wait_for_answer(&server, "/?name=Dora", "¡Hola, Dora!");

    // What does not compile leaves the last good program alone.
    library.edit("src/lib.rs", "\"¡Hola,\"", "Hola");
    server.wait_for("the last working build continues");
    assert_eq!(server.get("/?name=Dora").body, "¡Hola, Dora!");

    // Nor does what compiles and does not start.
    let fails = "std::env::var(\"NOWHERE\").expect(\"set\"), 1_usize";
    library.edit("src/lib.rs", "Hola, 1_usize", fails);
    server.wait_for("the last working build continues");
    assert_eq!(server.get("/?name=Dora").body, "¡Hola, Dora!");

    library.edit("src/lib.rs", fails, "\"Hola\", 1_usize");
    server.wait_until_up();
    wait_for_answer(&server, "/?name=Dora", "Hola Dora!");

    let status = server.stop();
    assert!(status.success(), "{status}:\n{}", server.said());
}

/// An endpoint that sends a text over two seconds.
const SLOWLY: &str = r#"
    #[get("/slowly")]
    pub fn slowly(&self, text: String) -> impl Stream<Item = String> {
        let pieces = [String::new(), String::new(), text];
        futures::stream::iter(pieces).then(async |piece| {
            tokio::time::sleep(std::time::Duration::from_millis(700)).await;
            piece
        })
    }

    /// Never works.
"#;

/// Requests on connections of their own and on one that stays open, and streams, while the source is
/// edited three times, once so that it does not compile.
#[test]
fn no_request_is_refused_while_the_source_changes() {
    let library = Fixture::new("library");
    library.edit("src/lib.rs", "    /// Never works.\n", SLOWLY);
    let mut server = library.serve(["run", "greeter:spanish", "--watch"]).start();
    let address = server.address();
    let stop = Arc::new(AtomicBool::new(false));
    let load = |ask: fn(SocketAddr) -> String| {
        let stop = Arc::clone(&stop);
        thread::spawn(move || {
            let mut answers = 0;
            while !stop.load(Ordering::Relaxed) {
                let body = ask(address);
                assert!(body.ends_with("Dora!"), "after {answers} answers: {body}");
                answers += 1;
                thread::park_timeout(Duration::from_millis(10));
            }
            answers
        })
    };
    let fresh = load(|address| request(address, "GET", "/?name=Dora", "").body);
    let streams = load(|address| request(address, "GET", "/slowly?text=Dora!", "").body);
    let kept = {
        let stop = Arc::clone(&stop);
        thread::spawn(move || {
            let mut client = KeepAlive::new(address);
            while !stop.load(Ordering::Relaxed) {
                let body = client.get("/?name=Dora");
                assert!(body.ends_with("Dora!"), "after {} answers: {body}", client.answers);
                thread::park_timeout(Duration::from_millis(10));
            }
            client
        })
    };

    library.edit("src/lib.rs", "\"Hola\"", "\"Ola\"");
    server.wait_for("Replacing");
    library.edit("src/lib.rs", "\"Ola\"", "Ola");
    server.wait_for("the last working build continues");
    library.edit("src/lib.rs", "Ola, 1_usize", "\"Hello\", 1_usize");
    server.wait_for("Replacing");
    wait_for_answer(&server, "/?name=Dora", "Hello Dora!");

    stop.store(true, Ordering::Relaxed);
    let fresh = fresh.join().expect("no request fails");
    let streams = streams.join().expect("no stream is cut");
    let kept = kept.join().expect("no request fails on a connection that stays open");
    println!(
        "{fresh} requests, {streams} streams, {} on {} connections",
        kept.answers, kept.opened
    );
    assert!(fresh > 100 && streams > 3 && kept.answers > 100);
    assert!(server.stop().success(), "{}", server.said());
}

/// A client that keeps its connection, and opens another one only if the server says that this one
/// ends. It never sends a request again.
struct KeepAlive {
    address: SocketAddr,
    connection: Option<TcpStream>,
    opened: usize,
    answers: usize,
}

impl KeepAlive {
    fn new(address: SocketAddr) -> Self {
        Self { address, connection: None, opened: 0, answers: 0 }
    }

    fn get(&mut self, path: &str) -> String {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                self.opened += 1;
                TcpStream::connect(self.address).expect("a connection")
            }
        };
        let request = format!("GET {path} HTTP/1.1\r\nhost: here\r\n\r\n");
        connection.write_all(request.as_bytes()).expect("the request is sent");
        let mut answer = String::new();
        let mut piece = [0; 4096];
        let body = loop {
            let length = connection.read(&mut piece).expect("an answer");
            assert!(length > 0, "the connection ended before its answer: {answer}");
            answer.push_str(&String::from_utf8_lossy(&piece[..length]));
            let Some((head, body)) = answer.split_once("\r\n\r\n") else { continue };
            let announced = head.split("content-length: ").nth(1).expect("a length");
            let announced = announced.split("\r\n").next().and_then(|text| text.parse().ok());
            if announced == Some(body.len()) {
                break body.to_owned();
            }
        };
        self.answers += 1;
        if !answer.contains("connection: close") {
            self.connection = Some(connection);
        }
        body
    }
}

#[test]
fn what_the_program_writes_is_no_change() {
    let library = Fixture::new("library");
    let mut server = library.serve(["run", "greeter:spanish", "--watch"]).start();
    std::fs::write(library.path("requests.log"), "one").expect("written");
    std::fs::write(library.path("src/.lib.rs.swp"), "editing").expect("written");
    // A real change comes after those, and is the first that is noticed.
    library.edit("Cargo.toml", "# A package", "# Still a package");
    let changed = server.wait_for("Changed");
    assert!(changed.contains("Cargo.toml"), "{changed}");
    assert_eq!(server.get("/?name=Dora").status, 200, "an unchanged program goes on");
    assert!(server.stop().success());
}

#[test]
fn a_signal_is_heard_while_cargo_waits() {
    // Says that it was asked, and waits to be told to go on.
    const CARGO: &str = r#"#!/bin/sh
exec 2> /dev/null
cd "${0%/*}" && echo > asked && read -r line < answer
"#;
    let place = Fixture::empty();
    // Written by another process: a file that this one still writes cannot be run.
    let prepared = Command::new("sh")
        .args([
            "-c",
            "mkfifo asked answer && printf %s \"$1\" > cargo && chmod +x cargo",
            "sh",
            CARGO,
        ])
        .current_dir(place.directory())
        .status();
    assert!(prepared.expect("a shell").success());
    let library = Fixture::shared("library");
    let command = library.serve(["run", "greeter:spanish", "--watch"]);
    let mut server = command.env("CARGO", place.path("cargo")).begin();
    fs::read(place.path("asked")).expect("cargo is asked");
    server.signal(Signal::INT);
    assert!(server.wait().success(), "{}", server.said());
    fs::write(place.path("answer"), "\n").expect("cargo still waits");
}
