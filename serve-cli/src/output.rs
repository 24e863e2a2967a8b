//! The output of commands: results on stdout, everything else on stderr.
//!
//! Colour is used if the stream is a terminal that supports it (`NO_COLOR` and
//! `CLICOLOR_FORCE` override this). A closed reader, as in `| head`, is not an error.

use std::fmt::Display;
use std::io::Write;

use anstyle::{AnsiColor, Style};

/// The style of the verb of a status line: cargo's green.
pub(crate) const STATUS: Style = AnsiColor::BrightGreen.on_default().bold();
/// The style of the word `error`.
pub(crate) const ERROR: Style = AnsiColor::BrightRed.on_default().bold();
/// The style of important names.
pub(crate) const NAME: Style = Style::new().bold();
/// The style of addresses and of commands to copy.
pub(crate) const LITERAL: Style = AnsiColor::BrightCyan.on_default();
/// The style of text that may be skipped.
pub(crate) const FAINT: Style = Style::new().dimmed();

/// Writes a line of the result to stdout.
pub(crate) fn result(line: impl Display) {
    let _ = writeln!(anstream::stdout().lock(), "{line}");
}

/// Writes a line for people to stderr, beside the result.
pub(crate) fn note(line: impl Display) {
    let _ = writeln!(anstream::stderr().lock(), "{line}");
}

/// Writes a status line to stderr, aligned like cargo's own status lines.
pub(crate) fn status(verb: &str, about: impl Display) {
    let _ = writeln!(anstream::stderr().lock(), "{STATUS}{verb:>12}{STATUS:#} {about}");
}

/// Writes a value to stdout as indented JSON, for programs.
pub(crate) fn json(value: &impl serde::Serialize) {
    match serde_json::to_string_pretty(value) {
        Ok(text) => result(text),
        Err(error) => note(format_args!("error: cannot write the result as JSON: {error}")),
    }
}

/// Writes a warning to stderr.
pub(crate) fn warning(about: impl Display) {
    let style = AnsiColor::Yellow.on_default().bold();
    let _ = writeln!(anstream::stderr().lock(), "{style}warning{style:#}: {about}");
}
