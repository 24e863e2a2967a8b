//! Redaction: a configuration without its secrets.

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::data::{AdminConfig, ApplicationConfig, Config, DeploymentConfig, HttpConfig, Secret};
use super::secrets::{REDACTED, is_secret_key, redact, secret_options};
use super::write::Written;
use crate::application::HttpOptions;

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
            source_map: Arc::clone(&self.source_map),
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
