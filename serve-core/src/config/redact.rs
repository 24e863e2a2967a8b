//! Redaction: which values are secrets, and the configuration without them.

use std::fmt;

use serde_json::{Map, Value};

use super::data::{AdminConfig, ApplicationConfig, Config, DeploymentConfig, HttpConfig, Secret};
use super::write::Written;
use crate::application::{HTTP_OPTIONS, HttpOptions};
use crate::deployment::{OptionInfo, ValueKind};

/// The text that stands for a secret.
pub(super) const REDACTED: &str = "[redacted]";

/// The names of keys whose texts are secrets, in values whose keys are the user's own.
const SECRET_KEYS: [&str; 13] = [
    "token",
    "password",
    "passwd",
    "secret",
    "api_key",
    "apikey",
    "api_keys",
    "access_key",
    "secret_key",
    "private_key",
    "access_token",
    "auth_token",
    "credentials",
];

/// The endings of such names.
const SECRET_ENDINGS: [&str; 9] = [
    "_password",
    "_secret",
    "_api_key",
    "_apikey",
    "_access_key",
    "_secret_key",
    "_private_key",
    "_access_token",
    "_auth_token",
];

/// True for a key whose texts are taken to be secrets.
pub(super) fn is_secret_key(key: &str) -> bool {
    let key = key.to_ascii_lowercase().replace('-', "_");
    SECRET_KEYS.contains(&&*key) || SECRET_ENDINGS.iter().any(|ending| key.ends_with(ending))
}

/// Replaces the texts below secret keys. `replacement` is given the keys that lead to a secret.
pub(super) fn redact(
    value: &mut Value,
    path: &str,
    is_secret: bool,
    replacement: &dyn Fn(&str) -> String,
) {
    match value {
        Value::String(text) if is_secret && !text.is_empty() => *text = replacement(path),
        Value::Array(values) => {
            for (n, value) in values.iter_mut().enumerate() {
                redact(value, &format!("{path}[{n}]"), is_secret, replacement);
            }
        }
        Value::Object(map) => {
            for (key, value) in map {
                let path = super::node::below(path, key);
                redact(value, &path, is_secret || is_secret_key(key), replacement);
            }
        }
        _ => {}
    }
}

/// Returns the options whose values are secrets.
pub(super) fn secret_options() -> impl Iterator<Item = &'static OptionInfo<HttpOptions>> {
    HTTP_OPTIONS.iter().filter(|option| option.kind == ValueKind::Secrets)
}

fn redacted_http(options: &HttpOptions) -> HttpOptions {
    let mut redacted = options.clone();
    for option in secret_options() {
        if let Some(mut value) = option.value(options) {
            redact(&mut value, "", true, &|_| REDACTED.to_owned());
            // A list of texts stays one.
            let _ = (option.set)(&mut redacted, value);
        }
    }
    redacted
}

fn redacted_value(value: &Value) -> Value {
    let mut value = value.clone();
    redact(&mut value, "", false, &|_| REDACTED.to_owned());
    value
}

impl Config {
    /// Returns the configuration with `[redacted]` in place of each secret: the admin token, the API
    /// keys, and in `args` and `user_config` the texts below keys such as `password`, `token` and
    /// `openai_api_key`.
    #[must_use]
    pub fn redacted(&self) -> Self {
        Self {
            http: self.http.redacted(),
            admin: self.admin.redacted(),
            logging: self.logging.clone(),
            target_capacity: self.target_capacity,
            applications: self.applications.iter().map(ApplicationConfig::redacted).collect(),
            notes: self.notes.clone(),
            variables: self.variables.clone(),
        }
    }
}

impl HttpConfig {
    fn redacted(&self) -> Self {
        Self { options: redacted_http(&self.options), ..self.clone() }
    }
}

impl AdminConfig {
    fn redacted(&self) -> Self {
        Self { token: self.token.as_ref().map(|_| Secret::new(REDACTED)), ..self.clone() }
    }
}

impl ApplicationConfig {
    /// Returns the application with `[redacted]` in place of each secret. See [`Config::redacted`].
    #[must_use]
    pub fn redacted(&self) -> Self {
        let args = self.args.iter().map(|(key, value)| {
            let mut value = value.clone();
            redact(&mut value, "", is_secret_key(key), &|_| REDACTED.to_owned());
            (key.clone(), value)
        });
        Self {
            args: args.collect::<Map<_, _>>(),
            http: redacted_http(&self.http),
            deployments: self.deployments.iter().map(DeploymentConfig::redacted).collect(),
            ..self.clone()
        }
    }
}

impl DeploymentConfig {
    /// Returns the deployment with `[redacted]` in place of each secret. See [`Config::redacted`].
    #[must_use]
    pub fn redacted(&self) -> Self {
        let mut redacted = self.clone();
        redacted.options.user_config = self.options.user_config.as_ref().map(redacted_value);
        redacted
    }
}

/// Shows the redacted value as JSON.
macro_rules! debug {
    ($($type:ident),*) => {$(
        impl fmt::Debug for $type {
            /// Shows the values that are set, without secrets.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let value = Written::of(&self.redacted()).value();
                write!(f, concat!(stringify!($type), "{}"), value)
            }
        }
    )*};
}

debug!(Config, HttpConfig, AdminConfig, ApplicationConfig, DeploymentConfig);
