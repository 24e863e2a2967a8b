//! What is written where: results on stdout, all else on stderr.
//!
//! Colour is used when the stream is a terminal that wants it (`NO_COLOR`,
//! `CLICOLOR_FORCE`). A reader who has gone away, as in `| head`, is no error.

use std::fmt::Display;
use std::io::Write;

use anstyle::{AnsiColor, Style};

/// For what a status line is about: cargo's green.
pub(crate) const STATUS: Style = AnsiColor::BrightGreen.on_default().bold();
/// For the word `error`.
pub(crate) const ERROR: Style = AnsiColor::BrightRed.on_default().bold();
/// For names that matter.
pub(crate) const NAME: Style = Style::new().bold();
/// For addresses and commands to copy.
pub(crate) const LITERAL: Style = AnsiColor::BrightCyan.on_default();
/// For what may be skipped.
pub(crate) const FAINT: Style = Style::new().dimmed();

/// A line of the result.
pub(crate) fn result(line: impl Display) {
    let _ = writeln!(anstream::stdout().lock(), "{line}");
}

/// A line for people, beside the result.
pub(crate) fn note(line: impl Display) {
    let _ = writeln!(anstream::stderr().lock(), "{line}");
}

/// What happens now, in the columns of cargo's own status lines.
pub(crate) fn status(verb: &str, about: impl Display) {
    let _ = writeln!(anstream::stderr().lock(), "{STATUS}{verb:>12}{STATUS:#} {about}");
}

/// A value for programs, as indented JSON.
pub(crate) fn json(value: &impl serde::Serialize) {
    match serde_json::to_string_pretty(value) {
        Ok(text) => result(text),
        Err(error) => note(format_args!("error: cannot write the result as JSON: {error}")),
    }
}

/// Something to look at, which stops nothing.
pub(crate) fn warning(about: impl Display) {
    let style = AnsiColor::Yellow.on_default().bold();
    let _ = writeln!(anstream::stderr().lock(), "{style}warning{style:#}: {about}");
}
