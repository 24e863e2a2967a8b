//! [`ProcessSettings`]: the listeners and the log, which a file, the environment and the command
//! line set in layers.

use std::net::IpAddr;

use serde_json::Value;
use thiserror::Error;

use super::data::{AdminPort, Config, LoggingConfig};
use crate::deployment::setting::Setting;

/// The settings of a process that have layers: a file, then the environment, then flags. Later
/// layers win.
///
/// ```
/// use serve_core::config::{Config, ProcessSettings};
///
/// let text = "{ http: { port: 8001 }, applications: [] }";
/// let file = Config::parse(text, "serve.yaml", &|_| None)?;
/// let environment = ProcessSettings::from_environment(&|name| {
///     (name == "PORT").then(|| "8002".to_owned())
/// })?;
/// let mut flags = ProcessSettings::default();
/// flags.log = Some("debug".to_owned());
///
/// let config = file.with_settings(&environment.overridden_by(&flags));
/// assert_eq!(config.http.port, Some(8002));
/// assert_eq!(config.logging.level.as_deref(), Some("debug"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProcessSettings {
    /// The address of the HTTP port: `SERVE_HTTP_HOST`.
    pub http_host: Option<IpAddr>,
    /// The HTTP port: `SERVE_HTTP_PORT`, or `PORT`.
    pub http_port: Option<u16>,
    /// The admin port: `SERVE_ADMIN_PORT`.
    pub admin_port: Option<AdminPort>,
    /// The log filter: `SERVE_LOG`.
    pub log: Option<String>,
}

/// A variable of the environment whose value is not valid.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the environment variable {variable} has the invalid value {value:?}: {message}")]
#[non_exhaustive]
pub struct VariableFault {
    /// The variable.
    pub variable: &'static str,
    /// The value of the variable.
    pub value: String,
    /// The description of the fault, and of a valid value.
    pub message: String,
}

impl ProcessSettings {
    /// Reads the settings from variables of the environment. An empty variable counts as not set.
    ///
    /// # Errors
    /// Returns the first variable whose value is not valid.
    pub fn from_environment(env: &dyn Fn(&str) -> Option<String>) -> Result<Self, VariableFault> {
        Ok(Self {
            http_host: first_set(env, &["SERVE_HTTP_HOST"], |text| IpAddr::read(text.into()))?,
            http_port: first_set(env, &["SERVE_HTTP_PORT", "PORT"], |text| {
                u16::read(number(text))
            })?,
            admin_port: first_set(env, &["SERVE_ADMIN_PORT"], |text| {
                AdminPort::read(number(text))
            })?,
            log: first_set(env, &["SERVE_LOG"], |text| LoggingConfig::read_level(&text.into()))?,
        })
    }

    /// Returns these settings, overridden by those that `layer` sets.
    #[must_use]
    pub fn overridden_by(&self, layer: &Self) -> Self {
        Self {
            http_host: layer.http_host.or(self.http_host),
            http_port: layer.http_port.or(self.http_port),
            admin_port: layer.admin_port.or(self.admin_port),
            log: layer.log.clone().or_else(|| self.log.clone()),
        }
    }
}

impl Config {
    /// Returns the configuration, overridden by the settings that `settings` sets.
    #[must_use]
    pub fn with_settings(mut self, settings: &ProcessSettings) -> Self {
        self.http.host = settings.http_host.or(self.http.host);
        self.http.port = settings.http_port.or(self.http.port);
        self.admin.port = settings.admin_port.or(self.admin.port);
        if let Some(log) = &settings.log {
            self.logging.level = Some(log.clone());
        }
        self
    }
}

/// Returns the text as a number if it is one.
fn number(text: &str) -> Value {
    text.parse::<u64>().map_or_else(|_| Value::from(text), Value::from)
}

/// Returns the first of the variables that is set, as `read` reads it.
fn first_set<T>(
    env: &dyn Fn(&str) -> Option<String>,
    names: &[&'static str],
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<Option<T>, VariableFault> {
    let set = |name: &&'static str| Some((*name, env(name).filter(|value| !value.is_empty())?));
    let Some((variable, value)) = names.iter().find_map(set) else { return Ok(None) };
    match read(value.trim()) {
        Ok(value) => Ok(Some(value)),
        Err(message) => Err(VariableFault { variable, value, message }),
    }
}
