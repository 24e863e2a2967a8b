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
              greeter:scorer
              greeter:stuck
              greeter:translator
    ");
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
    exit code: 2
    ----- stderr -----
    error: invalid value 'serve.yaml' for '<[PACKAGE:]APP>': config files cannot be run yet: name an application, as in `hello:language_classifier`

    For more information, try '--help'.
    ");
}

#[test]
fn a_command_that_is_not_there_yet() {
    insta::assert_snapshot!(library(["deploy", "serve.yaml", "--wait"]), @"
    exit code: 13
    ----- stderr -----
    error[serve::not_built]: `deploy` is planned, but not part of this version: it will apply a config file to a running Serve
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
    error: invalid value 'greeter::spanish' for '<[PACKAGE:]APP>': write an application as its package and the name of its function, without modules: `greeter:spanish`

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
      help: either move the applications to `src/lib.rs`, or end the `main` of the binary with `serve_cli::main()` and name the binary in [fixture]/Cargo.toml:

            [package.metadata.serve]
            bin = "tool"
    "#);
}

#[test]
fn a_member_that_does_not_serve() {
    let workspace = Fixture::new("workspace");
    insta::assert_snapshot!(workspace.serve_in("words", ["run", "member"]).finish(), @"
    exit code: 4
    ----- stderr -----
    error[serve::not_runnable]: the package `acme-words` does not depend on serve-core, so it has no applications
      help: `cargo add serve-core --package acme-words` adds it
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
    for function in ["greeter", "spanish", "broken", "stuck", "translator", "scorer"] {
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
