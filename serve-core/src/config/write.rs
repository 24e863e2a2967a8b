//! Writing: a configuration as data, and as YAML.

use std::fmt::Write as _;

use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::data::{
    AdminConfig, ApplicationConfig, Config, DeploymentConfig, HttpConfig, LoggingConfig,
    RoutePrefix,
};
use super::environment::{escaped, plain};
use super::keys::{ADMIN, LISTENER, LOGGING};
use super::node::{Content, below};
use super::secrets::{
    ADMIN_KEY, HTTP_KEY, application_http_key, args_key, is_secret_key, secret_options,
    user_config_key,
};
use crate::application::HTTP_OPTIONS;
use crate::deployment::{AUTOSCALING, AutoscalingConfig, OPTIONS, OptionInfo, table};

/// A value whose maps keep their order.
#[derive(Clone, Debug)]
pub(super) enum Written {
    Value(Value),
    /// A text of YAML that is written as it is: a variable.
    Variable(String),
    List(Vec<Written>),
    Map(Vec<(String, Written)>),
}

/// A part of a configuration that can be written.
pub(super) trait Part {
    fn write(&self) -> Written;
}

impl Written {
    pub(super) fn of(part: &impl Part) -> Self {
        part.write()
    }

    /// Returns the value without the order of its maps.
    pub(super) fn value(&self) -> Value {
        match self {
            Self::Value(value) => value.clone(),
            Self::Variable(name) => Value::from(format!("${{{name}}}")),
            Self::List(values) => values.iter().map(Self::value).collect(),
            Self::Map(entries) => {
                entries.iter().map(|(key, value)| (key.clone(), value.value())).collect()
            }
        }
    }

    fn from_value(value: Value) -> Self {
        match value {
            Value::Array(values) => Self::List(values.into_iter().map(Self::from_value).collect()),
            Value::Object(map) => Self::from_map(map),
            value => Self::Value(value),
        }
    }

    fn from_map(map: Map<String, Value>) -> Self {
        Self::Map(map.into_iter().map(|(key, value)| (key, Self::from_value(value))).collect())
    }
}

impl Serialize for Written {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Value(value) => value.serialize(to),
            Self::Variable(_) => self.value().serialize(to),
            Self::List(values) => {
                let mut list = to.serialize_seq(Some(values.len()))?;
                for value in values {
                    list.serialize_element(value)?;
                }
                list.end()
            }
            Self::Map(entries) => {
                let mut map = to.serialize_map(Some(entries.len()))?;
                for (key, value) in entries {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }
    }
}

impl Part for Config {
    fn write(&self) -> Written {
        let mut entries = Vec::new();
        let mut section = |name: &str, written: Written| {
            if !matches!(&written, Written::Map(entries) if entries.is_empty()) {
                entries.push((name.to_owned(), written));
            }
        };
        section("http", self.http.write());
        section("admin", self.admin.write());
        section("logging", self.logging.write());
        if let Some(capacity) = self.target_capacity {
            section("target_capacity", Written::Value(capacity.into()));
        }
        let applications = self.applications.iter().map(Part::write).collect();
        section("applications", Written::List(applications));
        Written::Map(entries)
    }
}

impl Part for HttpConfig {
    fn write(&self) -> Written {
        let mut entries = ordered(&LISTENER, self);
        entries.extend(ordered(HTTP_OPTIONS, &self.options));
        Written::Map(entries)
    }
}

impl Part for AdminConfig {
    fn write(&self) -> Written {
        Written::Map(ordered(&ADMIN, self))
    }
}

impl Part for LoggingConfig {
    fn write(&self) -> Written {
        Written::Map(ordered(&LOGGING, self))
    }
}

impl Part for ApplicationConfig {
    fn write(&self) -> Written {
        let mut entries = vec![
            ("name".to_owned(), Written::Value(self.name.as_str().into())),
            ("import_path".to_owned(), Written::Value(self.import_path.as_str().into())),
        ];
        let mut entry = |name: &str, written: Written| entries.push((name.to_owned(), written));
        match &self.route_prefix {
            RoutePrefix::OfTheApplication => {}
            RoutePrefix::None => entry("route_prefix", Written::Value(Value::Null)),
            RoutePrefix::Path(prefix) => {
                entry("route_prefix", Written::Value(prefix.as_str().into()));
            }
        }
        if !self.args.is_empty() {
            entry("args", Written::from_map(self.args.clone()));
        }
        let http = ordered(HTTP_OPTIONS, &self.http);
        if !http.is_empty() {
            entry("http", Written::Map(http));
        }
        if self.external_scaler_enabled {
            entry("external_scaler_enabled", Written::Value(true.into()));
        }
        if !self.deployments.is_empty() {
            let deployments = self.deployments.iter().map(Part::write).collect();
            entry("deployments", Written::List(deployments));
        }
        Written::Map(entries)
    }
}

