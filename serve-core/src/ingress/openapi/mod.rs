//! The description of an application's typed endpoints as OpenAPI 3.1, and the page that shows it.

pub(crate) mod about;
mod bounds;
mod components;
pub(crate) mod document;
mod operation;
pub(crate) mod pages;

/// The prefix of references to named schemas.
const SCHEMAS: &str = "#/components/schemas/";
/// The name of the schema of an error. A dot keeps it apart from the names of Rust types.
const ERROR: &str = "Serve.Error";
