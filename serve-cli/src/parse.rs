//! Parses a command line, and ends the command if there is nothing to run.

use std::ffi::OsString;

use clap::{CommandFactory, Parser};
use miette::Diagnostic;

use crate::exit_code;
use crate::failure::Failure;
use crate::output::{self, Unwritten};
use crate::planned::{self, Planned};

/// The reason why a command line is not run.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub(crate) enum NotRun {
    /// The help, the version or a mistake, which clap has shown.
    #[error("clap has shown its message")]
    Shown { code: u8 },
    #[error(transparent)]
    #[diagnostic(transparent)]
    Unwritten(#[from] Unwritten),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Planned(#[from] Planned),
}

impl Failure for NotRun {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Shown { code } => *code,
            Self::Unwritten(error) => error.exit_code(),
            Self::Planned(error) => error.exit_code(),
        }
    }

    fn is_silent(&self) -> bool {
        match self {
            Self::Shown { .. } => true,
            Self::Unwritten(error) => error.is_silent(),
            Self::Planned(error) => error.is_silent(),
        }
    }
}

/// Parses `words`, of which the first is the program, as the command line `P`.
pub(crate) fn parse<P: Parser>(words: impl IntoIterator<Item = OsString>) -> Result<P, NotRun> {
    let words: Vec<OsString> = words.into_iter().collect();
    let matches = match command::<P>().try_get_matches_from(&words) {
        Ok(matches) => matches,
        Err(message) => return Err(shown(&printable::<P>(message, &words))),
    };
    if let Some(planned) = planned::asked_for(&matches) {
        return Err(planned.into());
    }
    P::from_arg_matches(&matches).map_err(|message| shown(&message))
}

/// Returns the clap command of `P`, with the planned commands and the table of exit codes.
pub(crate) fn command<P: CommandFactory>() -> clap::Command {
    planned::add_to(P::command().after_long_help(exit_code::help()))
}

/// Returns clap's message about the same command line, in which each word is printable.
fn printable<P: CommandFactory>(message: clap::Error, words: &[OsString]) -> clap::Error {
    let printable: Vec<OsString> =
        words.iter().map(|word| output::name(&word.to_string_lossy()).into()).collect();
    if printable == words {
        return message;
    }
    command::<P>().try_get_matches_from(printable).err().unwrap_or(message)
}

fn shown(message: &clap::Error) -> NotRun {
    match output::clap_message(message) {
        Ok(()) => {
            NotRun::Shown { code: u8::try_from(message.exit_code()).unwrap_or(exit_code::USAGE) }
        }
        Err(error) => error.into(),
    }
}
