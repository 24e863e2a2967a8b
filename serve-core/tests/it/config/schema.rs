//! The JSON Schema agrees with the parser, and the one in `docs/` is current.

use super::{environment, files};
use crate::support::repository;

use std::env;
use std::fs;

use regex::Regex;
use serde_json::{Value, json};
use serve_core::config::Config;

const FILE: &str = "docs/serve.schema.json";

#[test]
fn the_schema_in_the_repository_is_current() {
    let schema = serde_json::to_string_pretty(&Config::schema()).unwrap() + "\n";
    if env::var_os("SERVE_TEST_OVERWRITE").is_some() {
        fs::write(repository::path(FILE), schema).unwrap();
    } else {
        let is_current = repository::read(FILE) == schema;
        assert!(is_current, "{FILE} is old: run this test with `SERVE_TEST_OVERWRITE=1`");
    }
}

fn is_of_type(value: &Value, kind: &str) -> bool {
    match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        other => panic!("the type {other}"),
    }
}

/// Checks a value against the keywords that the schema uses.
fn is_valid(root: &Value, schema: &Value, value: &Value) -> bool {
    let Some(keywords) = schema.as_object() else { return schema.as_bool().expect("a schema") };
    keywords.iter().all(|(keyword, given)| {
        let number = || (value.as_f64(), given.as_f64().unwrap_or_default());
        match keyword.as_str() {
            "$schema" | "title" | "description" | "deprecated" | "$defs" => true,
            "$ref" => {
                let pointer = given.as_str().unwrap().trim_start_matches('#');
                is_valid(root, root.pointer(pointer).expect("a definition"), value)
            }
            "type" => match given {
                Value::String(kind) => is_of_type(value, kind),
                kinds => kinds
                    .as_array()
                    .unwrap()
                    .iter()
                    .any(|kind| is_of_type(value, kind.as_str().unwrap())),
            },
            "anyOf" => given.as_array().unwrap().iter().any(|one| is_valid(root, one, value)),
            "const" => value == given,
            "enum" => given
                .as_array()
                .unwrap()
                .iter()
                .any(|one| one == value || one.is_number() && one.as_f64() == value.as_f64()),
            "minimum" => number().0.is_none_or(|number_given| number_given >= number().1),
            "exclusiveMinimum" => number().0.is_none_or(|number_given| number_given > number().1),
            "maximum" => number().0.is_none_or(|number_given| number_given <= number().1),
            "minLength" => value
                .as_str()
                .is_none_or(|text| text.chars().count() as u64 >= given.as_u64().unwrap()),
            "pattern" => {
                let pattern = Regex::new(given.as_str().unwrap()).expect("a pattern");
                value.as_str().is_none_or(|text| pattern.is_match(text))
            }
            "maxProperties" => {
                value.as_object().is_none_or(|map| map.len() as u64 <= given.as_u64().unwrap())
            }
            "maxItems" => {
                value.as_array().is_none_or(|list| list.len() as u64 <= given.as_u64().unwrap())
            }
            "items" => value
                .as_array()
                .is_none_or(|list| list.iter().all(|one| is_valid(root, given, one))),
            "required" => value.as_object().is_none_or(|map| {
                given.as_array().unwrap().iter().all(|key| map.contains_key(key.as_str().unwrap()))
            }),
            "properties" => value.as_object().is_none_or(|map| {
                map.iter().all(|(key, value)| {
                    given.get(key).is_none_or(|schema| is_valid(root, schema, value))
                })
            }),
            "additionalProperties" => value.as_object().is_none_or(|map| {
                let others = map.iter().filter(|(key, _)| {
                    keywords.get("properties").is_none_or(|known| known.get(key).is_none())
                });
                others.into_iter().all(|(_, value)| is_valid(root, given, value))
            }),
            other => panic!("the keyword {other}"),
        }
    })
}

/// True for a fault that a schema cannot say: of several values together, or of names that only the
/// program knows.
fn is_beyond_a_schema(name: &str) -> bool {
    [
        "actor_options_twice",
        "application_name_default_twice",
        "application_name_twice",
        "autoscaling_bounds",
        "autoscaling_initial",
        "autoscaling_policy_python",
        "autoscaling_policy_unknown",
        "autoscaling_twice",
        "backpressure_429",
        "admin_token_redacted",
        "deployment_name_twice",
        "duration_zero",
        "external_scaler_and_autoscaling",
        "grpc_functions",
        "http_alias_and_name",
        "http_and_http_options",
        "http_error_format",
        "http_group_and_name",
        "http_host_name",
        "http_origin",
        "http_root_path",
        "http_tls_without_key",
        "logging_level",
        "nothing_wakes_it",
        "replicas_and_autoscaling",
        "route_prefix_twice",
        "router_python",
        "router_unknown",
        "application_logging_config",
        "variable_missing",
        "variable_unclosed",
        "variable_with_spaces",
        "variable_without_name",
    ]
    .contains(&name)
}

#[test]
fn a_file_is_valid_for_both_or_for_none() {
    let schema = Config::schema();
    for (name, bytes) in files("valid") {
        let config = Config::parse_bytes(&bytes, &name, &environment).unwrap();
        let value = serde_json::to_value(&config).unwrap();
        assert!(is_valid(&schema, &schema, &value), "{name}: {value:#}");
    }
    let (mut refused, mut beyond) = (0, Vec::new());
    for (name, bytes) in files("malformed") {
        let name = name.trim_end_matches(".yaml");
        // The keys as they are in the file, if it is YAML.
        let Ok(value) = serde_saphyr::from_slice::<Value>(&bytes) else { continue };
        if is_valid(&schema, &schema, &value) {
            beyond.push(name.to_owned());
        } else {
            refused += 1;
            assert!(!is_beyond_a_schema(name), "the schema refuses {name}");
        }
    }
    let unexpected: Vec<_> = beyond.iter().filter(|name| !is_beyond_a_schema(name)).collect();
    assert!(unexpected.is_empty(), "the schema accepts {unexpected:?}");
    assert!(refused > 60, "{refused}");
}

