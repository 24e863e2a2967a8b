//! The launcher's lock file: the user's, plus what the launcher itself adds.
//!
//! It is taken over again whenever the user's changes, and only then: in between, cargo
//! has added the launcher and `serve-cli` to it, and resolving those takes an index.

use std::fs;
use std::io::ErrorKind;

use cargo_metadata::camino::Utf8Path;

use super::{replace, write_if_changed};
use crate::outside::error::Error;

/// The user's lock file as it was taken over last.
const TAKEN_OVER: &str = "Cargo.lock.taken-over";

/// Lets the versions in the lock file `users` hold for the launcher in `directory`.
pub(super) fn follow(users: &Utf8Path, directory: &Utf8Path) -> Result<(), Error> {
    let content = match fs::read_to_string(users) {
        Ok(content) => content,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::file("read", users)(error)),
    };
    let ours = directory.join("Cargo.lock");
    let taken_over = directory.join(TAKEN_OVER);
    if ours.is_file() && fs::read_to_string(&taken_over).is_ok_and(|last| last == content) {
        return Ok(());
    }
    replace(&ours, &content)?;
    write_if_changed(&taken_over, &content)
}
