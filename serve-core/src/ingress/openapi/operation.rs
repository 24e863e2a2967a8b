//! The description of one endpoint as an OpenAPI operation.

use serde_json::{Map, Value, json};

use super::about::About;
use super::{ERROR, SCHEMAS};
use crate::ingress::endpoint_info::{BodyFormat, EndpointInfo, Files, ParamPlace, SocketInfo};
use crate::ingress::response::framing::Framing;
use crate::ingress::response::result_kind::ResultKind;

/// The schemas of one endpoint.
pub(crate) struct Schemas {
    /// The schemas of the parameters.
    pub(crate) params: Vec<Value>,
    /// The schema of the messages that a WebSocket receives.
    pub(crate) received: Option<Value>,
    /// The schema of the result, or of the messages that a WebSocket sends.
    pub(crate) result: Value,
}

/// Returns the operation of an endpoint, given the names of the path's parameters in the document
/// and the schemas.
pub(crate) fn describe(
    info: &EndpointInfo,
    path_names: &[&'static str],
    Schemas { params, received, result }: Schemas,
    about: &About,
) -> Value {
    let mut operation = Map::new();
    operation.insert("operationId".into(), info.method.name.into());
    operation.insert("tags".into(), json!([about.deployment]));
    let (summary, description) = first_sentence(info.method.doc);
    for (key, text) in [("summary", summary.trim_end_matches('.')), ("description", description)] {
        if !text.is_empty() {
            operation.insert(key.into(), text.into());
        }
    }
    let parameters = parameters(info, path_names, &params);
    if !parameters.is_empty() {
        operation.insert("parameters".into(), parameters.into());
    }
    if let (Some(SocketInfo { formats, .. }), Some(received)) = (&info.socket, received) {
        let (schema_in, schema_out) = (raw(formats.0, received), raw(formats.1, result));
        let formats = json!({ "in": formats.0, "out": formats.1 });
        let socket = json!({ "in": schema_in, "out": schema_out, "formats": formats });
        operation.insert("x-websocket".into(), socket);
        operation.insert("responses".into(), handshake(info));
        return operation.into();
    }
    if let Some(body) = request_body(info, &params) {
        operation.insert("requestBody".into(), body);
    }
    operation.insert("responses".into(), responses(info, result, about));
    operation.into()
}

/// Splits the documentation of a method, one paragraph on one line, into its first sentence and the
/// rest.
fn first_sentence(doc: &str) -> (&str, &str) {
    let doc = doc.trim();
    doc.split_once(". ").map_or((doc, ""), |(first, rest)| (first, rest.trim()))
}

/// Returns the schema of the messages of a WebSocket. Binary messages have no structure.
fn raw(format: &str, schema: Value) -> Value {
    let binary = json!({ "type": "string", "format": "binary" });
    match format {
        "binary" => binary,
        "any" => json!({ "anyOf": [{ "type": "string" }, binary] }),
        _ => schema,
    }
}

/// Returns the responses to a request that opens a WebSocket.
fn handshake(info: &EndpointInfo) -> Value {
    let rejected = |description: &str| {
        let schema = json!({ "$ref": format!("{SCHEMAS}{ERROR}") });
        json!({ "description": description, "content": { "application/json": { "schema": schema } } })
    };
    let mut responses = Map::new();
    responses.insert("101".into(), json!({ "description": "The WebSocket is open." }));
    if !info.places.is_empty() {
        responses.insert("422".into(), rejected("A parameter is missing or ill-typed."));
    }
    responses.insert("426".into(), rejected("The request opens no WebSocket."));
    let full = "Every replica has as many WebSockets as it may have; try again later.";
    responses.insert("503".into(), rejected(full));
    responses.into()
}

fn parameters(info: &EndpointInfo, path_names: &[&str], schemas: &[Value]) -> Vec<Value> {
    let named = |name| {
        let at = info.path_names.iter().position(|known| *known == name);
        at.and_then(|at| path_names.get(at)).copied().unwrap_or(name)
    };
    let all = info.places.iter().enumerate().zip(&info.traits).zip(schemas);
    all.filter(|(((_, place), _), _)| !matches!(place, ParamPlace::Field | ParamPlace::Body))
        .map(|(((index, place), traits), schema)| {
            let name = info.name_outside(index);
            json!({
                "name": if *place == ParamPlace::Path { named(name) } else { name },
                "in": place.word(),
                // OpenAPI has no optional path parameters.
                "required": *place == ParamPlace::Path || !traits.may_be_missing,
                "schema": schema,
            })
        })
        .collect()
}

fn request_body(info: &EndpointInfo, schemas: &[Value]) -> Option<Value> {
    if let Some((index, raw)) = info.body_param() {
        // An empty body is a valid value of raw bytes.
        let required = !raw && !info.traits[index].may_be_missing;
        let content = if raw {
            json!({ "application/octet-stream": {} })
        } else {
            json!({ "application/json": { "schema": schemas[index] } })
        };
        return Some(json!({ "required": required, "content": content }));
    }
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for (index, name) in info.method.param_names.iter().enumerate() {
        if info.places[index] == ParamPlace::Field {
            let schema = file_schema(info, index).unwrap_or_else(|| schemas[index].clone());
            properties.insert((*name).to_owned(), schema);
            if !info.traits[index].may_be_missing {
                required.push(*name);
            }
        }
    }
    if properties.is_empty() {
        return None;
    }
    let is_required = !required.is_empty();
    let schema = json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    });
    let content_type = match info.body {
        BodyFormat::Json => "application/json",
        BodyFormat::Form => "application/x-www-form-urlencoded",
        BodyFormat::Multipart => "multipart/form-data",
    };
    Some(json!({ "required": is_required, "content": { content_type: { "schema": schema } } }))
}

