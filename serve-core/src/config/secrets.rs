//! Secrets: which values are secrets, and the keys that lead to them.

use serde_json::Value;

use super::node::below;
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
                let path = below(path, key);
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

/// The keys that lead to the options of the port.
pub(super) const HTTP_KEY: &str = "http";
/// The keys that lead to the options of the admin port.
pub(super) const ADMIN_KEY: &str = "admin";

/// The keys that lead to the options of an application's requests, by its name.
pub(super) fn application_http_key(application: &str) -> String {
    format!("{application:?}.http")
}

/// The keys that lead to the arguments of an application, by its name.
pub(super) fn args_key(application: &str) -> String {
    format!("{application:?}.args")
}

/// The keys that lead to the user config of a deployment, by the names.
pub(super) fn user_config_key(application: &str, deployment: &str) -> String {
    format!("{application:?}.{deployment:?}.user_config")
}
