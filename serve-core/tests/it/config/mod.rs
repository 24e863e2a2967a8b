//! Configuration files.

mod diff;
mod json;
mod layers;
mod malformed;
mod reference;
mod schema;
mod secrets;
mod valid;

use crate::support::repository;

use std::fs;
use std::path::Path;

use serve_core::config::{Config, ConfigFaults};

/// The variables that the files of the tests use.
pub(crate) fn environment(name: &str) -> Option<String> {
    let value = match name {
        "WORD" => "eighty",
        "NUMBER" => "8080",
        "FIRST_KEY" => "key-of-the-environment",
        "SERVE_TOKEN" => "token-of-the-environment",
        "OPENAI_API_KEY" => "sk-of-the-environment",
        "REDACTED" => "put-in-again",
        _ => return None,
    };
    Some(value.to_owned())
}

pub(crate) fn parse(text: &str) -> Result<Config, ConfigFaults> {
    Config::parse(text, "serve.yaml", &environment)
}

/// The name and the bytes of each file below a directory of these tests.
pub(crate) fn files(directory: &str) -> Vec<(String, Vec<u8>)> {
    let mut files = repository::files(&format!("serve-core/tests/it/config/{directory}"), ".yaml");
    files.sort();
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    files.iter().map(|path| (name(path), fs::read(path).unwrap())).collect()
}
