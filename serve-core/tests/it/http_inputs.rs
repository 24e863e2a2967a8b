//! Input that is almost right, endless, huge or invisible: each is refused by a sentence, and what
//! the sentence repeats is short.
#![cfg(feature = "http")]

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Value, json};
use serve_core::prelude::*;
use serve_core::testing::{HttpClient, HttpResponse};
use tracing::span;

#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
struct Tree(Vec<Tree>);

#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
struct Link(Option<Box<Link>>);

/// A type without a value.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
struct Never(Box<Never>);

#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
struct Pair(Vec<(Option<Pair>,)>);

#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(untagged)]
enum Nested {
    Leaf(u8),
    Node(Vec<Nested>),
}

#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
struct Node {
    children: Vec<Node>,
}

#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
struct Point {
    x: u8,
    y: Option<u8>,
}

#[deployment]
#[derive(Default)]
struct Desk;

#[handle]
impl Desk {
    #[post("/fields")]
    pub async fn fields(&self, n: Value, name: Option<String>) -> Value {
        json!([n, name])
    }

    #[post("/some/{id}")]
    pub async fn some(&self, id: u8, n: Value) -> Value {
        json!([id, n])
    }

    #[post("/options")]
    pub async fn options_of(&self, a: Option<u8>, b: Option<String>) -> Value {
        json!([a, b])
    }

    #[post("/options/{id}")]
    pub async fn some_options(&self, id: u8, a: Option<u8>) -> Value {
        json!([id, a])
    }

    #[post("/whole", body = point)]
    pub async fn whole(&self, point: Option<Point>) -> Value {
        json!(point)
    }

    #[post("/raw", body = raw)]
    pub async fn raw(&self, raw: Option<Bytes>) -> usize {
        raw.map_or(0, |raw| raw.len())
    }

    #[get("/query")]
    pub async fn query(
        &self,
        s: Option<String>,
        list: Option<Vec<String>>,
        point: Option<Point>,
    ) -> Value {
        json!([s, list, point])
    }

    #[get("/n")]
    pub async fn n(&self, n: Option<u8>) -> Value {
        json!(n)
    }

    #[post("/fails")]
    pub async fn fails(&self, text: String) -> Result<()> {
        Err(Error::msg(format!("cannot find {text}")))
    }

    #[get("/tree/{tree}")]
    pub async fn tree_in_path(&self, tree: Tree) -> Tree {
        tree
    }

    #[get("/trees")]
    pub async fn trees(
        &self,
        tree: Option<Tree>,
        link: Option<Link>,
        pair: Option<Pair>,
        nested: Option<Nested>,
        node: Option<Node>,
    ) -> Value {
        json!([tree, link, pair, nested, node])
    }

    #[post("/trees")]
    pub async fn trees_in_fields(&self, tree: Tree) -> Tree {
        tree
    }

    #[post("/tree", body = tree)]
    pub async fn tree_in_body(&self, tree: Tree) -> Tree {
        tree
    }

    #[get("/link/{link}")]
    pub async fn link_in_path(&self, link: Link, never: Option<Never>, links: Vec<Link>) -> Value {
        json!([link, never, links])
    }

    #[post("/links")]
    pub async fn links_in_fields(
        &self,
        link: Option<Link>,
        never: Option<Never>,
        links: Option<Vec<Link>>,
    ) -> Value {
        json!([link, never, links])
    }

    #[post("/links/{id}")]
    pub async fn links_in_some_fields(&self, id: u8, link: Option<Link>) -> Value {
        json!([id, link])
    }

    #[post("/link", body = link)]
    pub async fn link_in_body(&self, link: Link) -> Link {
        link
    }

    #[post("/never", body = never)]
    pub async fn never_in_body(&self, never: Never) -> Never {
        never
    }
}

async fn served() -> Result<(MockRuntime, HttpClient)> {
    let runtime = MockRuntime::builder().start();
    runtime.run(Desk::bind()).await?;
    let http = runtime.http();
    Ok((runtime, http))
}

async fn error(response: HttpResponse) -> (u16, Value) {
    let status = response.status().as_u16();
    let body: Value = response.json().await.expect("an error is JSON");
    (status, body["error"].clone())
}

