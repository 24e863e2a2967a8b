//! Named schemas. A type that is both taken and returned has two schemas, which are usually equal.
//! If they differ, the schema of the returned type is called `…-Output`.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::SCHEMAS;

/// Merges all named schemas into one map. References in `results`, and among the returned types,
/// are changed to the new names of renamed schemas.
pub(crate) fn merge<'a>(
    mut taken: Map<String, Value>,
    given: Map<String, Value>,
    results: impl Iterator<Item = &'a mut Value>,
) -> Map<String, Value> {
    let renamed = differing(&taken, &given);
    for (name, mut schema) in given {
        rename(&mut schema, &renamed);
        let name = if renamed.contains(&name) { format!("{name}-Output") } else { name };
        taken.insert(name, schema);
    }
    for result in results {
        rename(result, &renamed);
    }
    taken
}

/// Removes the schemas that nothing in `paths` refers to. Raw bytes, for example, have a schema,
/// but are not described by it.
pub(crate) fn retain_used(schemas: &mut Map<String, Value>, paths: &Map<String, Value>) {
    let mut used = BTreeSet::new();
    paths.values().for_each(|path| collect(path, schemas, &mut used));
    schemas.retain(|name, _| used.contains(name));
}

fn collect(value: &Value, schemas: &Map<String, Value>, used: &mut BTreeSet<String>) {
    if let Some(name) = reference(value)
        && used.insert(name.to_owned())
        && let Some(schema) = schemas.get(name)
    {
        collect(schema, schemas, used);
    }
    match value {
        Value::Object(map) => map.values().for_each(|value| collect(value, schemas, used)),
        Value::Array(values) => values.iter().for_each(|value| collect(value, schemas, used)),
        _ => {}
    }
}

/// Returns the names whose schemas differ, or refer to schemas that differ.
fn differing(taken: &Map<String, Value>, given: &Map<String, Value>) -> BTreeSet<String> {
    let both = || given.iter().filter(|(name, _)| taken.contains_key(*name));
    let mut differing: BTreeSet<String> = both()
        .filter(|(name, schema)| taken[*name] != **schema)
        .map(|(name, _)| name.clone())
        .collect();
    loop {
        let more: Vec<String> = both()
            .filter(|(name, schema)| !differing.contains(*name) && refers(schema, &differing))
            .map(|(name, _)| name.clone())
            .collect();
        if more.is_empty() {
            return differing;
        }
        differing.extend(more);
    }
}

fn reference(value: &Value) -> Option<&str> {
    value.get("$ref")?.as_str()?.strip_prefix(SCHEMAS)
}

fn refers(schema: &Value, names: &BTreeSet<String>) -> bool {
    reference(schema).is_some_and(|name| names.contains(name))
        || match schema {
            Value::Object(map) => map.values().any(|value| refers(value, names)),
            Value::Array(values) => values.iter().any(|value| refers(value, names)),
            _ => false,
        }
}

fn rename(schema: &mut Value, renamed: &BTreeSet<String>) {
    if let Some(name) = reference(schema)
        && renamed.contains(name)
    {
        schema["$ref"] = format!("{SCHEMAS}{name}-Output").into();
    }
    match schema {
        Value::Object(map) => map.values_mut().for_each(|value| rename(value, renamed)),
        Value::Array(values) => values.iter_mut().for_each(|value| rename(value, renamed)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[expect(clippy::needless_pass_by_value, reason = "it is used up here")]
    fn map(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn only_what_is_used_is_kept_however_far_away() {
        let reference = |name: &str| json!({ "$ref": format!("{SCHEMAS}{name}") });
        let mut schemas = map(json!({
            "Used": { "items": reference("Inner") },
            "Inner": { "anyOf": [reference("Used")] },
            "Unused": reference("Used"),
        }));
        retain_used(&mut schemas, &map(json!({ "/": { "get": [reference("Used")] } })));
        assert_eq!(schemas.keys().collect::<Vec<_>>(), ["Inner", "Used"]);
    }

    #[test]
    fn only_what_differs_has_two_schemas() {
        let reference = |name: &str| json!({ "$ref": format!("{SCHEMAS}{name}") });
        let taken = map(json!({ "Same": 1, "Differs": 2, "Around": [reference("Differs")] }));
        let given =
            map(json!({ "Same": 1, "Differs": 3, "Around": [reference("Differs")], "Own": 4 }));
        let mut results = [reference("Around"), reference("Same")];
        let merged = merge(taken, given, results.iter_mut());
        assert_eq!(
            merged,
            map(json!({
                "Same": 1,
                "Differs": 2,
                "Differs-Output": 3,
                "Around": [reference("Differs")],
                "Around-Output": [reference("Differs-Output")],
                "Own": 4,
            }))
        );
        assert_eq!(results, [reference("Around-Output"), reference("Same")]);
    }
}
