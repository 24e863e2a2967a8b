//! Headers: those that Serve reads, in any number and with any value.

use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream;
use serde_json::{Value, json};
use serve_core::axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use serve_core::prelude::*;

use super::answers::{Kept, Server};
use super::input::Input;

#[deployment]
#[derive(Default)]
pub struct Reader;

#[handle]
impl Reader {
    #[get("/context")]
    pub async fn context(&self) -> Value {
        let context = context();
        json!({
            "id": context.request_id(),
            "model": context.multiplexed_model_id(),
            "session": context.session_id(),
            "trace": context.trace(),
        })
    }

    #[post("/body", body = body)]
    pub async fn body(&self, body: Option<Value>) -> Value {
        body.unwrap_or_default()
    }

    #[post("/bytes", body = bytes)]
    pub async fn bytes(&self, bytes: Bytes) -> usize {
        bytes.len()
    }

    #[get("/numbers")]
    pub fn numbers(&self) -> impl Stream<Item = u8> {
        stream::iter(0..3)
    }

    #[get("/slow")]
    pub async fn slow(&self) -> String {
        tokio::time::sleep(Duration::from_secs(3)).await;
        "slow".to_owned()
    }
}

fn start() -> BoxFuture<'static, Result<MockRuntime>> {
    async {
        let runtime = MockRuntime::builder().start();
        runtime.run(Reader::bind()).await?;
        Ok(runtime)
    }
    .boxed()
}

const NAMES: [&str; 20] = [
    "x-request-id",
    "x-request-timeout-seconds",
    "serve-multiplexed-model-id",
    "serve_multiplexed_model_id",
    "serve-session-id",
    "serve_session_id",
    "traceparent",
    "host",
    "origin",
    "accept",
    "content-type",
    "upgrade",
    "connection",
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-prefix",
    "content-length",
    "transfer-encoding",
    "sec-websocket-key",
    "expect",
];
const PATHS: [(&str, Method); 6] = [
    ("/context", Method::GET),
    ("/body", Method::POST),
    ("/bytes", Method::POST),
    ("/numbers", Method::GET),
    ("/slow", Method::GET),
    ("/-/healthz", Method::GET),
];

pub fn run(data: &[u8]) {
    thread_local! {
        static SERVER: Kept = const { Kept::new() };
    }
    SERVER.with(|kept| kept.run(start, |server| one(server, Input::new(data))));
}

fn one(server: &Server, mut input: Input<'_>) {
    let at = usize::from(input.byte()) % PATHS.len();
    let (path, method) = PATHS[at].clone();
    let mut headers = Vec::new();
    while !input.is_empty() {
        let name = match input.byte() {
            choice @ 0..=240 => NAMES[usize::from(choice) % NAMES.len()].as_bytes(),
            _ => input.line(),
        };
        let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name), HeaderValue::from_bytes(input.line()))
        else {
            continue;
        };
        headers.push((name, value));
    }
    // In the order in which they are read: all values of one name together.
    let mut map = HeaderMap::new();
    for (name, value) in headers.clone() {
        map.append(name, value);
    }
    let last = |names: [&'static str; 2]| {
        let named = map.iter().filter(|(name, _)| names.contains(&name.as_str()));
        let (_, last) = named.reduce(|_, last| last)?;
        last.to_str().ok().filter(|text| !text.is_empty())
    };
    let answer = server.ask(|http| {
        let mut request = http.request(method.clone(), path);
        if method == Method::POST {
            request = request.body("{}");
        }
        for (name, value) in headers {
            request = request.header(name, value);
        }
        request
    });
    let answer = answer.expect("a client can send this");
    answer.check(&[200, 403, 408, 415]);
    let timeout = last(["x-request-timeout-seconds"; 2]);
    assert!(answer.status != 408 || timeout.is_some(), "{answer:?}");
    assert!(
        answer.status != 415 || path == "/body" && map.contains_key("content-type"),
        "{answer:?}"
    );
    assert!(answer.status != 403 || map.contains_key("origin"), "{answer:?}");
    if answer.status == 200 && path == "/slow" {
        let shorter = timeout
            .and_then(|text| text.trim().parse::<f64>().ok())
            .filter(|seconds| *seconds < 2.9);
        assert!(shorter.is_none_or(|seconds| seconds <= 0.0), "{timeout:?}: {answer:?}");
    }

    let id = last(["x-request-id"; 2]);
    let id = id.filter(|id| id.len() <= 128 && id.bytes().all(|byte| byte.is_ascii_graphic()));
    if let Some(id) = id {
        assert_eq!(answer.id, id);
    }
    if path == "/context"
        && let Some(read) = answer.json()
    {
        assert_eq!(read["id"], answer.id);
        assert_eq!(read["trace"], json!(last(["traceparent"; 2])));
        let spelled = |names| last(names).unwrap_or_default().to_owned();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let model = spelled(["serve-multiplexed-model-id", "serve_multiplexed_model_id"]);
        assert_eq!(text(&read["model"]), model);
        assert_eq!(text(&read["session"]), spelled(["serve-session-id", "serve_session_id"]));
    }
}
