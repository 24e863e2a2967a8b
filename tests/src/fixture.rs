//! Copies of fixture packages.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::command::CargoServe;
#[cfg(unix)]
use crate::repository::shared_target;
use crate::repository::{fixtures_target, repository};

/// The beginning of a path from the manifest of a fixture to the crates of this repository.
const TO_REPOSITORY: &str = "\"../../../";

/// The beginning of an entry of a lock file.
const PACKAGE: &str = "[[package]]\n";

/// A copy of a package in `fixtures/`. It is removed when this value is dropped.
#[derive(Debug)]
pub struct Fixture {
    directory: PathBuf,
}

impl Fixture {
    /// Creates a copy below this repository's target directory.
    ///
    /// # Panics
    /// If there is no such fixture, or it cannot be copied.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self::copy(name, &fixtures_target().join("copies"))
    }

    /// Returns a copy that is shared by the tests that do not change it, and is built only once.
    /// A test that asks for features changes the launcher, and needs its own copy.
    ///
    /// # Panics
    /// If there is no such fixture, or it cannot be copied.
    #[must_use]
    pub fn shared(name: &'static str) -> Arc<Self> {
        static SHARED: Mutex<BTreeMap<&str, Weak<Fixture>>> = Mutex::new(BTreeMap::new());
        let mut shared = SHARED.lock();
        shared.get(name).and_then(Weak::upgrade).unwrap_or_else(|| {
            let fixture = Arc::new(Self::new(name));
            shared.insert(name, Arc::downgrade(&fixture));
            fixture
        })
    }

    /// Creates a copy outside of this repository.
    ///
    /// # Panics
    /// If there is no such fixture, or it cannot be copied.
    #[must_use]
    pub fn outside(name: &str) -> Self {
        Self::copy(name, &env::temp_dir())
    }

    /// Creates an empty directory outside of any package.
    ///
    /// # Panics
    /// If the directory cannot be created.
    #[must_use]
    pub fn empty() -> Self {
        Self::make(&env::temp_dir(), "empty")
    }

    /// Creates a directory for this test. It has the same name in every run, so that a build
    /// replaces the previous build. A test has at most one directory of each name.
    fn make(parent: &Path, name: &str) -> Self {
        let thread = std::thread::current();
        let test = thread.name().expect("a test's thread has its name").replace("::", "-");
        // Several clones share the temporary directory.
        let mut hasher = DefaultHasher::new();
        repository().hash(&mut hasher);
        let directory = parent.join(format!("serve-{name}-{test}-{:08x}", hasher.finish() >> 32));
        // An interrupted run may have left one.
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).expect("a directory can be made");
        // On some systems the temporary directory is a symbolic link.
        Self { directory: directory.canonicalize().expect("the directory was just made") }
    }

    fn copy(name: &str, parent: &Path) -> Self {
        let fixture = Self::make(parent, name);
        let source = repository().join("tests").join("fixtures").join(name);
        copy_directory(&source, &fixture.directory);
        // With the versions of this repository, fixtures share their built dependencies.
        let lock = fs::read_to_string(repository().join("Cargo.lock")).expect("a lock file");
        let pinned = fs::read_to_string(fixture.path("pinned.lock")).unwrap_or_default();
        let lock = packages(&pinned).fold(lock, |lock, package| pin(&lock, package));
        fs::write(fixture.path("Cargo.lock"), lock).expect("a file can be written");
        fixture
    }

    /// Returns the directory of the copy.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Returns the path of a file of the copy.
    #[must_use]
    pub fn path(&self, file: &str) -> PathBuf {
        self.directory.join(file)
    }

    /// Returns the content of a file of the copy.
    ///
    /// # Panics
    /// If the file cannot be read.
    #[must_use]
    pub fn read(&self, file: &str) -> String {
        fs::read_to_string(self.path(file))
            .unwrap_or_else(|error| panic!("cannot read {file}: {error}"))
    }

    /// Returns a target directory in the copy, as an ordinary package has it. It is a symbolic link
    /// to [`shared_target`], so that nothing is built twice.
    ///
    /// # Panics
    /// If the link cannot be created.
    #[cfg(unix)]
    #[must_use]
    pub fn own_target(&self) -> PathBuf {
        let target = self.path("target");
        fs::create_dir_all(shared_target()).expect("a directory can be made");
        std::os::unix::fs::symlink(shared_target(), &target).expect("a link can be made");
        target
    }

    /// Replaces text in a file of the copy.
    ///
    /// # Panics
    /// If the file does not contain the text.
    pub fn edit(&self, file: &str, old: &str, new: &str) {
        let text = self.read(file);
        assert!(text.contains(old), "{file} does not contain {old:?}");
        fs::write(self.path(file), text.replace(old, new)).expect("a file can be written");
    }

    /// Creates a `cargo serve` command in the directory of the copy.
    #[must_use]
    pub fn serve<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> CargoServe {
        self.serve_in("", arguments)
    }

    /// Creates a `cargo serve` command in a subdirectory of the copy.
    #[must_use]
    pub fn serve_in<'a>(
        &self,
        directory: &str,
        arguments: impl IntoIterator<Item = &'a str>,
    ) -> CargoServe {
        CargoServe::new(&self.path(directory), arguments)
    }

    /// Creates a cargo command in a subdirectory of the copy.
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
        // The next run overwrites files that are left.
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Returns the entries of a lock file.
fn packages(lock: &str) -> impl Iterator<Item = &str> {
    lock.split("\n\n").filter(|entry| entry.starts_with(PACKAGE)).map(str::trim_end)
}

/// Returns the lock file with `entry` in place of the entry for the same package.
fn pin(lock: &str, entry: &str) -> String {
    let name = |entry: &str| entry.lines().nth(1).map(str::to_owned);
    let old = packages(lock).find(|other| name(other) == name(entry));
    lock.replace(old.expect("a package that is pinned is one of ours"), entry)
}

fn copy_directory(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory can be made");
    let entries = fs::read_dir(from)
        .unwrap_or_else(|error| panic!("no fixture in {}: {error}", from.display()));
    for entry in entries {
        let entry = entry.expect("a directory can be read");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("an entry has a type").is_dir() {
            // The result of running a fixture by hand.
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

/// Returns the manifest with absolute paths to this repository.
fn relocated(manifest: &str) -> String {
    let root = repository().to_string_lossy().replace('\\', "/");
    // The members of a workspace are one directory deeper.
    manifest
        .replace("\"../../../../", &format!("\"{root}/"))
        .replace(TO_REPOSITORY, &format!("\"{root}/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pinned_package_takes_the_place_of_the_other() {
        let lock = "version = 4\n\n[[package]]\nname = \"a\"\nversion = \"1.0.0\"\n\n\
            [[package]]\nname = \"b\"\nversion = \"2.0.0\"\n";
        let pinned = pin(lock, "[[package]]\nname = \"a\"\nversion = \"0.9.0\"");
        assert_eq!(pinned, lock.replace("1.0.0", "0.9.0"));
    }
}
