//! What both halves read from the command line.
//!
//! *Outside* parses it so that a mistake is found before anything is built,
//! and hands the same arguments on with `RunArguments::to_command_line` and
//! its like.

mod application;
mod assignment;

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use clap::{Args, ValueEnum};

pub(crate) use application::ApplicationPath;
pub(crate) use assignment::{Assignment, repeated};

/// The application, what it is called here, and where it is reached.
#[derive(Debug, Clone, Args)]
pub(crate) struct RunArguments {
    #[command(flatten)]
    pub(crate) application: ApplicationArguments,

    /// The address to serve on; 0.0.0.0 is every one of this machine
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST), value_parser = host)]
    pub(crate) host: IpAddr,

    /// The port to serve on; 0 picks a free one
    #[arg(long, default_value_t = 8000)]
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

/// How to list applications.
#[derive(Debug, Clone, Args)]
pub(crate) struct ListArguments {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which graph to draw, how, and where to.
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

/// The ways a graph is drawn.
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

    /// Give up after this long, for example 30s
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub(crate) timeout: Option<Duration>,

    /// Print strings, too, as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

impl RunArguments {
    /// The same again as `run ...`.
    pub(crate) fn to_command_line(&self) -> Vec<OsString> {
        let mut line = vec!["run".into()];
        line.push(format!("--host={}", self.host).into());
        line.push(format!("--port={}", self.port).into());
        if let Some(name) = &self.name {
            line.push(format!("--name={name}").into());
        }
        if let Some(prefix) = &self.route_prefix {
            line.push(format!("--route-prefix={prefix}").into());
        }
        if self.open {
            line.push("--open".into());
        }
        line.extend(self.application.to_command_line());
        line
    }
}

impl ApplicationArguments {
    fn to_command_line(&self) -> impl Iterator<Item = OsString> + use<> {
        positional(&self.path, None, &self.values)
    }
}

impl ListArguments {
    /// The same again as `list ...`.
    pub(crate) fn to_command_line(&self) -> Vec<OsString> {
        let mut line = vec!["list".into()];
        if self.json {
            line.push("--json".into());
        }
        line
    }
}

impl GraphArguments {
    /// The same again as `graph ...`.
    pub(crate) fn to_command_line(&self) -> Vec<OsString> {
        let mut line = vec!["graph".into()];
        if self.json {
            line.push("--json".into());
        } else if let Some(format) = self.format.to_possible_value() {
            line.push(format!("--format={}", format.get_name()).into());
        }
        if let Some(file) = &self.output {
            line.extend(["--output".into(), file.into()]);
        }
        line.extend(self.application.to_command_line());
        line
    }
}

impl CallArguments {
    /// The same again as `call ...`.
    pub(crate) fn to_command_line(&self) -> Vec<OsString> {
        let mut line = vec!["call".into()];
        line.extend(self.with.iter().map(|value| format!("--with={value}").into()));
        if let Some(timeout) = self.timeout {
            line.push(format!("--timeout={}", humantime::format_duration(timeout)).into());
        }
        if self.json {
            line.push("--json".into());
        }
        line.extend(positional(&self.path, Some(&self.method), &self.values));
        line
    }
}

/// What has no option before it; the `--` lets a value begin with a dash.
fn positional(
    path: &ApplicationPath,
    method: Option<&str>,
    values: &[Assignment],
) -> impl Iterator<Item = OsString> + use<> {
    let mut words = vec!["--".to_owned(), path.to_string()];
    words.extend(method.map(str::to_owned));
    words.extend(values.iter().map(Assignment::to_string));
    words.into_iter().map(OsString::from)
}

fn host(text: &str) -> Result<IpAddr, String> {
    match text {
        "localhost" => Ok(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        _ => text
            .parse()
            .map_err(|_| "expected an IP address, such as 127.0.0.1 or 0.0.0.0".to_owned()),
    }
}

fn route_prefix(text: &str) -> Result<String, String> {
    if text.starts_with('/') {
        Ok(text.to_owned())
    } else {
        Err(format!("it begins with a slash, as in `/{text}`"))
    }
}

#[cfg(test)]
mod tests;
