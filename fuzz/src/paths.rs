//! Paths: which application and endpoint a request reaches, and with what values.
//!
//! A plain search over all prefixes and patterns says what has to be found.

use futures::FutureExt;
use futures::future::BoxFuture;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use serve_core::prelude::*;

use super::answers::{Kept, Server};
use super::input::Input;

#[deployment]
#[derive(Default)]
pub struct Places;

fn here(values: &[&str]) -> Value {
    let context = context();
    json!({
        "application": context.application(),
        "route": context.route(),
        "values": values,
    })
}

#[handle]
impl Places {
    #[get("/")]
    pub async fn root(&self) -> Value {
        here(&[])
    }

    #[get("/x/{id}")]
    pub async fn one(&self, id: String) -> Value {
        here(&[&id])
    }

    #[put("/x/{id}")]
    pub async fn put_one(&self, id: String) -> Value {
        here(&[&id])
    }

    #[get("/x/latest")]
    pub async fn latest(&self) -> Value {
        here(&[])
    }

    #[get("/x/{a}/y/{b}")]
    pub async fn two(&self, a: String, b: String) -> Value {
        here(&[&a, &b])
    }

    #[get("/x/latest/z")]
    pub async fn latest_z(&self) -> Value {
        here(&[])
    }

    #[get("/files/{*path}")]
    pub async fn file(&self, path: String) -> Value {
        here(&[&path])
    }

    #[get("/caf%C3%A9")]
    pub async fn coffee(&self) -> Value {
        here(&[])
    }

    #[post("/only")]
    pub async fn only(&self) -> Value {
        here(&[])
    }
}

/// The names and the prefixes of the applications.
const APPS: [(&str, &str); 5] =
    [("root", "/"), ("a", "/a"), ("ab", "/a/b"), ("x", "/a/x"), ("long", "/a/b/files/c")];

/// The patterns, and the methods of each.
const PATTERNS: [(&str, &[&str]); 10] = [
    ("/", &["GET", "HEAD"]),
    ("/x/{}", &["GET", "HEAD", "PUT"]),
    ("/x/latest", &["GET", "HEAD"]),
    ("/x/{}/y/{}", &["GET", "HEAD"]),
    ("/x/latest/z", &["GET", "HEAD"]),
    ("/files/{*}", &["GET", "HEAD"]),
    ("/caf%C3%A9", &["GET", "HEAD"]),
    ("/only", &["POST"]),
    ("/docs", &["GET", "HEAD"]),
    ("/openapi.json", &["GET", "HEAD"]),
];

const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"];

fn start() -> BoxFuture<'static, Result<MockRuntime>> {
    async {
        let runtime = MockRuntime::builder().start();
        for (name, prefix) in APPS {
            let application = Application::new(Places::bind()).name(name).route_prefix(prefix);
            runtime.run(application).await?;
        }
        Ok(runtime)
    }
    .boxed()
}

pub fn run(data: &[u8]) {
    thread_local! {
        static SERVER: Kept = const { Kept::new() };
    }
    SERVER.with(|kept| kept.run(start, |server| one(server, Input::new(data))));
}

