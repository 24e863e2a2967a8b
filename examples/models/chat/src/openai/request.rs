//! [`Request`]: a chat completion that is asked for, checked.

use serde::Deserialize;
use serde_json::{Map, Value};
use serve_core::axum::http::StatusCode;

use super::error::ApiError;
use super::fields::to_be_read;
use crate::generate::Wish;
use crate::model::{Message, Role};

/// What is asked for.
#[derive(Debug, PartialEq)]
pub struct Request {
    /// Of which model.
    pub model: String,
    /// At least one.
    pub messages: Vec<Message>,
    /// How.
    pub wish: Wish,
    /// Whether the answer comes piece by piece.
    pub stream: bool,
    /// Whether the number of tokens comes at the end of a stream.
    pub include_usage: bool,
}

/// As it is written.
#[derive(Deserialize)]
struct Written {
    model: String,
    messages: Vec<WrittenMessage>,
    #[serde(default)]
    stream: bool,
    #[serde(default)]
    stream_options: StreamOptions,
    max_tokens: Option<u32>,
    max_completion_tokens: Option<u32>,
    temperature: Option<f32>,
    top_p: Option<f32>,
    #[serde(default)]
    frequency_penalty: f32,
    #[serde(default)]
    presence_penalty: f32,
    seed: Option<i64>,
    stop: Option<Stop>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct StreamOptions {
    #[serde(default)]
    include_usage: bool,
    /// Padding against eavesdroppers, of which there is none here; OpenAI lets clients refuse it.
    #[serde(default, rename = "include_obfuscation")]
    _include_obfuscation: bool,
}

#[derive(Deserialize)]
struct WrittenMessage {
    role: WrittenRole,
    content: Content,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum WrittenRole {
    System,
    Developer,
    User,
    Assistant,
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "expected a string, or an array of parts like {\"type\": \"text\", \"text\": \"Hi\"}; \
                 this model reads nothing but text"
)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Part {
    Text { text: String },
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a string, or an array of up to four")]
enum Stop {
    One(String),
    Several(Vec<String>),
}

impl Request {
    /// Reads the body of a request. `seed` is the seed of one that names none.
    ///
    /// # Errors
    /// Says which field is wrong, and how.
    pub fn read(body: &[u8], seed: u64) -> Result<Self, ApiError> {
        let fields: Map<String, Value> = serde_json::from_slice(body).map_err(|error| {
            let message = format!("The body of the request is not a JSON object: {error}");
            ApiError::new(StatusCode::BAD_REQUEST, "invalid_json", message)
        })?;
        let mut fields = to_be_read(fields)?;
        for name in ["model", "messages"] {
            if !fields.contains_key(name) {
                let message = format!("Missing required parameter: '{name}'.");
                return Err(ApiError::field(name, "missing_required_parameter", message));
            }
        }
        if let Some(messages) = fields.get_mut("messages") {
            tidy(messages)?;
        }
        let written: Written =
            serde_path_to_error::deserialize(Value::Object(fields)).map_err(|error| {
                let path = error.path().to_string();
                let message = format!("Invalid value for '{path}': {}.", error.inner());
                ApiError::field(path, "invalid_type", message)
            })?;
        written.check(seed)
    }
}

/// Messages as clients send them back: what is `null` or empty is as good as not there, and so
/// is what only a server says. What is left is read, or is an error.
fn tidy(messages: &mut Value) -> Result<(), ApiError> {
    let Some(messages) = messages.as_array_mut() else { return Ok(()) };
    for (at, message) in messages.iter_mut().enumerate() {
        let Some(message) = message.as_object_mut() else { continue };
        message.retain(|name, value| {
            let nothing = value.is_null() || value.as_array().is_some_and(Vec::is_empty);
            name == "content" || !(nothing || name == "annotations")
        });
        let unknown = message.keys().find(|name| *name != "role" && *name != "content");
        if let Some(name) = unknown {
            let param = format!("messages[{at}].{name}");
            let message = format!("'{param}' is not supported by this server: leave it out.");
            return Err(ApiError::field(param, "unsupported_parameter", message));
        }
    }
    Ok(())
}

impl Written {
    fn check(self, seed: u64) -> Result<Request, ApiError> {
        if self.messages.is_empty() {
            return Err(outside("messages", "at least one message"));
        }
        within("temperature", self.temperature, 0.0, 2.0)?;
        within("top_p", self.top_p, 0.0, 1.0)?;
        within("frequency_penalty", Some(self.frequency_penalty), -2.0, 2.0)?;
        within("presence_penalty", Some(self.presence_penalty), -2.0, 2.0)?;
        if self.max_tokens.is_some() && self.max_completion_tokens.is_some() {
            return Err(outside("max_tokens", "left out where 'max_completion_tokens' is given"));
        }
        let max_tokens = self.max_completion_tokens.or(self.max_tokens);
        if max_tokens == Some(0) {
            let name =
                if self.max_tokens.is_some() { "max_tokens" } else { "max_completion_tokens" };
            return Err(outside(name, "at least 1"));
        }
        let stop = match self.stop {
            None => Vec::new(),
            Some(Stop::One(stop)) => vec![stop],
            Some(Stop::Several(stops)) => stops,
        };
        if stop.len() > 4 || stop.iter().any(String::is_empty) {
            return Err(outside("stop", "up to four strings, none of them empty"));
        }
        Ok(Request {
            model: self.model,
            messages: self.messages.into_iter().map(WrittenMessage::into_message).collect(),
            wish: Wish {
                max_tokens: max_tokens.map(|tokens| tokens as usize),
                temperature: self.temperature,
                top_p: self.top_p,
                frequency_penalty: self.frequency_penalty,
                presence_penalty: self.presence_penalty,
                seed: self.seed.map_or(seed, i64::cast_unsigned),
                stop,
            },
            stream: self.stream,
            include_usage: self.stream_options.include_usage,
        })
    }
}

impl WrittenMessage {
    fn into_message(self) -> Message {
        let role = match self.role {
            WrittenRole::System | WrittenRole::Developer => Role::System,
            WrittenRole::User => Role::User,
            WrittenRole::Assistant => Role::Assistant,
        };
        let text = match self.content {
            Content::Text(text) => text,
            Content::Parts(parts) => parts.into_iter().map(|Part::Text { text }| text).collect(),
        };
        Message { role, text }
    }
}

fn within(name: &str, number: Option<f32>, least: f32, most: f32) -> Result<(), ApiError> {
    match number {
        Some(number) if !(least..=most).contains(&number) => {
            Err(outside(name, &format!("from {least} to {most}, and not {number}")))
        }
        _ => Ok(()),
    }
}

fn outside(name: &str, expected: &str) -> ApiError {
    ApiError::field(
        name,
        "invalid_value",
        format!("Invalid value for '{name}': expected {expected}."),
    )
}

#[cfg(test)]
mod tests;
