//! The arguments that `cargo serve` and the built program have in common.
//!
//! `cargo serve` parses them so that a mistake is found before anything is built, and
//! passes the same arguments on to the program.

mod admin;
mod application;
mod assignment;
mod call;
mod environment;
mod graph;
mod http;
mod log;
mod node;
mod remote;
mod tls;

use clap::Args;
use miette::Diagnostic;

use crate::exit_code;
use crate::failure::Failure;

pub(crate) use admin::AdminArguments;
#[cfg(feature = "cargo")]
pub(crate) use application::is_file;
pub(crate) use application::{ApplicationArguments, ApplicationPath};
pub(crate) use assignment::{Assignment, repeated};
pub(crate) use call::{CallArguments, Method};
pub(crate) use environment::{BadVariable, Variables, first_set, process_variables};
pub(crate) use graph::{GraphArguments, GraphFormat, UnknownEnding, ending};
pub(crate) use http::{HttpArguments, NotListening};
pub(crate) use log::LogArguments;
pub(crate) use node::NodeArguments;
pub(crate) use remote::{RemoteArguments, RemoteCommand};
pub(crate) use tls::{BadCertificate, TlsArguments, TlsFiles};

/// The application to run, its name and its address.
#[derive(Debug, Clone, Args)]
pub(crate) struct RunArguments {
    #[command(flatten)]
    pub(crate) application: ApplicationArguments,

    #[command(flatten)]
    pub(crate) http: HttpArguments,

    #[command(flatten)]
    pub(crate) tls: TlsArguments,

    #[command(flatten)]
    pub(crate) admin: AdminArguments,

    /// The name to run the application under, instead of its own
    #[arg(long)]
    pub(crate) name: Option<String>,

    /// The path prefix of the endpoints, instead of the application's own
    #[arg(long, value_name = "PATH", value_parser = route_prefix)]
    pub(crate) route_prefix: Option<String>,

    /// Open the application in the browser once it runs
    #[arg(long)]
    pub(crate) open: bool,

    #[command(flatten)]
    pub(crate) log: LogArguments,

    #[command(flatten)]
    pub(crate) node: NodeArguments,
}

impl RunArguments {
    /// Returns an error if an option for one application is given with a configuration.
    pub(crate) fn check(&self) -> Result<(), NotOfAFile> {
        if self.application.file().is_none() {
            return Ok(());
        }
        let values = !self.application.values().is_empty();
        let given = [
            (self.name.is_some(), "`--name`"),
            (self.route_prefix.is_some(), "`--route-prefix`"),
            (values, "values for arguments"),
        ];
        match given.into_iter().find(|(given, _)| *given) {
            Some((_, what)) => Err(NotOfAFile { what }),
            None => Ok(()),
        }
    }
}

/// The error of an option for one application that is given with a configuration.
#[derive(Debug, thiserror::Error, Diagnostic)]
#[error("a configuration takes no {what}")]
#[diagnostic(
    code(serve::usage),
    help("write it into the configuration: `name`, `route_prefix` or `args` of the application")
)]
pub(crate) struct NotOfAFile {
    what: &'static str,
}

impl Failure for NotOfAFile {
    fn exit_code(&self) -> u8 {
        exit_code::USAGE
    }
}

/// The output format of a list of applications.
#[derive(Debug, Clone, Args)]
pub(crate) struct ListArguments {
    /// Print the list as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

fn route_prefix(text: &str) -> Result<String, String> {
    if text.starts_with('/') {
        Ok(text.to_owned())
    } else {
        Err(format!("a path begins with a slash, as in `/{text}`"))
    }
}
