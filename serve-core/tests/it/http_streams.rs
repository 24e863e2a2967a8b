//! The framing of streams, and what stops them.
#![cfg(feature = "http")]

use crate::support::gauges::Gauge;
use crate::support::runtimes::mock_runtime;

use std::time::Duration;

use futures::StreamExt;
use serde_json::{Value, json};
use serve_core::prelude::*;
use serve_core::testing::HttpClient;
use tokio::time::sleep;

#[deployment]
struct Source {
    alive: Gauge,
}

#[handle]
impl Source {
    fn new(alive: Gauge) -> Self {
        Self { alive }
    }

    #[get("/numbers")]
    pub fn numbers(&self, to: u32) -> impl Stream<Item = u32> {
        futures::stream::iter(0..to)
    }

    #[get("/words")]
    pub fn words(&self) -> impl Stream<Item = String> {
        futures::stream::iter(["Hola\n", "Dora"]).map(str::to_owned)
    }

    #[get("/bytes")]
    pub fn bytes(&self) -> impl Stream<Item = serve_core::Bytes> {
        futures::stream::iter([&[0xff][..], &[0, 1]]).map(serve_core::Bytes::from_static)
    }

    #[get("/failing")]
    pub fn failing(&self, after: u32) -> impl Stream<Item = Result<u32>> {
        let error = Error::msg("no such number").with_status(404);
        futures::stream::iter(0..after).map(Ok).chain(futures::stream::iter([Err(error), Ok(9)]))
    }

    /// Without an end.
    #[get("/megabytes")]
    pub fn megabytes(&self) -> impl Stream<Item = String> {
        let alive = self.alive.enter();
        futures::stream::repeat_with(move || {
            let _alive = &alive;
            "x".repeat(1 << 20)
        })
    }

    #[get("/failing-words")]
    pub fn failing_words(&self) -> impl Stream<Item = Result<String>> {
        futures::stream::iter([Ok("a".to_owned()), Err(Error::msg("secret"))])
    }

    #[get("/refused")]
    pub async fn refused(&self) -> Result<impl Stream<Item = u32>> {
        if self.alive.now() < 100 {
            return Err(Error::msg("not now").with_status(409));
        }
        Ok(futures::stream::empty())
    }

    #[get("/ticks")]
    pub fn ticks(&self) -> impl Stream<Item = u64> {
        let alive = self.alive.enter();
        futures::stream::unfold((0, alive), |(tick, alive)| async move {
            sleep(Duration::from_secs(1)).await;
            Some((tick, (tick + 1, alive)))
        })
    }
}

async fn source() -> Result<(MockRuntime, HttpClient, Gauge)> {
    let alive = Gauge::default();
    let (runtime, _) = mock_runtime(Source::bind(alive.clone())).await?;
    let http = runtime.http();
    Ok((runtime, http, alive))
}

