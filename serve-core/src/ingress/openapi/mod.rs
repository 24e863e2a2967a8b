//! `/openapi.json`: an application's typed endpoints as OpenAPI 3.1, written by hand from the facts
//! about the endpoints. `#[routes]` are not described, because nothing is known about them.

mod bounds;
mod components;
mod operation;

use std::collections::HashMap;
use std::sync::Arc;

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::interface::Facts;
use super::paths::numbered;

/// The prefix of references to named schemas.
const SCHEMAS: &str = "#/components/schemas/";
/// The name of the schema of a rejected request. A dot keeps it apart from the names of Rust types.
const INPUT_ERROR: &str = "Serve.InputError";

/// The facts about the whole application.
#[derive(Debug)]
pub(super) struct About {
    pub(super) application: String,
    pub(super) prefix: String,
    /// The ingress deployment.
    pub(super) deployment: String,
}

/// Returns the description of an application with these endpoints.
pub(super) fn document(about: &About, endpoints: &[Arc<Facts>]) -> Value {
    let (mut takes, mut gives) = (generator(true), generator(false));
    let mut operations: Vec<(&Facts, Vec<Value>, Value)> = endpoints
        .iter()
        .map(|facts| {
            let params = (facts.params)(&mut takes).into_iter().map(Value::from).collect();
            (&**facts, params, Value::from((facts.returns)(&mut gives)))
        })
        .collect();
    let results = operations.iter_mut().map(|(_, _, result)| result);
    let mut schemas =
        components::merge(takes.take_definitions(true), gives.take_definitions(true), results);
    schemas.insert(INPUT_ERROR.to_owned(), input_error());
    let mut paths: Map<String, Value> = Map::new();
    let mut firsts: HashMap<String, &Facts> = HashMap::new();
    for (facts, params, result) in operations {
        // OpenAPI treats `/papers/{id}` and `/papers/{paper}` as one path: the first names the
        // parameter.
        let first = *firsts.entry(numbered(facts.path)).or_insert(facts);
        let path = paths.entry(templated(first.path)).or_insert_with(|| json!({}));
        path[facts.verb.as_str().to_lowercase()] =
            operation::describe(facts, &first.path_names, params, result, &about.deployment);
    }
    components::retain_used(&mut schemas, &paths);
    let mut document = json!({
        "openapi": "3.1.0",
        "info": { "title": about.application, "version": env!("CARGO_PKG_VERSION") },
        "servers": [{ "url": about.prefix }],
        "tags": [{ "name": about.deployment }],
        "paths": paths,
        "components": { "schemas": schemas },
    });
    bounds::add(&mut document);
    document
}

fn generator(takes: bool) -> SchemaGenerator {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let settings = if takes { settings.for_deserialize() } else { settings.for_serialize() };
    settings.into_generator()
}

/// Converts a path such as `/files/{*path}` for OpenAPI, which has no parameters of many segments.
fn templated(path: &str) -> String {
    path.replace("{*", "{")
}

fn input_error() -> Value {
    json!({
        "type": "object",
        "description": "What was wrong with the request.",
        "required": ["error"],
        "properties": { "error": {
            "type": "object",
            "required": ["status", "message"],
            "properties": {
                "status": { "type": "integer", "description": "The HTTP status." },
                "field": {
                    "type": "string",
                    "description": "The path to the input at fault, such as `items[2].name`.",
                },
                "in": { "type": "string", "enum": ["path", "query", "body"] },
                "message": { "type": "string", "description": "What was expected." },
            },
        }},
    })
}
