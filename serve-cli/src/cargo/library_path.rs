//! The search path for the dynamic libraries of a build, as `cargo run` sets it up. Many
//! models come with a dynamic library.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use cargo_metadata::camino::{Utf8Path, Utf8PathBuf};

use super::build::Built;
use super::target::Target;

/// The variable that the dynamic linker of this platform reads.
pub(crate) const VARIABLE: &str = if cfg!(windows) {
    "PATH"
} else if cfg!(target_os = "macos") {
    "DYLD_FALLBACK_LIBRARY_PATH"
} else {
    "LD_LIBRARY_PATH"
};

/// Returns the value of [`VARIABLE`] for the program: the directories of the build, then the
/// current value.
pub(crate) fn for_program(target: &Target, built: &Built) -> Option<OsString> {
    let mut directories = within(&built.linked_paths, &target.target_directory);
    if let Some(directory) = built.executable.parent() {
        directories.extend([directory.join("deps"), directory.to_owned()]);
    }
    let now = env::var_os(VARIABLE).unwrap_or_default();
    let all = directories.into_iter().map(PathBuf::from).chain(env::split_paths(&now));
    env::join_paths(all).ok()
}

/// Returns the search paths below the target directory, without their kinds. Other search
/// paths belong to the system and are for the linker only.
fn within(linked_paths: &[Utf8PathBuf], target: &Utf8Path) -> Vec<Utf8PathBuf> {
    let mut within: Vec<Utf8PathBuf> = linked_paths
        .iter()
        .map(|path| match path.as_str().split_once('=') {
            Some(("dependency" | "crate" | "native" | "framework" | "all", path)) => path.into(),
            _ => path.clone(),
        })
        .filter(|path| path.starts_with(target))
        .collect();
    within.sort();
    within.dedup();
    within
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_build_has_made_is_searched() {
        let linked = [
            "native=/work/target/debug/build/onnx/out",
            "native=/usr/lib",
            "/work/target/a",
            "/work/target/a",
        ];
        let linked: Vec<Utf8PathBuf> = linked.map(Into::into).into();
        assert_eq!(
            within(&linked, "/work/target".into()),
            ["/work/target/a", "/work/target/debug/build/onnx/out"]
        );
    }
}
