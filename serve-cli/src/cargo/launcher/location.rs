//! The directories in which launchers are written and built.
//!
//! Launchers usually use the workspace's own target directory, where their dependencies have
//! already been built. A target directory outside the workspace is likely to be shared by
//! several workspaces, among which package names are not unique. Launchers then get a
//! directory of their own, and names that differ between the workspaces.

use std::hash::{DefaultHasher, Hash, Hasher};

use cargo_metadata::Package;
use cargo_metadata::camino::{Utf8Path, Utf8PathBuf};

use crate::cargo::workspace::Workspace;

/// The directories in which the launchers of one workspace are written and built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Location {
    /// The target directory that is passed to cargo.
    pub(crate) target_directory: Utf8PathBuf,
    launchers: Utf8PathBuf,
    /// The suffix of the package's name, empty where the name is unique.
    suffix: String,
}

impl Location {
    /// Returns the location for the launchers of `workspace`.
    pub(crate) fn of(workspace: &Workspace) -> Self {
        let metadata = &workspace.metadata;
        Self::in_directory(&metadata.target_directory, &metadata.workspace_root)
    }

    fn in_directory(target: &Utf8Path, workspace_root: &Utf8Path) -> Self {
        let launchers = target.join("serve");
        if target.starts_with(workspace_root) {
            return Self { target_directory: target.to_owned(), launchers, suffix: String::new() };
        }
        let mut hasher = DefaultHasher::new();
        workspace_root.as_str().hash(&mut hasher);
        Self {
            target_directory: launchers.clone(),
            launchers,
            suffix: format!("-{:08x}", hasher.finish() >> 32),
        }
    }

    /// Returns the location for launchers that also link another package.
    pub(crate) fn with(mut self, other: &Package) -> Self {
        self.suffix = format!("-{}{}", other.name, self.suffix);
        self
    }

    /// Returns the launcher's package and binary name.
    pub(crate) fn launcher_name(&self, package: &Package) -> String {
        format!("serve-launcher-{}{}", package.name, self.suffix)
    }

    /// Returns the launcher's directory.
    pub(crate) fn directory(&self, package: &Package) -> Utf8PathBuf {
        self.launchers.join(format!("{}{}", package.name, self.suffix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cargo::workspace::tests::package;

    #[test]
    fn the_workspaces_own_target_directory_is_used() {
        let location = Location::in_directory("/work/target".into(), "/work".into());
        let hello = package("hello").build();
        assert_eq!(location.target_directory, "/work/target");
        assert_eq!(location.directory(&hello), "/work/target/serve/hello");
        assert_eq!(location.launcher_name(&hello), "serve-launcher-hello");
    }

    #[test]
    fn in_a_shared_one_workspaces_are_told_apart() {
        let hello = package("hello").build();
        let one = Location::in_directory("/cache/target".into(), "/work".into());
        let other = Location::in_directory("/cache/target".into(), "/other".into());
        assert_eq!(one.target_directory, "/cache/target/serve");
        assert_eq!(other.target_directory, one.target_directory);
        assert_ne!(one.launcher_name(&hello), other.launcher_name(&hello));
        assert_ne!(one.directory(&hello), other.directory(&hello));
    }
}
