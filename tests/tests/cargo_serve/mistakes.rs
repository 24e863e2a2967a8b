//! What is said when something is wrong, and the exit code.

use serve_tests::{Finished, Fixture};

fn library<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Finished {
    Fixture::shared("library").serve(arguments).finish()
}

#[test]
fn an_unknown_application() {
    insta::assert_snapshot!(library(["run", "greeter:spanih"]), @"
    exit code: 5
    ----- stderr -----
    error[serve::application_not_found]: there is no application `greeter:spanih`
      help: did you mean `greeter:spanish`? the program has
              greeter:spanish
              greeter:broken
              greeter:greeter
              greeter:numbers
              greeter:scorer
              greeter:stuck
              greeter:translator
    ");
}

#[test]
fn no_application_where_there_are_several() {
    for command in [&["run"][..], &["run", "greeting=Hi"], &["graph"]] {
        let finished = library(command.iter().copied());
        assert_eq!(finished.code, Some(5), "{finished}");
        assert!(
            finished.stderr.contains("name one of these:\n          greeter:broken\n"),
            "{finished}"
        );
    }
    insta::assert_snapshot!(library(["run"]), @"
    exit code: 5
    ----- stderr -----
    error[serve::application_not_found]: the program has several applications; which one?
      help: name one of these:
              greeter:broken
              greeter:greeter
              greeter:numbers
              greeter:scorer
              greeter:spanish
              greeter:stuck
              greeter:translator
    ");
}

#[test]
fn two_packages() {
    insta::assert_snapshot!(library(["run", "greeter:spanish", "-p", "other"]), @"
    exit code: 2
    ----- stderr -----
    error[serve::usage]: two packages are named: `greeter`, and `other` with `--package`
      help: name the package once
    ");
}

#[test]
fn an_invalid_environment_variable() {
    let run = |variable: &str, value: &str| {
        Fixture::shared("library").serve(["run", "spanish"]).env(variable, value).finish()
    };
    insta::assert_snapshot!(run("PORT", "http"), @"
    exit code: 2
    ----- stderr -----
    error[serve::environment]: the environment variable PORT has the invalid value `http`: expected a number from 0 to 65535, as in `8080`
      help: set PORT to a valid value, or unset it
    ");
    insta::assert_snapshot!(run("SERVE_HTTP_HOST", "example.org"), @"
    exit code: 2
    ----- stderr -----
    error[serve::environment]: the environment variable SERVE_HTTP_HOST has the invalid value `example.org`: expected an IP address, such as 127.0.0.1 or 0.0.0.0
      help: set SERVE_HTTP_HOST to a valid value, or unset it
    ");
    insta::assert_snapshot!(run("SERVE_LOG", "hyper=loud"), @r#"
    exit code: 2
    ----- stderr -----
    error[serve::environment]: the environment variable SERVE_LOG has the invalid value `hyper=loud`: error parsing level filter: expected one of "off", "error", "warn", "info", "debug", "trace", or a number 0-5; expected a filter, as in `info,hyper=debug`
      help: set SERVE_LOG to a valid value, or unset it
    "#);
    insta::assert_snapshot!(run("TOKIO_WORKER_THREADS", "0"), @"
    exit code: 2
    ----- stderr -----
    error[serve::environment]: the environment variable TOKIO_WORKER_THREADS has the invalid value `0`: expected a number from 1 to 4096
      help: set TOKIO_WORKER_THREADS to a valid value, or unset it
    ");
}

/// What is typed is shown in messages, but cannot change how they look or drown them.
#[test]
fn text_that_a_terminal_would_obey_or_that_is_long() {
    let long = "x".repeat(100_000);
    let evil = "a\u{202e}b\u{1b}[2J";
    let evil_value = format!("{evil}=1");
    let lines: [&[&str]; 12] = [
        &["run", evil],
        &["run", &long],
        &["run", "greeter", &evil_value],
        &["run", "greeter", "greeting=Hi", &format!("times={long}")],
        &["run", "-p", evil],
        &["run", &format!("{evil}:app")],
        &["run", "spanish", "--port", evil],
        &["run", "spanish", &format!("--{long}")],
        &["call", "spanish", evil],
        &["call", "spanish", "greet", &evil_value],
        &["graph", "spanish", "-o", evil],
        &["list", "--features", evil],
    ];
    for line in lines {
        let finished = library(line.iter().copied());
        assert_ne!(finished.code, Some(0), "{finished}");
        let shown = finished.to_string();
        assert!(shown.len() < 6_000, "{} bytes for {:?}", shown.len(), &line[0]);
        assert!(!shown.contains(['\u{202e}', '\u{1b}']), "{shown:?}");
    }
}

#[test]
fn an_unknown_package() {
    insta::assert_snapshot!(library(["run", "greter:spanish"]), @"
    exit code: 3
    ----- stderr -----
    error[serve::package_not_found]: there is no package `greter` in this workspace
      help: did you mean `greeter`?
    ");
}

#[test]
fn an_unknown_argument_of_the_application() {
    insta::assert_snapshot!(library(["run", "greeter", "greetin=Hi"]), @"
    exit code: 6
    ----- stderr -----
    error[serve::bad_argument]: invalid arguments for the application `greeter:greeter`: unknown key `greetin`; did you mean `greeting`?
      help: the application takes
              greeting=STRING   What to say.
              [times=INTEGER]   How often to say it. (default: 1)
    ");
}

#[test]
fn an_unknown_argument_that_could_be_left_out() {
    insta::assert_snapshot!(library(["run", "greeter", "greeting=Hi", "tims=2"]), @"
    exit code: 6
    ----- stderr -----
    error[serve::bad_argument]: invalid arguments for the application `greeter:greeter`: unknown key `tims`; did you mean `times`?
      help: the application takes
              greeting=STRING   What to say.
              [times=INTEGER]   How often to say it. (default: 1)
    ");
}

#[test]
fn an_argument_of_the_wrong_type() {
    insta::assert_snapshot!(library(["graph", "greeter", "greeting=Hi", "times=often"]), @"
    exit code: 6
    ----- stderr -----
    error[serve::bad_argument]: invalid arguments for the application `greeter:greeter`: `times`: invalid value `often`, expected an integer that is not negative
      help: the application takes
              greeting=STRING   What to say.
              [times=INTEGER]   How often to say it. (default: 1)
    ");
}

#[test]
fn a_missing_argument() {
    insta::assert_snapshot!(library(["call", "greeter", "greet", "name=Dora"]), @"
    exit code: 6
    ----- stderr -----
    error[serve::bad_argument]: invalid arguments for the application `greeter:greeter`: `greeting` is missing
      help: the application takes
              greeting=STRING   What to say.
              [times=INTEGER]   How often to say it. (default: 1)
    ");
}

#[test]
fn an_argument_where_none_is_taken() {
    insta::assert_snapshot!(library(["run", "spanish", "greeting=Hi"]), @"
    exit code: 6
    ----- stderr -----
    error[serve::bad_argument]: invalid arguments for the application `greeter:spanish`: it takes no arguments, but `greeting` was given
      help: remove the arguments
    ");
}

#[test]
fn a_word_that_is_no_argument() {
    insta::assert_snapshot!(library(["run", "greeter", "Hi"]), @"
    exit code: 2
    ----- stderr -----
    error: invalid value 'Hi' for '[KEY=VALUE]...': expected KEY=VALUE, as in `name=Hi`

    For more information, try '--help'.
    ");
}

#[test]
fn a_config_file() {
    insta::assert_snapshot!(library(["run", "serve.yaml"]), @"
    exit code: 1
    ----- stderr -----
    error[serve::config]: cannot read serve.yaml
      caused by: No such file or directory (os error 2)
    ");
}

#[test]
fn a_command_that_is_not_there_yet() {
    insta::assert_snapshot!(library(["top", "--sort", "load"]), @"
    exit code: 13
    ----- stderr -----
    error[serve::not_built]: `top` is planned, but not part of this version: it will watch a running Serve
      help: `run` serves an application until Ctrl-C; `--help` lists the commands
    ");
}

#[test]
fn a_command_that_never_will_be() {
    insta::assert_snapshot!(library(["rum", "greeter"]), @"
    exit code: 2
    ----- stderr -----
    error: unrecognized subcommand 'rum'

      tip: a similar subcommand exists: 'run'


    For more information, try '--help'.
    ");
}

#[test]
fn an_option_of_another_kind() {
    insta::assert_snapshot!(library(["run", "spanish", "--route-prefix", "math"]), @"
    exit code: 2
    ----- stderr -----
    error: invalid value 'math' for '--route-prefix <PATH>': a path begins with a slash, as in `/math`

    For more information, try '--help'.
    ");
    insta::assert_snapshot!(library(["run", "spanish", "--host", "example.org"]), @"
    exit code: 2
    ----- stderr -----
    error: invalid value 'example.org' for '--host <ADDRESS>': expected an IP address, such as 127.0.0.1 or 0.0.0.0

    For more information, try '--help'.
    ");
    insta::assert_snapshot!(library(["run", "greeter::spanish"]), @"
    exit code: 2
    ----- stderr -----
    error: invalid value 'greeter::spanish' for '[[PACKAGE:]APP]': write an application as its package and the name of its function, without modules: `greeter:spanish`

    For more information, try '--help'.
    ");
}

#[test]
fn a_library_that_cannot_be_linked() {
    insta::assert_snapshot!(Fixture::new("cdylib-only").serve(["run", "plugin:app"]).finish(), @r#"
    exit code: 4
    ----- stderr -----
    error[serve::not_runnable]: the library of the package `plugin` is built only as cdylib, which a Rust program cannot link
      help: add "lib" to its crate types in [fixture]/Cargo.toml:

            [lib]
            crate-type = ["cdylib", "lib"]
    "#);
}

#[test]
fn no_library_and_no_binary_that_serves() {
    insta::assert_snapshot!(Fixture::new("binary-only").serve(["run", "tool:app"]).finish(), @r#"
    exit code: 4
    ----- stderr -----
    error[serve::not_runnable]: the package `tool` has only the binary `tool`, and no library to link into a program
      help: either move the applications to `src/lib.rs`, or end the `main` of the binary with `serve_cli::main()`, and add to [fixture]/Cargo.toml:

            [package.metadata.serve]
            bin = "tool"

            [dependencies]
            serve-cli = { default-features = false, path = "../../../../serve-cli" }
    "#);
}

#[test]
fn a_member_that_does_not_serve() {
    let workspace = Fixture::new("workspace");
    insta::assert_snapshot!(workspace.serve_in("words", ["run", "member"]).finish(), @"
    exit code: 4
    ----- stderr -----
    error[serve::not_runnable]: the package `acme-words` does not depend on serve-core, so it has no applications
      help: `cargo add --package acme-words --path [repository]/serve-core` adds the dependency
    ");
}

#[test]
fn no_package_at_all() {
    // Far from any other package.
    let finished = Fixture::empty().serve(["run", "app"]).finish();
    assert_eq!(finished.code, Some(102), "{finished}");
    assert!(finished.stderr.contains("could not find `Cargo.toml`"), "{finished}");
}

#[test]
fn a_build_that_fails_is_cargos_to_explain() {
    let library = Fixture::new("library");
    library.edit("src/lib.rs", "\"Hola\", 1_usize", "Hola, 1_usize");
    let finished = library.serve(["run", "spanish"]).finish();
    assert_eq!(finished.code, Some(101), "{finished}");
    assert_eq!(finished.stderr.matches("cannot find value `Hola`").count(), 1, "{finished}");
    assert!(!finished.stderr.contains("error[serve"), "{finished}");
}

#[test]
fn a_package_without_applications() {
    let library = Fixture::new("library");
    for function in ["greeter", "spanish", "broken", "stuck", "translator", "scorer", "numbers"] {
        library.edit(
            "src/lib.rs",
            &format!("#[application]\npub fn {function}"),
            &format!("pub fn {function}"),
        );
    }
    insta::assert_snapshot!(library.serve(["run", "spanish"]).finish(), @"
    exit code: 5
    ----- stderr -----
    error[serve::application_not_found]: no application is linked into this program
      help: mark a function with `#[application]`. If the function is in another crate, name that crate in the library of `greeter`, or else it is not linked: `use other_crate as _;`
    ");
    assert_eq!(library.serve(["list", "--json"]).finish().stdout, "[]\n");
}
