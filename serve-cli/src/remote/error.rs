//! The errors of commands that talk to a running instance.

use std::io;

use miette::Diagnostic;
use serve_core::config::ConfigFaults;

use crate::arguments::BadVariable;
use crate::exit_code;
use crate::failure::Failure;
use crate::output::Unwritten;

/// The error of a command that talks to a running instance.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub(crate) enum Error {
    #[error(transparent)]
    #[diagnostic(transparent)]
    Unwritten(#[from] Unwritten),

    #[error(transparent)]
    #[diagnostic(transparent)]
    Variable(#[from] BadVariable),

    #[error("cannot read {file}")]
    #[diagnostic(code(serve::config))]
    Unreadable {
        file: String,
        #[source]
        source: io::Error,
    },

    #[error("the configuration is not valid:\n{faults}")]
    #[diagnostic(
        code(serve::config),
        help(
            "docs/configuration.md has every key; `cargo serve schema` prints the schema for editors"
        )
    )]
    Faults { faults: String },

    #[error("nobody answers at {address}")]
    #[diagnostic(
        code(serve::not_answered),
        help(
            "`cargo serve run` opens the admin port and prints its address; name another one with \
             `--address` or SERVE_ADDRESS"
        )
    )]
    NotAnswered {
        address: String,
        #[source]
        source: io::Error,
    },

    #[error("{address} answers, but not as the admin port of Serve does: {problem}")]
    #[diagnostic(
        code(serve::not_answered),
        help("name the admin port, which `cargo serve run` prints, and not the HTTP port")
    )]
    NotServe { address: String, problem: String },

    #[error("{message}")]
    #[diagnostic(code(serve::refused))]
    Refused { code: String, message: String },

    #[error("{what} did not succeed:\n{failures}")]
    #[diagnostic(
        code(serve::deploy_failed),
        help(
            "the version before keeps serving, if there was one; `cargo serve status` shows the rest"
        )
    )]
    DeployFailed { what: String, failures: String },

    #[error("the deploy is refused:\n{faults}")]
    #[diagnostic(
        code(serve::config),
        help("nothing was changed; docs/configuration.md has every key")
    )]
    DeployRefused { faults: String },

    #[error("{what} goes on after {waited}: {goes_on}")]
    #[diagnostic(
        code(serve::deploy_failed),
        help("the deploy itself was not stopped: `cargo serve status` shows how it goes")
    )]
    StillDeploying { what: String, waited: String, goes_on: String },

    #[error("shutting down was not confirmed")]
    #[diagnostic(code(serve::usage), help("answer `y`, or pass `--yes`"))]
    NotConfirmed,

    #[error("no application is named `{0}`")]
    #[diagnostic(code(serve::application_not_found))]
    NoApplication(String),

    #[error("the runtime of this command cannot start")]
    #[diagnostic(code(serve::runtime))]
    Runtime(#[source] io::Error),
}

impl Error {
    pub(crate) fn faults(faults: &ConfigFaults) -> Self {
        Self::Faults { faults: faults.to_string() }
    }
}

impl Failure for Error {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Unwritten(error) => error.exit_code(),
            Self::Variable(error) => error.exit_code(),
            Self::Unreadable { .. } | Self::Runtime(_) => exit_code::FAILED,
            Self::Faults { .. } => exit_code::BAD_ARGUMENT,
            Self::NotAnswered { .. } | Self::NotServe { .. } => exit_code::NOT_ANSWERED,
            Self::Refused { code, .. } => match &**code {
                "unknown_application" => exit_code::APPLICATION_NOT_FOUND,
                "unknown_revision" | "invalid_config" | "needs_restart" => exit_code::BAD_ARGUMENT,
                _ => exit_code::FAILED,
            },
            Self::DeployFailed { .. }
            | Self::DeployRefused { .. }
            | Self::StillDeploying { .. } => exit_code::DEPLOY_FAILED,
            Self::NotConfirmed => exit_code::USAGE,
            Self::NoApplication(_) => exit_code::APPLICATION_NOT_FOUND,
        }
    }

    fn is_silent(&self) -> bool {
        matches!(self, Self::Unwritten(error) if error.is_silent())
    }
}
