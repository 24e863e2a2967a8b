//! The responses that the results of methods become.
#![cfg(feature = "http")]

use crate::support::runtimes::mock_runtime;

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};
use serve_core::CallError;
use serve_core::prelude::*;
use serve_core::testing::HttpClient;
use tokio::time::sleep;

#[derive(Clone, Debug, Serialize, Deserialize)]
enum PaperError {
    NotFound(u32),
    Broken,
}

impl fmt::Display for PaperError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound(id) => write!(f, "no paper {id}"),
            Self::Broken => f.write_str("the index is broken at 0xdead"),
        }
    }
}

impl HttpStatus for PaperError {
    fn status(&self) -> u16 {
        match self {
            Self::NotFound(_) => 404,
            Self::Broken => 500,
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Plain(String);

impl fmt::Display for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "secret {}", self.0)
    }
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
struct Paper {
    id: u32,
    title: Option<String>,
}

#[derive(Clone, Debug, JsonSchema)]
struct Unwritable;

impl Serialize for Unwritable {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("secret"))
    }
}

impl<'de> Deserialize<'de> for Unwritable {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Ok(Self)
    }
}

#[deployment(max_ongoing_requests = 1, max_queued_requests = 0)]
struct Narrow;

#[handle]
impl Narrow {
    fn new() -> Self {
        Self
    }

    pub async fn hold(&self) {
        sleep(Duration::from_secs(60)).await;
    }

    pub async fn fail(&self) -> Result<()> {
        Err(Error::msg("a callee's own").with_status(404))
    }

    pub async fn panic(&self) {
        panic!("secret");
    }
}

#[deployment]
struct Desk {
    narrow: NarrowHandle,
}

#[handle]
impl Desk {
    fn new(narrow: NarrowHandle) -> Self {
        Self { narrow }
    }

    #[get("/text")]
    pub async fn text(&self) -> String {
        "Hola".to_owned()
    }

    #[get("/nothing")]
    pub async fn nothing(&self) {}

    #[get("/bytes")]
    pub async fn bytes(&self) -> serve_core::Bytes {
        serve_core::Bytes::from(vec![0, 1, 2])
    }

    #[get("/json")]
    pub async fn json(&self) -> Paper {
        Paper { id: 7, title: None }
    }

    #[get("/none")]
    pub async fn none(&self) -> Option<String> {
        None
    }

    #[get("/unwritable")]
    pub async fn unwritable(&self) -> Unwritable {
        Unwritable
    }

    #[get("/paper/{id}")]
    pub async fn paper(&self, id: u32) -> Result<Paper, PaperError> {
        match id {
            0 => Err(PaperError::Broken),
            id => Err(PaperError::NotFound(id)),
        }
    }

    #[get("/plain")]
    pub async fn plain(&self) -> Result<String, Plain> {
        Err(Plain("key".to_owned()))
    }

    #[get("/error")]
    pub async fn error(&self, status: Option<u16>) -> Result<String> {
        let error = Error::msg("the model said no");
        Err(match status {
            Some(status) => error.with_status(status),
            None => error,
        })
    }

    #[get("/panic")]
    pub async fn panic(&self) -> String {
        panic!("secret");
    }

    #[get("/callee")]
    pub async fn callee(&self, what: String) -> Result<()> {
        match what.as_str() {
            "overloaded" => {
                let held = self.narrow.hold();
                self.narrow.hold().await?;
                drop(held);
            }
            "error" => self.narrow.fail().await?,
            _ => self.narrow.panic().await?,
        }
        Ok(())
    }

    #[get("/slow")]
    pub async fn slow(&self, seconds: u64) -> Value {
        let left = serve_core::context().remaining();
        sleep(Duration::from_secs(seconds)).await;
        json!(left.map(|left| left.as_secs_f64()))
    }
}

async fn desk() -> Result<(MockRuntime, HttpClient)> {
    let (runtime, _) = mock_runtime(Desk::bind(Narrow::bind())).await?;
    let http = runtime.http();
    Ok((runtime, http))
}

const TEXT: &str = "text/plain; charset=utf-8";

