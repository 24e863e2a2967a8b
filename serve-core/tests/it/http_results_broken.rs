//! Results that cannot be sent: numbers that JSON does not have, and a `Serialize` that panics.
#![cfg(feature = "http")]

use std::collections::BTreeMap;

use futures::stream;
use serde_json::Value;
use serve_core::prelude::*;
use serve_core::testing::HttpClient;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
struct Score {
    name: String,
    score: Option<f64>,
}

/// Panics when the number 3 is written.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
struct Fragile(u8);

impl Serialize for Fragile {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        assert!(self.0 != 3, "three is too much");
        serializer.serialize_u8(self.0)
    }
}

#[deployment]
#[derive(Default)]
struct Numbers;

#[handle]
impl Numbers {
    #[get("/one")]
    pub async fn one(&self, n: f64) -> f64 {
        n
    }

    #[get("/half")]
    pub async fn half(&self, n: f32) -> f32 {
        n
    }

    #[get("/nested")]
    pub async fn nested(&self, n: f64) -> Vec<Score> {
        vec![
            Score { name: "a".to_owned(), score: None },
            Score { name: "b".to_owned(), score: Some(n) },
        ]
    }

    #[get("/map")]
    pub async fn map(&self, n: f64) -> BTreeMap<String, (u8, Option<f64>)> {
        BTreeMap::from([("a".to_owned(), (1, Some(n)))])
    }

    #[get("/stream")]
    pub fn stream(&self, good: usize, n: f64) -> impl Stream<Item = f64> {
        stream::iter(std::iter::repeat_n(0.5, good).chain([n, 1.0]))
    }

    #[get("/fragile")]
    pub fn fragile(&self, from: u8) -> impl Stream<Item = Fragile> {
        stream::iter((from..6).map(Fragile))
    }

    #[get("/text")]
    pub fn text(&self) -> impl Stream<Item = Result<String>> {
        stream::iter([Ok("good\n".to_owned()), Ok("still\n".to_owned()), Err(Error::msg("bad"))])
    }
}

async fn served() -> Result<(MockRuntime, HttpClient)> {
    let runtime = MockRuntime::builder().mode(Mode::Local).start();
    runtime.run(Numbers::bind()).await?;
    let http = runtime.http();
    Ok((runtime, http))
}

const EVENTS: &str = "text/event-stream";
const LINES: &str = "application/x-ndjson";
const LIST: &str = "application/json";

#[tokio::test]
async fn a_number_that_json_cannot_express_is_a_failure() -> Result<()> {
    let (_runtime, http) = served().await?;
    for n in ["NaN", "inf", "-inf"] {
        for path in ["/one", "/half", "/nested", "/map"] {
            let request = http.get(format!("{path}?n={n}")).header("accept", "text/plain");
            let response = request.await?;
            assert_eq!(response.status(), 500, "{path} {n}");
            assert_eq!(response.text().await?, "Internal Server Error");
        }
        for accept in [EVENTS, LINES, LIST] {
            let first = format!("/stream?good=0&n={n}");
            let first = http.get(first).header("accept", accept).await?;
            assert_eq!(first.status(), 500, "{accept} {n}");
        }
        let later = format!("/stream?good=2&n={n}");
        let list = http.get(later.as_str()).header("accept", LIST).await?;
        assert_eq!(list.status(), 500, "{n}");
        let lines = http.get(later.as_str()).header("accept", LINES).await?.text().await?;
        let error = lines.strip_prefix("0.5\n0.5\n").expect("the good items are sent");
        assert_eq!(serde_json::from_str::<Value>(error)?["error"]["status"], 500);
        let events = http.get(later.as_str()).header("accept", EVENTS).await?.text().await?;
        let error = events.strip_prefix("data: 0.5\n\ndata: 0.5\n\n").expect("they are sent");
        assert!(error.starts_with("event: error\ndata: {"), "{error}");
    }
    for (path, expected) in [("/one?n=0.1", "0.1"), ("/half?n=0.1", "0.1")] {
        assert_eq!(http.get(path).await?.text().await?, expected);
    }
    let nested = http.get("/nested?n=1e300").await?.text().await?;
    let number = serde_json::to_string(&1e300)?;
    let expected = format!(r#"[{{"name":"a","score":null}},{{"name":"b","score":{number}}}]"#);
    assert_eq!(nested, expected);
    Ok(())
}

#[tokio::test]
async fn a_panic_while_an_item_is_written_ends_the_stream_as_an_error_does() -> Result<()> {
    let (_runtime, http) = served().await?;
    for accept in [EVENTS, LINES, LIST] {
        let first = http.get("/fragile?from=3").header("accept", accept).await?;
        assert_eq!(first.status(), 500, "{accept}");
    }
    let lines = http.get("/fragile?from=1").header("accept", LINES).await?.text().await?;
    let error = lines.strip_prefix("1\n2\n").expect("the good items are sent");
    assert_eq!(serde_json::from_str::<Value>(error)?["error"]["status"], 500);
    let events = http.get("/fragile?from=1").header("accept", EVENTS).await?.text().await?;
    let error = events.strip_prefix("data: 1\n\ndata: 2\n\n").expect("they are sent");
    assert!(error.starts_with("event: error\ndata: {"), "{error}");
    assert_eq!(http.get("/fragile?from=1").header("accept", LIST).await?.status(), 500);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn the_items_before_a_fault_arrive_over_a_socket() -> Result<()> {
    let runtime = Runtime::builder().http(([127, 0, 0, 1], 0)).start().await?;
    runtime.run(Numbers::bind()).await?;
    for (path, good) in [("/text", ["good\n", "still\n"]), ("/fragile?from=1", ["1\n", "2\n"])] {
        let mut socket = TcpStream::connect(runtime.http_address().unwrap()).await?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n");
        socket.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        // A stream of text breaks.
        let _ = socket.read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(good.iter().all(|good| answer.contains(good)), "{answer}");
        let is_whole = answer.ends_with("\r\n0\r\n\r\n");
        assert_eq!(is_whole, path != "/text", "{answer}");
    }
    Ok(())
}
