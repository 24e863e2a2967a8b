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

/// How the manifests of fixtures reach the crates of this repository.
const TO_REPOSITORY: &str = "\"../../../";

/// How an entry of a lock file begins.
const PACKAGE: &str = "[[package]]\n";

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

    /// A copy that tests which change nothing in it have together: it is built once. To
    /// ask for features is a change, too, of the launcher.
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

    /// A directory for this test, which has the same name in every run: what cargo builds
    /// for it takes the place of what it built before. A test has one of each name.
    fn make(parent: &Path, name: &str) -> Self {
        let thread = std::thread::current();
        let test = thread.name().expect("a test's thread has its name").replace("::", "-");
        // Checkouts share the temporary directory.
        let mut hasher = DefaultHasher::new();
        repository().hash(&mut hasher);
        let directory = parent.join(format!("serve-{name}-{test}-{:08x}", hasher.finish() >> 32));
        // What a run that was cut short has left.
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).expect("a directory can be made");
        // On some systems the temporary directory is a link.
        Self { directory: directory.canonicalize().expect("the directory was just made") }
    }

    fn copy(name: &str, parent: &Path) -> Self {
        let fixture = Self::make(parent, name);
        let source = repository().join("tests").join("fixtures").join(name);
        copy_directory(&source, &fixture.directory);
        // The versions which are here already, so that all fixtures share what they build.
        let lock = fs::read_to_string(repository().join("Cargo.lock")).expect("a lock file");
        let pinned = fs::read_to_string(fixture.path("pinned.lock")).unwrap_or_default();
        let lock = packages(&pinned).fold(lock, |lock, package| pin(&lock, package));
        fs::write(fixture.path("Cargo.lock"), lock).expect("a file can be written");
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

    /// Where launchers are if `CARGO_TARGET_DIR` is the returned directory: in the copy, as
    /// for a package of one's own. It is [`shared_target`] by another name, so that nothing
    /// is built twice.
    ///
    /// # Panics
    /// If it cannot be made.
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

/// The entries of a lock file.
fn packages(lock: &str) -> impl Iterator<Item = &str> {
    lock.split("\n\n").filter(|entry| entry.starts_with(PACKAGE)).map(str::trim_end)
}

/// The lock file with this entry in place of that for the same package.
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
