//! Which packages, versions and settings the generated program is built with.

use std::time::SystemTime;

use serve_tests::Fixture;

/// Where launchers are when a workspace has its own target directory.
fn launcher(fixture: &Fixture, package: &str) -> std::path::PathBuf {
    fixture.path("target").join("serve").join(package)
}

#[test]
fn an_unknown_feature_is_found_before_anything_is_built() {
    let library = Fixture::new("library");
    insta::assert_snapshot!(library.serve(["list", "--features", "lout"]).finish(), @"");
}

/// Only the files are looked at: that the program cannot be built saves minutes.
#[test]
fn the_launcher_is_written_only_when_it_changes() {
    let workspace = Fixture::new("workspace");
    workspace.edit("service/src/lib.rs", "//! A member", "compile_error!(\"stop\"); //");
    let target = workspace.path("target");
    let list = |flags: &[&'static str]| {
        let command = ["list"].into_iter().chain(flags.iter().copied());
        let finished = workspace.serve(command).env("CARGO_TARGET_DIR", &target).finish();
        assert_eq!(finished.code, Some(101), "{finished}");
    };
    let manifest = launcher(&workspace, "acme-service").join("Cargo.toml");
    let written = || -> SystemTime {
        std::fs::metadata(&manifest)
            .and_then(|data| data.modified())
            .expect("the launcher's manifest")
    };
    list(&[]);
    let first = written();
    list(&[]);
    assert_eq!(written(), first);
    list(&["--no-default-features"]);
    assert_ne!(written(), first);

    let manifest = std::fs::read_to_string(&manifest).expect("the launcher's manifest");
    assert!(manifest.contains("[profile.dev.package.acme-words]"), "{manifest}");
    assert!(manifest.contains("name = \"serve-launcher-acme-service\""), "{manifest}");
    let main = launcher(&workspace, "acme-service").join("src").join("main.rs");
    let main = std::fs::read_to_string(main).expect("the launcher's source");
    assert!(main.contains("extern crate acme as _;"), "{main}");
}
