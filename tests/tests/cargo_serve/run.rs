//! What `cargo serve run` does besides serving.

use std::io::Write;
use std::net::{TcpListener, TcpStream};

use rustix::process::Signal;
use serve_tests::Fixture;

#[test]
fn arguments_prefix_and_features_reach_the_application() {
    let library = Fixture::new("library");
    let application = ["run", "greeter:greeter", "greeting=Hi", "times=2"];
    let options = ["--route-prefix", "/hello", "--name", "polite", "--features", "loud"];
    let server = library.serve(application.into_iter().chain(options)).start();
    assert_eq!(server.get("/hello?name=Dora").body, "HI HI DORA");
    assert_eq!(server.get("/?name=Dora").status, 404);
    let nothing = server.get("/hello/nothing");
    assert!(nothing.body.contains("application `polite`"), "{nothing:?}");
}

#[test]
fn the_banner_shows_graph_routes_and_addresses() {
    let library = Fixture::shared("library");
    let mut server = library.serve(["run", "greeter:spanish"]).start();
    let address = server.address().to_string();
    server.signal(Signal::INT);
    assert!(server.wait().success(), "{}", server.said());
    let (_, banner) = server.said().split_once("    Starting").expect("a banner");
    let banner = format!("    Starting{banner}").replace(&address, "[address]");
    // The admin port is the next free one.
    let lines = banner.lines().map(|line| match line.split_once("admin   http://127.0.0.1:") {
        Some((before, _)) => format!("{before}admin   http://[admin]"),
        None => line.to_owned(),
    });
    insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"));
}

#[test]
fn settings_come_from_the_environment_and_options_win() {
    let library = Fixture::shared("library");
    // The test itself gives `--port 0`, which wins over the variable.
    let run = |options: &[&'static str]| {
        let command = ["run", "spanish"].into_iter().chain(options.iter().copied());
        let command = library.serve(command).env("PORT", "1").env("SERVE_HTTP_HOST", "0.0.0.0");
        let mut server = command.env("SERVE_LOG", "off").start();
        server.wait_for("Press Ctrl-C");
        assert_eq!(server.get("/?name=Dora").status, 200);
        assert!(server.stop().success());
        server.said().to_owned()
    };
    let said = run(&[]);
    assert!(said.contains("Listening on 0.0.0.0:"), "{said}");
    assert!(said.contains("open to everyone who can reach this machine"), "{said}");
    assert!(!said.contains("GET / 200"), "{said}");
    let said = run(&["--host", "127.0.0.1", "--log", "info"]);
    assert!(said.contains("Listening on 127.0.0.1:"), "{said}");
    assert!(said.contains("for this machine only"), "{said}");
    assert!(said.contains("GET / 200"), "{said}");
}

#[test]
fn an_application_without_endpoints_says_so() {
    let library = Fixture::shared("library");
    let mut server = library.serve(["run", "greeter:translator"]).start();
    assert!(server.said().contains("No HTTP endpoints."), "{}", server.said());
    assert!(!server.said().contains("/docs"), "{}", server.said());
    assert!(server.stop().success());
}

#[test]
fn a_second_signal_does_not_wait_for_requests() {
    let library = Fixture::shared("library");
    let mut server = library.serve(["run", "greeter:spanish"]).start();
    let mut waiting = TcpStream::connect(server.address()).expect("a connection");
    waiting.write_all(b"GET /sleep HTTP/1.1\r\nHost: here\r\n\r\n").expect("a request");
    server.wait_for("now asleep");
    server.signal(Signal::TERM);
    let stopping = server.wait_for("Stopping");
    assert!(stopping.contains("after the request in progress"), "{stopping}");
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(130));
}

#[test]
fn signals_are_heard_and_the_start_is_told_though_every_worker_is_blocked() {
    let library = Fixture::shared("library");
    let command = library.serve(["run", "greeter:stuck"]);
    let mut server = command.env("TOKIO_WORKER_THREADS", "1").begin();
    server.wait_for("now stuck");
    server.wait_for("Waiting for a replica of `Stuck` to start (5s so far)");
    server.signal(Signal::INT);
    server.wait_for("Stopping");
    server.signal(Signal::INT);
    assert_eq!(server.wait().code(), Some(130), "{}", server.said());
}

#[test]
fn a_port_that_is_taken_is_an_error_that_says_what_to_do() {
    let library = Fixture::shared("library");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("an address").port();
    let port_text = port.to_string();
    let finished = library.serve(["run", "greeter:spanish", "--port", &port_text]).finish();
    let shown = finished.to_string();
    let next = (port + 1).to_string();
    insta::assert_snapshot!(shown.replace(&port_text, "[port]").replace(&next, "[another]"), @"
    exit code: 8
    ----- stderr -----
    error[serve::address_unavailable]: port [port] of 127.0.0.1 is in use
      help: stop the program that uses the port, or use another port: `--port [another]`; `--port 0` picks a free port
    ");
}

#[test]
fn a_deployment_that_can_never_have_room_is_refused_with_what_to_do() {
    let library = Fixture::shared("library");
    let finished = library.serve(["run", "greeter:scorer", "--port", "0"]).finish();
    assert_eq!(finished.code, Some(7), "{finished}");
    let error = finished.stderr.find("error[").map(|at| &finished.stderr[at..]);
    insta::assert_snapshot!(error.expect("an error"), @"
    error[serve::deploy_failed]: no replica of `Trainer` can ever start: it needs 1 GPU, and the node has 0
      help: GPUs are not detected: pass `--num-gpus COUNT`, or lower `num_gpus` of the deployment
    ");
}

#[test]
fn resources_of_the_machine_are_what_the_command_line_says() {
    let library = Fixture::shared("library");
    let server = library.serve(["run", "greeter:scorer", "--num-gpus", "1"]).start();
    assert_eq!(server.get("/").body, "trained");
}

#[test]
fn a_constructor_that_fails_names_the_deployment_and_every_cause() {
    let library = Fixture::shared("library");
    let finished = library.serve(["run", "greeter:broken", "--port", "0"]).finish();
    assert_eq!(finished.code, Some(7), "{finished}");
    let error = finished.stderr.find("error[").map(|at| &finished.stderr[at..]);
    insta::assert_snapshot!(error.expect("an error"), @"
    error[serve::deploy_failed]: the application `greeter:broken` did not start
      caused by: a replica of `Broken` did not start
      caused by: cannot load the model
      caused by: no such file: model.onnx
    ");
}
