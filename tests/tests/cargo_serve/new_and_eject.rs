//! `new` and `eject`: the packages that they write are ones that work.

use serve_tests::{Fixture, shared_target};

/// A checkout of Serve, as `--path` takes it.
fn checkout() -> &'static str {
    serve_tests::repository().to_str().expect("a path in UTF-8")
}

#[test]
fn a_new_package_passes_its_test_and_runs() {
    let here = Fixture::empty();
    let created = here.serve(["new", "hola", "--path", checkout()]).finish();
    insta::assert_snapshot!(created, @"
    exit code: 0
    ----- stderr -----
         Created the package `hola`. Next:

      cd hola
      cargo serve run
    ");
    std::fs::copy(serve_tests::repository().join("Cargo.lock"), here.path("hola/Cargo.lock"))
        .expect("a lock file");

    let command = ["call", "hola:language_classifier", "greet", "language=spanish", "name=Dora"];
    let called = here.serve_in("hola", command).finish();
    assert_eq!(called.stdout, "Hola Dora\n", "{called}");

    let formatted = here.cargo("hola", ["fmt", "--check"]).finish();
    assert_eq!(formatted.code, Some(0), "{formatted}");
    let tested =
        here.cargo("hola", ["test", "--quiet"]).env("CARGO_TARGET_DIR", shared_target()).finish();
    assert_eq!(tested.code, Some(0), "{tested}");
    assert!(tested.stdout.contains("1 passed"), "{tested}");
    assert!(!tested.stderr.contains("warning"), "{tested}");
}

#[test]
fn nothing_is_overwritten() {
    let library = Fixture::shared("library");
    insta::assert_snapshot!(library.serve(["new", "src"]).finish(), @"
    exit code: 12
    ----- stderr -----
    error[serve::exists]: src exists already
      help: choose another directory; nothing was written
    ");
}

#[test]
fn an_ejected_package_goes_on_working() {
    let library = Fixture::new("library");
    let ejected = library.serve(["eject"]).finish();
    assert_eq!(ejected.code, Some(0), "{ejected}");
    insta::assert_snapshot!(library.read("src/bin/serve.rs"));
    let manifest = library.read("Cargo.toml");
    assert!(manifest.starts_with("# A package that is only a library"), "{manifest}");
    assert!(manifest.contains("[package.metadata.serve]\nbin = \"serve\"\n"), "{manifest}");

    let command = ["call", "spanish", "greet", "name=Dora"];
    let called = library.serve(command).env("CARGO_TARGET_DIR", shared_target()).finish();
    assert_eq!(called.stdout, "Hola Dora!\n", "{called}");

    let again = library.serve(["eject"]).finish();
    insta::assert_snapshot!(again, @"
    exit code: 12
    ----- stderr -----
    error[serve::exists]: the package `greeter` has its own program already
      help: [fixture]/Cargo.toml names it under [package.metadata.serve]; without that section, `cargo serve` generates a program
    ");
}
