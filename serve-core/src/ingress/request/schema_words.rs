//! The words for the type that a schema describes, for the error of a missing parameter.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

use crate::ingress::endpoint_info::EndpointInfo;

/// The depth to which one schema is followed: enough for any type that a word can describe.
const DEPTH: usize = 4;

/// Returns the expected type of the parameter at `index`: `a string`, `` `spanish` or `french` ``.
pub(crate) fn expected(info: &EndpointInfo, index: usize) -> Option<String> {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let schemas = (info.params)(&mut generator);
    in_words(schemas.get(index)?.as_value(), generator.definitions(), DEPTH)
}

fn in_words(schema: &Value, definitions: &Map<String, Value>, depth: usize) -> Option<String> {
    let depth = depth.checked_sub(1)?;
    let schema = schema.as_object()?;
    if let Some(reference) = schema.get("$ref") {
        let name = reference.as_str()?.strip_prefix("#/$defs/")?;
        return in_words(definitions.get(name)?, definitions, depth);
    }
    if let Some(value) = schema.get("const") {
        return Some(quoted(value));
    }
    if let Some(Value::Array(values)) = schema.get("enum") {
        return alternatives(values.iter().filter(|value| !value.is_null()).map(quoted).collect());
    }
    for several in ["oneOf", "anyOf"] {
        if let Some(Value::Array(schemas)) = schema.get(several) {
            let schemas = schemas.iter().filter(|schema| schema["type"] != "null");
            let words: Option<Vec<_>> =
                schemas.map(|schema| in_words(schema, definitions, depth)).collect();
            return alternatives(words?);
        }
    }
    match schema.get("type")? {
        Value::String(name) => word(name).map(str::to_owned),
        Value::Array(names) => {
            let names = names.iter().filter_map(Value::as_str).filter(|name| *name != "null");
            alternatives(names.filter_map(word).map(str::to_owned).collect())
        }
        _ => None,
    }
}

fn quoted(value: &Value) -> String {
    match value {
        Value::String(text) => format!("`{text}`"),
        value => format!("`{value}`"),
    }
}

fn word(name: &str) -> Option<&'static str> {
    Some(match name {
        "string" => "a string",
        "integer" => "an integer",
        "number" => "a number",
        "boolean" => "true or false",
        "array" => "a list",
        "object" => "an object",
        _ => return None,
    })
}

/// Joins the words: `a`, `a or b`, `a, b or c`.
pub(crate) fn alternatives(mut words: Vec<String>) -> Option<String> {
    let last = words.pop()?;
    Some(if words.is_empty() { last } else { format!("{} or {last}", words.join(", ")) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use schemars::JsonSchema;

    #[derive(JsonSchema)]
    #[schemars(rename_all = "lowercase")]
    #[expect(dead_code, reason = "only its schema is looked at")]
    enum Language {
        Spanish,
        /// With a word on it, which changes the form of the schema.
        French,
    }

    fn of<T: JsonSchema>() -> Option<String> {
        let mut generator = SchemaSettings::draft2020_12().into_generator();
        let schema = generator.subschema_for::<T>();
        in_words(schema.as_value(), generator.definitions(), DEPTH)
    }

    #[test]
    fn types_are_described_in_words() {
        assert_eq!(of::<String>().unwrap(), "a string");
        assert_eq!(of::<Option<u8>>().unwrap(), "an integer");
        assert_eq!(of::<Vec<f64>>().unwrap(), "a list");
        assert_eq!(of::<Language>().unwrap(), "`spanish` or `french`");
        assert_eq!(of::<Option<Language>>().unwrap(), "`spanish` or `french`");
        assert_eq!(of::<Value>(), None);
    }
}
