//! The applications that a program knows by name: every function marked `#[application]` in the
//! program and in the crates linked to it.

use serde::de::DeserializeOwned;
use serde_json::Value;
use thiserror::Error;

use super::app::{AnyApplication, Source};
use crate::call::wire::text::json_reads_text;

/// A function marked `#[application]`.
#[derive(Debug)]
pub struct RegisteredApplication {
    /// The package that contains the function.
    pub package: &'static str,
    /// The name of the function.
    pub name: &'static str,
    /// The documentation of the function.
    pub doc: &'static str,
    /// The file that contains the function, as the compiler saw it.
    pub file: &'static str,
    /// The line of the function in its file.
    pub line: u32,
    /// The JSON schema of the function's argument, if it takes one.
    #[doc(hidden)]
    pub schema: Option<fn() -> Value>,
    /// Calls the function.
    #[doc(hidden)]
    pub make: fn(Value) -> Result<AnyApplication, BuildError>,
}

inventory::collect!(RegisteredApplication);

/// The error of an application that could not be built.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The application takes no arguments.
    #[error("it takes no arguments, but `{0}` was given")]
    NoArguments(String),
    /// An argument is missing, unknown, or of the wrong type.
    #[error("{0}")]
    Argument(String),
    /// The function itself returned an error.
    #[error("{0:#}")]
    Failed(crate::Error),
}

impl RegisteredApplication {
    /// Builds the application. Arguments given as text are parsed according to their types.
    ///
    /// A registered application is deterministic: with the same arguments, it builds the same graph
    /// in every process. A bind argument that serde cannot serialize, such as a client, is
    /// therefore considered the same if its type and the arguments of the application are the same.
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

    /// Returns the JSON schema of the function's argument, if it takes one.
    #[must_use]
    pub fn argument_schema(&self) -> Option<Value> {
        self.schema.map(|schema| schema())
    }

    /// Returns the full name, `package:function`.
    #[must_use]
    pub fn full_name(&self) -> String {
        format!("{}:{}", self.package, self.name)
    }
}

/// Returns every registered application, sorted by package and name.
#[must_use]
pub fn registered() -> Vec<&'static RegisteredApplication> {
    let mut all: Vec<_> = inventory::iter::<RegisteredApplication>().collect();
    all.sort_by_key(|app| (app.package, app.name));
    all
}

/// Checks that there is no argument. Used by `#[application]`.
#[doc(hidden)]
pub fn no_argument(value: &Value) -> Result<(), BuildError> {
    match value.as_object().and_then(|map| map.keys().next()) {
        Some(key) => Err(BuildError::NoArguments(key.clone())),
        None => Ok(()),
    }
}

/// Deserializes the argument from the command line or the config file. Used by `#[application]`.
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
