//! Answers in OpenAI's words: whole, and in chunks.

use serde_json::{Value, json};
use serve_core::prelude::*;

use super::error::ApiError;
use crate::generate::GenerateError;
use crate::model::{Finish, Piece};

/// What every part of an answer says about it.
#[derive(Clone, Debug)]
pub(super) struct Head {
    pub(super) id: String,
    /// In seconds since 1970.
    pub(super) created: u64,
    pub(super) model: String,
    pub(super) prompt_tokens: usize,
    pub(super) include_usage: bool,
}

impl Head {
    fn usage(&self, tokens: usize) -> Value {
        json!({
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": tokens,
            "total_tokens": self.prompt_tokens + tokens,
        })
    }

    /// The answer as a whole.
    pub(super) fn whole(&self, text: &str, finish: Finish, tokens: usize) -> Value {
        json!({
            "id": self.id,
            "object": "chat.completion",
            "created": self.created,
            "model": self.model,
            "choices": [{
                "index": 0,
                "message": {"role": "assistant", "content": text, "refusal": null},
                "logprobs": null,
                "finish_reason": finish,
            }],
            "usage": self.usage(tokens),
        })
    }

    /// The data of the first event, which says who speaks.
    pub(super) fn first(&self) -> String {
        self.chunk(&json!({"role": "assistant", "content": ""}), None)
    }

    /// The data of the events that a piece becomes: none, one, or the last ones.
    pub(super) fn events(&self, piece: Result<Piece, CallError<GenerateError>>) -> Vec<String> {
        match piece {
            Ok(Piece::Reading { .. }) => Vec::new(),
            Ok(Piece::Text(text)) if text.is_empty() => Vec::new(),
            Ok(Piece::Text(text)) => vec![self.chunk(&json!({"content": text}), None)],
            Ok(Piece::End { finish, tokens }) => {
                let mut events = vec![self.chunk(&json!({}), Some(finish))];
                if self.include_usage {
                    events.push(self.envelope(&json!([]), &self.usage(tokens)));
                }
                events.push("[DONE]".to_owned());
                events
            }
            Err(error) => vec![ApiError::of_call(error).body().to_string()],
        }
    }

    fn chunk(&self, delta: &Value, finish: Option<Finish>) -> String {
        let choice = json!({"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish});
        self.envelope(&json!([choice]), &Value::Null)
    }

    fn envelope(&self, choices: &Value, usage: &Value) -> String {
        let mut chunk = json!({
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": self.created,
            "model": self.model,
            "choices": choices,
        });
        if self.include_usage {
            chunk["usage"] = usage.clone();
        }
        chunk.to_string()
    }
}

/// A model as it is listed. `since` is when this server began to serve it.
pub(super) fn model(id: &str, since: u64) -> Value {
    json!({"id": id, "object": "model", "created": since, "owned_by": "serve"})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(include_usage: bool) -> Head {
        let (id, model) = ("chatcmpl-1".to_owned(), "m".to_owned());
        Head { id, created: 5, model, prompt_tokens: 9, include_usage }
    }

    fn parsed(events: &[String]) -> Vec<Value> {
        let read = |event: &String| serde_json::from_str(event).unwrap_or_else(|_| json!(event));
        events.iter().map(read).collect()
    }

    #[test]
    fn a_token_inside_a_character_makes_no_event() {
        assert!(head(false).events(Ok(Piece::Text(String::new()))).is_empty());
        assert!(head(false).events(Ok(Piece::Reading { read: 32, of: 40 })).is_empty());
    }

    #[test]
    fn a_text_is_a_delta() {
        let [event] = &parsed(&head(false).events(Ok(Piece::Text("a\n\"é".into()))))[..] else {
            panic!("one event")
        };
        assert_eq!(
            *event,
            json!({
                "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 5, "model": "m",
                "choices": [{
                    "index": 0, "delta": {"content": "a\n\"é"}, "logprobs": null,
                    "finish_reason": null,
                }],
            })
        );
    }

    #[test]
    fn the_end_says_why_and_how_many_if_it_is_asked_to() {
        let end = || Ok(Piece::End { finish: Finish::Length, tokens: 4 });
        let [last, done] = &parsed(&head(false).events(end()))[..] else { panic!("two events") };
        assert_eq!(last["choices"][0]["finish_reason"], "length");
        assert_eq!(last["choices"][0]["delta"], json!({}));
        assert_eq!((last.get("usage"), done), (None, &json!("[DONE]")));

        let [last, usage, _] = &parsed(&head(true).events(end()))[..] else { panic!("three") };
        assert_eq!((&last["usage"], &usage["choices"]), (&Value::Null, &json!([])));
        let counts = json!({"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13});
        assert_eq!(usage["usage"], counts);
    }

    #[test]
    fn an_error_in_the_middle_is_an_event_without_an_end() {
        let [event] = &parsed(&head(false).events(Err(CallError::DeadlineExceeded)))[..] else {
            panic!("one event")
        };
        assert_eq!(event["error"]["code"], "deadline_exceeded");
    }
}
