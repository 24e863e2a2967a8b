//! `docs/configuration.md` has a table of each section, generated from the schema.

use crate::support::repository;

use std::collections::BTreeMap;
use std::env;
use std::fmt::Write;
use std::fs;

use serde_json::{Map, Value};
use serve_core::config::Config;
use serve_core::options::{AUTOSCALING, HTTP_OPTIONS, OPTIONS};

const PAGE: &str = "docs/configuration.md";

/// Says what values a schema allows, in a few words.
fn kind(schema: &Value) -> String {
    if let Some(reference) = schema["$ref"].as_str() {
        return match reference.rsplit('/').next().unwrap() {
            "application_http" => "[map](#applicationshttp)".to_owned(),
            name => format!("[map](#{name})"),
        };
    }
    if let Some(words) = schema["enum"].as_array() {
        let words =
            words.iter().filter_map(Value::as_str).filter(|word| word.to_lowercase() == **word);
        return words.map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    }
    if let Some(constant) = schema["const"].as_str() {
        return format!("`{constant}`");
    }
    if let Some(any) = schema["anyOf"].as_array() {
        if any
            .iter()
            .any(|one| one["pattern"].as_str().is_some_and(|pattern| pattern.contains("iB")))
        {
            return "size".to_owned();
        }
        let any: Vec<String> = any.iter().map(kind).collect();
        return any.join(" or ");
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => return "any".to_owned(),
    };
    let bound = |key: &str| schema[key].as_f64();
    let range = match (bound("minimum"), bound("exclusiveMinimum"), bound("maximum")) {
        (Some(least), _, Some(most)) => format!(" {least} to {most}"),
        (_, Some(least), Some(most)) => format!(" above {least}, to {most}"),
        (Some(least), _, None) => format!(" from {least}"),
        (_, Some(least), None) => format!(" above {least}"),
        _ => String::new(),
    };
    let pattern = schema["pattern"].as_str().unwrap_or_default();
    match types[0] {
        "integer" => format!("whole number{range}"),
        "number" => format!("number{range}"),
        "boolean" => "`true` or `false`".to_owned(),
        "array" => match &schema["items"]["$ref"] {
            Value::String(reference) => match reference.rsplit('/').next().unwrap() {
                "application" => "list of [maps](#applications)".to_owned(),
                _ => "list of [maps](#applicationsdeployments)".to_owned(),
            },
            _ => "list of texts".to_owned(),
        },
        "object" if schema["properties"]["min_replicas"].is_object() => {
            "[map](#applicationsdeploymentsautoscaling)".to_owned()
        }
        "object" => "map".to_owned(),
        _ if pattern.contains("nanos") => "duration".to_owned(),
        _ if pattern.contains("hour") => "rate".to_owned(),
        _ => "text".to_owned(),
    }
}

/// The rows of a section, one for each key, with its other names.
fn table(properties: &Map<String, Value>, order: &[String]) -> String {
    let mut others: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, schema) in properties {
        let doc = schema["description"].as_str().unwrap_or_default();
        if let Some(same) = doc.strip_prefix("The same as `") {
            others.entry(same.split('`').next().unwrap()).or_default().push(name);
        }
    }
    let mut text = String::from("| key | value | default | meaning |\n|---|---|---|---|\n");
    let mut names: Vec<&String> = properties.keys().collect();
    names.sort_by_key(|name| order.iter().position(|known| known == *name).unwrap_or(usize::MAX));
    for name in names {
        let schema = &properties[name];
        let doc = schema["description"].as_str().unwrap_or_default();
        let rays = schema["deprecated"] == true || doc.starts_with("Ray Serve's place");
        if doc.starts_with("The same as")
            || rays
            || schema["type"][0] == "object" && doc.contains("heading")
        {
            continue;
        }
        let (doc, default) = doc.rsplit_once(" (default: ").unwrap_or((doc, ""));
        let default = default.trim_end_matches(')');
        let mut also: Vec<&str> = others.get(name.as_str()).cloned().unwrap_or_default();
        // A number of seconds goes without saying.
        also.retain(|other| !other.ends_with("_s"));
        let also: String = also.iter().map(|other| format!("; also `{other}`")).collect();
        let doc = doc.replace('|', "\\|");
        writeln!(text, "| `{name}` | {} | {default} | {doc}{also} |", kind(schema)).unwrap();
    }
    text
}

fn rows(pointer: &str) -> String {
    let schema = Config::schema();
    let properties = schema.pointer(pointer).and_then(Value::as_object).expect(pointer);
    let own = [
        "name",
        "import_path",
        "route_prefix",
        "args",
        "host",
        "port",
        "token",
        "http",
        "admin",
        "logging",
        "level",
        "format",
        "target_capacity",
        "applications",
        "external_scaler_enabled",
    ];
    let mut order: Vec<String> = own.map(str::to_owned).to_vec();
    if pointer.contains("http") {
        order.extend(HTTP_OPTIONS.iter().map(|option| option.name.to_owned()));
    } else {
        order.extend(AUTOSCALING.iter().map(|option| option.name.to_owned()));
        order.extend(OPTIONS.iter().map(|option| option.name.to_owned()));
    }
    table(properties, &order)
}

#[test]
fn the_page_has_the_tables_of_the_schema() {
    let page = repository::read(PAGE);
    let mut result = String::new();
    let mut rest = page.as_str();
    let mut tables = 0;
    while let Some((before, after)) = rest.split_once("<!-- table: ") {
        let (pointer, after) = after.split_once(" -->\n").expect("the end of the comment");
        let (_, after) = after.split_once("<!-- end -->").expect("the end of the table");
        write!(result, "{before}<!-- table: {pointer} -->\n{}<!-- end -->", rows(pointer)).unwrap();
        rest = after;
        tables += 1;
    }
    result.push_str(rest);
    assert_eq!(tables, 7);
    if env::var_os("SERVE_TEST_OVERWRITE").is_some() {
        fs::write(repository::path(PAGE), &result).unwrap();
    } else {
        assert!(page == result, "{PAGE} is old: run this test with `SERVE_TEST_OVERWRITE=1`");
    }
}
