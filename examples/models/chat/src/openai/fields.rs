//! Which fields a request may have: those that are read, and those that change nothing here.
//!
//! What would change the answer and is not done is refused, never silently ignored.

use serde_json::{Map, Value, json};

use super::error::ApiError;

/// Read by [`Request`](super::request::Request).
const READ: [&str; 12] = [
    "model",
    "messages",
    "stream",
    "stream_options",
    "max_tokens",
    "max_completion_tokens",
    "temperature",
    "top_p",
    "frequency_penalty",
    "presence_penalty",
    "seed",
    "stop",
];

/// For the server's own books. Nothing is stored here, so they change nothing.
const WITHOUT_EFFECT: [&str; 5] =
    ["user", "metadata", "safety_identifier", "prompt_cache_key", "parallel_tool_calls"];

/// What this server does not do, with the values that do not ask for it.
fn not_done() -> Vec<(&'static str, Vec<Value>)> {
    vec![
        ("n", vec![json!(1)]),
        ("logprobs", vec![json!(false)]),
        ("top_logprobs", vec![json!(0)]),
        ("logit_bias", vec![json!({})]),
        ("response_format", vec![json!({"type": "text"})]),
        ("tools", vec![json!([])]),
        ("tool_choice", vec![json!("none"), json!("auto")]),
        ("functions", vec![json!([])]),
        ("function_call", vec![json!("none"), json!("auto")]),
        ("modalities", vec![json!(["text"])]),
        ("store", vec![json!(false)]),
        ("service_tier", vec![json!("auto"), json!("default")]),
        ("audio", vec![]),
        ("prediction", vec![]),
        ("reasoning_effort", vec![json!("none")]),
        ("verbosity", vec![]),
        ("web_search_options", vec![]),
    ]
}

/// Leaves the fields that are to be read. A field that is `null` is one that is not there.
///
/// # Errors
/// If there is a field that is not known, or asks for what is not done.
pub(super) fn to_be_read(mut fields: Map<String, Value>) -> Result<Map<String, Value>, ApiError> {
    fields.retain(|_, value| !value.is_null());
    let not_done = not_done();
    for (name, value) in &fields {
        if READ.contains(&&name[..]) || WITHOUT_EFFECT.contains(&&name[..]) {
            continue;
        }
        let Some((_, harmless)) = not_done.iter().find(|(field, _)| field == name) else {
            let message = format!("Unrecognized request argument supplied: {name}");
            return Err(ApiError::field(name, "unknown_parameter", message));
        };
        if !harmless.contains(value) {
            return Err(refusal(name, harmless));
        }
    }
    fields.retain(|name, _| READ.contains(&&name[..]));
    Ok(fields)
}

fn refusal(name: &str, harmless: &[Value]) -> ApiError {
    let harmless: Vec<_> = harmless.iter().map(Value::to_string).collect();
    let (code, but) = match harmless.join(" or ") {
        none if none.is_empty() => ("unsupported_parameter", String::new()),
        some => ("unsupported_value", format!(", except as {some}")),
    };
    let message = format!("'{name}' is not supported by this server{but}: leave it out.");
    ApiError::field(name, code, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(fields: Value) -> Result<Vec<String>, ApiError> {
        let Value::Object(fields) = fields else { unreachable!("tests give objects") };
        to_be_read(fields).map(|fields| fields.into_iter().map(|(name, _)| name).collect())
    }

    #[test]
    fn what_changes_nothing_is_left_out() {
        let fields = json!({
            "model": "m", "user": "dora", "n": 1, "tools": [], "tool_choice": "auto",
            "response_format": {"type": "text"}, "logprobs": null, "what": null,
        });
        assert_eq!(read(fields).expect("nothing is wrong"), ["model"]);
    }

    #[test]
    fn what_is_not_done_is_refused_by_name() {
        for (fields, code, param) in [
            (json!({"n": 2}), "unsupported_value", "n"),
            (json!({"logprobs": true}), "unsupported_value", "logprobs"),
            (json!({"tools": [{"type": "function"}]}), "unsupported_value", "tools"),
            (
                json!({"response_format": {"type": "json_object"}}),
                "unsupported_value",
                "response_format",
            ),
            (json!({"audio": {}}), "unsupported_parameter", "audio"),
            (json!({"temprature": 1}), "unknown_parameter", "temprature"),
        ] {
            let error = read(fields.clone()).expect_err("it is refused");
            assert_eq!((error.code, error.param.as_deref()), (code, Some(param)), "{fields}");
            assert_eq!(error.status, 400);
            assert!(error.message.contains(param), "{}", error.message);
        }
    }
}
