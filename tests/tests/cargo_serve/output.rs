//! Output that cannot be written.

use std::process::{Command, Stdio};

use serve_tests::{Finished, Fixture};

/// Each command that prints a result, and the help.
#[cfg(target_os = "linux")]
const WRITERS: [&[&str]; 10] = [
    &["list"],
    &["list", "--json"],
    &["graph", "spanish"],
    &["graph", "spanish", "--json"],
    &["graph", "spanish", "--format", "svg"],
    &["call", "spanish", "greet", "name=Dora"],
    &["call", "spanish", "count", "to=3"],
    &["build"],
    &["--help"],
    &["--version"],
];

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error_of_every_command_that_writes() {
    let library = Fixture::shared("library");
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").expect("it is there");
    for command in WRITERS {
        let finished = library.serve(command.iter().copied()).stdout(full()).finish();
        assert_eq!(finished.code, Some(17), "{command:?}: {finished}");
        assert!(
            finished.stderr.ends_with(
                "error[serve::output]: cannot write the output\n  \
                 caused by: No space left on device (os error 28)"
            ),
            "{command:?}: {finished}"
        );
    }
    let build = library.serve(["build", "-o", "full-server"]).stdout(full()).finish();
    assert_eq!(build.code, Some(17), "{build}");
    // The built program says the same.
    let program = library.path("full-server");
    for command in [&["list"][..], &["graph", "spanish"], &["--help"], &["run", "--help"]] {
        let mut program = Command::new(&program);
        let status = program.args(command).stdout(full()).stderr(Stdio::null()).status();
        assert_eq!(status.expect("it can be run").code(), Some(17), "{command:?}");
    }
}

#[test]
fn a_file_that_cannot_be_written_is_named() {
    let library = Fixture::shared("library");
    let written = |arguments: &[&'static str]| library.serve(arguments.iter().copied()).finish();
    insta::assert_snapshot!(written(&["graph", "spanish", "-o", "no/such/graph.txt"]), @"
    exit code: 17
    ----- stderr -----
    error[serve::file]: cannot write no/such/graph.txt
      caused by: No such file or directory (os error 2)
    ");
    let built = written(&["build", "-o", "no/such/server"]);
    assert_eq!(built.code, Some(17), "{built}");
    let built = written(&["build", "-o", "src"]);
    assert_eq!(built.code, Some(17), "{built}");
    let created = written(&["new", "Cargo.toml/sub"]);
    assert_ne!(created.code, Some(0), "{created}");
}

/// `cargo serve ... | head -1`
#[test]
fn a_reader_that_stops_reading_ends_the_command_and_is_no_error() {
    let library = Fixture::shared("library");
    let built = library.serve(["build", "-o", "head-server"]).finish();
    assert_eq!(built.code, Some(0), "{built}");
    for command in [&["call", "numbers", "endless"][..], &["list"], &["graph", "spanish"]] {
        let (reader, stdout) = std::io::pipe().expect("a pipe");
        drop(reader);
        let program =
            Command::new(library.path("head-server")).args(command).stdout(stdout).output();
        let output = program.expect("the program can be run");
        assert_eq!(output.status.code(), Some(0), "{command:?}: {output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{command:?}");
    }
}

fn graph(library: &Fixture, file: &'static str) -> Finished {
    library.serve(["graph", "spanish", "-o", file]).env("CLICOLOR_FORCE", "1").finish()
}

#[test]
fn the_ending_of_the_file_decides_the_format_of_a_graph() {
    let library = Fixture::shared("library");
    let begins = [
        ("g.svg", "<svg "),
        ("G.SVG", "<svg "),
        ("g.mmd", "flowchart LR\n"),
        ("g.mermaid", "flowchart LR\n"),
        ("g.md", "```mermaid\nflowchart LR\n"),
        ("g.json", "{\n"),
        ("g.txt", "Greeter      1 replica"),
    ];
    for (file, begin) in begins {
        let finished = graph(&library, file);
        assert_eq!(finished.code, Some(0), "{finished}");
        let content = library.read(file);
        assert!(content.starts_with(begin), "{file}: {content}");
        assert!(!content.contains('\u{1b}'), "{file} has colours: {content}");
    }
    // A format that is named wins, and needs no ending.
    let named = library.serve(["graph", "spanish", "-o", "g", "--format", "mermaid"]).finish();
    assert_eq!(named.code, Some(0), "{named}");
    assert!(library.read("g").starts_with("flowchart LR\n"));
}

#[test]
fn an_ending_that_names_no_format_is_an_error_before_anything_is_built() {
    let library = Fixture::shared("library");
    insta::assert_snapshot!(graph(&library, "g.png"), @"
    exit code: 2
    ----- stderr -----
    error[serve::format]: no format is known by the ending of `g.png`
      help: known endings are .svg, .mmd, .mermaid, .md, .json, .txt; or choose a format with `--format`
    ");
    assert_eq!(graph(&library, "graph").code, Some(2));
}
