//! The command line of a program with applications.

use clap::{Parser, Subcommand};

use crate::arguments::{CallArguments, GraphArguments, ListArguments, RunArguments};

/// Run and inspect the Serve applications in this program.
#[derive(Debug, Parser)]
#[command(disable_help_subcommand = true)]
pub(super) struct CommandLine {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run an application and serve it over HTTP
    Run(RunArguments),
    /// List the applications
    List(ListArguments),
    /// Draw the deployments of an application and who calls whom
    Graph(GraphArguments),
    /// Call a method of an application once, without HTTP
    Call(CallArguments),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        CommandLine::command().debug_assert();
    }
}
