//! The paths of this repository, its target directory and the built `cargo-serve`.

use std::env;
use std::path::{Path, PathBuf};

/// Returns the root of this repository.
#[must_use]
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package is in the repository")
}

/// Returns the target directory of fixtures, `target/fixtures`.
#[must_use]
pub fn fixtures_target() -> PathBuf {
    built().parent().expect("a profile's directory is in a target directory").join("fixtures")
}

/// Returns the directory in which `cargo serve` builds launchers for fixtures. Other packages that
/// are built there share their dependencies.
#[must_use]
pub fn shared_target() -> PathBuf {
    fixtures_target().join("serve")
}

/// Returns the path of the command under test, which cargo builds before it runs a test of this
/// package.
#[must_use]
pub fn cargo_serve() -> PathBuf {
    built().join(format!("cargo-serve-under-test{}", env::consts::EXE_SUFFIX))
}

/// Returns the path of the cargo that runs this test.
pub(crate) fn cargo() -> PathBuf {
    env::var_os("CARGO").map_or_else(|| "cargo".into(), PathBuf::from)
}

/// Returns the directory of this test's profile. The test itself is `deps/name` in it.
fn built() -> PathBuf {
    let test = env::current_exe().expect("a test knows its own path");
    test.ancestors().nth(2).expect("a test is in a target directory").to_owned()
}
