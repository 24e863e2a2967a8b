//! The launcher's lock file: a copy of the user's, plus the launcher's own dependencies.
//!
//! The user's lock file is copied again whenever it changes, and only then: cargo adds the
//! launcher and `serve-cli` to the copy, and resolving them again requires an index.

use std::fs;
use std::io::ErrorKind;

use cargo_metadata::camino::Utf8Path;

use super::{replace, write_if_changed};
use crate::cargo::error::Error;

/// The name of the file that holds the user's lock file as it was last copied.
const COPIED: &str = "Cargo.lock.copied";

/// Copies the lock file `users` to the launcher in `directory`, so that both use the same
/// versions. Does nothing if `users` does not exist or has not changed since the last copy.
pub(super) fn follow(users: &Utf8Path, directory: &Utf8Path) -> Result<(), Error> {
    let content = match fs::read_to_string(users) {
        Ok(content) => content,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::file("read", users)(error)),
    };
    let own = directory.join("Cargo.lock");
    let copied = directory.join(COPIED);
    if own.is_file() && fs::read_to_string(&copied).is_ok_and(|last| last == content) {
        return Ok(());
    }
    replace(&own, &content)?;
    write_if_changed(&copied, &content)
}
