//! [`Server`]: a runtime on this thread that answers requests, and the checks of its answers.

use std::cell::RefCell;
use std::mem::ManuallyDrop;

use bytes::Bytes;
use futures::future::BoxFuture;
use serde_json::Value;
use serve_core::prelude::*;
use serve_core::testing::{HttpClient, HttpRequest};

/// The number of inputs after which a server is replaced: a mock runtime records all calls.
const INPUTS: u32 = 2_000;
/// The longest body of an error: its message has 1,024 characters, each of which may be escaped.
const LONGEST_ERROR: usize = 32 << 10;

/// A runtime that answers requests.
pub struct Server {
    tokio: tokio::runtime::Runtime,
    /// Dropped before the runtime of tokio, inside of it.
    runtime: Option<MockRuntime>,
    http: HttpClient,
}

/// Starts the applications of a target.
pub type Start = fn() -> BoxFuture<'static, Result<MockRuntime>>;

impl Server {
    fn start(start: Start) -> Self {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let tokio = builder.enable_time().start_paused(true).build().expect("tokio starts");
        let runtime = tokio.block_on(start()).expect("the application starts");
        Self { http: runtime.http(), runtime: Some(runtime), tokio }
    }

    /// Sends a request. `None` if no client could send it.
    pub fn ask(&self, request: impl FnOnce(&HttpClient) -> HttpRequest) -> Option<Answer> {
        self.tokio.block_on(async {
            let response = request(&self.http).await.ok()?;
            let status = response.status().as_u16();
            let header = |name: &str| response.header(name).unwrap_or_default().to_owned();
            let (id, content_type) = (header("x-request-id"), header("content-type"));
            let allow = header("allow");
            let body = response.bytes().await.expect("a body is sent to its end");
            Some(Answer { status, id, content_type, allow, body })
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _entered = self.tokio.enter();
        drop(self.runtime.take());
    }
}

/// The server of a thread. Never dropped with its thread, because the runtime of tokio uses other
/// values of the thread.
pub struct Kept(RefCell<ManuallyDrop<Option<(Server, u32)>>>);

impl Kept {
    pub const fn new() -> Self {
        Self(RefCell::new(ManuallyDrop::new(None)))
    }

    /// Runs one input.
    pub fn run(&self, start: Start, input: impl FnOnce(&Server)) {
        let mut kept = self.0.borrow_mut();
        if kept.as_ref().is_none_or(|(_, inputs)| *inputs == INPUTS) {
            // The old server ends before the new one starts.
            drop(kept.take());
            **kept = Some((Server::start(start), 0));
        }
        let (server, inputs) = kept.as_mut().expect("a server was started");
        *inputs += 1;
        input(server);
    }
}

/// The answer to a request.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub id: String,
    pub content_type: String,
    pub allow: String,
    pub body: Bytes,
}

impl Answer {
    /// Checks that the answer has one of these statuses, an id and, if it is an error, a short body
    /// in a known form. The answer to `HEAD` has no body.
    #[track_caller]
    pub fn check(&self, statuses: &[u16]) {
        assert!(statuses.contains(&self.status), "unexpected status: {self:?}");
        assert!((1..=128).contains(&self.id.len()), "the request id: {self:?}");
        if self.status >= 400 && !self.body.is_empty() {
            assert!(self.body.len() <= LONGEST_ERROR, "{} bytes: {self:?}", self.body.len());
            let text = std::str::from_utf8(&self.body).expect("an error is text");
            match self.content_type.as_str() {
                "application/json" => check_error(text, self.status),
                content_type => assert!(content_type.starts_with("text/plain"), "{self:?}"),
            }
        }
    }

    /// The JSON of a successful answer; `None` for another answer, and for one that is nested too
    /// deeply for a [`Value`].
    #[track_caller]
    pub fn json(&self) -> Option<Value> {
        let json = (self.status == 200).then(|| serde_json::from_slice(&self.body))?;
        match json {
            Err(error) if error.to_string().contains("recursion limit") => None,
            json => Some(json.unwrap_or_else(|error| panic!("not JSON: {error}: {self:?}"))),
        }
    }
}

/// Checks the JSON of an error.
#[track_caller]
pub fn check_error(text: &str, status: u16) {
    let body: Value = serde_json::from_str(text).expect("an error is JSON");
    let error = body["error"].as_object().expect("an error has its fields");
    assert_eq!(error["status"], status, "{text}");
    let message = error["message"].as_str().expect("an error has a message");
    assert!(!message.is_empty() && !message.chars().any(char::is_control), "{text}");
    for (name, value) in error {
        match name.as_str() {
            "status" | "message" => {}
            "code" | "field" | "request_id" => assert!(value.is_string(), "{text}"),
            "in" => assert!(
                ["body", "path", "query", "header", "cookie"].iter().any(|place| value == place),
                "{text}"
            ),
            _ => panic!("an unknown field: {text}"),
        }
    }
}

/// True if two JSON values are the same, but for the last digits of their numbers: `serde_json` reads
/// a number to within one unit of its last place.
pub fn nearly_equal(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            let (Some(one), Some(other)) = (one.as_f64(), other.as_f64()) else { return false };
            one == other || (one - other).abs() <= one.abs() * 1e-14
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(a, b)| nearly_equal(a, b))
        }
        (Value::Object(one), Value::Object(other)) => {
            let same = |(name, a)| other.get(name).is_some_and(|b| nearly_equal(a, b));
            one.len() == other.len() && one.iter().all(same)
        }
        _ => one == other,
    }
}
