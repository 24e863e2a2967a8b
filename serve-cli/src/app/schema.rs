//! The fields of an application's argument, read from its JSON schema.

use serde_json::{Map, Value};

use crate::arguments::Assignment;
use crate::{output, suggest};

/// A `key=value` that an application takes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) key: String,
    /// The kind of value: `STRING`, `INTEGER`, `small|large`.
    pub(super) value: String,
    pub(super) required: bool,
    pub(super) about: String,
}

/// Returns the fields of an argument in the order of the schema, required fields first.
pub(super) fn fields(schema: &Value) -> Vec<Field> {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return Vec::new();
    };
    let required: Vec<&str> = strings(schema.get("required"));
    let mut fields: Vec<Field> = properties
        .iter()
        .map(|(key, property)| Field {
            key: key.clone(),
            value: value(property, schema),
            required: required.contains(&key.as_str()),
            about: about(property),
        })
        .collect();
    fields.sort_by_key(|field| !field.required);
    fields
}

/// Describes the first key of `values` that is not known, or the first required field that is
/// missing. `None` if the values match the schema.
pub(super) fn mismatch(schema: &Value, values: &[Assignment]) -> Option<String> {
    let fields = fields(schema);
    let given = |key: &str| values.iter().any(|value| value.key == key);
    if is_closed(schema) {
        let keys = || fields.iter().map(|field| field.key.as_str());
        let unknown = values.iter().find(|value| !keys().any(|key| key == value.key));
        if let Some(Assignment { key, .. }) = unknown {
            let near = suggest::did_you_mean(key, keys());
            let near = near.map(|near| format!("; {near}")).unwrap_or_default();
            return Some(format!("unknown key `{}`{near}", output::name(key)));
        }
    }
    let missing = fields.iter().find(|field| field.required && !given(&field.key));
    missing.map(|field| format!("`{}` is missing", field.key))
}

/// Returns true if the schema allows no other properties. A map or one of several shapes may
/// allow more.
fn is_closed(schema: &Value) -> bool {
    let open = ["additionalProperties", "patternProperties", "allOf", "anyOf", "oneOf", "$ref"];
    schema.get("properties").is_some()
        && open.iter().all(|key| matches!(schema.get(key), None | Some(Value::Bool(false))))
}

impl Field {
    /// Returns the usage text, `size=INTEGER`, in brackets if the field may be left out.
    pub(super) fn usage(&self) -> String {
        let Self { key, value, required, .. } = self;
        if *required { format!("{key}={value}") } else { format!("[{key}={value}]") }
    }
}

fn about(property: &Value) -> String {
    let text = property.get("description").and_then(Value::as_str).unwrap_or_default();
    let text = text.lines().next().unwrap_or_default().to_owned();
    match property.get("default") {
        None | Some(Value::Null) => text,
        Some(default) => {
            let default = default.as_str().map_or_else(|| default.to_string(), str::to_owned);
            format!("{text} (default: {default})").trim_start().to_owned()
        }
    }
}

/// Returns the kind of a value, in capitals unless the value is one of a few words.
fn value(property: &Value, schema: &Value) -> String {
    let property = resolved(property, schema);
    let choices = choices(property, schema);
    if !choices.is_empty() {
        return choices.join("|");
    }
    let types = match property.get("type") {
        Some(Value::String(name)) => vec![name.as_str()],
        types => strings(types),
    };
    let name = types.into_iter().find(|name| *name != "null").unwrap_or("value");
    match name {
        "array" | "object" => "JSON".to_owned(),
        "boolean" => "true|false".to_owned(),
        name => name.to_uppercase(),
    }
}

