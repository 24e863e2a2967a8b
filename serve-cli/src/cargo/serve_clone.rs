//! The clone of Serve that a package can depend on, since Serve is on no registry yet.

use std::path::{Path, PathBuf};

use super::workspace::{SERVE_CLI, SERVE_CORE};

/// Returns true if `directory` is a clone of Serve.
pub(crate) fn is_clone(directory: &Path) -> bool {
    [SERVE_CORE, SERVE_CLI].iter().all(|name| directory.join(name).join("Cargo.toml").is_file())
}

/// Returns the clone around `directory`, or the clone that this command was built from, if it
/// still exists.
pub(crate) fn find(directory: &Path) -> Option<PathBuf> {
    let around = directory.ancestors().skip(1);
    let mut known = around.chain(Path::new(env!("CARGO_MANIFEST_DIR")).parent());
    known.find(|known| is_clone(known)).map(Path::to_owned)
}

/// Returns the command that makes `package` depend on Serve.
pub(crate) fn add_command(package: Option<&str>, directory: &Path) -> String {
    let package = package.map(|name| format!("--package {name} ")).unwrap_or_default();
    match find(directory) {
        Some(clone) => {
            format!("`cargo add {package}--path {}`", clone.join(SERVE_CORE).display())
        }
        None => format!(
            "`cargo add {package}--path CLONE/{SERVE_CORE}`, where CLONE is the directory of a \
             clone of Serve"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outside_a_clone_it_is_the_clone_of_this_command() {
        let found = find(Path::new("/nowhere/hola"));
        assert_eq!(found.as_deref(), Path::new(env!("CARGO_MANIFEST_DIR")).parent());
        let clone = found.expect("this crate is in a clone");
        assert_eq!(find(&clone.join("examples").join("hello")), Some(clone));
    }
}
