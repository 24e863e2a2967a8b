//! The output of commands: results on stdout, everything else on stderr.
//!
//! Colour is used if the stream is a terminal that supports it (`NO_COLOR` and
//! `CLICOLOR_FORCE` override this).

mod printable;
mod stderr;

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};

use anstyle::{AnsiColor, Style};
use miette::Diagnostic;

use crate::exit_code;
use crate::failure::Failure;

pub(crate) use printable::{name, printable};
pub(crate) use stderr::{LogLines, flush, write_in_background};

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

/// The error of a result that could not be written to stdout.
#[derive(Debug, thiserror::Error, Diagnostic)]
#[error("cannot write the output")]
#[diagnostic(code(serve::output))]
pub(crate) struct Unwritten(#[source] io::Error);

impl Failure for Unwritten {
    /// A reader that has seen enough, as in `| head`, ends the command, and is not an error.
    fn exit_code(&self) -> u8 {
        if self.is_silent() { exit_code::OK } else { exit_code::OUTPUT_FAILED }
    }

    fn is_silent(&self) -> bool {
        self.0.kind() == ErrorKind::BrokenPipe
    }
}

/// Writes a line of the result to stdout.
pub(crate) fn result(line: impl Display) -> Result<(), Unwritten> {
    let mut stdout = anstream::stdout().lock();
    writeln!(stdout, "{line}").and_then(|()| stdout.flush()).map_err(Unwritten)
}

/// Shows clap's help, version or error. The first two are results.
pub(crate) fn clap_message(message: &clap::Error) -> Result<(), Unwritten> {
    let written = message.print().and_then(|()| io::stdout().flush());
    // An error that cannot be shown is still an error of its own.
    if message.use_stderr() { Ok(()) } else { written.map_err(Unwritten) }
}

/// Writes a line for people to stderr, beside the result.
pub(crate) fn note(line: impl Display) {
    stderr::write(format!("{line}\n"));
}

/// Writes a status line to stderr, aligned like cargo's own status lines.
pub(crate) fn status(verb: &str, about: impl Display) {
    let about = printable(&about.to_string());
    note(format_args!("{STATUS}{verb:>12}{STATUS:#} {about}"));
}

/// Writes a warning to stderr.
pub(crate) fn warning(about: impl Display) {
    let style = AnsiColor::Yellow.on_default().bold();
    let about = printable(&about.to_string());
    note(format_args!("{style}warning{style:#}: {about}"));
}
