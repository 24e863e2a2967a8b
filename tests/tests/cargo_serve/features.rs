//! Which packages, versions and settings the generated program is built with.

use std::fs;
use std::time::SystemTime;

use serve_tests::Fixture;

#[test]
fn an_unknown_feature_is_found_before_anything_is_built() {
    let library = Fixture::shared("library");
    insta::assert_snapshot!(library.serve(["list", "--features", "lout"]).finish(), @"
    exit code: 2
    ----- stderr -----
    error[serve::features]: the package `greeter` has no feature `lout`
      help: did you mean `loud`?
    ");
}

#[test]
fn the_options_of_cargo_reach_cargo() {
    let library = Fixture::shared("library");
    let list = |options: &[&'static str]| {
        library.serve(["list"].into_iter().chain(options.iter().copied())).finish()
    };
    let usual = ["-p", "greeter", "-v", "-j", "2", "--profile", "dev", "--offline"];
    let more = ["--config", "net.retry=1", "--keep-going", "--color", "never"];
    let finished = list(&[&usual[..], &more[..]].concat());
    assert_eq!(finished.code, Some(0), "{finished}");
    let quiet = list(&["-q"]);
    assert_eq!((quiet.code, quiet.stderr.as_str()), (Some(0), ""), "{quiet}");
    // What only cargo can refuse has reached it.
    for (option, value) in [
        ("-Z", "nonsense"),
        ("-j", "nonsense"),
        ("--profile", "nonsense"),
        ("--target", "nonsense"),
        ("--config", "nonsense"),
        ("--target-dir", ""),
    ] {
        let refused = list(&[option, value]);
        assert_ne!(refused.code, Some(0), "{option}: {refused}");
        assert!(!refused.stderr.contains("unexpected argument"), "{option}: {refused}");
    }
}

#[cfg(unix)]
#[test]
fn the_launcher_is_written_only_when_it_changes() {
    let workspace = Fixture::new("workspace");
    let target = workspace.own_target();
    let launcher = target.join("serve").join("acme-service");
    // Of an earlier run.
    let _ = fs::remove_dir_all(&launcher);
    let list = |flags: &[&'static str]| {
        let command = ["list"].into_iter().chain(flags.iter().copied());
        let finished = workspace.serve(command).env("CARGO_TARGET_DIR", &target).finish();
        assert_eq!(finished.code, Some(0), "{finished}");
        assert!(finished.stdout.starts_with("acme-service:member\n"), "{finished}");
    };
    let manifest = launcher.join("Cargo.toml");
    let written = || -> SystemTime {
        let data = fs::metadata(&manifest).expect("the launcher's manifest");
        data.modified().expect("a time")
    };
    list(&[]);
    let first = written();
    list(&[]);
    assert_eq!(written(), first);
    list(&["--no-default-features"]);
    assert_ne!(written(), first);

    let manifest = fs::read_to_string(&manifest).expect("the launcher's manifest");
    assert!(manifest.contains("[profile.dev.package.acme-words]"), "{manifest}");
    assert!(manifest.contains("name = \"serve-launcher-acme-service\""), "{manifest}");
    let main = launcher.join("src").join("main.rs");
    let main = fs::read_to_string(main).expect("the launcher's source");
    assert!(main.contains("extern crate acme as _;"), "{main}");
}
