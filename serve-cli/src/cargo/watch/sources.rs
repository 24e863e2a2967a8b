//! The source files of a target, and the directories to watch for their changes.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use notify::RecursiveMode;

use super::dep_info;
use crate::cargo::build::Built;
use crate::cargo::target::Target;

/// The sources of a target.
#[derive(Debug)]
pub(super) struct Sources {
    /// The directories of the target's packages.
    packages: Vec<PathBuf>,
    /// The root of the workspace, for its manifest and its lock file.
    root: PathBuf,
    /// The files that the last build has read, except those in the target directory.
    read: HashSet<PathBuf>,
    target: PathBuf,
}

impl Sources {
    pub(super) fn of(target: &Target) -> Self {
        Self {
            packages: target.source_directories.iter().map(PathBuf::from).collect(),
            root: target.workspace_root.clone().into(),
            read: HashSet::new(),
            target: target.target_directory.clone().into(),
        }
    }

    /// Updates the packages, which may have changed. The files of the last build are kept.
    pub(super) fn follow(&mut self, target: &Target) {
        let read = std::mem::take(&mut self.read);
        *self = Self { read, ..Self::of(target) };
    }

    /// Records the files that a build has read, which are sources whatever their names.
    pub(super) fn learn(&mut self, built: &Built) {
        let read = dep_info::of_executable(built.executable.as_std_path());
        self.read = read.into_iter().filter(|file| !file.starts_with(&self.target)).collect();
    }

    /// Returns true if a change of this file may change the program.
    pub(super) fn contains(&self, file: &Path) -> bool {
        if self.read.contains(file) {
            return true;
        }
        if file.starts_with(&self.target) {
            return false;
        }
        if file.parent() == Some(&self.root) && is_manifest(file) {
            return true;
        }
        let is_rust = file.extension().is_some_and(|extension| extension == "rs");
        (is_rust || is_manifest(file))
            && self.packages.iter().any(|package| {
                file.strip_prefix(package)
                    .is_ok_and(|below| !below.iter().any(|part| is_hidden(Path::new(part))))
            })
    }

    /// Returns the directories to watch. Directories that hold only output are left out, since
    /// they may contain very many others.
    pub(super) fn directories(&self) -> BTreeMap<PathBuf, RecursiveMode> {
        let mut directories = BTreeMap::from([(self.root.clone(), RecursiveMode::NonRecursive)]);
        for package in &self.packages {
            directories.insert(package.clone(), RecursiveMode::NonRecursive);
            for child in subdirectories(package) {
                if child != self.target && !is_hidden(&child) && !is_cache(&child) {
                    directories.insert(child, RecursiveMode::Recursive);
                }
            }
        }
        // Files that are included from elsewhere.
        for directory in self.read.iter().filter_map(|file| file.parent()) {
            if !self.packages.iter().any(|package| directory.starts_with(package))
                && directory.is_dir()
            {
                directories.entry(directory.to_owned()).or_insert(RecursiveMode::NonRecursive);
            }
        }
        directories
    }
}

fn is_manifest(file: &Path) -> bool {
    file.file_name().is_some_and(|name| name == "Cargo.toml" || name == "Cargo.lock")
}

/// Returns true for hidden files, such as `.git` or an editor's swap files.
fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

/// Returns true for a directory with a cache tag. Cargo and other tools mark their output so.
fn is_cache(directory: &Path) -> bool {
    directory.join("CACHEDIR.TAG").is_file()
}

fn subdirectories(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    let directories = entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    directories.map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources() -> Sources {
        Sources {
            packages: vec!["/work".into(), "/elsewhere/words".into()],
            root: "/work".into(),
            read: HashSet::from(["/work/prompts/greeting.txt".into()]),
            target: "/work/target".into(),
        }
    }

    #[test]
    fn rust_files_manifests_and_what_was_read_are_sources() {
        for file in [
            "/work/src/lib.rs",
            "/work/src/new.rs",
            "/work/Cargo.toml",
            "/work/Cargo.lock",
            "/elsewhere/words/Cargo.toml",
            "/work/prompts/greeting.txt",
        ] {
            assert!(sources().contains(Path::new(file)), "{file}");
        }
    }

    #[test]
    fn output_data_and_hidden_files_are_not() {
        for file in [
            "/work/target/debug/build/x/out/generated.rs",
            "/work/requests.log",
            "/work/prompts/other.txt",
            "/work/src/.lib.rs.swp",
            "/work/.git/hooks/x.rs",
            "/elsewhere/other/src/lib.rs",
        ] {
            assert!(!sources().contains(Path::new(file)), "{file}");
        }
    }

    #[test]
    fn a_module_called_target_is_a_source() {
        assert!(sources().contains(Path::new("/work/src/target/mod.rs")));
    }
}
