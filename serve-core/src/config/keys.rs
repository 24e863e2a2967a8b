//! The tables of the keys that are not options of deployments or of HTTP.

use serde_json::Value;

use super::data::{AdminConfig, AdminPort, HttpConfig, LogFormat, LoggingConfig, Secret};
use crate::deployment::setting::Setting;
use crate::deployment::table::optional;
use crate::deployment::{GivenIn, OnUpdate, OptionFault, OptionInfo, ValueKind};

type Accessors<C> = (fn(&C) -> Option<Value>, fn(&mut C, Value) -> Result<(), Vec<OptionFault>>);

const fn key<C>(
    name: &'static str,
    aliases: &'static [&'static str],
    kind: ValueKind,
    default: &'static str,
    doc: &'static str,
    (get, set): Accessors<C>,
) -> OptionInfo<C> {
    let (on_update, given_in) = (OnUpdate::InPlace, GivenIn::BoundAndFile);
    OptionInfo { name, aliases, kind, default, doc, on_update, given_in, get, set }
}

/// The keys of `http` that are not options of HTTP.
pub(super) static LISTENER: [OptionInfo<HttpConfig>; 2] = [
    key(
        "host",
        &[],
        ValueKind::Address,
        "127.0.0.1",
        "the IP address to listen on; `0.0.0.0` is every address of the machine",
        optional!(HttpConfig, host),
    ),
    key(
        "port",
        &[],
        ValueKind::Port,
        "8000",
        "the port to listen on; 0 picks a free port",
        optional!(HttpConfig, port),
    ),
];

/// The keys of `admin`.
pub(super) static ADMIN: [OptionInfo<AdminConfig>; 3] = [
    key(
        "host",
        &[],
        ValueKind::Address,
        "127.0.0.1",
        "the IP address to listen on; any address beyond loopback needs a `token`",
        optional!(AdminConfig, host),
    ),
    key(
        "port",
        &[],
        ValueKind::PortOrOff,
        "8265, or the next free port",
        "the port to listen on; 0 picks a free port, and `off` opens none",
        optional!(AdminConfig, port),
    ),
    key(
        "token",
        &[],
        ValueKind::Secret,
        "none",
        "the token that requests must bring, as `Authorization: Bearer TOKEN`",
        optional!(AdminConfig, token),
    ),
];

/// The words for the forms of the log. Ray Serve writes them in capitals.
const FORMATS: &[&str] = &["text", "json", "TEXT", "JSON"];

/// The keys of `logging`.
pub(super) static LOGGING: [OptionInfo<LoggingConfig>; 2] = [
    key(
        "level",
        &["log_level"],
        ValueKind::LogFilter,
        "info",
        "the level, or a filter such as `info,hyper=debug`",
        (
            |logging: &LoggingConfig| logging.level.as_ref().map(Setting::write),
            |logging: &mut LoggingConfig, value| {
                let level = LoggingConfig::read_level(&value).map_err(OptionFault::here)?;
                logging.level = Some(level);
                Ok(())
            },
        ),
    ),
    key(
        "format",
        &["encoding"],
        ValueKind::OneOf(FORMATS),
        "`text`",
        "the form of the log: `text` or `json`, one object a line",
        optional!(LoggingConfig, format),
    ),
];

impl Setting for AdminPort {
    fn read(value: Value) -> Result<Self, String> {
        match &value {
            // YAML 1.1 reads `off` as a boolean.
            Value::Bool(false) => Ok(Self::Off),
            Value::String(text) if text == "off" => Ok(Self::Off),
            _ => u16::read(value.clone()).map(Self::Port).map_err(|_| {
                format!("{value} is not a port: give a number from 0 to 65535, or `off`")
            }),
        }
    }

    fn write(&self) -> Value {
        match self {
            Self::Off => Value::from("off"),
            Self::Port(port) => Value::from(*port),
        }
    }
}

impl Setting for Secret {
    fn read(value: Value) -> Result<Self, String> {
        match value {
            Value::String(text) if text.is_empty() => {
                Err("is empty: give a token, or leave the key out".to_owned())
            }
            Value::String(text) if text.trim() != text || text.contains(char::is_control) => {
                Err("has spaces at an end, or control characters".to_owned())
            }
            Value::String(text) => Ok(Self::new(text)),
            // The value is not repeated, because it may be the secret: a number without quotes.
            _ => Err("is not a string: put it in quotes".to_owned()),
        }
    }