/// Returns the words of an enumeration, including one that documents each word separately.
fn choices(property: &Value, schema: &Value) -> Vec<String> {
    if let Some(word) = property.get("const").and_then(Value::as_str) {
        return vec![word.to_owned()];
    }
    let words = strings(property.get("enum"));
    if !words.is_empty() {
        return words.into_iter().map(str::to_owned).collect();
    }
    let variants = ["oneOf", "anyOf"].into_iter().find_map(|key| property.get(key)?.as_array());
    let variants = variants
        .into_iter()
        .flatten()
        .filter(|variant| variant.get("type") != Some(&"null".into()));
    let each: Vec<Vec<String>> =
        variants.map(|variant| choices(resolved(variant, schema), schema)).collect();
    // If a variant is not a word, the property is not a choice of words.
    if each.iter().any(Vec::is_empty) { Vec::new() } else { each.concat() }
}

/// Follows a reference into the schema's definitions.
fn resolved<'s>(property: &'s Value, schema: &'s Value) -> &'s Value {
    let target = property
        .get("$ref")
        .and_then(Value::as_str)
        .and_then(|reference| reference.strip_prefix('#'));
    target.and_then(|pointer| schema.pointer(pointer)).unwrap_or(property)
}

fn strings(list: Option<&Value>) -> Vec<&str> {
    list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}

/// Returns the arguments as the registry takes them: as texts, which are parsed by type later.
pub(super) fn texts(values: impl IntoIterator<Item = (String, String)>) -> Map<String, Value> {
    values.into_iter().map(|(key, value)| (key, Value::String(value))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn usage(schema: &Value) -> Vec<String> {
        fields(schema).iter().map(Field::usage).collect()
    }

    #[test]
    fn required_fields_come_first() {
        let schema = json!({
            "type": "object",
            "properties": {
                "greeting": {"type": "string"},
                "times": {"type": "integer", "format": "uint32"},
                "loud": {"type": ["boolean", "null"]},
            },
            "required": ["times"],
        });
        assert_eq!(usage(&schema), ["times=INTEGER", "[greeting=STRING]", "[loud=true|false]"]);
    }

    #[test]
    fn what_is_unknown_or_missing_is_named() {
        let mut schema = json!({
            "properties": {"greeting": {"type": "string"}, "times": {"type": "integer"}},
            "required": ["greeting"],
        });
        let problem = |schema: &Value, values: &[&str]| {
            let values: Vec<Assignment> =
                values.iter().map(|value| value.parse().expect("an assignment")).collect();
            mismatch(schema, &values)
        };
        assert_eq!(problem(&schema, &["greeting=Hi"]), None);
        assert_eq!(problem(&schema, &["times=1"]).as_deref(), Some("`greeting` is missing"));
        assert_eq!(
            problem(&schema, &["greeting=Hi", "tims=1"]).as_deref(),
            Some("unknown key `tims`; did you mean `times`?")
        );
        assert_eq!(
            problem(&schema, &["greeting=Hi", "colour=red"]).as_deref(),
            Some("unknown key `colour`")
        );
        schema["additionalProperties"] = json!({"type": "string"});
        assert_eq!(problem(&schema, &["greeting=Hi", "colour=red"]), None, "a map takes it");
    }

    #[test]
    fn words_to_choose_from_are_named() {
        let schema = json!({
            "properties": {
                "size": {"$ref": "#/$defs/Size"},
                "maybe": {"anyOf": [{"$ref": "#/$defs/Size"}, {"type": "null"}]},
                "other": {"oneOf": [{"const": "a"}, {"type": "object"}]},
            },
            "$defs": {"Size": {"oneOf": [{"const": "small"}, {"enum": ["large", "huge"], "type": "string"}]}},
        });
        assert_eq!(
            usage(&schema),
            ["[maybe=small|large|huge]", "[other=VALUE]", "[size=small|large|huge]"]
        );
    }

    #[test]
    fn defaults_are_part_of_the_description() {
        let field = |property: Value| about(&property);
        assert_eq!(
            field(json!({"description": "What to say.\nMore.", "default": "Hola"})),
            "What to say. (default: Hola)"
        );
        assert_eq!(field(json!({"default": 3})), "(default: 3)");
        assert_eq!(field(json!({"default": null})), "");
    }
}
