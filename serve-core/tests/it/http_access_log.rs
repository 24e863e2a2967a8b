//! What is logged of requests: a line for each in the access log, and what went wrong.
#![cfg(feature = "http")]

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Empty;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use parking_lot::Mutex;
use serve_core::Bytes;
use serve_core::prelude::*;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::sleep;
use tracing::field::{Field, Visit};
use tracing::span;

#[deployment]
struct Slow;

#[handle]
impl Slow {
    fn new() -> Self {
        Self
    }

    #[get("/wait/{seconds}")]
    pub async fn wait(&self, seconds: u64) -> String {
        sleep(Duration::from_secs(seconds)).await;
        "done".to_owned()
    }

    #[get("/ticks")]
    pub fn ticks(&self) -> impl Stream<Item = u32> {
        futures::stream::unfold(0, |tick| async move {
            sleep(Duration::from_secs(1)).await;
            (tick < 3).then_some((tick, tick + 1))
        })
    }
}

/// Passes on what its callee's deadline gives, and has an error of its own.
#[deployment]
struct Front {
    slow: SlowHandle,
}

#[handle]
impl Front {
    fn new(slow: SlowHandle) -> Self {
        Self { slow }
    }

    #[get("/late")]
    pub async fn late(&self) -> Result<String> {
        let slow = self.slow.options(CallOptions::new().timeout(Duration::from_secs(1)));
        Ok(slow.wait(9).await?)
    }

    #[get("/status/{status}")]
    pub async fn status(&self, status: u16) -> Result<()> {
        Err(Error::msg("on purpose").with_status(status))
    }
}

/// Keeps the lines of the access log, or the warnings and errors.
#[derive(Clone, Default)]
struct Lines {
    kept: Arc<Mutex<Vec<String>>>,
    warnings: bool,
}

impl Lines {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.kept.lock())
    }
}

struct Text {
    text: String,
    message: bool,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        match field.name() {
            "message" if !self.message => {}
            "request_id" => {}
            name => write!(self.text, "{name}={value:?} ").unwrap(),
        }
    }
}

impl tracing::Subscriber for Lines {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        if self.warnings {
            metadata.target().starts_with("serve_core") && *metadata.level() <= tracing::Level::WARN
        } else {
            metadata.target() == "serve_core::access"
        }
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut text = Text { text: String::new(), message: self.warnings };
        event.record(&mut text);
        self.kept.lock().push(text.text.trim().to_owned());
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

#[tokio::test(start_paused = true)]
async fn each_request_has_a_line() -> Result<()> {
    let lines = Lines::default();
    let _default = tracing::subscriber::set_default(lines.clone());
    let take = || lines.take();
    let runtime = MockRuntime::builder().start();
    runtime.run(Application::new(Slow::bind()).route_prefix("/slow")).await?;
    let http = runtime.http();

    http.get("/slow/wait/2").await?;
    assert_eq!(take(), [r#"method="GET" route="/slow/wait/{seconds}" status=200 ms=2000.0"#]);

    http.get("/slow/wait/x").await?;
    http.get("/nothing").await?;
    http.get("/-/healthz").await?;
    assert_eq!(
        take(),
        [
            r#"method="GET" route="/slow/wait/{seconds}" status=422 ms=0.0"#,
            r#"method="GET" route="/nothing" status=404 ms=0.0"#,
        ]
    );

    let gone = tokio::time::timeout(Duration::from_secs(1), http.get("/slow/wait/9").send()).await;
    assert!(gone.is_err());
    assert_eq!(take(), [r#"method="GET" route="/slow/wait/{seconds}" status=499 ms=1000.0"#]);

    // A stream is done when its last chunk is sent.
    let response = http.get("/slow/ticks").await?;
    assert_eq!(take(), [""; 0]);
    response.text().await?;
    assert_eq!(take(), [r#"method="GET" route="/slow/ticks" status=200 ms=4000.0"#]);
    drop(http.get("/slow/ticks").await?);
    assert_eq!(take(), [r#"method="GET" route="/slow/ticks" status=499 ms=1000.0"#]);
    Ok(())
}

/// What is the server's fault is in the log with its reason, whoever gave it its status; what
/// is the client's is not.
#[tokio::test(start_paused = true)]
async fn server_failures_are_warnings() -> Result<()> {
    let lines = Lines { warnings: true, ..Lines::default() };
    let _default = tracing::subscriber::set_default(lines.clone());
    let runtime = MockRuntime::builder().start();
    runtime.run(Front::bind(Slow::bind())).await?;
    let http = runtime.http();
    assert_eq!(http.get("/late").await?.status(), 408);
    let late = lines.take();
    assert!(
        matches!(&late[..], [line] if line.contains("deadline") && line.contains("408")),
        "{late:?}"
    );
    for (status, lines_of) in [(404, 0), (409, 0), (503, 1), (502, 1)] {
        assert_eq!(http.get(format!("/status/{status}")).await?.status(), status);
        let said = lines.take();
        assert_eq!(said.len(), lines_of, "{said:?}");
        assert!(said.iter().all(|line| line.contains("on purpose")), "{said:?}");
    }
    Ok(())
}

/// What is logged of two requests that do not end, one over each version of HTTP, when the
/// runtime shuts down.
async fn cut_off(lines: Lines) -> Result<Vec<String>> {
    let _default = tracing::subscriber::set_default(lines.clone());
    let runtime = Runtime::builder().http(([127, 0, 0, 1], 0)).start().await?;
    let slow = Slow::bind().graceful_shutdown_timeout(Duration::from_secs(5));
    runtime.run(slow).await?;
    let address = runtime.http_address().unwrap();
    let mut socket = TcpStream::connect(address).await?;
    socket.write_all(b"GET /wait/9999 HTTP/1.1\r\nhost: here\r\n\r\n").await?;
    let io = TokioIo::new(TcpStream::connect(address).await?);
    let (mut client, connection) = http2::handshake(TokioExecutor::new(), io).await?;
    tokio::spawn(connection);
    let request = http::Request::get("http://here/wait/9999").body(Empty::<Bytes>::new())?;
    let waiting = tokio::spawn(client.send_request(request));
    while runtime.status().applications["default"].deployments["Slow"].ongoing < 2 {
        tokio::task::yield_now().await;
    }
    tokio::time::pause();
    runtime.shutdown().await;
    tokio::time::resume();
    assert!(waiting.await.unwrap().is_err(), "its connection is closed");
    Ok(lines.take())
}

#[tokio::test]
async fn requests_cut_off_by_shutdown_are_503() -> Result<()> {
    let access = cut_off(Lines::default()).await?;
    assert_eq!(access.len(), 2, "{access:?}");
    let expected = r#"method="GET" route="/wait/{seconds}" status=503 "#;
    assert!(access.iter().all(|line| line.starts_with(expected)), "{access:?}");

    let warnings = cut_off(Lines { warnings: true, ..Lines::default() }).await?;
    let [warning] = &warnings[..] else { panic!("{warnings:?}") };
    assert!(warning.contains("2 requests were cut off") && warning.contains("5s"), "{warning}");
    Ok(())
}
