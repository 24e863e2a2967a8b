//! `cargo serve` builds where cargo would, however that place is named.

use std::fs;

use serve_tests::Fixture;

/// Lists the applications of a fixture, with the target directory `place`.
fn lists(fixture: &Fixture, place: &str, how: How) {
    let mut command = fixture.serve(["list"]).env_remove("CARGO_TARGET_DIR");
    match how {
        How::Variable(name) => command = command.env(name, place),
        How::Option => {
            command = fixture.serve(["list", "--target-dir", place]).env_remove("CARGO_TARGET_DIR");
        }
        How::OptionOverVariable => {
            command =
                fixture.serve(["list", "--target-dir", place]).env("CARGO_TARGET_DIR", "/dev/null");
        }
        How::Config => {
            fs::create_dir_all(fixture.path(".cargo")).expect("a directory");
            fs::write(
                fixture.path(".cargo/config.toml"),
                format!("[build]\ntarget-dir = {place:?}\n"),
            )
            .expect("written");
        }
        How::ConfigOption => {
            let setting = format!("build.target-dir={place:?}");
            command = fixture.serve(["list", "--config", &setting]).env_remove("CARGO_TARGET_DIR");
        }
    }
    let finished = command.finish();
    assert_eq!(finished.code, Some(0), "{how:?} {place}: {finished}");
    assert!(finished.stdout.starts_with("acme-service:member\n"), "{how:?} {place}: {finished}");
    let _ = fs::remove_dir_all(fixture.path(".cargo"));
}

#[derive(Clone, Copy, Debug)]
enum How {
    Variable(&'static str),
    Option,
    OptionOverVariable,
    Config,
    ConfigOption,
}

#[test]
fn every_spelling_of_the_target_directory_works() {
    let workspace = Fixture::new("workspace");
    // The same directory in every spelling, with what other fixtures have built.
    let target = workspace.own_target();
    let absolute = target.to_str().expect("a path in UTF-8").to_owned();
    let directory = workspace.directory().file_name().expect("a name").to_string_lossy();
    let around = format!("../{directory}/target");
    for place in ["target", "./target", "service/../target", &around, &absolute] {
        for how in [
            How::Variable("CARGO_TARGET_DIR"),
            How::Variable("CARGO_BUILD_TARGET_DIR"),
            How::Option,
            How::OptionOverVariable,
            How::Config,
            How::ConfigOption,
        ] {
            lists(&workspace, place, how);
        }
    }
}

/// In a directory outside of the workspace, launchers have names of their own.
#[test]
fn a_target_directory_outside_of_the_workspace_may_be_relative() {
    let workspace = Fixture::new("workspace");
    let target = serve_tests::fixtures_target();
    let copies = workspace.directory().parent().expect("the directory of copies");
    assert_eq!(copies.parent(), Some(target.as_path()), "copies are in the target directory");
    lists(&workspace, "../..", How::Variable("CARGO_TARGET_DIR"));
    lists(&workspace, "../..", How::Option);
}

/// A package with its own program, which cargo builds in place.
#[test]
fn a_package_with_its_own_program_is_found_in_a_relative_directory() {
    let own = Fixture::new("own-binary");
    let _ = own.own_target();
    for place in ["./target", "src/../target"] {
        let finished = own.serve(["list"]).env("CARGO_TARGET_DIR", place).finish();
        assert_eq!(finished.code, Some(0), "{place}: {finished}");
    }
}
