//! `/openapi.json`, written by hand from the endpoints' data. `#[routes]` are not described, because
//! nothing is known about them.

use std::collections::HashMap;
use std::sync::Arc;

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::about::About;
use super::operation::{self, Schemas};
use super::{ERROR, bounds, components};
use crate::ingress::endpoint_info::{EndpointInfo, numbered};

/// The sentence about an application whose `#[routes]` serve paths that nothing is known of.
const OTHERS: &str = "Other paths are served by `#[routes]`, and are not described here.";

/// Returns the description of an application with these endpoints.
pub(crate) fn document(about: &About, endpoints: &[Arc<EndpointInfo>]) -> Value {
    let (mut takes, mut gives) = (generator(true), generator(false));
    let mut operations: Vec<(&EndpointInfo, Schemas)> = endpoints
        .iter()
        .map(|info| {
            let received = info.socket.as_ref().map(|socket| (socket.receives)(&mut takes).into());
            let schemas = Schemas {
                params: (info.params)(&mut takes).into_iter().map(Value::from).collect(),
                received,
                result: (info.returns)(&mut gives).into(),
            };
            (&**info, schemas)
        })
        .collect();
    let results = operations.iter_mut().map(|(_, schemas)| &mut schemas.result);
    let mut schemas =
        components::merge(takes.take_definitions(true), gives.take_definitions(true), results);
    schemas.insert(ERROR.to_owned(), about.error_format.described().1);
    let mut paths: Map<String, Value> = Map::new();
    let mut firsts: HashMap<String, &EndpointInfo> = HashMap::new();
    for (info, schemas) in operations {
        // OpenAPI treats `/papers/{id}` and `/papers/{paper}` as one path: the first names the
        // parameter.
        let first = *firsts.entry(numbered(info.path)).or_insert(info);
        let path = paths.entry(templated(first.path)).or_insert_with(|| json!({}));
        path[info.verb.as_str().to_lowercase()] =
            operation::describe(info, &first.path_names, schemas, about);
    }
    components::retain_used(&mut schemas, &paths);
    let mut document = json!({
        "openapi": "3.1.0",
        "info": { "title": about.title, "version": env!("CARGO_PKG_VERSION") },
        "servers": [{ "url": about.prefix }],
        "tags": [{ "name": about.deployment }],
        "paths": paths,
        "components": { "schemas": schemas },
    });
    if about.has_routes {
        document["info"]["description"] = OTHERS.into();
    }
    if about.needs_key {
        document["components"]["securitySchemes"] = json!({
            "Bearer": { "type": "http", "scheme": "bearer" },
            "ApiKey": { "type": "apiKey", "in": "header", "name": "X-API-Key" },
        });
        document["security"] = json!([{ "Bearer": [] }, { "ApiKey": [] }]);
    }
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
