//! The files of this repository, for tests that compare the guide with the code.

use std::fs;
use std::path::{Path, PathBuf};

/// A path inside the repository.
pub(crate) fn path(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// The text of a file, by its path inside the repository.
pub(crate) fn read(file: &str) -> String {
    let file = path(file);
    fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The files below a directory of the repository whose names end so.
pub(crate) fn files(directory: &str, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut directories = vec![path(directory)];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                directories.push(path);
            } else if path.to_str().is_some_and(|name| name.ends_with(ending)) {
                found.push(path);
            }
        }
    }
    found
}

/// The text of all files below a directory of the repository whose names end so.
pub(crate) fn texts(directory: &str, ending: &str) -> String {
    let texts = files(directory, ending).into_iter().map(fs::read_to_string);
    texts.map(|text| text.expect("a text file")).collect()
}

/// What stands between backticks in a text.
pub(crate) fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The rows of the next table in Markdown, without its head. Leaves the lines after the table.
pub(crate) fn next_table<'t>(
    lines: &mut impl Iterator<Item = &'t str>,
) -> impl Iterator<Item = &'t str> {
    let rows = lines.skip_while(|line| !line.starts_with("|---"));
    rows.skip(1).take_while(|line| line.starts_with('|'))
}