/// Returns the schema of a parameter that is a file of a multipart form, or several files.
fn file_schema(info: &EndpointInfo, index: usize) -> Option<Value> {
    let file = json!({ "type": "string", "format": "binary" });
    match info.files(index)? {
        Files::One => Some(file),
        Files::Many => Some(json!({ "type": "array", "items": file })),
    }
}

fn responses(info: &EndpointInfo, result: Value, about: &About) -> Value {
    let mut responses = Map::new();
    responses.insert(info.success.as_str().to_owned(), success(info, result));
    let (content_type, _) = about.error_format.described();
    let mut add = |status: &str, description: &str| {
        // The status of a method's own error may be one of the others, too.
        if let Some(Value::String(known)) =
            responses.get_mut(status).and_then(|it| it.get_mut("description"))
        {
            known.push_str(" Or: ");
            known.push_str(description);
            return;
        }
        let schema = json!({ "$ref": format!("{SCHEMAS}{ERROR}") });
        let response = json!({ "description": description, "content": {
            content_type: { "schema": schema },
            "text/plain": { "schema": { "type": "string" } },
        }});
        responses.insert(status.to_owned(), response);
    };
    let has_fields = info.places.contains(&ParamPlace::Field);
    let reads_json = match info.body {
        BodyFormat::Json => has_fields || info.body_param().is_some_and(|(_, raw)| !raw),
        BodyFormat::Form | BodyFormat::Multipart => false,
    };
    if reads_json {
        add("400", "The body is not JSON.");
        add("415", "The body is not sent as JSON, or compressed in an unknown way.");
    } else if has_fields {
        add("400", "The body is not a form.");
        add("415", "The body is not sent as a form, or compressed in an unknown way.");
    }
    if about.needs_key {
        add("401", "The request has no valid API key.");
    }
    if reads_json || has_fields || info.body_param().is_some() {
        let limit = info.max_body.unwrap_or(about.max_body);
        add("413", &format!("The body is larger than {limit} bytes."));
    }
    if !info.places.is_empty() {
        add("422", "A parameter is missing, unknown or ill-typed.");
    }
    add("408", "The deadline of the request passed.");
    if about.has_rate_limit {
        add("429", "Too many requests; try again later.");
    }
    add("500", "The method failed.");
    add("503", "Overloaded or unavailable; try again later.");
    for (status, description) in info.statuses {
        add(&status.to_string(), description);
    }
    if info.fallible && info.statuses.is_empty() {
        add("default", "The method's own error, if it has a status.");
    }
    // Of all the ways to fail, those that belong to this method.
    for (status, _) in info.statuses {
        responses[&status.to_string()]["x-own"] = true.into();
    }
    responses.into()
}

#[expect(clippy::needless_pass_by_value, reason = "schemas are made for this alone")]
fn success(info: &EndpointInfo, result: Value) -> Value {
    if !info.method.streaming {
        let content = match info.result {
            ResultKind::Text => json!({ "schema": { "type": "string" } }),
            ResultKind::Empty | ResultKind::Raw => json!({}),
            ResultKind::Json => json!({ "schema": result }),
        };
        let content_type = info.result.content_type();
        return json!({ "description": "The result.", "content": { content_type: content } });
    }
    let mut content = Map::new();
    let produced = Framing::produced(info.result);
    let as_produced = match produced {
        Framing::Lines => "one JSON value a line",
        _ => "as they come",
    };
    let item = match produced {
        Framing::Lines => json!({ "schema": result }),
        Framing::Raw => json!({}),
        _ => json!({ "schema": { "type": "string" } }),
    };
    content.insert(produced.content_type().to_owned(), item);
    content.insert(
        Framing::Events.content_type().to_owned(),
        json!({ "schema": { "type": "string" } }),
    );
    content.insert(
        Framing::List.content_type().to_owned(),
        json!({ "schema": { "type": "array", "items": result } }),
    );
    json!({
        "description": format!(
            "A stream of items, sent as the `Accept` header asks: all in one JSON array, an event \
             for each, or {as_produced}."
        ),
        "content": content,
    })
}
