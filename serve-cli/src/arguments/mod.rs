//! The arguments that `cargo serve` and the built program have in common.
//!
//! `cargo serve` parses them so that a mistake is found before anything is built, and
//! passes the same arguments on to the program.

mod application;
mod assignment;
mod node;

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use clap::{Args, ValueEnum};

pub(crate) use application::ApplicationPath;
pub(crate) use assignment::{Assignment, repeated};
pub(crate) use node::NodeArguments;

/// The application to run, its name and its address.
#[derive(Debug, Clone, Args)]
pub(crate) struct RunArguments {
    #[command(flatten)]
    pub(crate) application: ApplicationArguments,

    /// The address to serve on; 0.0.0.0 is every one of this machine
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST), value_parser = host)]
    pub(crate) host: IpAddr,

    /// The port to serve on; 0 picks a free one
    #[arg(long, default_value_t = 8000, value_parser = port)]
    pub(crate) port: u16,

    /// The name the application runs under, if not its own
    #[arg(long)]
    pub(crate) name: Option<String>,

    /// The path under which its endpoints are found, if not its own
    #[arg(long, value_name = "PATH", value_parser = route_prefix)]
    pub(crate) route_prefix: Option<String>,

    /// Open the application in the browser once it is up
    #[arg(long)]
    pub(crate) open: bool,

    #[command(flatten)]
    pub(crate) node: NodeArguments,
}

/// An application and the values for its argument.
#[derive(Debug, Clone, Args)]
pub(crate) struct ApplicationArguments {
    /// The application; without PACKAGE, of the package in this directory
    #[arg(value_name = "[PACKAGE:]APP")]
    pub(crate) path: ApplicationPath,

    /// Values for the application's argument
    #[arg(value_name = "KEY=VALUE")]
    pub(crate) values: Vec<Assignment>,
}

/// The output format of a list of applications.
#[derive(Debug, Clone, Args)]
pub(crate) struct ListArguments {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// The graph to draw, its format and its output file.
#[derive(Debug, Clone, Args)]
pub(crate) struct GraphArguments {
    #[command(flatten)]
    pub(crate) application: ApplicationArguments,

    /// How to draw it
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: GraphFormat,

    /// Print the graph as JSON instead
    #[arg(long, conflicts_with = "format")]
    pub(crate) json: bool,

    /// The file to write; the standard output if there is none
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<std::path::PathBuf>,
}

/// The formats of a graph.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum GraphFormat {
    /// A tree, for the terminal
    #[default]
    Text,
    /// Mermaid, for Markdown pages
    Mermaid,
    /// A picture
    Svg,
}

/// A method to call once.
#[derive(Debug, Clone, Args)]
pub(crate) struct CallArguments {
    /// The application; without PACKAGE, of the package in this directory
    #[arg(value_name = "[PACKAGE:]APP")]
    pub(crate) path: ApplicationPath,

    /// The method of its ingress deployment
    pub(crate) method: String,

    /// Values for the method's parameters
    #[arg(value_name = "KEY=VALUE")]
    pub(crate) values: Vec<Assignment>,

    /// A value for the application's argument
    #[arg(long = "with", value_name = "KEY=VALUE")]
    pub(crate) with: Vec<Assignment>,

    /// The model that the call is for, if the ingress has several
    #[arg(long, value_name = "ID")]
    pub(crate) model: Option<String>,

    /// The session that the call belongs to
    #[arg(long, value_name = "ID")]
    pub(crate) session: Option<String>,

    /// Give up after this long, for example 30s
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub(crate) timeout: Option<Duration>,

    /// Print strings, too, as JSON
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) node: NodeArguments,
}

fn host(text: &str) -> Result<IpAddr, String> {
    match text {
        "localhost" => Ok(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        _ => text
            .parse()
            .map_err(|_| "expected an IP address, such as 127.0.0.1 or 0.0.0.0".to_owned()),
    }
}

fn port(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| "expected a number from 0 to 65535, as in `8080`".to_owned())
}

fn route_prefix(text: &str) -> Result<String, String> {
    if text.starts_with('/') {
        Ok(text.to_owned())
    } else {
        Err(format!("it begins with a slash, as in `/{text}`"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn localhost_is_an_address() {
        assert_eq!(host("localhost"), Ok(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        assert!(host("example.org").is_err(), "names are not looked up");
    }

    #[test]
    fn a_port_that_is_none_says_what_is_expected() {
        assert_eq!(port("65535"), Ok(65535));
        for nonsense in ["80x", "65536", "-1", ""] {
            let error = port(nonsense).expect_err("no port");
            assert!(error.contains("a number from 0 to 65535"), "{error}");
        }
    }
}
