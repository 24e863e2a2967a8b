//! Heads of requests that are at fault: the host, and what is no request at all.
#![cfg(feature = "http")]

use std::sync::Arc;

use http_body_util::Empty;
use hyper_util::rt::{TokioExecutor, TokioIo};
use parking_lot::Mutex;
use serve_core::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tracing::span;

#[deployment]
#[derive(Default)]
struct Web;

#[handle]
impl Web {
    #[get("/")]
    pub async fn hello(&self) -> String {
        "Hola".to_owned()
    }

    #[post("/", body = body)]
    pub async fn length(&self, body: Bytes) -> usize {
        body.len()
    }
}

async fn serve() -> Result<Runtime> {
    let runtime = Runtime::builder().http(([127, 0, 0, 1], 0)).start().await?;
    runtime.run(Web::bind()).await?;
    Ok(runtime)
}

/// The bytes that the server sends until it closes the connection.
async fn answer(runtime: &Runtime, request: &[u8]) -> Result<String> {
    let mut socket = TcpStream::connect(runtime.http_address().unwrap()).await?;
    // The server may answer before it has read everything, and close.
    let _ = socket.write_all(request).await;
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer).await;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[tokio::test]
async fn a_request_names_one_host() -> Result<()> {
    let runtime = serve().await?;
    let cases = [
        ("1.1", "", 400),
        ("1.1", "host: here", 200),
        ("1.1", "host: here:8000", 200),
        ("1.1", "host: [::1]:8000", 200),
        ("1.1", "HOST:here", 200),
        ("1.1", "host: here\r\nhost: here", 400),
        ("1.1", "host: here\r\nHost: there", 400),
        ("1.1", "host:", 400),
        ("1.1", "host: a b", 400),
        ("1.1", "host: a/b", 400),
        ("1.1", "host: user@here", 400),
        ("1.1", "host: here:port", 400),
        ("1.1", "host: here:99999", 400),
        ("1.1", "host: h\u{e9}re", 400),
        ("1.0", "", 200),
        ("1.0", "host: here", 200),
        ("1.0", "host: here\r\nhost: here", 400),
        ("1.0", "host: a b", 400),
    ];
    for (version, host, status) in cases {
        for path in ["/", "/nowhere", "/-/healthz", "http://here/"] {
            let host = if host.is_empty() { String::new() } else { format!("{host}\r\n") };
            let request = format!("GET {path} HTTP/{version}\r\n{host}connection: close\r\n\r\n");
            let answer = answer(&runtime, request.as_bytes()).await?;
            let status = if path == "/nowhere" && status == 200 { 404 } else { status };
            let expected = format!("HTTP/{version} {status}");
            assert!(answer.starts_with(&expected), "{request}{answer}");
            assert!(status != 400 || answer.contains("Host"), "{answer}");
            assert!(answer.contains("x-request-id"), "{answer}");
        }
    }
    let io = TokioIo::new(TcpStream::connect(runtime.http_address().unwrap()).await?);
    let (mut client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await?;
    tokio::spawn(connection);
    for (hosts, status) in
        [(&[][..], 200), (&["here"], 200), (&["here", "here"], 400), (&["a b"], 400)]
    {
        let mut request = http::Request::get("http://here/");
        for host in hosts {
            request = request.header("host", *host);
        }
        let answer = client.send_request(request.body(Empty::<Bytes>::new())?).await?;
        assert_eq!(answer.status(), status, "{hosts:?}");
    }
    Ok(())
}

/// Keeps the lines of the access log.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

struct Text(String);

impl tracing::field::Visit for Text {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        self.0.push_str(&format!("{}={value:?} ", field.name()));
    }
}

impl tracing::Subscriber for Lines {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target() == "serve_core::access"
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

#[tokio::test]
async fn what_is_no_request_is_answered_by_a_sentence_and_logged() -> Result<()> {
    let lines = Lines::default();
    let _default = tracing::subscriber::set_default(lines.clone());
    let runtime = serve().await?;
    let get = "GET / HTTP/1.1\r\nhost: here\r\n\r\n";
    let long_path = format!("GET /{} HTTP/1.1\r\nhost: here\r\n\r\n", "x".repeat(70_000));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(101));
    let large = format!("GET / HTTP/1.1\r\na: {}\r\n\r\n", "x".repeat(600_000));
    let cases: Vec<(&[u8], u16)> = vec![
        (b"hello\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03", 400),
        (b"GET / HTTP/1.1\r\nbad header\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\n\r\n", 400),
        (b"GET /\x01 HTTP/1.1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nhost: here\r\ncontent-length: x\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nhost: here\r\ntransfer-encoding: gzip\r\n\r\n", 400),
        (long_path.as_bytes(), 414),
        (many.as_bytes(), 431),
        (large.as_bytes(), 431),
    ];
    for (request, status) in &cases {
        let shown = String::from_utf8_lossy(&request[..request.len().min(60)]);
        for earlier in ["", get] {
            let request = [earlier.as_bytes(), request].concat();
            let answers = answer(&runtime, &request).await?;
            let answer = match earlier {
                "" => &answers,
                _ => answers.split_once("Hola").map_or("", |(_, rest)| rest),
            };
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{shown}: {answers}");
            let (head, body) = answer.split_once("\r\n\r\n").expect("a whole answer");
            assert!(head.contains("connection: close"), "{head}");
            assert!(head.contains("content-type: application/json"), "{head}");
            assert!(head.contains(&format!("content-length: {}", body.len())), "{head}");
            let id = head.split("x-request-id: ").nth(1).and_then(|rest| rest.split("\r\n").next());
            let body: serde_json::Value = serde_json::from_str(body)?;
            assert_eq!(body["error"]["status"], *status);
            assert!(body["error"]["message"].as_str().is_some_and(|text| text.len() > 20));
            // The line is written when the connection has ended.
            let expected = format!("status={status} ");
            let logged = || {
                let id = id.unwrap_or("none");
                lines.0.lock().iter().any(|line| line.contains(&expected) && line.contains(id))
            };
            while !logged() {
                tokio::task::yield_now().await;
            }
        }
    }
    // An empty answer of our own stays as it is.
    let own = answer(&runtime, b"GET /nowhere HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n");
    assert!(own.await?.starts_with("HTTP/1.1 404"));
    Ok(())
}
