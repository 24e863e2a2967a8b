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

    /// The IP address to listen on; 0.0.0.0 listens on every address of this machine
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST), value_parser = host)]
    pub(crate) host: IpAddr,

    /// The port to listen on; 0 picks a free port
    #[arg(long, default_value_t = 8000, value_parser = port)]
    pub(crate) port: u16,

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
    pub(crate) node: NodeArguments,
}

/// An application and the values for its argument.
#[derive(Debug, Clone, Args)]
pub(crate) struct ApplicationArguments {
    /// The application; without PACKAGE, an application of the package in this directory
    #[arg(value_name = "[PACKAGE:]APP")]
    pub(crate) path: ApplicationPath,

    /// Values for the application's argument
    #[arg(value_name = "KEY=VALUE")]
    pub(crate) values: Vec<Assignment>,
}

/// The output format of a list of applications.
#[derive(Debug, Clone, Args)]
pub(crate) struct ListArguments {
    /// Print the list as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// The graph to draw, its format and its output file.
#[derive(Debug, Clone, Args)]
pub(crate) struct GraphArguments {
    #[command(flatten)]
    pub(crate) application: ApplicationArguments,

    /// The output format
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: GraphFormat,

    /// Print the graph as JSON instead
    #[arg(long, conflicts_with = "format")]
    pub(crate) json: bool,

    /// The file to write, instead of the standard output
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<std::path::PathBuf>,
}

/// The formats of a graph.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum GraphFormat {
    /// A tree for the terminal
    #[default]
    Text,
    /// A Mermaid flowchart for Markdown pages
    Mermaid,
    /// An SVG picture
    Svg,
}

/// A method to call once.
#[derive(Debug, Clone, Args)]
pub(crate) struct CallArguments {
    /// The application; without PACKAGE, an application of the package in this directory
    #[arg(value_name = "[PACKAGE:]APP")]
    pub(crate) path: ApplicationPath,

    /// The method of the ingress deployment
    pub(crate) method: String,

    /// Values for the method's parameters
    #[arg(value_name = "KEY=VALUE")]
    pub(crate) values: Vec<Assignment>,

    /// A value for the application's argument
    #[arg(long = "with", value_name = "KEY=VALUE")]
    pub(crate) with: Vec<Assignment>,

    /// The id of the model that the call is for, if the ingress has several models
    #[arg(long, value_name = "ID")]
    pub(crate) model: Option<String>,

    /// The session that the call belongs to
    #[arg(long, value_name = "ID")]
    pub(crate) session: Option<String>,

    /// Give up if the call takes longer than this, for example 30s
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub(crate) timeout: Option<Duration>,

    /// Print strings as JSON, too
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
        Err(format!("a path begins with a slash, as in `/{text}`"))
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
    fn an_invalid_port_says_what_is_expected() {
        assert_eq!(port("65535"), Ok(65535));
        for nonsense in ["80x", "65536", "-1", ""] {
            let error = port(nonsense).expect_err("no port");
            assert!(error.contains("a number from 0 to 65535"), "{error}");
        }
    }
}
