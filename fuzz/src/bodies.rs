//! Whole bodies of every shape, bytes, and streams in every format.
//!
//! Any bytes are answered by 200 or by a rejection, and by 200 only if they are JSON where JSON is
//! expected. What an endpoint returns can be sent to it again. The items of a stream arrive as they
//! were, in whatever format.

use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream;
use serde::de::IgnoredAny;
use serde_json::Value;
use serve_core::prelude::*;

use super::answers::{Answer, Kept, Server, nearly_equal};
use super::input::Input;
use super::parameters::value;
use super::shapes::{
    Adjacent, External, Flat, Internal, Link, Named, Never, Newtype, Pair, Tree, Unit, Untagged,
};

#[deployment]
#[derive(Default)]
pub struct Mirror;

#[handle]
impl Mirror {
    #[post("/tree", body = it)]
    pub async fn tree(&self, it: Tree) -> Tree {
        it
    }

    #[post("/link", body = it)]
    pub async fn link(&self, it: Link) -> Link {
        it
    }

    #[post("/never", body = it)]
    pub async fn never(&self, it: Never) -> Never {
        it
    }

    #[post("/pair", body = it)]
    pub async fn pair(&self, it: Pair) -> Pair {
        it
    }

    #[post("/named", body = it)]
    pub async fn named(&self, it: Named) -> Named {
        it
    }

    #[post("/external", body = it)]
    pub async fn external(&self, it: External) -> External {
        it
    }

    #[post("/internal", body = it)]
    pub async fn internal(&self, it: Internal) -> Internal {
        it
    }

    #[post("/adjacent", body = it)]
    pub async fn adjacent(&self, it: Adjacent) -> Adjacent {
        it
    }

    #[post("/untagged", body = it)]
    pub async fn untagged(&self, it: Untagged) -> Untagged {
        it
    }

    #[post("/flat", body = it)]
    pub async fn flat(&self, it: Flat) -> Flat {
        it
    }

    #[post("/value", body = it)]
    pub async fn value(&self, it: Value) -> Value {
        it
    }

    #[post("/unit", body = it)]
    pub async fn unit(&self, it: Newtype<Option<Unit>>) -> Newtype<Option<Unit>> {
        it
    }

    #[post("/links", body = it)]
    pub async fn links(&self, it: Vec<Link>) -> Vec<Link> {
        it
    }

    #[post("/maybe", body = it)]
    pub async fn maybe(&self, it: Option<Named>) -> Option<Named> {
        it
    }

    #[post("/bytes", body = it, max_body = "1KiB")]
    pub async fn bytes(&self, it: Bytes) -> Bytes {
        it
    }

    #[post("/maybe_bytes", body = it)]
    pub async fn maybe_bytes(&self, it: Option<Bytes>) -> Bytes {
        it.unwrap_or_default()
    }

    #[post("/small", body = it, max_body = "16B")]
    pub async fn small(&self, it: Value) -> Value {
        it
    }

    #[post("/texts", body = items)]
    pub fn texts(&self, items: Vec<String>) -> impl Stream<Item = String> {
        stream::iter(items)
    }

    #[post("/values", body = items)]
    pub fn values(&self, items: Vec<Value>) -> impl Stream<Item = Value> {
        stream::iter(items)
    }

    #[post("/pieces", body = bytes)]
    pub fn pieces(&self, bytes: Bytes) -> impl Stream<Item = Bytes> {
        let pieces: Vec<_> = bytes.chunks(3).map(Bytes::copy_from_slice).collect();
        stream::iter(pieces)
    }
}

fn start() -> BoxFuture<'static, Result<MockRuntime>> {
    async {
        let runtime = MockRuntime::builder().start();
        runtime.run(Mirror::bind()).await?;
        Ok(runtime)
    }
    .boxed()
}

/// The endpoints that return the JSON that they were sent.
const JSON: [&str; 15] = [
    "/tree",
    "/link",
    "/never",
    "/pair",
    "/named",
    "/external",
    "/internal",
    "/adjacent",
    "/untagged",
    "/flat",
    "/value",
    "/unit",
    "/links",
    "/maybe",
    "/small",
];
const TYPES: [&str; 8] = [
    "",
    "application/json",
    "application/json; charset=utf-8",
    "a/b+json",
    "+json",
    "text/plain",
    "application/octet-stream",
    "application/x-www-form-urlencoded",
];
const ACCEPTED: [&str; 6] = [
    "*/*",
    "text/event-stream",
    "application/json",
    "application/x-ndjson",
    "application/json;q=0.5, text/event-stream;q=.4",
    "text/event-stream;q=x, application/x-ndjson;q=-1",
];

pub fn run(data: &[u8]) {
    thread_local! {
        static SERVER: Kept = const { Kept::new() };
    }
    SERVER.with(|kept| kept.run(start, |server| one(server, Input::new(data))));
}

fn one(server: &Server, mut input: Input<'_>) {
    match input.byte() % 6 {
        0..3 => json(server, input),
        3 => bytes(server, input),
        4 => texts(server, input),
        _ => values(server, input),
    }
}

