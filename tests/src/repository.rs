//! Where things are: this repository, its target directory, the built `cargo-serve`.

use std::env;
use std::path::{Path, PathBuf};

/// The root of this repository.
#[must_use]
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package is in the repository")
}

/// The directory in which fixtures are built: `target/fixtures`.
#[must_use]
pub fn fixtures_target() -> PathBuf {
    built().parent().expect("a profile's directory is in a target directory").join("fixtures")
}

/// The directory in which `cargo serve` builds launchers if it is given
/// [`fixtures_target`]: to build other packages there builds nothing twice.
#[must_use]
pub fn shared_target() -> PathBuf {
    fixtures_target().join("serve")
}

/// The command under test, which cargo builds before it runs a test of this package.
#[must_use]
pub fn cargo_serve() -> PathBuf {
    built().join(format!("cargo-serve-under-test{}", env::consts::EXE_SUFFIX))
}

/// The cargo that runs this test.
pub(crate) fn cargo() -> PathBuf {
    env::var_os("CARGO").map_or_else(|| "cargo".into(), PathBuf::from)
}

/// The directory with what was built for this test, which is `deps/name` in it.
fn built() -> PathBuf {
    let test = env::current_exe().expect("a test knows its own path");
    test.ancestors().nth(2).expect("a test is in a target directory").to_owned()
}
