//! What may be asked for, and what is refused.

use serde_json::json;

use super::*;

fn read(body: &Value) -> Result<Request, ApiError> {
    Request::read(body.to_string().as_bytes(), 7)
}

/// A request with further fields.
fn with(fields: Value) -> Value {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}]});
    let Value::Object(fields) = fields else { unreachable!("tests give objects") };
    body.as_object_mut().expect("it is one").extend(fields);
    body
}

fn says(role: Role, text: &str) -> Message {
    Message { role, text: text.to_owned() }
}

#[test]
fn little_is_enough() {
    let request = read(&with(json!({}))).expect("it is whole");
    let wish = Wish { seed: 7, ..Wish::default() };
    let messages = vec![says(Role::User, "Hi")];
    let expected =
        Request { model: "m".into(), messages, wish, stream: false, include_usage: false };
    assert_eq!(request, expected);
}

#[test]
fn all_that_is_read() {
    let request = read(&json!({
        "model": "m",
        "messages": [
            {"role": "developer", "content": "Rhyme."},
            {"role": "user", "content": [{"type": "text", "text": "é"}, {"type": "text", "text": "🎉"}]},
            {"role": "assistant", "content": "…", "refusal": null, "tool_calls": [], "annotations": []},
            {"role": "user", "content": ""},
        ],
        "stream": true, "stream_options": {"include_usage": true},
        "max_completion_tokens": 5, "temperature": 0, "top_p": 0.5, "frequency_penalty": -2,
        "presence_penalty": 2, "seed": -1, "stop": ["a", "b"],
    }));
    let request = request.expect("all of it is right");
    let [system, user, assistant, empty] = &request.messages[..] else { panic!("{request:?}") };
    assert_eq!(*system, says(Role::System, "Rhyme."));
    assert_eq!(*user, says(Role::User, "é🎉"));
    assert_eq!(*assistant, says(Role::Assistant, "…"));
    assert_eq!(*empty, says(Role::User, ""));
    assert!(request.stream && request.include_usage);
    let wish = Wish {
        max_tokens: Some(5),
        temperature: Some(0.0),
        top_p: Some(0.5),
        frequency_penalty: -2.0,
        presence_penalty: 2.0,
        seed: u64::MAX,
        stop: vec!["a".into(), "b".into()],
    };
    assert_eq!(request.wish, wish);
}

#[test]
fn stop_and_max_tokens_have_two_forms() {
    let one = read(&with(json!({"stop": "x", "max_tokens": 3}))).expect("right");
    assert_eq!((one.wish.stop, one.wish.max_tokens), (vec!["x".to_owned()], Some(3)));
}

#[test]
fn what_is_wrong_is_named() {
    for (body, param, code) in [
        (json!({"messages": []}), "model", "missing_required_parameter"),
        (json!({"model": "m"}), "messages", "missing_required_parameter"),
        (json!({"model": "m", "messages": []}), "messages", "invalid_value"),
        (json!({"model": "m", "messages": "Hi"}), "messages", "invalid_type"),
        (json!({"model": 4, "messages": []}), "model", "invalid_type"),
        (json!({"model": "m", "messages": [{"role": "user"}]}), "messages[0]", "invalid_type"),
        (
            json!({"model": "m", "messages": [{"role": "tool", "content": "x"}]}),
            "messages[0].role",
            "invalid_type",
        ),
        (
            json!({"model": "m", "messages": [
                {"role": "user", "content": [{"type": "image_url", "image_url": {}}]},
            ]}),
            "messages[0].content",
            "invalid_type",
        ),
        (
            json!({"model": "m", "messages": [{"role": "user", "content": "x", "name": "D"}]}),
            "messages[0].name",
            "unsupported_parameter",
        ),
        (with(json!({"temperature": "hot"})), "temperature", "invalid_type"),
        (with(json!({"temperature": 2.1})), "temperature", "invalid_value"),
        (with(json!({"top_p": -0.1})), "top_p", "invalid_value"),
        (with(json!({"frequency_penalty": 3})), "frequency_penalty", "invalid_value"),
        (with(json!({"presence_penalty": -3})), "presence_penalty", "invalid_value"),
        (with(json!({"max_tokens": 0})), "max_tokens", "invalid_value"),
        (with(json!({"max_completion_tokens": 0})), "max_completion_tokens", "invalid_value"),
        (with(json!({"max_tokens": 1.5})), "max_tokens", "invalid_type"),
        (with(json!({"max_tokens": -1})), "max_tokens", "invalid_type"),
        (with(json!({"max_tokens": 1, "max_completion_tokens": 1})), "max_tokens", "invalid_value"),
        (with(json!({"seed": "x"})), "seed", "invalid_type"),
        (with(json!({"stop": 4})), "stop", "invalid_type"),
        (with(json!({"stop": ["a", "b", "c", "d", "e"]})), "stop", "invalid_value"),
        (with(json!({"stop": ""})), "stop", "invalid_value"),
        (with(json!({"stream": "yes"})), "stream", "invalid_type"),
        (with(json!({"stream_options": {"x": 1}})), "stream_options.x", "invalid_type"),
        (with(json!({"what": 1})), "what", "unknown_parameter"),
    ] {
        let error = read(&body).expect_err(&body.to_string());
        assert_eq!((error.param.as_deref(), error.code), (Some(param), code), "{body}: {error:?}");
        assert_eq!(error.status, 400);
    }
}

#[test]
fn what_is_no_json_object_is_said_to_be_none() {
    for body in ["", "{", "[]", "\"Hi\"", "\u{0}", "{\"model\": \"m\"} x"] {
        let error = Request::read(body.as_bytes(), 0).expect_err(body);
        assert_eq!((error.status.as_u16(), error.code), (400, "invalid_json"), "{body}");
    }
    assert_eq!(Request::read(b"\xff", 0).expect_err("no text").code, "invalid_json");
}
