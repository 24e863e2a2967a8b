//! The errors of a program with applications.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use miette::Diagnostic;
use serve_core::DeployError;
use serve_core::dynamic::GraphError;
use serve_core::status::{ApplyError, Shortage};

use super::error_chain::ErrorChain;
use crate::arguments::{BadCertificate, BadVariable, NotListening, NotOfAFile, UnknownEnding};
use crate::failure::Failure;
use crate::output::{self, Unwritten};
use crate::{exit_code, remote};

type Source = Box<dyn std::error::Error + Send + Sync>;

/// A command that failed.
#[derive(Debug, thiserror::Error, Diagnostic)]
#[non_exhaustive]
pub(super) enum Error {
    #[error("no application is linked into this program")]
    #[diagnostic(
        code(serve::application_not_found),
        help(
            "mark a function with `#[application]`. If the function is in another crate, name that \
             crate in the library{}, or else it is not linked: `use other_crate as _;`",
            if .package.is_empty() { String::new() } else { format!(" of `{package}`") }
        )
    )]
    NoApplications { package: String },

    #[error("there is no application `{path}`")]
    #[diagnostic(code(serve::application_not_found))]
    UnknownApplication {
        path: String,
        #[help]
        help: String,
    },

    #[error("the program has several applications; which one?")]
    #[diagnostic(code(serve::application_not_found), help("name one of these:{applications}"))]
    WhichApplication { applications: String },

    #[error("the call names the application `{application}`, but no method")]
    #[diagnostic(
        code(serve::method_not_found),
        help("name a method of its ingress after the application, as in `{application} METHOD`")
    )]
    NoMethod { application: String },

    #[error("several applications are called `{path}`:\n{places}")]
    #[diagnostic(
        code(serve::application_not_found),
        help("write PACKAGE:APP; within a package, give each application its own name")
    )]
    SeveralApplications { path: String, places: String },

    #[error("invalid arguments for {what}: {problem}")]
    #[diagnostic(code(serve::bad_argument))]
    BadArgument {
        what: String,
        problem: String,
        #[help]
        help: String,
    },

    #[error("the application `{name}` could not be built")]
    #[diagnostic(code(serve::deploy_failed))]
    ApplicationFailed {
        name: String,
        #[source]
        source: Source,
    },

    #[error("the application `{name}` cannot be deployed")]
    #[diagnostic(code(serve::deploy_failed))]
    Graph {
        name: String,
        #[source]
        source: GraphError,
    },

    #[error("no replica of `{deployment}` can ever start: {shortage}")]
    #[diagnostic(code(serve::deploy_failed))]
    NeverFits {
        deployment: String,
        shortage: Shortage,
        #[help]
        help: String,
    },

    #[error("the application `{name}` did not start")]
    #[diagnostic(code(serve::deploy_failed))]
    Deploy {
        name: String,
        #[source]
        source: Source,
    },

    #[error(transparent)]
    #[diagnostic(transparent)]
    NotListening(#[from] NotListening),

    #[error(transparent)]
    #[diagnostic(transparent)]
    NotOfAFile(#[from] NotOfAFile),

    #[error(transparent)]
    #[diagnostic(transparent)]
    Remote(#[from] remote::Error),

    #[error("the configuration {file} cannot be run:\n{faults}")]
    #[diagnostic(code(serve::config), help("docs/configuration.md has every key"))]
    NotApplied { file: String, faults: String },

    #[error("not all applications of {file} started:\n{failures}")]
    #[diagnostic(code(serve::deploy_failed))]
    FileNotDeployed { file: String, failures: String },

    #[error("the admin port cannot be opened")]
    #[diagnostic(
        code(serve::address_unavailable),
        help("set SERVE_TOKEN or `admin.token`, listen on 127.0.0.1, or pass `--admin-port off`")
    )]
    Admin(#[source] Source),

    #[error("{0} exists already")]
    #[diagnostic(code(serve::exists), help("remove the file, or name another one"))]
    FileExists(String),

    #[error("cannot write {file}")]
    #[diagnostic(code(serve::output))]
    Unwritable {
        file: String,
        #[source]
        source: io::Error,
    },

    #[error(transparent)]
    #[diagnostic(transparent)]
    Certificate(#[from] BadCertificate),

    #[error("the socket that was passed on to this program cannot be used")]
    #[diagnostic(
        code(serve::address_unavailable),
        help(
            "`LISTEN_FDS` and `LISTEN_PID` are set by systemd and by `cargo serve run --watch`, with a \
             TCP socket that listens; unset them to open a port instead"
        )
    )]
    PassedSocket(#[source] io::Error),

    #[error(
        "the ingress `{deployment}` of the application `{application}` has no method `{method}`"
    )]
    #[diagnostic(code(serve::method_not_found))]
    UnknownMethod {
        application: String,
        deployment: String,
        method: String,
        #[help]
        help: String,
    },

    #[error("the call to `{method}` failed")]
    #[diagnostic(code(serve::call_failed))]
    Call {
        method: String,
        #[source]
        source: Source,
    },

    #[error("the call to `{method}` did not complete within {}", humantime::format_duration(*.timeout))]
    #[diagnostic(code(serve::timed_out), help("`--timeout` sets the time to wait"))]
    TimedOut { method: String, timeout: Duration },

    #[error("`serve_cli::main` was called from async code, but starts its own runtime")]
    #[diagnostic(
        code(serve::runtime),
        help("call it from a plain `fn main() -> ExitCode`, without `#[tokio::main]`")
    )]
    CalledFromAsync,

    #[error("the runtime did not start")]
    #[diagnostic(code(serve::runtime))]
    Runtime(#[source] io::Error),

    #[error(transparent)]
    #[diagnostic(transparent)]
    Output(#[from] Unwritten),

    #[error(transparent)]
    #[diagnostic(transparent)]
    Variable(#[from] BadVariable),

    #[error(transparent)]
    #[diagnostic(transparent)]
    Format(#[from] UnknownEnding),

    #[error("cannot write {path}", path = .path.display())]
    #[diagnostic(code(serve::file))]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },

    #[error("the result cannot be written as JSON")]
    #[diagnostic(code(serve::json))]
    Json(#[source] serde_json::Error),
}

impl Error {
    /// Converts the error of a configuration that was not applied.
    pub(super) fn not_applied(file: &Path, error: &ApplyError) -> Self {
        let file = output::name(&file.display().to_string());
        Self::NotApplied { file, faults: output::printable(&error.to_string()) }
    }

    /// Converts the error of a failed deploy of the application `name`, with all its causes.
    pub(super) fn not_deployed(name: String, error: DeployError) -> Self {
        let source = match error {
            DeployError::Graph(source) => return Self::Graph { name, source },
            DeployError::NeverFits { deployment, shortage, .. } => {
                let help = more_room(&shortage);
                return Self::NeverFits { deployment, shortage, help };
            }
            DeployError::Constructor { deployment, error, .. } => {
                let about = format_args!("a replica of `{deployment}` did not start");
                ErrorChain::of(&error.context(about))
            }
            other => Box::new(other),
        };
        Self::Deploy { name, source }
    }
}

/// Returns the help for a shortage: the argument that declares more of the resource, and the
/// option to lower.
fn more_room(shortage: &Shortage) -> String {
    let Shortage { resource, needed, .. } = shortage;
    match &**resource {
        "num_cpus" => {
            format!(
                "pass `--num-cpus {needed}` if the machine has that many, or lower `num_cpus` of the deployment"
            )
        }
        "num_gpus" => "GPUs are not detected: pass `--num-gpus COUNT`, or lower `num_gpus` of the \
                       deployment"
            .to_owned(),
        "memory" | "max_replicas_per_node" => shortage.remedy(),
        other => format!(
            "pass `--resource {other}={needed}` if the machine has that much, or lower `resources` of the deployment"
        ),
    }
}

impl Failure for Error {
    fn exit_code(&self) -> u8 {
        match self {
            Self::NoApplications { .. }
            | Self::UnknownApplication { .. }
            | Self::SeveralApplications { .. }
            | Self::WhichApplication { .. } => exit_code::APPLICATION_NOT_FOUND,
            Self::BadArgument { .. } => exit_code::BAD_ARGUMENT,
            Self::ApplicationFailed { .. }
            | Self::Graph { .. }
            | Self::NeverFits { .. }
            | Self::Deploy { .. } => exit_code::DEPLOY_FAILED,
            Self::NotListening(error) => error.exit_code(),
            Self::NotOfAFile(error) => error.exit_code(),
            Self::Remote(error) => error.exit_code(),
            Self::NotApplied { .. } => exit_code::BAD_ARGUMENT,
            Self::FileNotDeployed { .. } => exit_code::DEPLOY_FAILED,
            Self::Admin(_) => exit_code::ADDRESS_UNAVAILABLE,
            Self::FileExists(_) => exit_code::ALREADY_EXISTS,
            Self::Unwritable { .. } => exit_code::OUTPUT_FAILED,
            Self::Certificate(error) => error.exit_code(),
            Self::PassedSocket(_) => exit_code::ADDRESS_UNAVAILABLE,
            Self::UnknownMethod { .. } | Self::NoMethod { .. } => exit_code::METHOD_NOT_FOUND,
            Self::Call { .. } => exit_code::CALL_FAILED,
            Self::TimedOut { .. } => exit_code::TIMED_OUT,
            Self::Output(error) => error.exit_code(),
            Self::Variable(error) => error.exit_code(),
            Self::Format(error) => error.exit_code(),
            Self::Write { .. } => exit_code::OUTPUT_FAILED,
            Self::CalledFromAsync | Self::Runtime(_) | Self::Json(_) => exit_code::FAILED,
        }
    }

    fn is_silent(&self) -> bool {
        match self {
            Self::Output(error) => error.is_silent(),
            Self::Remote(error) => error.is_silent(),
            _ => false,
        }
    }
}
