//! The JSON Schema of a configuration, built from the tables that the reader uses.

use std::collections::BTreeMap;

use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::data::Config;
use super::keys::{ADMIN, APPLICATION, LISTENER, LOGGING, ROOT, Section};
use super::ray;
use crate::application::{GROUPS, HTTP_OPTIONS, HttpOptions, LIMITS};
use crate::deployment::DeploymentOptions;
use crate::deployment::table::{self, spellings};

impl Config {
    /// Returns the JSON Schema of a configuration, in the draft 2020-12.
    ///
    /// The schema says which keys there are, their types and their ranges. It cannot say everything
    /// that [`parse`](Self::parse) checks: which options exclude each other, for example.
    #[must_use]
    pub fn schema() -> Value {
        let schemas = &mut SchemaGenerator::default();
        let mut root = sections(&ROOT);
        let mut set = |name: &str, schema: Value| {
            for key in ROOT.iter().filter(|key| key.name == name) {
                for spelled in std::iter::once(&key.name).chain(key.aliases) {
                    merge(&mut root, spelled, &schema);
                }
            }
        };
        set("http", json!({ "$ref": "#/$defs/http" }));
        set("admin", json!({ "$ref": "#/$defs/admin" }));
        set("logging", json!({ "$ref": "#/$defs/logging" }));
        set("target_capacity", json!({ "type": ["number", "null"], "minimum": 0, "maximum": 100 }));
        set("applications", json!({ "type": "array", "items": { "$ref": "#/$defs/application" } }));
        add_rays(&mut root, ray::ROOT);
        json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": "serve.yaml",
            "description": "A configuration of Serve.",
            "type": "object",
            "properties": root,
            "required": ["applications"],
            "additionalProperties": false,
            "$defs": {
                "http": section(http(schemas, false)),
                "admin": section(properties(table::schema(&ADMIN, schemas).into())),
                "logging": section(logging(schemas)),
                "application": application(),
                "application_http": section(http(schemas, true)),
                "deployment": deployment(schemas),
            },
        })
    }
}

/// Returns the schema of a map with these keys, which may be null.
fn section(properties: impl Into<Value>) -> Value {
    let properties = properties.into();
    json!({ "type": ["object", "null"], "properties": properties, "additionalProperties": false })
}

fn properties(schema: Value) -> Map<String, Value> {
    match schema {
        Value::Object(mut schema) => match schema.remove("properties") {
            Some(Value::Object(properties)) => properties,
            _ => Map::new(),
        },
        _ => Map::new(),
    }
}

/// Returns the keys of a section, with their descriptions alone.
fn sections(keys: &[Section]) -> Map<String, Value> {
    let mut all = Map::new();
    for key in keys {
        let doc = format!("{} (default: {})", key.doc, key.default);
        all.insert(key.name.to_owned(), json!({ "description": doc }));
        for alias in key.aliases {
            let same = format!("The same as `{}`", key.name);
            all.insert((*alias).to_owned(), json!({ "description": same }));
        }
    }
    all
}

/// Adds keywords to the schema of a key.
fn merge(all: &mut Map<String, Value>, key: &str, keywords: &Value) {
    let schema = all.entry(key).or_insert_with(|| json!({}));
    if let (Some(schema), Some(keywords)) = (schema.as_object_mut(), keywords.as_object()) {
        schema.extend(keywords.clone());
    }
}

/// Adds the keys that only Ray Serve has, with the values that are accepted.
fn add_rays(all: &mut Map<String, Value>, keys: &[(&str, ray::Accepted)]) {
    for (key, accepted) in keys {
        let mut schema = accepted.schema();
        if let Some(schema) = schema.as_object_mut() {
            schema.insert("description".to_owned(), "Ray Serve's; has no effect".into());
            schema.insert("deprecated".to_owned(), true.into());
        }
        all.insert((*key).to_owned(), schema);
    }
}

