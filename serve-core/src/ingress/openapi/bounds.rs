//! The bounds of integers whose schema only names a format: generators of clients and of tests know
//! `maximum`, but not `uint32`.

use serde_json::{Value, json};

/// Adds the bounds to every integer in a description.
pub(crate) fn add(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            let (least, most) = match map.get("format").and_then(Value::as_str) {
                Some("uint32") => (json!(0), json!(u32::MAX)),
                Some("int32") => (json!(i32::MIN), json!(i32::MAX)),
                Some("uint64") => (json!(0), json!(u64::MAX)),
                Some("int64") => (json!(i64::MIN), json!(i64::MAX)),
                _ => return map.values_mut().for_each(add),
            };
            map.entry("minimum").or_insert(least);
            map.entry("maximum").or_insert(most);
        }
        Value::Array(values) => values.iter_mut().for_each(add),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_integer_says_what_it_can_hold_and_keeps_what_it_says_itself() {
        let mut schema = json!({ "properties": {
            "plain": { "type": "integer", "format": "int32" },
            "small": { "type": ["integer", "null"], "format": "uint64", "maximum": 9 },
            "other": { "type": "string", "format": "date" },
        }});
        add(&mut schema);
        assert_eq!(
            schema["properties"],
            json!({
                "plain": {
                    "type": "integer", "format": "int32",
                    "minimum": -2_147_483_648_i64, "maximum": 2_147_483_647_i64,
                },
                "small": {
                    "type": ["integer", "null"], "format": "uint64", "minimum": 0, "maximum": 9,
                },
                "other": { "type": "string", "format": "date" },
            })
        );
    }
}
