//! The files that a build has read, which cargo records beside each program in `program.d`.

use std::fs;
use std::path::{Path, PathBuf};

/// Returns the files of local packages that went into `executable`; empty if there is no record.
pub(super) fn of_executable(executable: &Path) -> Vec<PathBuf> {
    fs::read_to_string(executable.with_extension("d"))
        .map_or_else(|_| Vec::new(), |text| parse(&text))
}

/// Returns the files on the right side of each rule `target: file file\ with\ spaces`.
fn parse(text: &str) -> Vec<PathBuf> {
    let rules = text.lines().filter_map(|line| line.split_once(": "));
    rules.flat_map(|(_, files)| split(files)).map(PathBuf::from).collect()
}

/// Splits a text at its spaces, except at those that a backslash escapes.
fn split(files: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut characters = files.chars().peekable();
    while let Some(character) = characters.next() {
        match (character, words.last_mut()) {
            (' ', _) => words.push(String::new()),
            ('\\', Some(word)) if characters.peek() == Some(&' ') => word.extend(characters.next()),
            (_, Some(word)) => word.push(character),
            (_, None) => {}
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_contain_spaces() {
        let text = "/work/target/debug/app: /work/src/lib.rs /work/my\\ data/a.txt\n";
        assert_eq!(parse(text), [Path::new("/work/src/lib.rs"), Path::new("/work/my data/a.txt")]);
    }

    #[test]
    fn a_windows_path_is_no_escape() {
        let text = r"C:\work\app.exe: C:\work\src\lib.rs";
        assert_eq!(parse(text), [Path::new(r"C:\work\src\lib.rs")]);
    }
}
