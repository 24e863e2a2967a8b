//! Copies a built program to the requested file.

use std::fs;
use std::path::Path;

use cargo_metadata::camino::Utf8Path;

use super::error::{Error, WRITE};

/// Copies `program` to `file`. An existing file is replaced atomically, even while it runs: a
/// start of `file` runs either the old program or the new one.
pub(super) fn copy(program: &Utf8Path, file: &Path) -> Result<(), Error> {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = file.with_file_name(name);
    fs::copy(program, &new).map_err(Error::file(WRITE, &new))?;
    fs::rename(&new, file).map_err(|error| {
        // The error is reported; the rest of the copy is of no use.
        let _ = fs::remove_file(&new);
        Error::file(WRITE, file)(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_replaced_and_nothing_else_is_left() {
        let directory =
            std::env::temp_dir().join(format!("serve-output-file-{}", std::process::id()));
        fs::create_dir_all(&directory).expect("a directory");
        let program = directory.join("program");
        fs::write(&program, "new").expect("written");
        let file = directory.join("server");
        fs::write(&file, "old").expect("written");
        let program = Utf8Path::from_path(&program).expect("a path in UTF-8");
        copy(program, &file).expect("copied");
        assert_eq!(fs::read_to_string(&file).expect("read"), "new");

        let taken = directory.join("taken");
        fs::create_dir_all(taken.join("by")).expect("a directory");
        let error = copy(program, &taken).expect_err("a directory is no program");
        assert_eq!(error.to_string(), format!("cannot write {}", taken.display()));
        assert_eq!(fs::read_dir(&directory).expect("read").count(), 3, "no copy is left");
        fs::remove_dir_all(&directory).expect("removed");
    }
}
