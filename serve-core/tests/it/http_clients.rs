//! Clients that leave, idle, come from elsewhere, or wait for a method that does not answer.
#![cfg(feature = "http")]

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, stream};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use parking_lot::Mutex;
use serve_core::axum::Router;
use serve_core::axum::body::Body;
use serve_core::axum::extract::WebSocketUpgrade;
use serve_core::axum::routing::{get, post};
use serve_core::prelude::*;
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

const SECOND: Duration = Duration::from_secs(1);

#[deployment(graceful_shutdown_timeout = "100ms")]
#[derive(Default)]
struct Web;

#[handle]
impl Web {
    #[get("/wait")]
    pub async fn wait(&self) {
        std::future::pending::<()>().await;
    }

    #[post("/wait", body = body)]
    pub async fn post(&self, body: Bytes) {
        drop(body);
        std::future::pending::<()>().await;
    }

    #[get("/rests")]
    pub fn rests(&self) -> impl Stream<Item = String> {
        stream::iter(["first\n".to_owned()]).chain(stream::pending())
    }

    #[get("/quick")]
    pub async fn quick(&self) -> String {
        "quick".to_owned()
    }

    #[post("/change")]
    pub async fn change(&self, by: Option<u8>) -> String {
        format!("{by:?}")
    }

    #[routes]
    pub fn routes(self: Arc<Self>) -> Router {
        // Takes nothing of the body.
        let unread = async |body: Body| {
            std::future::pending::<()>().await;
            drop(body);
        };
        // Takes it slowly.
        let slow = async |body: Body| {
            let mut size = 0;
            let mut pieces = body.into_data_stream();
            while let Some(Ok(piece)) = pieces.next().await {
                size += piece.len();
                sleep(Duration::from_millis(50)).await;
            }
            size.to_string()
        };
        let upgrade = async |upgrade: WebSocketUpgrade| upgrade.on_upgrade(async |_| {});
        Router::new()
            .route("/unread", post(unread))
            .route("/slow", post(slow))
            .route("/ws", get(upgrade))
    }
}

fn ongoing(runtime: &Runtime) -> usize {
    runtime.status().applications["default"].deployments["Web"].ongoing
}

async fn until(most: Duration, what: &str, holds: impl Fn() -> bool) -> Duration {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < most, "{what}: not after {:?}", began.elapsed());
        sleep(Duration::from_millis(10)).await;
    }
    began.elapsed()
}

async fn serve() -> Result<Runtime> {
    let runtime = Runtime::builder().http(([127, 0, 0, 1], 0)).start().await?;
    runtime.run(Web::bind()).await?;
    Ok(runtime)
}

