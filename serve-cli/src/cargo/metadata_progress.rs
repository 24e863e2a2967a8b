//! The progress lines in cargo's stderr.
//!
//! `cargo metadata` may update an index and download sources, which takes a while and
//! should be visible. Its warnings should not be: the build repeats them.

use std::io::{BufRead, BufReader, Read};

use crate::output;

/// The column in which cargo's verbs end.
const VERB_END: usize = 12;

/// Returns true for a line such as `    Updating crates.io index`.
fn is_progress(line: &str) -> bool {
    let Some((head, rest)) = line.split_at_checked(VERB_END) else {
        return false;
    };
    let verb = head.trim_start();
    rest.starts_with(' ')
        && verb.starts_with(|first: char| first.is_ascii_uppercase())
        && verb.chars().all(|letter| letter.is_ascii_alphabetic())
}

/// Shows the progress lines as they arrive, and returns the other lines.
pub(crate) fn show_progress(stderr: impl Read) -> String {
    let mut others = String::new();
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        // `CARGO_TERM_COLOR=always` also colours what is piped.
        let line = anstream::adapter::strip_str(&line).to_string();
        if is_progress(&line) {
            output::note(&line);
        } else {
            others.push_str(&line);
            others.push('\n');
        }
    }
    others
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs_in_cargos_column_are_progress() {
        assert!(is_progress("    Updating crates.io index"));
        assert!(is_progress("  Downloaded heck v0.5.0"));
        assert!(is_progress("    Blocking waiting for file lock on package cache"));
    }

    #[test]
    fn warnings_and_errors_are_not() {
        assert!(!is_progress("warning: unused manifest key: package.colour"));
        assert!(!is_progress("error: failed to parse manifest"));
        assert!(!is_progress("  --> Cargo.toml:3:1"));
        assert!(!is_progress("Caused by:"));
        assert!(!is_progress("  |"));
    }
}
