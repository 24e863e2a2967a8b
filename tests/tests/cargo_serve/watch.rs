//! `run --watch`: the program follows its source.

use std::fs;
use std::process::Command;

use rustix::process::Signal;
use serve_tests::Fixture;

#[test]
fn a_change_is_built_and_takes_over() {
    let library = Fixture::new("library");
    let mut server = library.serve(["run", "greeter:spanish", "--watch"]).start();
    assert_eq!(server.get("/?name=Dora").body, "Hola Dora!");

    library.edit("src/lib.rs", "\"Hola\"", "\"¡Hola,\"");
    server.wait_for("Changed src/lib.rs");
    server.wait_until_up();
    assert_eq!(server.get("/?name=Dora").body, "¡Hola, Dora!");

    // What does not compile leaves the last good program alone.
    library.edit("src/lib.rs", "\"¡Hola,\"", "Hola");
    server.wait_for("the last working build continues");
    assert_eq!(server.get("/?name=Dora").body, "¡Hola, Dora!");

    library.edit("src/lib.rs", "Hola, 1_usize", "\"Hola\", 1_usize");
    server.wait_until_up();
    assert_eq!(server.get("/?name=Dora").body, "Hola Dora!");

    let status = server.stop();
    assert!(status.success(), "{status}:\n{}", server.said());
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