fn one(server: &Server, mut input: Input<'_>) {
    let method = match input.byte() {
        choice @ 0..=250 => METHODS[usize::from(choice) % METHODS.len()].to_owned(),
        _ => input.text(),
    };
    let text = String::from_utf8_lossy(input.rest()).into_owned();
    let Ok(uri) = text.parse::<serve_core::axum::http::Uri>() else { return };
    let Some(answer) = server.ask(|http| http.request(method.as_str(), text)) else { return };
    let path = uri.path();
    answer.check(&[200, 204, 404, 405, 422]);
    assert!(answer.status < 400 || answer.body.is_empty() == (method == "HEAD"), "{answer:?}");
    if !path.starts_with('/') {
        // `*`, or a host.
        return assert_eq!(answer.status, 404, "{answer:?}");
    }
    if path.starts_with("/-/") {
        let known = path == "/-/healthz" || path == "/-/routes";
        assert_eq!(answer.status, if known { 200 } else { 404 }, "{answer:?}");
        return;
    }
    let (application, prefix) = application(path);
    let below = path.strip_prefix(prefix.trim_end_matches('/')).unwrap_or(path);
    let below = if below.is_empty() { "/" } else { below };
    let found: Vec<_> = PATTERNS
        .iter()
        .filter_map(|(pattern, methods)| Some((*pattern, *methods, values(pattern, below)?)))
        .collect();
    match answer.status {
        404 => assert!(found.is_empty(), "{path} is {found:?}"),
        204 | 405 => {
            assert_eq!(answer.status == 204, method == "OPTIONS", "{answer:?}");
            assert!(!answer.allow.split(',').any(|allowed| allowed == method), "{answer:?}");
            assert!(
                found.iter().any(|(_, methods, _)| answer.allow == methods.join(",")),
                "{path} is {found:?}, not {answer:?}"
            );
        }
        422 => assert!(
            found.iter().any(|(.., values)| values.iter().any(Option::is_none)),
            "{path} is {found:?}, not {answer:?}"
        ),
        _ if method == "HEAD" => {
            assert!(answer.body.is_empty() && !found.is_empty(), "{path}: {answer:?}");
        }
        _ if answer.content_type != "application/json" || below == "/openapi.json" => {
            assert!(below == "/docs" || below == "/openapi.json", "{path}: {answer:?}");
        }
        _ => {
            let reached = answer.json().expect("a place is JSON");
            assert_eq!(reached["application"], application, "{path}");
            let route = reached["route"].as_str().expect("a request has a route");
            let pattern = route.strip_prefix(prefix.trim_end_matches('/')).expect("it begins so");
            let pattern = nameless(pattern);
            let found = found.iter().find(|(known, methods, _)| {
                *known == pattern && methods.contains(&method.as_str())
            });
            let (.., values) = found.unwrap_or_else(|| panic!("{path} is not {route}"));
            let values: Option<Vec<&str>> = values.iter().map(Option::as_deref).collect();
            assert_eq!(reached["values"], json!(values.expect("all are UTF-8")), "{path}");
        }
    }
}

/// The application with the longest prefix that ends where a segment of the path ends.
fn application(path: &str) -> (&'static str, &'static str) {
    let matches = |prefix: &str| {
        let rest = path.strip_prefix(prefix.trim_end_matches('/'));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let matching = APPS.into_iter().filter(|(_, prefix)| matches(prefix));
    matching.max_by_key(|(_, prefix)| prefix.len()).unwrap_or(("root", "/"))
}

/// The values of a pattern's parameters, decoded, if the path has the pattern. A value that is not
/// UTF-8 is `None`.
fn values(pattern: &str, path: &str) -> Option<Vec<Option<String>>> {
    let decoded =
        |text: &str| percent_decode_str(text).decode_utf8().ok().map(|text| text.into_owned());
    if let Some(before) = pattern.strip_suffix("{*}") {
        let rest = path.strip_prefix(before).filter(|rest| !rest.is_empty())?;
        return Some(vec![decoded(rest)]);
    }
    let (patterns, segments) = (pattern.split('/'), path.split('/'));
    if patterns.clone().count() != segments.clone().count() {
        return None;
    }
    let mut values = Vec::new();
    for (pattern, segment) in patterns.zip(segments) {
        match pattern {
            "{}" if !segment.is_empty() => values.push(decoded(segment)),
            _ if pattern == segment => {}
            _ => return None,
        }
    }
    Some(values)
}

/// A route without the names of its parameters.
fn nameless(route: &str) -> String {
    let segments = route.split('/').map(|segment| match segment {
        name if name.starts_with("{*") => "{*}",
        name if name.starts_with('{') => "{}",
        name => name,
    });
    segments.collect::<Vec<_>>().join("/")
}
