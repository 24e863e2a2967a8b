//! The common interface of this crate's errors: a message and a remedy for people
//! (through `miette`), and an exit code for programs.

use std::fmt;
use std::process::ExitCode;

use miette::Diagnostic;

use crate::output::{self, ERROR, NAME, printable};

/// An error that ends the command.
pub(crate) trait Failure: Diagnostic + Send + Sync + 'static {
    /// Returns the status to exit with, one of [`crate::exit_code`].
    fn exit_code(&self) -> u8;

    /// Returns true if there is nothing to show, for example because cargo has shown the error.
    fn is_silent(&self) -> bool {
        false
    }
}

/// Ends a command: shows its error on stderr, if there is one, and returns its exit code.
pub(crate) fn conclude<F: Failure>(outcome: Result<u8, F>) -> ExitCode {
    let code = outcome.unwrap_or_else(|failure| {
        let code = failure.exit_code();
        show(failure);
        code
    });
    output::flush();
    ExitCode::from(code)
}

/// Shows an error on stderr, unless there is nothing to show.
#[expect(clippy::needless_pass_by_value, reason = "it is used up here")]
pub(crate) fn show(failure: impl Failure) {
    if !failure.is_silent() {
        output::note(Report(&failure));
    }
}

/// An error in the format of rustc and cargo: the message, its causes and the help.
struct Report<'f>(&'f dyn Diagnostic);

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = self.0.code().map(|code| format!("[{code}]")).unwrap_or_default();
        write!(f, "{ERROR}error{code}{ERROR:#}: {}", printable(&self.0.to_string()))?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            // A `Fault` repeats the kind of the message before it, for programs.
            if !error.is::<serve_core::calls::CallErrorKind>() {
                write!(f, "\n  {NAME}caused by:{NAME:#} {}", indented(error, "             "))?;
            }
            cause = error.source();
        }
        if let Some(help) = self.0.help() {
            write!(f, "\n  {NAME}help:{NAME:#} {}", indented(help, "        "))?;
        }
        Ok(())
    }
}

/// Indents every line except the first, and leaves empty lines empty.
fn indented(text: impl fmt::Display, margin: &str) -> String {
    let text = text.to_string();
    printable(&text).replace("\n", &format!("\n{margin}")).replace(&format!("\n{margin}\n"), "\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error, Diagnostic)]
    #[error("the port is in use")]
    #[diagnostic(code(serve::port), help("use another:\n\n--port 8001"))]
    struct Example(#[source] std::io::Error);

    #[test]
    fn an_error_has_causes_and_a_remedy() {
        let cause = std::io::Error::other("address\nin use");
        let report = Report(&Example(cause)).to_string();
        insta::assert_snapshot!(anstream::adapter::strip_str(&report), @"
        error[serve::port]: the port is in use
          caused by: address
                     in use
          help: use another:

                --port 8001
        ");
    }

    #[derive(Debug, thiserror::Error, Diagnostic)]
    #[error("the call failed")]
    struct Called(#[source] serve_core::CallError);

    #[test]
    fn the_kind_of_a_failed_call_is_no_cause_of_its_own() {
        let call = serve_core::CallError::Panicked("oh".to_owned());
        let report = Report(&Called(call)).to_string();
        insta::assert_snapshot!(anstream::adapter::strip_str(&report), @"
        error: the call failed
          caused by: the method panicked: oh
        ");
    }
}