#[tokio::test(start_paused = true)]
async fn accept_decides_the_framing() -> Result<()> {
    let (_runtime, http, _) = source().await?;
    let rows: [(&str, &str, &str, &[u8]); 10] = [
        ("/numbers?to=3", "*/*", "application/x-ndjson", b"0\n1\n2\n"),
        ("/numbers?to=3", "application/json", "application/json", b"[0,1,2]"),
        ("/numbers?to=2", "text/event-stream", "text/event-stream", b"data: 0\n\ndata: 1\n\n"),
        ("/numbers?to=0", "*/*", "application/x-ndjson", b""),
        ("/numbers?to=0", "application/json", "application/json", b"[]"),
        ("/words", "*/*", "text/plain; charset=utf-8", b"Hola\nDora"),
        ("/words", "application/json", "application/json", br#"["Hola\n","Dora"]"#),
        (
            "/words",
            "text/event-stream",
            "text/event-stream",
            b"data: Hola\ndata: \n\ndata: Dora\n\n",
        ),
        ("/words", "application/x-ndjson", "application/x-ndjson", b"\"Hola\\n\"\n\"Dora\"\n"),
        ("/bytes", "*/*", "application/octet-stream", &[0xff, 0, 1]),
    ];
    for (path, accept, content_type, body) in rows {
        let response = http.get(path).header("accept", accept).await?;
        assert_eq!(response.status(), 200, "{path} as {accept}");
        assert_eq!(response.header("content-type"), Some(content_type), "{path} as {accept}");
        assert_eq!(response.bytes().await?, body, "{path} as {accept}");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_first_error_sets_the_status() -> Result<()> {
    let (_runtime, http, _) = source().await?;
    for accept in ["*/*", "application/json", "text/event-stream"] {
        for (path, status, body) in
            [("/failing?after=0", 404, "no such number"), ("/refused", 409, "not now")]
        {
            let response = http.get(path).header("accept", accept).await?;
            assert_eq!(response.status(), status, "{path} as {accept}");
            let error: Value = response.json().await?;
            assert_eq!(error["error"]["message"], body);
        }
    }
    // Nothing was sent of a list yet, wherever the error stands.
    let listed = http.get("/failing?after=2").header("accept", "application/json").await?;
    assert_eq!(listed.status(), 404);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_later_error_is_an_event_a_line_or_a_break() -> Result<()> {
    let (_runtime, http, _) = source().await?;
    let error = r#"{"error":{"status":404,"message":"no such number","request_id":"dora"}}"#;
    let named = |path: &str| http.get(path).header("x-request-id", "dora");
    let lines = named("/failing?after=1").await?;
    assert_eq!(lines.status(), 200);
    assert_eq!(lines.text().await?, format!("0\n{error}\n"));
    let events = named("/failing?after=1").header("accept", "text/event-stream").await?;
    assert_eq!(events.text().await?, format!("data: 0\n\nevent: error\ndata: {error}\n\n"));
    let hidden = named("/failing-words").header("accept", "text/event-stream").await?;
    assert_eq!(
        hidden.text().await?,
        "data: a\n\nevent: error\n\
         data: {\"error\":{\"status\":500,\"code\":\"internal\",\"message\":\"Internal Server Error\",\
         \"request_id\":\"dora\"}}\n\n"
    );
    let raw = http.get("/failing-words").await?;
    assert_eq!(raw.status(), 200);
    let chunks: Vec<_> = raw.chunks().collect().await;
    assert_eq!(chunks.len(), 2);
    assert_eq!(chunks[0].as_deref().unwrap(), b"a");
    assert!(chunks[1].is_err());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn chunks_arrive_as_they_are_made() -> Result<()> {
    let (_runtime, http, alive) = source().await?;
    let began = tokio::time::Instant::now();
    let mut chunks = http.get("/ticks").await?.chunks();
    for tick in 0..3 {
        assert_eq!(chunks.next().await.unwrap()?, format!("{tick}\n"));
        assert_eq!(began.elapsed(), Duration::from_secs(tick + 1));
    }
    assert_eq!(alive.now(), 1);
    drop(chunks);
    sleep(Duration::from_millis(1)).await;
    assert_eq!(alive.now(), 0);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn leaving_before_the_first_item_stops_the_method() -> Result<()> {
    let (_runtime, http, alive) = source().await?;
    let request = http.get("/ticks").send();
    assert!(tokio::time::timeout(Duration::from_millis(10), request).await.is_err());
    sleep(Duration::from_millis(1)).await;
    assert_eq!(alive.now(), 0);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_deadline_ends_a_stream_with_an_error() -> Result<()> {
    let (_runtime, http, alive) = source().await?;
    let response = http.get("/ticks").header("x-request-timeout-seconds", "2.5").await?;
    let text = response.text().await?;
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[..2], [json!(0), json!(1)]);
    assert_eq!(lines[2]["error"]["status"], 408);
    assert_eq!(alive.now(), 0);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn endless_streams_are_not_collected() -> Result<()> {
    let (_runtime, http, alive) = source().await?;
    let response = http.get("/megabytes").header("accept", "application/json").await?;
    assert_eq!(response.status(), 507);
    assert_eq!(response.header("content-type"), Some("application/json"));
    let error: Value = response.json().await?;
    assert_eq!(error["error"]["status"], 507);
    let message = error["error"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("64 MiB") && message.contains("application/x-ndjson"), "{message}");
    sleep(Duration::from_millis(1)).await;
    assert_eq!(alive.now(), 0, "the method goes on");
    Ok(())
}
