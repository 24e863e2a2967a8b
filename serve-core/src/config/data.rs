//! [`Config`]: a configuration, as data.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::fault::{ConfigFault, ConfigNote};
use super::source_map::SourceMap;
use crate::application::HttpOptions;
use crate::deployment::DeploymentOptions;

/// A configuration: the content of a `serve.yaml`.
///
/// `Debug` and [`to_yaml`](Self::to_yaml) do not show secrets. `Serialize` writes everything, so
/// that a configuration can be stored: to show one, serialize [`redacted`](Self::redacted).
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct Config {
    /// The HTTP port, and the options of HTTP that are the defaults of all applications.
    pub http: HttpConfig,
    /// The admin port.
    pub admin: AdminConfig,
    /// Logging.
    pub logging: LoggingConfig,
    /// The percentage of their replicas that deployments run with, from 0 to 100; default: all.
    pub target_capacity: Option<f64>,
    /// The applications, each with a name of its own.
    pub applications: Vec<ApplicationConfig>,
    pub(crate) notes: Vec<ConfigNote>,
    /// The variables that secrets were taken from, by the keys that lead to the secrets.
    pub(super) variables: BTreeMap<String, String>,
    pub(super) source_map: Arc<SourceMap>,
}

impl PartialEq for Config {
    /// Compares the configurations, without the notes.
    fn eq(&self, other: &Self) -> bool {
        self.http == other.http
            && self.admin == other.admin
            && self.logging == other.logging
            && self.target_capacity == other.target_capacity
            && self.applications == other.applications
    }
}

impl Config {
    /// Returns remarks about keys of Ray Serve's that were accepted and have no effect.
    #[must_use]
    pub fn notes(&self) -> &[ConfigNote] {
        &self.notes
    }

    /// Returns the sections that concern a process, without the applications.
    pub(crate) fn of_the_process(&self) -> Self {
        Self { applications: Vec::new(), target_capacity: None, ..self.clone() }
    }

    /// Returns a fault of the value to which these keys lead, with its place in the file.
    #[doc(hidden)]
    #[must_use]
    pub fn fault(&self, path: &str, message: &str) -> ConfigFault {
        self.source_map.fault(path, message)
    }

    /// Returns `true` if the file has the value to which these keys lead.
    pub(crate) fn has(&self, path: &str) -> bool {
        self.source_map.has(path)
    }

    /// Returns the application of this name.
    #[must_use]
    pub fn application(&self, name: &str) -> Option<&ApplicationConfig> {
        self.applications.iter().find(|application| application.name == name)
    }
}

/// The section `http`. `None` means the default.
#[derive(Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct HttpConfig {
    /// The address to listen on; default 127.0.0.1.
    pub host: Option<IpAddr>,
    /// The port to listen on; default 8000; 0 is a free port.
    pub port: Option<u16>,
    /// The options of the port, and the defaults of the applications' options.
    pub options: HttpOptions,
}

impl HttpConfig {
    /// The port that is the default.
    pub const DEFAULT_PORT: u16 = 8000;

    /// Returns the address to listen on, with the defaults filled in.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        let host = self.host.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        SocketAddr::new(host, self.port.unwrap_or(Self::DEFAULT_PORT))
    }
}

/// The section `admin`. `None` means the default.
#[derive(Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct AdminConfig {
    /// The address to listen on; default 127.0.0.1. Any address beyond loopback needs a token.
    pub host: Option<IpAddr>,
    /// The port to listen on; default 8265, or the next free port.
    pub port: Option<AdminPort>,
    /// The bearer token that requests must bring; default: none is needed.
    pub token: Option<Secret>,
}

impl AdminConfig {
    /// The port that is the default.
    pub const DEFAULT_PORT: u16 = 8265;

    /// Returns the address to listen on, with the defaults filled in; `None` if the port is off.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        let host = self.host.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        match self.port {
            Some(AdminPort::Off) => None,
            Some(AdminPort::Port(port)) => Some(SocketAddr::new(host, port)),
            None => Some(SocketAddr::new(host, Self::DEFAULT_PORT)),
        }
    }
}

/// The admin port, if there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdminPort {
    /// No admin port is opened.
    Off,
    /// This port; 0 is a free port.
    Port(u16),
}

/// The section `logging`. `None` means the default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoggingConfig {
    /// The level, or a filter such as `info,hyper=debug`; default `info`.
    pub level: Option<String>,
    /// The form of the log; default [`LogFormat::Text`].
    pub format: Option<LogFormat>,
}

/// The form of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// One line of text for each event.
    #[default]
    Text,
    /// One JSON object for each event.
    Json,
}

impl LogFormat {
    /// Returns the word of the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

/// An application of a configuration.
#[derive(Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct ApplicationConfig {
    /// The name, unique in the configuration; default `default`.
    pub name: String,
    /// The registered application, `package:function`.
    pub import_path: String,
    /// The prefix of the application's HTTP routes.
    pub route_prefix: RoutePrefix,
    /// The arguments of the application's function.
    pub args: Map<String, Value>,
    /// The options of the application's HTTP requests.
    pub http: HttpOptions,
    /// True if an external scaler sets the numbers of replicas.
    pub external_scaler_enabled: bool,
    /// The options that override those of the application's deployments.
    pub deployments: Vec<DeploymentConfig>,
}

impl ApplicationConfig {
    /// Returns the overrides of a deployment.
    #[must_use]
    pub fn deployment(&self, name: &str) -> Option<&DeploymentConfig> {
        self.deployments.iter().find(|deployment| deployment.name == name)
    }
}

/// The prefix of an application's HTTP routes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RoutePrefix {
    /// The prefix that the application itself sets, `/` unless it sets another one.
    #[default]
    OfTheApplication,
    /// No HTTP route: `route_prefix: null`.
    None,
    /// This prefix.
    Path(String),
}

/// A deployment of an application of a configuration.
#[derive(Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct DeploymentConfig {
    /// The name of the deployment in its application.
    pub name: String,
    /// The options that override those of the deployment's attribute and of its `Bound`.
    /// [`DeploymentOptions::name`] is not among them.
    pub options: DeploymentOptions,
}

/// A text that is not shown: `Debug` and `Display` write `[redacted]`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the text.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(super::secrets::REDACTED)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(super::secrets::REDACTED)
    }
}