#[tokio::test]
async fn a_key_that_is_given_twice_is_refused_as_in_a_struct() -> Result<()> {
    let (_runtime, http) = served().await?;
    for (path, body, field) in [
        ("/fields", r#"{"n": "x", "n": 2}"#, "n"),
        ("/fields", r#"{"n": 1, "n": 1}"#, "n"),
        ("/fields", r#"{"n": 1, "\u006e": 2}"#, "n"),
        ("/fields", r#"{"n": null, "name": "a", "n": null}"#, "n"),
        ("/fields", r#"{"n": 1, "name": null, "name": "b"}"#, "name"),
        ("/some/1", r#"{"n": 1, "n": 2}"#, "n"),
        ("/options", r#"{"a": 1, "a": 2}"#, "a"),
        ("/whole", r#"{"x": 1, "x": 2}"#, "point"),
    ] {
        let (status, error) = error(http.post(path).body(body).await?).await;
        assert_eq!(status, 422, "{path} {body}: {error}");
        let message = error["message"].as_str().unwrap_or_default();
        assert!(message.contains("duplicate field"), "{path} {body}: {error}");
        let named = error["field"].as_str().unwrap_or_default();
        assert!(named.starts_with(field), "{path} {body}: {error}");
        assert_eq!(error["in"], "body");
    }
    // In a query, too.
    for query in ["point=%7B%22x%22:1,%22x%22:2%7D", "point=%7B%22y%22:1,%22y%22:1,%22x%22:1%7D"] {
        let (status, error) = error(http.get(format!("/query?{query}")).await?).await;
        assert_eq!((status, &error["field"]), (422, &json!("point")), "{error}");
        assert!(error["message"].as_str().unwrap_or_default().contains("duplicate"), "{error}");
    }
    // An object that is no JSON is no JSON, whatever stands twice in it; and what is unknown comes
    // first.
    for (body, expected) in [(r#"{"n": 1, "n": 2"#, 400), (r#"{"n": 1, "m": 2, "m": 3}"#, 422)] {
        assert_eq!(http.post("/fields").body(body).await?.status(), expected, "{body}");
    }
    assert_eq!(http.post("/fields").body(r#"{"n": {"a": 1}}"#).await?.status(), 200);
    Ok(())
}

#[tokio::test]
async fn what_is_not_utf8_in_a_query_is_refused() -> Result<()> {
    let (_runtime, http) = served().await?;
    for (query, field) in [
        ("s=%FF", json!("s")),
        ("s=a%C3", json!("s")),
        ("s=%ED%A0%80", json!("s")),
        ("list=a&list=%80", json!("list")),
        ("point=%7B%22x%22:%FF%7D", json!("point")),
        ("%FF=1", Value::Null),
        ("s=a&x%C3=1", Value::Null),
        ("%FF", Value::Null),
    ] {
        let (status, error) = error(http.get(format!("/query?{query}")).await?).await;
        assert_eq!(
            (status, &error["field"], &error["in"]),
            (422, &field, &json!("query")),
            "{query}"
        );
        assert!(error["message"].as_str().unwrap_or_default().contains("UTF-8"), "{error}");
    }
    let fine = http.get("/query?s=%C3%BC+%E2%82%AC%2B&list=a&list=b&other=%FF&&=").await?;
    assert_eq!(fine.json::<Value>().await?, json!(["ü €+", ["a", "b"], null]));
    Ok(())
}

#[tokio::test]
async fn an_empty_body_is_no_body_whatever_its_type() -> Result<()> {
    let (_runtime, http) = served().await?;
    for content_type in ["application/json", "application/json; charset=utf-8", "a/b+json", ""] {
        for (path, expected) in [
            ("/options", json!([null, null])),
            ("/options/7", json!([7, null])),
            ("/whole", json!(null)),
            ("/raw", json!(0)),
        ] {
            let request = http.post(path);
            let request = match content_type {
                "" => request,
                content_type => request.header("content-type", content_type),
            };
            let response = request.await?;
            assert_eq!(response.status(), 200, "{path} {content_type}");
            assert_eq!(response.json::<Value>().await?, expected, "{path} {content_type}");
        }
    }
    // What is needed is missed: by the body if it was declared, else by name.
    let declared = http.post("/fields").header("content-type", "application/json").await?;
    assert_eq!(error(declared).await.1["message"], "the body is empty, expected JSON");
    let (status, missing) = error(http.post("/fields").await?).await;
    assert_eq!((status, &missing["field"]), (422, &json!("n")));
    let blank =
        http.post("/options").header("content-type", "application/json").body(" \n").await?;
    assert_eq!(blank.status(), 400);
    Ok(())
}

#[tokio::test]
async fn text_after_the_json_of_a_body_is_refused() -> Result<()> {
    let (_runtime, http) = served().await?;
    for (path, body) in [
        ("/whole", r#"{"x": 1} 2"#),
        ("/whole", r#"{"x": 1}}"#),
        ("/whole", "null null"),
        ("/tree", "[] []"),
        ("/fields", r#"{"n": 1} 2"#),
        ("/some/1", r#"{"n": 1} 2"#),
        ("/options", "{} x"),
    ] {
        let (status, error) = error(http.post(path).body(body).await?).await;
        assert_eq!(status, 400, "{path} {body}: {error}");
        let message = error["message"].as_str().unwrap_or_default();
        assert!(message.contains("trailing characters"), "{path} {body}: {error}");
    }
    assert_eq!(http.post("/whole").body(" {\"x\": 1}\r\n").await?.status(), 200);
    Ok(())
}

#[tokio::test]
async fn a_type_that_contains_itself_is_read_to_a_depth() -> Result<()> {
    let (runtime, http) = served().await?;
    for path in [
        "/tree/a",
        "/tree/1",
        "/trees?tree=a",
        "/trees?tree",
        "/trees?tree=a&tree=b",
        "/trees?link=a",
        "/trees?link",
        "/trees?pair=a",
        "/trees?nested=a",
        "/trees?node=a",
    ] {
        let (status, error) = error(http.get(path).await?).await;
        assert_eq!(status, 422, "{path}: {error}");
    }
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    for depth in [200, 10_000] {
        for query in ["tree", "nested", "pair"] {
            let path = format!("/trees?{query}={}", deep(depth));
            assert_eq!(error(http.get(path).await?).await.0, 422, "{query}");
        }
        assert_eq!(error(http.get(format!("/tree/{}", deep(depth))).await?).await.0, 422);
        let (status, inner) = error(http.post("/tree").body(deep(depth)).await?).await;
        assert_eq!(status, 422, "{inner}");
        let fields = format!("{{\"tree\": {}}}", deep(depth));
        assert_eq!(error(http.post("/trees").body(fields).await?).await.0, 422);
    }
    for path in ["/tree/[[],[[]]]", "/trees?tree=[[],[[]]]"] {
        assert_eq!(http.get(path).await?.status(), 200, "{path}");
    }
    let nested = http.get("/trees?nested=[1,[2]]").await?.json::<Value>().await?;
    assert_eq!(nested[3], json!([1, [2]]));

    // A type that contains itself without a bracket between the two.
    for path in ["/link/1", "/link/null", "/trees?link=[1]", "/link/1?never=1", "/link/1?links=[1]"]
    {
        let (status, error) = error(http.get(path).await?).await;
        assert_eq!(status, 422, "{path}: {error}");
    }
    for (path, body, field) in [
        ("/link", "1", "link"),
        ("/link", "{}", "link"),
        ("/never", "null", "never"),
        ("/never", "\"a\"", "never"),
        ("/links", r#"{"link": 1}"#, "link"),
        ("/links", r#"{"link": null, "never": 1}"#, "never"),
        ("/links", r#"{"links": [null, 1]}"#, "links[1]"),
        ("/links/7", r#"{"link": "a"}"#, "link"),
    ] {
        let (status, error) = error(http.post(path).body(body).await?).await;
        assert_eq!((status, &error["field"]), (422, &json!(field)), "{path} {body}: {error}");
        let message = error["message"].as_str().unwrap_or_default();
        assert!(message.contains("contains itself"), "{path} {body}: {error}");
    }
    for (path, body) in [("/link", "null"), ("/links", r#"{"link": null, "links": [null]}"#)] {
        assert_eq!(http.post(path).body(body).await?.status(), 200, "{path} {body}");
    }

    // By name, as on a command line.
    let application = serve_core::dynamic::AnyApplication::from(Application::new(Desk::bind()));
    let desk = runtime.run_any(application).await?;
    let arguments = BTreeMap::from([("tree".to_owned(), vec!["a".to_owned()])]);
    let error = desk.call("tree_in_path", &arguments).err().expect("it never ends");
    assert!(error.to_string().contains("128"), "{error}");
    Ok(())
}

/// Keeps everything that is logged.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

struct Text(String);

impl tracing::field::Visit for Text {
    fn record_str(&mut self, _: &tracing::field::Field, value: &str) {
        self.0.push_str(value);
        self.0.push(' ');
    }

    fn record_debug(&mut self, _: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        self.0.push_str(&format!("{value:?} "));
    }
}

impl tracing::Subscriber for Lines {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target().starts_with("serve_core") && *metadata.level() <= tracing::Level::INFO
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        self.0.lock().push(text.0);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// Characters that a terminal or a reader would obey.
fn has_invisible(text: &str) -> bool {
    text.contains(|c: char| c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c))
}

#[tokio::test]
async fn what_is_repeated_of_a_request_is_short_and_visible() -> Result<()> {
    let lines = Lines::default();
    let _default = tracing::subscriber::set_default(lines.clone());
    let (_runtime, http) = served().await?;
    let long = "x".repeat(300_000);
    let odd = "a\u{202e}b\u{1b}[31m\u{85}\r\nc";
    let odd_in_url = "a%E2%80%AEb%1B[31m%0D%0Ac";
    let long_in_url = "x".repeat(60_000);
    let answers = vec![
        // Fields: unknown, ill-typed, with long values.
        http.post("/fields").json(json!({ long.as_str(): 1 })).await?,
        http.post("/fields").json(json!({ odd: 1 })).await?,
        http.post("/some/1").json(json!({ odd: 1, long.as_str(): 1 })).await?,
        http.post("/options").json(json!({ "a": long })).await?,
        http.post("/options").json(json!({ "a": odd })).await?,
        http.post("/whole").json(json!({ "x": long })).await?,
        http.post("/whole").json(json!([long])).await?,
        // Values and keys in the path and the query.
        http.get(format!("/n?n={long_in_url}")).await?,
        http.get(format!("/n?n={odd_in_url}")).await?,
        http.get(format!("/query?point={odd_in_url}{long_in_url}")).await?,
        http.get(format!("/query?{long_in_url}%FF=1")).await?,
        http.get(format!("/tree/{odd_in_url}")).await?,
        // Paths, methods, headers.
        http.get(format!("/nowhere/{long_in_url}")).await?,
        http.get("/nowhere/a\u{202e}b").await?,
        http.request(long.as_str(), "/fields").body("").await?,
        http.post("/fields").header("content-type", long.as_str()).body("{}").await?,
        http.put("/fields").header("origin", long.as_str()).header("host", long.as_str()).await?,
        http.get("/n").header("x-request-id", long.as_str()).await?,
        // What is only in the log.
        http.post("/fails").json(json!({ "text": long })).await?,
        http.post("/fails").json(json!({ "text": odd })).await?,
    ];
    for (at, answer) in answers.into_iter().enumerate() {
        let id = answer.header("x-request-id").unwrap_or_default();
        assert!(id.len() <= 128, "{at}");
        let text = answer.text().await?;
        assert!(text.len() < 3_000, "{at}: {} bytes", text.len());
        // JSON would escape control characters, but not what turns text around.
        let shown = serde_json::from_str::<Value>(&text).map_or(text, |value| {
            let error = &value["error"];
            format!("{}{}", error["message"].as_str().unwrap_or(""), error["field"])
        });
        assert!(!has_invisible(&shown), "{at}: {shown:?}");
    }
    let lines = lines.0.lock();
    assert!(lines.len() >= 18, "{}", lines.len());
    for line in &*lines {
        let (longest, line) = match line.contains("the method failed") {
            true => (9_000, line.replace('\n', "")),
            false => (1_000, line.clone()),
        };
        assert!(line.len() < longest && !has_invisible(&line), "{} bytes: {line:.300}", line.len());
    }
    Ok(())
}