fn http(schemas: &mut SchemaGenerator, of_an_application: bool) -> Map<String, Value> {
    let mut all = properties(HttpOptions::json_schema(schemas).into());
    if of_an_application {
        let is_of_the_port: BTreeMap<String, bool> = spellings(HTTP_OPTIONS)
            .into_iter()
            .map(|spelling| (spelling.spelled, HttpOptions::is_of_the_port(spelling.name)))
            .collect();
        let keep = |name: &String| !is_of_the_port.get(name).copied().unwrap_or(false);
        all.retain(|name, _| keep(name));
        for group in GROUPS.into_iter().chain([LIMITS]) {
            let prefix = if group == LIMITS { String::new() } else { format!("{group}_") };
            let members = all.get_mut(group).and_then(|schema| schema.get_mut("properties"));
            let Some(members) = members.and_then(Value::as_object_mut) else { continue };
            members.retain(|name, _| keep(&format!("{prefix}{name}")));
        }
    } else {
        let mut listener = properties(table::schema(&LISTENER, schemas).into());
        // Within `limits`, too, since it is a heading only.
        if let Some(members) = all.get_mut(LIMITS).and_then(|schema| schema.get_mut("properties"))
            && let Some(members) = members.as_object_mut()
        {
            members.extend(listener.clone());
        }
        all.append(&mut listener);
    }
    for group in GROUPS.into_iter().chain([LIMITS]) {
        if let Some(schema) = all.get_mut(group).and_then(Value::as_object_mut) {
            schema.insert("type".to_owned(), json!(["object", "null"]));
        }
    }
    if !of_an_application {
        // Ray Serve's default is an empty text.
        if let Some(schema) = all.get_mut("root_path").and_then(Value::as_object_mut) {
            schema.remove("minLength");
        }
    }
    add_rays(&mut all, ray::HTTP);
    all
}

fn logging(schemas: &mut SchemaGenerator) -> Map<String, Value> {
    let mut all = properties(table::schema(&LOGGING, schemas).into());
    add_rays(&mut all, ray::LOGGING);
    all
}

fn application() -> Value {
    let mut all = sections(&APPLICATION);
    let name = json!({ "type": "string", "minLength": 1 });
    merge(&mut all, "name", &name);
    let import_path = json!({
        "type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_-]*:[A-Za-z_][A-Za-z0-9_]*$"
    });
    merge(&mut all, "import_path", &import_path);
    let prefix = json!({ "type": ["string", "null"], "pattern": "^/([^{}?#\\s]*[^{}?#\\s/])?$" });
    merge(&mut all, "route_prefix", &prefix);
    merge(&mut all, "args", &json!({ "type": ["object", "null"] }));
    merge(&mut all, "http", &json!({ "$ref": "#/$defs/application_http" }));
    merge(&mut all, "external_scaler_enabled", &json!({ "type": ["boolean", "null"] }));
    let deployments =
        json!({ "type": ["array", "null"], "items": { "$ref": "#/$defs/deployment" } });
    merge(&mut all, "deployments", &deployments);
    add_rays(&mut all, ray::APPLICATION);
    json!({
        "type": "object",
        "properties": all,
        "required": ["import_path"],
        "additionalProperties": false,
    })
}

fn deployment(schemas: &mut SchemaGenerator) -> Value {
    let mut all = properties(DeploymentOptions::json_schema(schemas).into());
    merge(
        &mut all,
        "name",
        &json!({ "type": "string", "description": "the name of the deployment" }),
    );
    for autoscaling in ["autoscaling", "autoscaling_config"] {
        let keys = all.get_mut(autoscaling).and_then(|schema| schema.get_mut("properties"));
        if let Some(keys) = keys.and_then(Value::as_object_mut) {
            add_rays(keys, ray::AUTOSCALING);
        }
    }
    let reserved = all.get_mut(ray::ACTOR_OPTIONS).and_then(|schema| schema.get_mut("properties"));
    if let Some(keys) = reserved.and_then(Value::as_object_mut) {
        add_rays(keys, ray::ACTOR);
    }
    add_rays(&mut all, ray::DEPLOYMENT);
    let router = json!({
        "type": ["object", "null"],
        "description": "Ray Serve's place for `request_router`",
    });
    all.insert("request_router_config".to_owned(), router);
    json!({
        "type": "object",
        "properties": all,
        "required": ["name"],
        "additionalProperties": false,
    })
}
