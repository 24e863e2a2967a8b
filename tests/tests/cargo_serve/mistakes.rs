//! What is said when something is wrong, and the exit code.

use serve_tests::{Finished, Fixture};

fn library<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Finished {
    Fixture::new("library").serve(arguments).finish()
}

#[test]
fn an_unknown_application() {
    insta::assert_snapshot!(library(["run", "greeter:spanih"]), @"");
}

#[test]
fn an_unknown_package() {
    insta::assert_snapshot!(library(["run", "greter:spanish"]), @"");
}

#[test]
fn an_unknown_argument_of_the_application() {
    insta::assert_snapshot!(library(["run", "greeter", "greetin=Hi"]), @"");
}

#[test]
fn an_argument_of_the_wrong_type() {
    insta::assert_snapshot!(library(["graph", "greeter", "greeting=Hi", "times=often"]), @"");
}

#[test]
fn a_missing_argument() {
    insta::assert_snapshot!(library(["call", "greeter", "greet", "name=Dora"]), @"");
}

#[test]
fn an_argument_where_none_is_taken() {
    insta::assert_snapshot!(library(["run", "spanish", "greeting=Hi"]), @"");
}

#[test]
fn a_word_that_is_no_argument() {
    insta::assert_snapshot!(library(["run", "greeter", "Hi"]), @"");
}

#[test]
fn a_config_file() {
    insta::assert_snapshot!(library(["run", "serve.yaml"]), @"");
}

#[test]
fn a_command_that_is_not_there_yet() {
    let finished = library(["deploy", "serve.yaml"]);
    assert_eq!(finished.code, Some(2), "{finished}");
}

#[test]
fn a_library_that_cannot_be_linked() {
    insta::assert_snapshot!(Fixture::new("cdylib-only").serve(["run", "plugin:app"]).finish(), @"");
}

#[test]
fn no_library_and_no_binary_that_serves() {
    insta::assert_snapshot!(Fixture::new("binary-only").serve(["run", "tool:app"]).finish(), @"");
}

#[test]
fn a_member_that_does_not_serve() {
    let workspace = Fixture::new("workspace");
    insta::assert_snapshot!(workspace.serve_in("words", ["run", "member"]).finish(), @"");
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
    for function in ["greeter", "spanish", "broken"] {
        library.edit(
            "src/lib.rs",
            &format!("#[application]\npub fn {function}"),
            &format!("pub fn {function}"),
        );
    }
    insta::assert_snapshot!(library.serve(["run", "spanish"]).finish(), @"");
    assert_eq!(library.serve(["list", "--json"]).finish().stdout, "[]\n");
}
