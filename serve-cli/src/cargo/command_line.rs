//! The command line of `cargo serve`: the command line of the program, and the options for cargo.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::arguments::{CallArguments, GraphArguments, ListArguments, RunArguments};

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
    /// Run an application and serve it over HTTP
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

    /// Build the program that runs a package's applications, and print its path
    #[command(after_help = BUILD_EXAMPLES)]
    Build {
        /// The package, by default the package in this directory
        package: Option<String>,

        /// Copy the program to this file, and replace an existing file
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,

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

/// The package to create, and its source of Serve.
#[derive(Debug, Args)]
pub(crate) struct NewArguments {
    /// The directory to create; its last part is the name of the package
    #[arg(value_name = "NAME")]
    pub(crate) directory: PathBuf,

    /// Depend on the clone of Serve in this directory instead of a release
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) path: Option<PathBuf>,
}

/// The options that are passed on to cargo.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Build options")]
pub(crate) struct CargoOptions {
    #[command(flatten)]
    pub(crate) features: clap_cargo::Features,

    /// Build with optimizations
    #[arg(long, short, conflicts_with = "profile")]
    pub(crate) release: bool,

    /// Build with this profile
    #[arg(long, value_name = "NAME")]
    pub(crate) profile: Option<String>,

    #[command(flatten)]
    pub(crate) manifest: clap_cargo::Manifest,

    /// Fail if Cargo.lock would have to change
    #[arg(long)]
    pub(crate) locked: bool,

    /// Do not access the network
    #[arg(long)]
    pub(crate) offline: bool,
}

impl CargoOptions {
    /// Returns the features to activate one by one. Cargo allows commas and spaces between them.
    pub(crate) fn feature_names(&self) -> Vec<&str> {
        let given = self.features.features.iter();
        given.flat_map(|names| names.split([',', ' '])).filter(|name| !name.is_empty()).collect()
    }
}

const RUN_EXAMPLES: &str = "\
Examples:
  cargo serve run hello:language_classifier
  cargo serve run hello:language_classifier --port 9000 --watch
  cargo serve run greeter greeting=Hi          # an application of this package";

const CALL_EXAMPLES: &str = "\
Example:
  cargo serve call hello:language_classifier greet language=spanish name=Dora";

const BUILD_EXAMPLES: &str = "\
Example:
  cargo serve build hello --release -o server
  ./server run hello:language_classifier       # needs no cargo";

#[cfg(test)]
mod tests;