/// Sends as much as the socket takes now.
fn send(socket: &TcpStream, bytes: &[u8]) {
    let mut rest = bytes;
    while let Ok(sent) = socket.try_write(rest) {
        rest = &rest[sent..];
        if rest.is_empty() {
            return;
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Leave {
    /// The socket is reset.
    Reset,
    /// The socket is closed, which resets it if an answer comes.
    Close,
    /// The sending half is closed, and the other half stays open.
    HalfClose,
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_is_seen_whatever_it_had_sent() -> Result<()> {
    let runtime = serve().await?;
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: here\r\n\r\n");
    let post = |path: &str, length: usize, body: &str| {
        format!("POST {path} HTTP/1.1\r\nhost: here\r\ncontent-length: {length}\r\n\r\n{body}")
    };
    let chunked = "POST /wait HTTP/1.1\r\nhost: here\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n";
    // No more than a socket takes: the end of a connection comes after all that was sent.
    let large = "x".repeat(40_000);
    let requests = [
        ("nothing", get("/wait")),
        ("two more bytes", post("/wait", 2, "{}\r\n")),
        ("another byte", post("/wait", 2, "{}x")),
        ("a line after chunks", format!("{chunked}\r\n")),
        ("another request", get("/wait") + &get("/quick")),
        ("ten more requests", get("/wait") + &get("/quick").repeat(10)),
        ("part of a head", get("/wait") + "GET /qui"),
        ("what is no request", get("/wait") + "\0\0\0\0"),
        ("more than a buffer", get("/wait") + &get("/quick").repeat(1_000)),
        ("bytes behind a stream", get("/rests") + "\r\n\r\n"),
        ("requests behind a stream", get("/rests") + &get("/quick").repeat(1_000)),
        ("a body that nobody reads", post("/unread", large.len(), &large)),
        ("part of a body that nobody reads", post("/unread", 2 * large.len(), &large)),
    ];
    for (what, request) in &requests {
        for leave in [Leave::Reset, Leave::Close, Leave::HalfClose] {
            let mut socket = TcpStream::connect(runtime.http_address().unwrap()).await?;
            socket.writable().await?;
            send(&socket, request.as_bytes());
            until(10 * SECOND, what, || ongoing(&runtime) == 1).await;
            // Everything that it sends has arrived.
            sleep(Duration::from_millis(600)).await;
            assert_eq!(ongoing(&runtime), 1, "{what}: it is there");
            let half = match leave {
                Leave::Reset => {
                    SockRef::from(&socket).set_linger(Some(Duration::ZERO))?;
                    drop(socket);
                    None
                }
                Leave::Close => {
                    drop(socket);
                    None
                }
                Leave::HalfClose => {
                    socket.shutdown().await?;
                    Some(socket)
                }
            };
            let what = format!("{what}, {leave:?}");
            until(2 * SECOND, &what, || ongoing(&runtime) == 0).await;
            drop(half);
        }
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_client_that_has_sent_all_is_answered() -> Result<()> {
    let runtime = serve().await?;
    // Pipelined requests are answered in order, and a slow handler may read what was sent.
    let mut socket = TcpStream::connect(runtime.http_address().unwrap()).await?;
    let get = "GET /quick HTTP/1.1\r\nhost: here\r\n\r\n".repeat(3);
    let body = "x".repeat(300_000);
    let post = format!(
        "POST /slow HTTP/1.1\r\nhost: here\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    socket.write_all(format!("{get}{post}").as_bytes()).await?;
    let mut answers = String::new();
    socket.read_to_string(&mut answers).await?;
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 4, "{answers}");
    assert!(answers.ends_with("300000"), "{answers}");

    // One that waits for its answer with its sending half closed counts as gone, unless its answer
    // is there at once.
    let mut socket = TcpStream::connect(runtime.http_address().unwrap()).await?;
    socket.write_all(b"GET /quick HTTP/1.1\r\nhost: here\r\n\r\n").await?;
    socket.shutdown().await?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await?;
    assert!(answer.ends_with("quick"), "{answer}");
    Ok(())
}

type Http2 = hyper::client::conn::http2::SendRequest<Empty<Bytes>>;

async fn http2(runtime: &Runtime) -> Result<(Http2, Arc<Mutex<Option<Duration>>>)> {
    let socket = TokioIo::new(TcpStream::connect(runtime.http_address().unwrap()).await?);
    let (client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), socket).await?;
    let closed = Arc::<Mutex<Option<Duration>>>::default();
    let began = Instant::now();
    tokio::spawn({
        let closed = Arc::clone(&closed);
        async move {
            let _ = connection.await;
            *closed.lock() = Some(began.elapsed());
        }
    });
    Ok((client, closed))
}

fn request(path: &str) -> http::Request<Empty<Bytes>> {
    http::Request::get(format!("http://here{path}")).body(Empty::new()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_idle_http2_connection_that_answers_pings_is_closed() -> Result<()> {
    let runtime = serve().await?;
    let (mut client, closed) = http2(&runtime).await?;
    let answer = client.send_request(request("/quick")).await?;
    assert_eq!(answer.into_body().collect().await?.to_bytes(), "quick");
    let (_silent, never_used) = http2(&runtime).await?;
    let (mut busy, still_open) = http2(&runtime).await?;
    let stream = busy.send_request(request("/rests")).await?;
    until(250 * SECOND, "both are closed", || {
        closed.lock().is_some() && never_used.lock().is_some()
    })
    .await;
    assert!(closed.lock().is_some_and(|after| after >= 80 * SECOND));
    sleep(300 * SECOND).await;
    assert_eq!(*still_open.lock(), None, "a stream that rests is not idle");
    drop(stream);
    until(250 * SECOND, "it is closed", || still_open.lock().is_some()).await;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn pages_of_other_hosts_may_not_change_anything() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    runtime.run(Web::bind()).await?;
    let http = runtime.http();
    let origins = [
        ("http://here", true),
        ("https://HERE", true),
        ("http://here:80", true),
        ("http://there", false),
        ("http://here.there", false),
        ("http://here:3000", false),
        ("null", false),
        ("here", false),
        ("", false),
        ("file://", false),
    ];
    for (origin, same) in origins {
        let change = |method: &str, path: &str, content_type: &str| {
            let request =
                http.request(method, path).header("host", "here").header("origin", origin);
            match content_type {
                "" => request,
                content_type => request.header("content-type", content_type),
            }
        };
        let refused = if same { 200 } else { 403 };
        // What a browser sends without asking.
        for content_type in ["", "text/plain", "multipart/form-data; boundary=x"] {
            let answer = change("POST", "/change", content_type).body("").await?;
            let expected = if same && !content_type.is_empty() { 415 } else { refused };
            assert_eq!(answer.status(), expected, "{origin} {content_type}");
        }
        for method in ["PUT", "PATCH", "DELETE"] {
            let expected = if same { 405 } else { 403 };
            assert_eq!(
                change(method, "/change", "").await?.status(),
                expected,
                "{origin} {method}"
            );
        }
        let to_routes = change("POST", "/slow", "text/plain").body("abc").await?;
        assert_eq!(to_routes.status(), refused, "{origin}");
        // What it asks for first, and what changes nothing.
        let json = change("POST", "/change", "application/json").body("{}").await?;
        assert_eq!(json.status(), 200, "{origin}");
        assert_eq!(change("GET", "/quick", "").await?.status(), 200, "{origin}");
        assert_eq!(change("HEAD", "/quick", "").await?.status(), 200, "{origin}");
        assert_eq!(change("OPTIONS", "/change", "").await?.status(), 204, "{origin}");
        // A WebSocket, which no browser asks for first. Without a socket, it cannot be upgraded.
        let upgrade = change("GET", "/ws", "")
            .header("connection", "upgrade")
            .header("upgrade", "WebSocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
            .await?;
        assert_eq!(upgrade.status() == 403, !same, "{origin}: {}", upgrade.status());
    }
    // What is no browser says nothing.
    assert_eq!(http.post("/change").body("").await?.status(), 200);
    let (one, two) = ("http://here", "http://there");
    let several = http.post("/change").header("host", "here").header("origin", one);
    assert_eq!(several.header("origin", two).body("").await?.status(), 403);
    Ok(())
}

/// Keeps its thread until it may go on.
#[deployment(graceful_shutdown_timeout = "100ms")]
struct Busy {
    gate: Arc<(parking_lot::Mutex<bool>, parking_lot::Condvar)>,
}

#[handle]
impl Busy {
    fn new(gate: Arc<(parking_lot::Mutex<bool>, parking_lot::Condvar)>) -> Self {
        Self { gate }
    }

    #[get("/compute")]
    pub async fn compute(&self) -> String {
        let mut open = self.gate.0.lock();
        if !*open {
            self.gate.1.wait_for(&mut open, 30 * SECOND);
        }
        "done".to_owned()
    }

    #[get("/items")]
    pub fn items(&self) -> impl Stream<Item = String> {
        let gate = Arc::clone(&self.gate);
        stream::once(async move {
            let mut open = gate.0.lock();
            if !*open {
                gate.1.wait_for(&mut open, 30 * SECOND);
            }
            "done".to_owned()
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 6)]
async fn a_method_that_computes_does_not_keep_its_client_beyond_the_deadline() -> Result<()> {
    let gate = Arc::new((parking_lot::Mutex::new(false), parking_lot::Condvar::new()));
    let runtime = Runtime::builder().http(([127, 0, 0, 1], 0)).in_place(false).start().await?;
    runtime.run(Busy::bind(Arc::clone(&gate))).await?;
    for path in ["/compute", "/items"] {
        let mut socket = TcpStream::connect(runtime.http_address().unwrap()).await?;
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\
             x-request-timeout-seconds: 0.05\r\n\r\n"
        );
        socket.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        tokio::time::timeout(10 * SECOND, socket.read_to_string(&mut answer)).await.expect(path)?;
        assert!(answer.starts_with("HTTP/1.1 408"), "{path}: {answer}");
    }
    *gate.0.lock() = true;
    gate.1.notify_all();
    runtime.shutdown().await;
    Ok(())
}
