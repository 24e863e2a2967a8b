//! The commands that concern a running instance, and the address of the instance.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::environment::{BadVariable, Variables, first_set};

/// The admin port of an instance on this machine, if none is named.
const ADDRESS: &str = "127.0.0.1:8265";

/// The running instance that a command talks to.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct RemoteArguments {
    /// The admin port of the running instance: HOST:PORT, or a port of this machine
    /// [default: 127.0.0.1:8265] [env: SERVE_ADDRESS]
    #[arg(long, value_parser = address)]
    pub(crate) address: Option<String>,
}

impl RemoteArguments {
    /// Returns the host and port of the admin port.
    pub(crate) fn address(&self, variables: Variables<'_>) -> Result<String, BadVariable> {
        let from_variable = match &self.address {
            Some(_) => None,
            None => first_set(variables, &["SERVE_ADDRESS"], address)?,
        };
        let given = self.address.clone().or(from_variable);
        Ok(given.unwrap_or_else(|| ADDRESS.to_owned()))
    }
}

/// Returns the host and port that an address names.
fn address(text: &str) -> Result<String, String> {
    let expected = "expected HOST:PORT, as in `10.0.0.7:8265`, or a port of this machine";
    if text.starts_with("https://") {
        return Err(
            "the admin port has no TLS: name the port itself, through a tunnel such as `ssh -L` if \
             the network is not safe"
                .to_owned(),
        );
    }
    let bare = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
    if bare.parse::<u16>().is_ok() {
        return Ok(format!("127.0.0.1:{bare}"));
    }
    let Some((host, port)) = bare.rsplit_once(':') else { return Err(expected.to_owned()) };
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    if host.is_empty() || !host.bytes().all(is_host) || port.parse::<u16>().is_err() {
        return Err(expected.to_owned());
    }
    Ok(bare.to_owned())
}

/// The commands that concern a running instance.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum RemoteCommand {
    /// Apply a configuration to a running instance, and wait until its applications run
    #[command(after_help = DEPLOY_EXAMPLES)]
    Deploy {
        /// The configuration, such as serve.yaml
        file: PathBuf,

        /// Return as soon as the change is accepted
        #[arg(long)]
        no_wait: bool,

        /// Give up waiting after this time, for example `5m`; the deploy itself goes on
        #[arg(long, value_parser = humantime::parse_duration, conflicts_with = "no_wait")]
        timeout: Option<Duration>,

        #[command(flatten)]
        remote: RemoteArguments,
    },

    /// Show the applications of a running instance
    Status {
        /// Show only this application
        application: Option<String>,

        /// Print everything that is known, as JSON
        #[arg(long)]
        json: bool,

        #[command(flatten)]
        remote: RemoteArguments,
    },

    /// Print the configuration of a running instance, as a serve.yaml
    Config {
        /// Print the configuration as JSON
        #[arg(long)]
        json: bool,

        /// List the last changes instead
        #[arg(long)]
        history: bool,

        #[command(flatten)]
        remote: RemoteArguments,
    },

    /// Set the number of replicas of a deployment that has `external_scaler_enabled`
    Scale {
        /// The application
        application: String,

        /// The deployment
        deployment: String,

        /// The number of replicas
        replicas: usize,

        #[command(flatten)]
        remote: RemoteArguments,
    },

    /// Stop one application of a running instance
    Delete {
        /// The application
        application: String,

        #[command(flatten)]
        remote: RemoteArguments,
    },

    /// Apply an earlier configuration again
    Rollback {
        /// The revision, from `config --history`; by default the configuration before the current one
        revision: Option<u64>,

        /// Return as soon as the change is accepted
        #[arg(long)]
        no_wait: bool,

        /// Give up waiting after this time, for example `5m`; the deploy itself goes on
        #[arg(long, value_parser = humantime::parse_duration, conflicts_with = "no_wait")]
        timeout: Option<Duration>,

        #[command(flatten)]
        remote: RemoteArguments,
    },

    /// Show what `deploy` of a configuration would change
    Diff {
        /// The configuration, such as serve.yaml
        file: PathBuf,

        /// Print the changes as JSON
        #[arg(long)]
        json: bool,

        #[command(flatten)]
        remote: RemoteArguments,
    },

    /// Stop a running instance, after the requests in progress
    Shutdown {
        /// Do not ask
        #[arg(long, short)]
        yes: bool,

        #[command(flatten)]
        remote: RemoteArguments,
    },

    /// Print the JSON Schema of configurations, for editors
    Schema,
}

const DEPLOY_EXAMPLES: &str = "\
Examples:
  cargo serve deploy serve.yaml
  SERVE_TOKEN=... cargo serve deploy serve.yaml --address 10.0.0.7:8265 --timeout 5m";

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_port() {
        for (text, bare) in [
            ("8265", "127.0.0.1:8265"),
            ("localhost:1", "localhost:1"),
            ("http://10.0.0.7:8265/", "10.0.0.7:8265"),
            ("[::1]:8265", "[::1]:8265"),
        ] {
            assert_eq!(address(text).as_deref(), Ok(bare));
        }
        for text in ["", "localhost", "host:port", ":8265", "a b:1", "host:1/path", "host:70000"] {
            assert!(address(text).expect_err(text).contains("HOST:PORT"), "{text}");
        }
        assert!(address("https://host:1").expect_err("no TLS").contains("no TLS"));
    }

    #[test]
    fn the_option_wins_over_the_variable() {
        let variables = |name: &str| (name == "SERVE_ADDRESS").then(|| OsString::from("9000"));
        let of = |given: Option<&str>, variables: Variables<'_>| {
            let arguments = RemoteArguments { address: given.map(str::to_owned) };
            arguments.address(variables).expect("an address")
        };
        assert_eq!(of(None, &|_| None), ADDRESS);
        assert_eq!(of(None, &variables), "127.0.0.1:9000");
        assert_eq!(of(Some("h:1"), &variables), "h:1");
    }
}
