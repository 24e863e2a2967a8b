//! The command line of `cargo serve`: the command line of the program, and the options for cargo.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::options::CargoOptions;
use crate::arguments::{CallArguments, GraphArguments, ListArguments, RemoteCommand, RunArguments};

/// Build, run and inspect Serve applications.
#[derive(Debug, Parser)]
#[command(
    name = "cargo-serve",
    bin_name = "cargo serve",
    version,
    styles = clap_cargo::style::CLAP_STYLING,
    disable_help_subcommand = true,
)]
pub(crate) struct CommandLine {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run an application, or those of a configuration, and serve them over HTTP
    #[command(after_help = RUN_EXAMPLES)]
    Run {
        #[command(flatten)]
        run: RunArguments,

        /// Build and restart whenever a source file changes
        #[arg(long)]
        watch: bool,

        #[command(flatten)]
        cargo: CargoOptions,
    },

    /// List the applications of a package
    List {
        /// The package, by default the package in this directory
        package: Option<String>,

        #[command(flatten)]
        list: ListArguments,

        #[command(flatten)]
        cargo: CargoOptions,
    },

    /// Draw the deployments of an application and the calls between them
    Graph {
        #[command(flatten)]
        graph: GraphArguments,

        #[command(flatten)]
        cargo: CargoOptions,
    },

    /// Call a method of an application once, without HTTP
    #[command(after_help = CALL_EXAMPLES)]
    Call {
        #[command(flatten)]
        call: CallArguments,

        #[command(flatten)]
        cargo: CargoOptions,
    },

    /// Check a configuration, and that the program that it names can run its applications
    Validate {
        /// The configuration, such as serve.yaml
        file: PathBuf,

        #[command(flatten)]
        cargo: CargoOptions,
    },

    #[command(flatten)]
    Remote(RemoteCommand),

    /// Build the program that runs a package's applications, and print its path
    #[command(after_help = BUILD_EXAMPLES)]
    Build {
        /// The package, by default the package in this directory; or a configuration, such as
        /// serve.yaml, for a program with all packages that it names
        package: Option<String>,

        /// Copy the program to this file, replacing an existing file
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,

        /// Build the program with TLS, for `run --tls-cert`
        #[arg(long)]
        tls: bool,

        #[command(flatten)]
        cargo: CargoOptions,
    },

    /// Create a new package with an example application
    New(NewArguments),

    /// Give a package its own program instead of the generated program
    Eject {
        /// The package, by default the package in this directory
        package: Option<String>,

        #[command(flatten)]
        cargo: CargoOptions,
    },
}

impl Command {
    /// Returns the options for cargo, if the command takes them.
    pub(crate) fn cargo_options(&self) -> Option<&CargoOptions> {
        match self {
            Self::Run { cargo, .. }
            | Self::List { cargo, .. }
            | Self::Graph { cargo, .. }
            | Self::Call { cargo, .. }
            | Self::Validate { cargo, .. }
            | Self::Build { cargo, .. }
            | Self::Eject { cargo, .. } => Some(cargo),
            Self::New(_) | Self::Remote(_) => None,
        }
    }
}

/// The package to create, and its source of Serve.
#[derive(Debug, Args)]
pub(crate) struct NewArguments {
    /// The directory to create; its last component is the name of the package
    #[arg(value_name = "DIRECTORY")]
    pub(crate) directory: PathBuf,

    /// The name of the package, instead of the name of the directory
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,

    /// Depend on the clone of Serve in this directory instead of a release
    #[arg(long, value_name = "CLONE")]
    pub(crate) path: Option<PathBuf>,
}

const RUN_EXAMPLES: &str = "\
Examples:
  cargo serve run                              # the only application here
  cargo serve run greeter greeting=Hi          # an application of this package
  cargo serve run hello:language_classifier    # one of another package
  cargo serve run serve.yaml                   # the applications of a configuration
  cargo serve run --port 9000 --watch --release";

const CALL_EXAMPLES: &str = "\
Examples:
  cargo serve call greet name=Dora             # of the only application here
  cargo serve call hello:language_classifier greet language=spanish name=Dora";

const BUILD_EXAMPLES: &str = "\
Examples:
  cargo serve build hello --release -o server
  ./server run hello:language_classifier       # needs no cargo
  cargo serve build serve.yaml -o server       # all packages that it names
  cargo serve build --config serve.yaml        # writes a configuration";

#[cfg(test)]
mod tests;