/// A value of each kind, which options of other kinds do not take.
fn values() -> Vec<Value> {
    vec![
        json!(null),
        json!(true),
        json!(0),
        json!(1),
        json!(2),
        json!(-1),
        json!(-2),
        json!(0.5),
        json!(1.5),
        json!(100),
        json!(101),
        json!(65535),
        json!(65536),
        json!(65537),
        json!(1e12),
        json!(2e9),
        json!(-0.5),
        json!(""),
        json!("auto"),
        json!("off"),
        json!("30s"),
        json!("1h 5m"),
        json!("0"),
        json!("soon"),
        json!("10 s"),
        json!("3d"),
        json!("2GiB"),
        json!("500 MB"),
        json!("12"),
        json!("2 gigs"),
        json!("100/s"),
        json!("5 / min"),
        json!("0/s"),
        json!("mean"),
        json!("json"),
        json!("TEXT"),
        json!("a#b"),
        json!("/a"),
        json!("round_robin"),
        json!([]),
        json!(["a"]),
        json!([1]),
        json!({}),
        json!({ "npu": 1 }),
        json!({ "npu": -1 }),
        json!({ "npu": "many" }),
        json!([{}]),
    ]
}

/// Where the schema of a map is, and a configuration that has the map.
type MapOf = (&'static str, fn(Value) -> Value);

/// The maps of a configuration.
fn maps() -> Vec<MapOf> {
    vec![
        ("", |mut map| {
            map["applications"] = map.get("applications").cloned().unwrap_or_else(|| json!([]));
            map
        }),
        ("/$defs/http", |map| json!({ "http": map, "applications": [] })),
        (
            "/$defs/http/properties/cors",
            |map| json!({ "http": { "cors": map }, "applications": [] }),
        ),
        (
            "/$defs/http/properties/websocket",
            |map| json!({ "http": { "websocket": map }, "applications": [] }),
        ),
        ("/$defs/admin", |map| json!({ "admin": map, "applications": [] })),
        ("/$defs/logging", |map| json!({ "logging": map, "applications": [] })),
        ("/$defs/application", |mut map| {
            map["import_path"] = map.get("import_path").cloned().unwrap_or_else(|| json!("a:a"));
            json!({ "applications": [map] })
        }),
        (
            "/$defs/application_http",
            |map| json!({ "applications": [{ "import_path": "a:a", "http": map }] }),
        ),
        ("/$defs/deployment", |mut map| {
            map["name"] = map.get("name").cloned().unwrap_or_else(|| json!("A"));
            json!({ "applications": [{ "import_path": "a:a", "deployments": [map] }] })
        }),
        (
            "/$defs/deployment/properties/ray_actor_options",
            |map| json!({ "applications": [{ "import_path": "a:a", "deployments": [{ "name": "A", "ray_actor_options": map }] }] }),
        ),
        (
            "/$defs/deployment/properties/autoscaling_config",
            |map| json!({ "applications": [{ "import_path": "a:a", "deployments": [{ "name": "A", "autoscaling_config": map }] }] }),
        ),
    ]
}

/// Keys whose values have more rules than a schema says.
fn has_more_rules(key: &str) -> bool {
    [
        "autoscaling_policy",
        "request_router",
        "request_router_config",
        "error_format",
        "host",
        "level",
        "log_level",
        "root_path",
        "trusted_proxies",
        "origins",
        "methods",
        "headers",
        "expose_headers",
        "cors_origins",
        "cors_methods",
        "cors_headers",
        "cors_expose_headers",
        "allowed_hosts",
        "api_keys",
        "tls_cert",
        "tls_key",
        "ssl_certfile",
        "ssl_keyfile",
        "min_replicas",
        "initial_replicas",
        "grpc_options",
        "tracing_config",
        "logging_config",
        "backpressure_config",
        "policy",
    ]
    .contains(&key)
}

#[test]
fn each_key_takes_the_values_that_its_schema_says() {
    let schema = Config::schema();
    let mut checked = 0;
    let mut differ = Vec::new();
    for (pointer, put) in maps() {
        let properties = schema.pointer(&format!("{pointer}/properties")).expect(pointer);
        for key in properties.as_object().unwrap().keys().filter(|key| !has_more_rules(key)) {
            for value in values() {
                let config = put(json!({ key.as_str(): value }));
                let read = Config::from_value(&config);
                let (parser, valid) = (read.is_ok(), is_valid(&schema, &schema, &config));
                checked += 1;
                // A duration of zero has many spellings.
                let zero = value == "0"
                    && schema.pointer(&format!("{pointer}/properties/{key}/pattern")).is_some();
                if parser != valid && !zero {
                    let faults =
                        read.map_or_else(|faults| faults.to_string(), |_| "accepted".to_owned());
                    differ.push(format!("{pointer} {key}: {value}: valid {valid}, but {faults}"));
                }
            }
        }
    }
    assert!(checked > 5000, "{checked}");
    assert!(differ.is_empty(), "{} differ:\n{}", differ.len(), differ.join("\n"));
}