#[tokio::test(start_paused = true)]
async fn the_return_type_decides_the_format() -> Result<()> {
    let (_runtime, http) = desk().await?;
    let rows: [(&str, &str, &[u8]); 5] = [
        ("/text", TEXT, b"Hola"),
        ("/nothing", "text/plain", b""),
        ("/bytes", "application/octet-stream", &[0, 1, 2]),
        ("/json", "application/json", br#"{"id":7,"title":null}"#),
        ("/none", "application/json", b"null"),
    ];
    for (path, content_type, body) in rows {
        let response = http.get(path).await?;
        assert_eq!(response.status(), 200, "{path}");
        assert_eq!(response.header("content-type"), Some(content_type), "{path}");
        assert_eq!(response.bytes().await?, body, "{path}");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn errors_set_the_status_and_the_body() -> Result<()> {
    let (_runtime, http) = desk().await?;
    let rows = [
        ("/paper/7", 404, "no paper 7"),
        // Said by the error itself, so it is not hidden.
        ("/paper/0", 500, "the index is broken at 0xdead"),
        ("/error?status=409", 409, "the model said no"),
    ];
    for (path, status, body) in rows {
        let response = http.get(path).header("accept", "text/plain").await?;
        assert_eq!(response.status(), status, "{path}");
        assert_eq!(response.header("content-type"), Some(TEXT));
        assert_eq!(response.text().await?, body, "{path}");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn errors_without_a_status_are_500_and_hidden() -> Result<()> {
    let (_runtime, http) = desk().await?;
    for path in
        ["/plain", "/error", "/panic", "/unwritable", "/callee?what=error", "/callee?what=panic"]
    {
        let response = http.get(path).header("accept", "text/plain").await?;
        assert_eq!(response.status(), 500, "{path}");
        assert!(response.header("x-request-id").is_some());
        assert_eq!(response.text().await?, "Internal Server Error", "{path}");
    }
    // Nor does a number that is no status.
    for status in [99, 101, 1000] {
        let response =
            http.get("/error").query(&[("status", status)]).header("accept", "text/plain").await?;
        assert_eq!(response.status(), 500);
        assert_eq!(response.text().await?, "Internal Server Error");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_callees_503_is_passed_on_with_retry_after() -> Result<()> {
    let (_runtime, http) = desk().await?;
    let response = http.get("/callee?what=overloaded").header("accept", "text/plain").await?;
    assert_eq!(response.status(), 503);
    assert_eq!(response.header("retry-after"), Some("1"));
    assert!(response.text().await?.starts_with("overloaded"));
    Ok(())
}

#[deployment(max_ongoing_requests = 1, max_queued_requests = 1)]
struct Busy;

#[handle]
impl Busy {
    fn new() -> Self {
        Self
    }

    #[post("/")]
    pub async fn work(&self) {
        sleep(Duration::from_secs(10)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn overload_is_503_with_retry_after() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    runtime.run(Busy::bind()).await?;
    let http = runtime.http();
    let (one, two, three) =
        tokio::join!(http.post("/").send(), http.post("/").send(), http.post("/").send());
    assert_eq!([one?.status(), two?.status()], [200, 200]);
    let three = three?;
    assert_eq!(three.status(), 503);
    assert_eq!(three.header("retry-after"), Some("1"));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn the_timeout_header_sets_the_deadline() -> Result<()> {
    let (_runtime, http) = desk().await?;
    let request = http.get("/slow?seconds=1").header("X-Request-Timeout-Seconds", "2.5");
    assert_eq!(request.await?.text().await?, "2.5");
    let began = tokio::time::Instant::now();
    let late = http.get("/slow?seconds=9").header("x-request-timeout-seconds", "2.5").await?;
    assert_eq!(late.status(), 408);
    assert_eq!(began.elapsed(), Duration::from_millis(2500));
    for none in ["0", "-1", "soon", "inf"] {
        let request = http.get("/slow?seconds=1").header("x-request-timeout-seconds", none);
        assert_eq!(request.await?.text().await?, "null", "{none}");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn request_timeout_is_the_default_deadline() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let bound = Desk::bind(Narrow::bind()).request_timeout(Duration::from_secs(5));
    runtime.run(bound).await?;
    let http = runtime.http();
    assert_eq!(http.get("/slow?seconds=1").await?.text().await?, "5.0");
    assert_eq!(http.get("/slow?seconds=9").await?.status(), 408);
    for (seconds, left) in [("20", "20.0"), ("2", "2.0")] {
        let request = http.get("/slow?seconds=1").header("x-request-timeout-seconds", seconds);
        assert_eq!(request.await?.text().await?, left);
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_lost_replica_is_503() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let bound = Desk::bind(Narrow::bind()).graceful_shutdown_timeout(Duration::from_secs(2));
    runtime.run(bound).await?;
    let running = tokio::spawn(runtime.http().get("/slow?seconds=9").into_future());
    sleep(Duration::from_millis(1)).await;
    runtime.delete("default").await?;
    let response = running.await??;
    assert_eq!(response.status(), 503);
    assert_eq!(response.header("retry-after"), None);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn endpoints_are_handle_methods() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let desk = runtime.run(Desk::bind(Narrow::bind())).await?;
    assert_eq!(desk.text().await?, "Hola");
    assert!(matches!(desk.paper(3).await, Err(CallError::App(PaperError::NotFound(3)))));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn deleted_has_no_route_but_mocked_has() -> Result<()> {
    let mock = DeskMock::new().text(|| async { "mocked".to_owned() });
    let runtime = MockRuntime::builder().mock(mock).start();
    runtime.run(Desk::bind(Narrow::bind())).await?;
    let http = runtime.http();
    assert_eq!(http.get("/text").await?.text().await?, "mocked");
    runtime.delete("default").await?;
    assert_eq!(http.get("/text").await?.status(), 404);
    Ok(())
}