impl Part for DeploymentConfig {
    fn write(&self) -> Written {
        let mut entries = vec![("name".to_owned(), Written::Value(self.name.as_str().into()))];
        let options = ordered(&OPTIONS, &self.options);
        entries.extend(options.into_iter().filter(|(name, _)| name != "name"));
        Written::Map(entries)
    }
}

/// Returns the options that are set, in the order of their table.
fn ordered<C>(table: &[OptionInfo<C>], options: &C) -> Vec<(String, Written)> {
    let mut values = table::write(table, options);
    // The defaults go without saying.
    if let Some(Value::Object(autoscaling)) = values.get_mut("autoscaling") {
        let defaults = table::write(&AUTOSCALING, &AutoscalingConfig::new());
        autoscaling.retain(|name, value| defaults.get(name) != Some(value));
    }
    let value = |name: &str| Some((name.to_owned(), Written::from_value(values.remove(name)?)));
    table.iter().map(|option| option.name).filter_map(value).collect()
}

/// Writes everything that is set, secrets too.
macro_rules! serialize {
    ($($type:ident),*) => {$(
        impl Serialize for $type {
            /// Writes everything that is set, secrets too.
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                self.write().serialize(to)
            }
        }
    )*};
}

serialize!(Config, HttpConfig, AdminConfig, LoggingConfig, ApplicationConfig, DeploymentConfig);

impl Config {
    /// Returns the configuration as YAML, which [`parse`](Self::parse) reads.
    ///
    /// A secret is written as the variable that it was taken from, such as `${SERVE_TOKEN}`. A
    /// secret from elsewhere is written as `${REDACTED}`: reading the text asks for that variable.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        let mut written = self.write();
        self.hide_secrets(&mut written);
        let mut text = String::new();
        yaml(&written, 0, &mut text);
        text
    }

    /// Replaces the secrets with variables.
    fn hide_secrets(&self, written: &mut Written) {
        let variable =
            |path: &str| self.variables.get(path).cloned().unwrap_or_else(|| "REDACTED".to_owned());
        let Written::Map(sections) = written else { return };
        for (name, section) in sections {
            match (&**name, section) {
                ("admin", Written::Map(entries)) => {
                    for (key, value) in entries.iter_mut().filter(|(key, _)| key == "token") {
                        *value = Written::Variable(variable(&below(ADMIN_KEY, key)));
                    }
                }
                ("http", Written::Map(entries)) => hide_http(entries, HTTP_KEY, &variable),
                ("applications", Written::List(applications)) => {
                    for (application, config) in applications.iter_mut().zip(&self.applications) {
                        hide_application(application, config, &variable);
                    }
                }
                _ => {}
            }
        }
    }
}

type VariableOf<'v> = dyn Fn(&str) -> String + 'v;

fn hide_http(entries: &mut [(String, Written)], path: &str, variable: &VariableOf<'_>) {
    for (key, value) in entries {
        if secret_options().any(|option| option.name == key) {
            hide(value, &below(path, key), true, variable);
        }
    }
}

fn hide_application(written: &mut Written, config: &ApplicationConfig, variable: &VariableOf<'_>) {
    let Written::Map(entries) = written else { return };
    for (key, value) in entries {
        match (&**key, value) {
            ("args", value) => hide(value, &args_key(&config.name), false, variable),
            ("http", Written::Map(entries)) => {
                hide_http(entries, &application_http_key(&config.name), variable);
            }
            ("deployments", Written::List(deployments)) => {
                for (deployment, options) in deployments.iter_mut().zip(&config.deployments) {
                    let Written::Map(entries) = deployment else { continue };
                    let path = user_config_key(&config.name, &options.name);
                    for (_, value) in entries.iter_mut().filter(|(key, _)| key == "user_config") {
                        hide(value, &path, false, variable);
                    }
                }
            }
            _ => {}
        }
    }
}

/// Replaces the texts below secret keys with variables.
fn hide(written: &mut Written, path: &str, is_secret: bool, variable: &VariableOf<'_>) {
    match written {
        Written::Value(Value::String(text)) if is_secret && !text.is_empty() => {
            *written = Written::Variable(variable(path));
        }
        Written::List(values) => {
            for (n, value) in values.iter_mut().enumerate() {
                hide(value, &format!("{path}[{n}]"), is_secret, variable);
            }
        }
        Written::Map(entries) => {
            for (key, value) in entries {
                let is_secret = is_secret || is_secret_key(key);
                hide(value, &below(path, key), is_secret, variable);
            }
        }
        Written::Value(_) | Written::Variable(_) => {}
    }
}