/// Any bytes where JSON is expected.
fn json(server: &Server, mut input: Input<'_>) {
    let (path, content_type) = (input.choice(&JSON), input.choice(&TYPES));
    let body = input.rest();
    let answer = send(server, path, content_type, "", body);
    answer.check(&[200, 400, 413, 415, 422]);
    let sent_as_json = content_type.is_empty() || content_type.contains("json");
    let sent_as_json = sent_as_json && content_type != "+json";
    assert_eq!(answer.status == 415, !sent_as_json, "{answer:?}");
    if !sent_as_json || path == "/small" && body.len() > 16 {
        return;
    }
    // What is no JSON is never accepted, and what is JSON is never called anything else.
    let is_json =
        serde_json::from_slice::<IgnoredAny>(body).is_ok() && std::str::from_utf8(body).is_ok();
    let none = body.is_empty() && path == "/maybe";
    assert!(is_json || none || answer.status != 200, "accepted: {answer:?}");
    assert!(!is_json || answer.status != 400, "refused as JSON: {answer:?}");
    if path == "/value" && serde_json::from_slice::<Value>(body).is_ok() {
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    if let Some(returned) = answer.json() {
        // The answer may be longer than what was sent: `1e9` is `1000000000.0`.
        let path = if path == "/small" { "/value" } else { path };
        let again = send(server, path, "application/json", "", &answer.body);
        let again = again.json().unwrap_or_else(|| panic!("returned, then refused: {again:?}"));
        assert!(nearly_equal(&again, &returned), "{returned} became {again}");
    }
}

/// Bytes are returned as they were sent, whatever they are called.
fn bytes(server: &Server, mut input: Input<'_>) {
    let path = input.choice(&["/bytes", "/maybe_bytes", "/pieces"]);
    let (content_type, accepted) = (input.choice(&TYPES), input.choice(&ACCEPTED));
    let body = input.rest();
    let answer = send(server, path, content_type, accepted, body);
    if path == "/bytes" && body.len() > 1024 {
        return answer.check(&[413]);
    }
    answer.check(&[200]);
    match answer.content_type.as_str() {
        "application/octet-stream" => assert_eq!(answer.body, body),
        _ => {
            assert_eq!(path, "/pieces", "{answer:?}");
            let pieces: Vec<Vec<u8>> = items(&answer)
                .iter()
                .map(|item| serde_json::from_str(item).expect("a list of bytes"))
                .collect();
            assert_eq!(pieces.concat(), body);
        }
    }
}

/// The items of a stream of texts arrive as they were.
fn texts(server: &Server, mut input: Input<'_>) {
    let accepted = input.choice(&ACCEPTED);
    let sent: Vec<String> = input.list(Input::text);
    let body = serde_json::to_vec(&sent).expect("it is JSON");
    let answer = send(server, "/texts", "application/json", accepted, &body);
    answer.check(&[200]);
    let events = answer.content_type == "text/event-stream";
    match answer.content_type.as_str() {
        "text/plain; charset=utf-8" => assert_eq!(answer.body, sent.concat()),
        _ => {
            let items = items(&answer).into_iter();
            let items: Vec<String> = match events {
                true => items.collect(),
                false => items.map(|item| serde_json::from_str(&item).expect("a text")).collect(),
            };
            // Every line break is a line break to the receiver of events, but not which one.
            let line_breaks = |text: &String| match events {
                true => text.replace("\r\n", "\n").replace('\r', "\n"),
                false => text.clone(),
            };
            assert_eq!(items, sent.iter().map(line_breaks).collect::<Vec<_>>());
        }
    }
}

/// The items of a stream of values arrive as they were.
fn values(server: &Server, mut input: Input<'_>) {
    let accepted = input.choice(&ACCEPTED);
    let sent: Vec<Value> = input.list(|input| value(input, 5));
    let body = serde_json::to_vec(&sent).expect("it is JSON");
    let answer = send(server, "/values", "", accepted, &body);
    answer.check(&[200]);
    let items = items(&answer);
    let items: Vec<Value> =
        items.iter().map(|item| serde_json::from_str(item).expect("JSON")).collect();
    assert_eq!(items, sent);
}

/// The items of a stream, by its format.
fn items(answer: &Answer) -> Vec<String> {
    let text = std::str::from_utf8(&answer.body).expect("these formats are text");
    match answer.content_type.as_str() {
        "application/json" => {
            let list: Vec<Value> = serde_json::from_str(text).expect("one array");
            list.iter().map(Value::to_string).collect()
        }
        "application/x-ndjson" => text.lines().map(str::to_owned).collect(),
        "text/event-stream" => events(text),
        _ => panic!("an unknown format: {answer:?}"),
    }
}

/// Reads server-sent events as the HTML standard says.
fn events(text: &str) -> Vec<String> {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    assert!(text.is_empty() || text.ends_with("\n\n"), "the last event is complete");
    let events = text.split_terminator("\n\n").map(|event| {
        let lines = event.split('\n').map(|line| {
            let data = line.strip_prefix("data:").unwrap_or_else(|| panic!("a line {line:?}"));
            data.strip_prefix(' ').unwrap_or(data)
        });
        lines.collect::<Vec<_>>().join("\n")
    });
    events.collect()
}

fn send(server: &Server, path: &str, content_type: &str, accepted: &str, body: &[u8]) -> Answer {
    let answer = server.ask(|http| {
        let mut request = http.post(path).body(body.to_vec());
        for (name, value) in [("content-type", content_type), ("accept", accepted)] {
            if !value.is_empty() {
                request = request.header(name, value);
            }
        }
        request
    });
    answer.expect("a client can send this")
}
