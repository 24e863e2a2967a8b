//! The command line of a program with applications.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::arguments::{CallArguments, GraphArguments, ListArguments, RemoteCommand, RunArguments};

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
    /// Draw the deployments of an application and the calls between them
    Graph(GraphArguments),
    /// Call a method of an application once, without HTTP
    Call(CallArguments),
    /// Check a configuration, and that this program can run its applications
    Validate {
        /// The configuration, such as serve.yaml
        file: PathBuf,
    },
    /// Write a configuration with every application of this program
    WriteConfig {
        /// The file to write, by default the standard output
        file: Option<PathBuf>,
    },
    #[command(flatten)]
    Remote(RemoteCommand),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::command;

    #[test]
    fn the_command_line_is_consistent() {
        command::<CommandLine>().debug_assert();
    }

    #[test]
    fn help() {
        let mut program = command::<CommandLine>().name("server").term_width(80);
        insta::assert_snapshot!(program.render_long_help(), @"
        Run and inspect the Serve applications in this program

        Usage: server <COMMAND>

        Commands:
          run           Run an application and serve it over HTTP
          list          List the applications
          graph         Draw the deployments of an application and the calls between
                        them
          call          Call a method of an application once, without HTTP
          validate      Check a configuration, and that this program can run its
                        applications
          write-config  Write a configuration with every application of this program
          deploy        Apply a configuration to a running instance, and wait until its
                        applications run
          status        Show the applications of a running instance
          config        Print the configuration of a running instance, as a serve.yaml
          scale         Set the number of replicas of a deployment that has
                        `external_scaler_enabled`
          delete        Stop one application of a running instance
          rollback      Apply an earlier configuration again
          diff          Show what `deploy` of a configuration would change
          shutdown      Stop a running instance, after the requests in progress
          schema        Print the JSON Schema of configurations, for editors

        Options:
          -h, --help
                  Print help (see a summary with '-h')

        Exit codes:
            0  the command succeeded
            1  the command failed for a reason that has no code of its own
            2  the command line or an environment variable is invalid
            3  there is no such package, or several packages are possible
            4  no program can be built from the package
            5  there is no such application, or several have that name
            6  an argument is missing, unknown or of the wrong type
            7  the application was rejected or did not start
            8  the address is in use or may not be used
            9  the ingress has no such method
           10  the call failed
           11  the call took longer than `--timeout`
           12  the file or package exists already
           13  the command is planned, but not part of this version
           14  an application of the running instance does not run
           15  no running instance answers
           16  the configuration differs from the running one
           17  the output could not be written
           18  the TLS certificate or its key cannot be used
          101  cargo could not build the package, or create a new one
          102  cargo could not read a manifest or resolve a dependency
          130  a second signal ended the command before all requests were answered
        ");
    }
}