/// The longest key that is written before its colon. YAML allows 1,024 characters.
const LONGEST_KEY: usize = 1_000;

/// Appends a value in block style. A map or a list starts on a line of its own.
fn yaml(written: &Written, indent: usize, text: &mut String) {
    match written {
        Written::Map(entries) => {
            for (n, (key, value)) in entries.iter().enumerate() {
                if n > 0 || !text.ends_with("- ") {
                    text.extend(std::iter::repeat_n(' ', indent));
                }
                let key = scalar(&Value::from(key.as_str()), false);
                if key.len() > LONGEST_KEY {
                    text.push_str("? ");
                    text.push_str(&key);
                    text.push('\n');
                    text.extend(std::iter::repeat_n(' ', indent));
                } else {
                    text.push_str(&key);
                }
                text.push(':');
                below_key(value, indent, text);
            }
        }
        Written::List(values) => {
            for value in values {
                text.extend(std::iter::repeat_n(' ', indent));
                text.push_str("- ");
                match value {
                    Written::Map(entries) if !entries.is_empty() => yaml(value, indent + 2, text),
                    value => inline(value, text),
                }
            }
        }
        value => inline(value, text),
    }
}

fn below_key(value: &Written, indent: usize, text: &mut String) {
    match value {
        Written::Map(entries) if !entries.is_empty() => {
            text.push('\n');
            yaml(value, indent + 2, text);
        }
        Written::List(values) if values.iter().any(|value| !is_inline(value)) => {
            text.push('\n');
            yaml(value, indent + 2, text);
        }
        value => {
            text.push(' ');
            inline(value, text);
        }
    }
}

/// True for a value that is written on one line.
fn is_inline(value: &Written) -> bool {
    match value {
        Written::Value(_) | Written::Variable(_) => true,
        Written::List(values) => values.is_empty(),
        Written::Map(entries) => entries.is_empty(),
    }
}

/// Appends a value in one line, and the end of the line.
fn inline(value: &Written, text: &mut String) {
    flow(value, text);
    text.push('\n');
}

fn flow(value: &Written, text: &mut String) {
    match value {
        Written::Value(value) => text.push_str(&scalar(value, true)),
        Written::Variable(name) => {
            let _ = write!(text, "\"${{{name}}}\"");
        }
        Written::List(values) => {
            text.push('[');
            for (n, value) in values.iter().enumerate() {
                if n > 0 {
                    text.push_str(", ");
                }
                flow(value, text);
            }
            text.push(']');
        }
        Written::Map(entries) => {
            text.push('{');
            for (n, (key, value)) in entries.iter().enumerate() {
                text.push_str(if n > 0 { ", " } else { " " });
                text.push_str(&scalar(&Value::from(key.as_str()), false));
                text.push_str(": ");
                flow(value, text);
            }
            text.push_str(if entries.is_empty() { "}" } else { " }" });
        }
    }
}

/// Writes a scalar: a text without quotes if nothing can read it as something else.
fn scalar(value: &Value, is_value: bool) -> String {
    let Value::String(text) = value else { return value.to_string() };
    let text = if is_value { escaped(text) } else { text.clone() };
    // Words that YAML 1.1 takes for booleans.
    const WORDS: [&str; 8] = ["y", "n", "yes", "no", "on", "off", "nan", "inf"];
    let starts =
        text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_' || first == '/');
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"_./-:".contains(&byte);
    let is_plain = starts
        && text.bytes().all(inner)
        && !text.ends_with(':')
        && !WORDS.contains(&&*text.to_ascii_lowercase())
        && matches!(plain(&text), Content::Text(_));
    if is_plain || is_quantity(&text) { text } else { quoted(&text) }
}

/// True for a number with a unit of letters, such as `30s` or `100/s`, that no reader takes for a
/// number: `1e5` and `0x1F` are none.
fn is_quantity(text: &str) -> bool {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let unit = if unit.len() == text.len() { "" } else { unit.strip_prefix('/').unwrap_or(unit) };
    !unit.is_empty()
        && !unit.starts_with(['e', 'E', 'x', 'X', 'o', 'O', 'b', 'B'])
        && unit.bytes().all(|byte| byte.is_ascii_alphabetic())
}

/// Writes a text in double quotes.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            character if is_printable(character) => quoted.push(character),
            character => {
                let _ = match u32::from(character) {
                    code @ ..=0xffff => write!(quoted, "\\u{code:04X}"),
                    code => write!(quoted, "\\U{code:08X}"),
                };
            }
        }
    }
    quoted.push('"');
    quoted
}

/// True for a character that YAML can hold as it is, within one line.
fn is_printable(character: char) -> bool {
    !character.is_control()
        && !matches!(character, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
        && !matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
