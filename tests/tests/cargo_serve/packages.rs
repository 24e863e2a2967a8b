//! `cargo serve run` works for every kind of package.

use serve_tests::{Fixture, Server, shared_target};

/// Runs until it is told to stop, which it does in its own time.
fn answer_then_stop(mut server: Server) -> String {
    let answer = server.get("/");
    assert_eq!(answer.status, 200, "{answer:?}");
    let status = server.stop();
    assert!(status.success(), "{status}:\n{}", server.said());
    answer.body
}

#[test]
fn a_library() {
    let library = Fixture::shared("library");
    let server = library.serve(["run", "greeter:spanish"]).start();
    assert_eq!(server.get("/?name=Dora").body, "Hola Dora!");
    let added = server.post("/add", r#"{"a": 1, "b": 2}"#);
    assert_eq!(added.body, r#"{"a":1,"b":2,"sum":3}"#);
}

#[test]
fn a_package_with_its_own_binary() {
    let own = Fixture::new("own-binary");
    // Built as it is, in the target directory it is given: the launchers' has its
    // dependencies.
    let mut server =
        own.serve(["run", "answerer"]).env("CARGO_TARGET_DIR", shared_target()).start();
    assert_eq!(server.get("/").body, "from its own main");
    assert!(server.stop().success());
    assert_eq!(server.printed(), "main has begun\n");
}

#[test]
fn a_workspace_member() {
    let workspace = Fixture::new("workspace");
    // In the root it is the only member that serves, in its directory it is at home; its
    // library's name differs from its own.
    for (directory, application) in
        [("", "acme-service:member"), ("", "member"), ("service/src", "member")]
    {
        let server = workspace.serve_in(directory, ["run", application]).start();
        assert_eq!(answer_then_stop(server), "hello from a member");
    }
}

/// A name is needed only where there are several applications.
#[test]
fn the_only_application_of_a_package_needs_no_name() {
    let workspace = Fixture::new("workspace");
    for (directory, options) in [
        ("", &[][..]),
        ("service", &[]),
        ("words", &["-p", "acme-service"]),
        ("", &["-p", "acme_service"]),
    ] {
        let command = ["run"].into_iter().chain(options.iter().copied());
        let server = workspace.serve_in(directory, command).start();
        assert_eq!(answer_then_stop(server), "hello from a member");
    }
    let called = workspace.serve_in("service", ["call", "greet"]).finish();
    assert_eq!(called.stdout, "hello from a member\n", "{called}");
    let drawn = workspace.serve(["graph"]).finish();
    assert_eq!(drawn.stdout, "Greeter   1 replica   GET /\n", "{drawn}");
}

#[test]
fn a_package_outside_with_its_own_lock_file_and_a_patch() {
    let outside = Fixture::outside("outside");
    let server = outside.serve(["run", "outside:patched"]).start();
    assert_eq!(answer_then_stop(server), "patched 1.2.3");
    let lock = outside.read("Cargo.lock");
    assert!(
        lock.contains("name = \"semver\"\nversion = \"1.0.19\""),
        "the user's lock file is left alone"
    );
    let launcher = only_launcher("outside");
    let lock = std::fs::read_to_string(launcher.join("Cargo.lock")).expect("a lock file");
    assert!(
        lock.contains("name = \"semver\"\nversion = \"1.0.19\""),
        "its versions hold for the launcher"
    );
}

/// The manifest may be somewhere else than we are.
#[test]
fn a_manifest_in_another_directory() {
    let library = Fixture::shared("library");
    let here = Fixture::empty();
    let manifest = library.path("Cargo.toml");
    let manifest = manifest.to_str().expect("a path in UTF-8");
    let server = here.serve(["run", "spanish", "--manifest-path", manifest]).start();
    assert_eq!(server.get("/?name=Dora").body, "Hola Dora!");
}

/// The directory of the launcher that was generated last for a package.
fn only_launcher(package: &str) -> std::path::PathBuf {
    let launchers = std::fs::read_dir(shared_target()).expect("launchers");
    let ours = launchers
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(&format!("{package}-")));
    let newest = ours.max_by_key(|entry| entry.metadata().and_then(|data| data.modified()).ok());
    newest.expect("a launcher").path()
}
