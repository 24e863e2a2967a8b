//! Where things are: this repository, its target directory, the built `cargo-serve`.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

/// The root of this repository.
#[must_use]
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package is in the repository")
}

/// The directory in which fixtures are built: `target/fixtures`.
#[must_use]
pub fn fixtures_target() -> PathBuf {
    // This test is `target/debug/deps/name`.
    let test = env::current_exe().expect("a test knows its own path");
    test.ancestors().nth(3).expect("a test is in a target directory").join("fixtures")
}

/// The directory in which `cargo serve` builds launchers if it is given
/// [`fixtures_target`]: to build other packages there builds nothing twice.
#[must_use]
pub fn shared_target() -> PathBuf {
    fixtures_target().join("serve")
}

/// The cargo that runs this test.
pub(crate) fn cargo() -> PathBuf {
    env::var_os("CARGO").map_or_else(|| "cargo".into(), PathBuf::from)
}

/// The command under test, built when it is first asked for.
///
/// # Panics
/// If it does not compile.
#[must_use]
pub fn cargo_serve() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let output = Command::new(cargo())
            .args([
                "build",
                "--package",
                "serve-cli",
                "--bin",
                "cargo-serve",
                "--message-format=json",
            ])
            .current_dir(repository())
            .stderr(Stdio::inherit())
            .output()
            .expect("cargo can be run");
        assert!(output.status.success(), "cargo-serve does not compile");
        let messages = String::from_utf8_lossy(&output.stdout);
        let mut executables = messages.lines().filter_map(|line| {
            let message: Value = serde_json::from_str(line).ok()?;
            Some(PathBuf::from(message.get("executable")?.as_str()?))
        });
        executables.next_back().expect("cargo says where it put the program")
    })
}
