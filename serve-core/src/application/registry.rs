//! The applications that a program knows by name: every function marked
//! `#[application]` in it and in the crates linked to it.

use serde::de::DeserializeOwned;
use serde_json::Value;
use thiserror::Error;

use super::app::{AnyApplication, Source};
use crate::call::wire::text::json_reads_text;

/// A function marked `#[application]`.
#[derive(Debug)]
pub struct RegisteredApplication {
    /// The package it is in.
    pub package: &'static str,
    /// The function's name.
    pub name: &'static str,
    /// Its documentation.
    pub doc: &'static str,
    /// The file it is in, as the compiler saw it.
    pub file: &'static str,
    /// Its line in that file.
    pub line: u32,
    /// The JSON schema of its argument, if it takes one.
    #[doc(hidden)]
    pub schema: Option<fn() -> Value>,
    /// Calls it.
    #[doc(hidden)]
    pub make: fn(Value) -> Result<AnyApplication, BuildError>,
}

inventory::collect!(RegisteredApplication);

/// Why an application could not be built.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BuildError {
    /// It takes no argument.
    #[error("it takes no arguments, but `{0}` was given")]
    NoArguments(String),
    /// An argument is missing, unknown, or not of its type.
    #[error("{0}")]
    Argument(String),
    /// The function itself failed.
    #[error("{0:#}")]
    Failed(crate::Error),
}

impl RegisteredApplication {
    /// Builds it. Texts among the arguments are read as their types ask.
    ///
    /// A registered application is deterministic: with the same arguments it builds the same graph,
    /// in every process. So a bind argument that serde cannot write, such as a client, counts as
    /// the same one if its type is, and the arguments are the same.
    ///
    /// # Errors
    /// If the arguments do not fit, or the function fails.
    pub fn build(
        &self,
        arguments: serde_json::Map<String, Value>,
    ) -> Result<AnyApplication, BuildError> {
        let source = Source { application: self.full_name(), arguments: arguments.clone() };
        let application = (self.make)(Value::Object(arguments))?;
        Ok(AnyApplication { source: Some(source), ..application })
    }

    /// The JSON schema of its argument, if it takes one.
    #[must_use]
    pub fn argument_schema(&self) -> Option<Value> {
        self.schema.map(|schema| schema())
    }

    /// `package:function`.
    #[must_use]
    pub fn full_name(&self) -> String {
        format!("{}:{}", self.package, self.name)
    }
}

/// Every registered application, by package and name.
#[must_use]
pub fn registered() -> Vec<&'static RegisteredApplication> {
    let mut all: Vec<_> = inventory::iter::<RegisteredApplication>().collect();
    all.sort_by_key(|app| (app.package, app.name));
    all
}

/// For `#[application]`: no argument is taken.
#[doc(hidden)]
pub fn no_argument(value: &Value) -> Result<(), BuildError> {
    match value.as_object().and_then(|map| map.keys().next()) {
        Some(key) => Err(BuildError::NoArguments(key.clone())),
        None => Ok(()),
    }
}

/// For `#[application]`: the argument, from the command line or the config file.
#[doc(hidden)]
pub fn read_argument<T: DeserializeOwned>(value: Value) -> Result<T, BuildError> {
    serde_path_to_error::deserialize(json_reads_text(value)).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        BuildError::Argument(match path.as_str() {
            "." => inner.to_string(),
            path => format!("`{path}`: {inner}"),
        })
    })
}
