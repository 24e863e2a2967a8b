//! `build`: the program that runs in production.

use std::fs;
#[cfg(target_os = "linux")]
use std::io::{BufRead, BufReader};
use std::process::Command;

use serve_tests::Fixture;

#[test]
fn the_program_is_put_where_it_is_asked_for_and_needs_no_cargo() {
    let library = Fixture::new("library");
    let built = library.serve(["build", "greeter", "-o", "server"]).finish();
    assert_eq!((built.code, built.stdout.as_str()), (Some(0), "server\n"), "{built}");

    let program = |arguments: &[&str]| {
        let mut command = Command::new(library.path("server"));
        command.args(arguments).env_clear().current_dir(std::env::temp_dir());
        command.output().expect("the program can be run")
    };
    let called = program(&["call", "greeter:spanish", "greet", "name=Dora"]);
    assert_eq!(String::from_utf8_lossy(&called.stdout), "Hola Dora!\n");
    // It takes the same commands, and refuses the same.
    assert_eq!(program(&["top"]).status.code(), Some(13));
    assert_eq!(program(&["run", "spanih"]).status.code(), Some(5));
}

#[test]
fn without_a_place_it_is_where_cargo_puts_it() {
    let library = Fixture::new("library");
    let built = library.serve(["build"]).finish();
    assert_eq!(built.code, Some(0), "{built}");
    let path = built
        .stdout
        .trim_end()
        .replace("[repository]", serve_tests::repository().to_str().expect("a path in UTF-8"));
    assert!(fs::metadata(&path).is_ok_and(|file| file.is_file()), "{path}");
}

/// On a server `--open` finds nothing to open with. Elsewhere than on Linux the browser's
/// place is fixed, and the test would open one.
#[cfg(target_os = "linux")]
#[test]
fn without_a_browser_it_serves_all_the_same() {
    let library = Fixture::new("library");
    let built = library.serve(["build", "greeter", "-o", "server"]).finish();
    assert_eq!(built.code, Some(0), "{built}");
    let mut program = Command::new(library.path("server"))
        .args(["run", "spanish", "--port", "0", "--open"])
        .env_clear()
        .env("PATH", library.path("no-programs"))
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("the program can be run");
    let stderr = BufReader::new(program.stderr.take().expect("stderr is piped"));
    let mut lines = stderr.lines().map_while(Result::ok);
    let warning = lines.find(|line| line.contains("cannot open"));
    let id = rustix::process::Pid::from_child(&program);
    rustix::process::kill_process(id, rustix::process::Signal::TERM).expect("it is running");
    let last = lines.last();
    assert!(program.wait().expect("it was started here").success());
    assert!(last.is_some_and(|line| line.contains("Stopping")), "it has served");
    // The only page of its own that goes without parameters.
    let warning = warning.expect("a warning");
    assert!(warning.starts_with("warning: cannot open http://127.0.0.1:"), "{warning}");
    assert!(warning.contains("/sleep in a browser"), "{warning}");
}