    fn write(&self) -> Value {
        Value::from(self.expose())
    }
}

impl Setting for LogFormat {
    fn read(value: Value) -> Result<Self, String> {
        match value.as_str() {
            Some("text" | "TEXT") => Ok(Self::Text),
            Some("json" | "JSON") => Ok(Self::Json),
            _ => Err(format!("{value} is not a form of the log: write `text` or `json`")),
        }
    }

    fn write(&self) -> Value {
        Value::from(self.as_str())
    }
}

impl LoggingConfig {
    /// Reads a level or a filter, in Ray Serve's words too.
    pub(super) fn read_level(value: &Value) -> Result<String, String> {
        let fault = || {
            format!(
                "{value} is not a level or a filter: write `error`, `warn`, `info`, `debug`, `trace` \
                 or `off`, or a filter such as \"info,hyper=debug\", which names a level for each target"
            )
        };
        // Python's numbers of levels.
        let text = match value.as_u64() {
            Some(10) => "DEBUG",
            Some(20) => "INFO",
            Some(30) => "WARNING",
            Some(40) => "ERROR",
            Some(50) => "CRITICAL",
            Some(_) => return Err(fault()),
            None => value.as_str().ok_or_else(fault)?,
        };
        let directives: Option<Vec<String>> = text.split(',').map(directive).collect();
        directives.map(|directives| directives.join(",")).ok_or_else(fault)
    }
}

/// Reads `level`, `target` or `target=level`, where a target may have spans and fields in brackets.
fn directive(text: &str) -> Option<String> {
    let text = text.trim();
    let named = |level: &str| {
        Some(match level.to_ascii_lowercase().as_str() {
            "error" | "critical" | "fatal" => "error",
            "warn" | "warning" => "warn",
            "info" => "info",
            "debug" => "debug",
            "trace" => "trace",
            "off" => "off",
            _ => return None,
        })
    };
    if let Some(level) = named(text) {
        return Some(level.to_owned());
    }
    let (target, level) = text.rsplit_once('=')?;
    let is_target = |target: &str| {
        let plain = target.split('[').next().unwrap_or_default();
        plain.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_:-.".contains(&byte))
            && target.matches('[').count() == target.matches(']').count()
            && (!plain.is_empty() || target.starts_with('['))
    };
    (is_target(target)).then_some(())?;
    Some(format!("{target}={}", named(level)?))
}

/// The keys of a whole configuration that hold sections: their names, aliases and descriptions.
pub(super) struct Section {
    pub(super) name: &'static str,
    pub(super) aliases: &'static [&'static str],
    pub(super) doc: &'static str,
    pub(super) default: &'static str,
}

const fn section(
    name: &'static str,
    aliases: &'static [&'static str],
    default: &'static str,
    doc: &'static str,
) -> Section {
    Section { name, aliases, doc, default }
}

/// The keys of a configuration.
pub(super) static ROOT: [Section; 5] = [
    section(
        "http",
        &["http_options"],
        "none",
        "the HTTP port, and the options of HTTP that are the defaults of all applications",
    ),
    section("admin", &[], "none", "the admin port"),
    section("logging", &["logging_config"], "none", "logging"),
    section(
        "target_capacity",
        &[],
        "100",
        "the percentage of their replicas that deployments run with, from 0 to 100",
    ),
    section("applications", &[], "required", "the applications"),
];

/// The keys of an application.
pub(super) static APPLICATION: [Section; 7] = [
    section("name", &[], "`default`", "the name, unique in the configuration"),
    section(
        "import_path",
        &[],
        "required",
        "the registered application, `package:function`, as `cargo serve run` names it",
    ),
    section(
        "route_prefix",
        &[],
        "as the application says, else `/`",
        "the prefix of the HTTP routes; null for none",
    ),
    section("args", &[], "none", "the arguments of the application's function"),
    section(
        "http",
        &[],
        "as in the section `http`",
        "the options of the application's requests; options of the port are not among them",
    ),
    section(
        "external_scaler_enabled",
        &[],
        "false",
        "whether an external scaler sets the numbers of replicas, through the admin port; excludes \
         autoscaling",
    ),
    section(
        "deployments",
        &[],
        "none",
        "the options that override those of the application's deployments",
    ),
];
