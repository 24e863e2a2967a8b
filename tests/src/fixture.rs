//! Copies of fixture packages.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::command::CargoServe;
use crate::repository::{fixtures_target, repository};

/// How the manifests of fixtures reach the crates of this repository.
const TO_REPOSITORY: &str = "\"../../../";

/// A copy of a package in `fixtures/`; removed when it is dropped.
#[derive(Debug)]
pub struct Fixture {
    directory: PathBuf,
}

impl Fixture {
    /// A copy below this repository's target directory.
    ///
    /// # Panics
    /// If there is no such fixture, or it cannot be copied.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self::copy(name, &fixtures_target().join("copies"))
    }

    /// A copy that is far from this repository.
    ///
    /// # Panics
    /// If there is no such fixture, or it cannot be copied.
    #[must_use]
    pub fn outside(name: &str) -> Self {
        Self::copy(name, &env::temp_dir())
    }

    /// An empty directory that is far from any package.
    ///
    /// # Panics
    /// If it cannot be made.
    #[must_use]
    pub fn empty() -> Self {
        Self::make(&env::temp_dir(), "empty")
    }

    fn make(parent: &Path, name: &str) -> Self {
        static COPIES: AtomicU32 = AtomicU32::new(0);
        let number = COPIES.fetch_add(1, Ordering::Relaxed);
        let directory = parent.join(format!("serve-{name}-{}-{number}", std::process::id()));
        fs::create_dir_all(&directory).expect("a directory can be made");
        // On some systems the temporary directory is a link.
        Self { directory: directory.canonicalize().expect("the directory was just made") }
    }

    fn copy(name: &str, parent: &Path) -> Self {
        let fixture = Self::make(parent, name);
        let source = repository().join("tests").join("fixtures").join(name);
        copy_directory(&source, &fixture.directory);
        let lock = fixture.path("Cargo.lock");
        if !lock.exists() {
            // The versions which are here already.
            fs::copy(repository().join("Cargo.lock"), lock).expect("a lock file can be copied");
        }
        fixture
    }

    /// The directory of the copy.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// A file of the copy.
    #[must_use]
    pub fn path(&self, file: &str) -> PathBuf {
        self.directory.join(file)
    }

    /// What is in a file of the copy.
    ///
    /// # Panics
    /// If it cannot be read.
    #[must_use]
    pub fn read(&self, file: &str) -> String {
        fs::read_to_string(self.path(file))
            .unwrap_or_else(|error| panic!("cannot read {file}: {error}"))
    }

    /// Replaces text in a file of the copy.
    ///
    /// # Panics
    /// If the text is not there.
    pub fn edit(&self, file: &str, old: &str, new: &str) {
        let text = self.read(file);
        assert!(text.contains(old), "{file} does not contain {old:?}");
        fs::write(self.path(file), text.replace(old, new)).expect("a file can be written");
    }

    /// `cargo serve` in the directory of the copy.
    #[must_use]
    pub fn serve<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> CargoServe {
        self.serve_in("", arguments)
    }

    /// `cargo serve` in a directory of the copy.
    #[must_use]
    pub fn serve_in<'a>(
        &self,
        directory: &str,
        arguments: impl IntoIterator<Item = &'a str>,
    ) -> CargoServe {
        CargoServe::new(&self.path(directory), arguments)
    }

    /// Cargo itself in a directory of the copy.
    #[must_use]
    pub fn cargo<'a>(
        &self,
        directory: &str,
        arguments: impl IntoIterator<Item = &'a str>,
    ) -> CargoServe {
        CargoServe::plain_cargo(&self.path(directory), arguments)
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        // What is left is overwritten or swept with the target directory.
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn copy_directory(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory can be made");
    let entries = fs::read_dir(from)
        .unwrap_or_else(|error| panic!("no fixture in {}: {error}", from.display()));
    for entry in entries {
        let entry = entry.expect("a directory can be read");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("an entry has a type").is_dir() {
            // Made by running a fixture by hand.
            if entry.file_name() != "target" {
                copy_directory(&entry.path(), &target);
            }
        } else if entry.file_name() == "Cargo.toml" {
            let manifest = fs::read_to_string(entry.path()).expect("a manifest can be read");
            fs::write(&target, relocated(&manifest)).expect("a file can be written");
        } else {
            fs::copy(entry.path(), &target).expect("a file can be copied");
        }
    }
}

/// The manifest for a place from which this repository is not where it was.
fn relocated(manifest: &str) -> String {
    let root = repository().to_string_lossy().replace('\\', "/");
    // From the package of a workspace it is one step more.
    manifest
        .replace("\"../../../../", &format!("\"{root}/"))
        .replace(TO_REPOSITORY, &format!("\"{root}/"))
}
