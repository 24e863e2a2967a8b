//! Shutdown: the requests that it waits for, the connections that it closes, and `shutting_down`.
#![cfg(feature = "http")]

use crate::support::status::sockets;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::{FutureExt, SinkExt, StreamExt, stream};
use parking_lot::{Condvar, Mutex};
use serve_core::axum::Router;
use serve_core::axum::extract::WebSocketUpgrade;
use serve_core::axum::extract::ws::{Message, WebSocket};
use serve_core::axum::routing::get;
use serve_core::prelude::*;
use serve_core::shutting_down;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};
use tracing::span;

const SECOND: Duration = Duration::from_secs(1);

/// Ends all that it does when it is told to, or never.
#[deployment]
struct Web {
    listens: bool,
}

#[handle]
impl Web {
    fn new(listens: bool) -> Self {
        Self { listens }
    }

    async fn end(listens: bool, end: impl Future<Output = ()>) {
        if listens {
            end.await;
        } else {
            std::future::pending::<()>().await;
        }
    }

    #[get("/quick")]
    pub async fn quick(&self) -> String {
        "quick".to_owned()
    }

    #[get("/wait")]
    pub async fn wait(&self) -> String {
        Self::end(self.listens, shutting_down()).await;
        "ended".to_owned()
    }

    #[post("/up", body = body)]
    pub async fn up(&self, body: Bytes) -> usize {
        body.len()
    }

    #[get("/ticks")]
    pub fn ticks(&self) -> impl Stream<Item = String> {
        let end = Self::end(self.listens, shutting_down()).into_stream();
        stream::iter(["first\n".to_owned()]).chain(end.map(|()| "last\n".to_owned()))
    }

    #[routes]
    pub fn routes(self: Arc<Self>) -> Router {
        let listens = self.listens;
        let upgrade = move |upgrade: WebSocketUpgrade| async move {
            let end = Self::end(listens, shutting_down());
            upgrade.on_upgrade(move |socket| say_goodbye(socket, end))
        };
        Router::new().route("/ws", get(upgrade))
    }
}

async fn say_goodbye(mut socket: WebSocket, end: impl Future<Output = ()>) {
    let mut end = std::pin::pin!(end);
    loop {
        tokio::select! {
            () = &mut end => {
                let _ = socket.send(Message::text("bye")).await;
                return;
            }
            message = socket.recv() => if !matches!(message, Some(Ok(_))) { return },
        }
    }
}

async fn serve(listens: bool) -> Result<Runtime> {
    let runtime = Runtime::builder().http(([127, 0, 0, 1], 0)).start().await?;
    runtime.run(Web::bind(listens)).await?;
    Ok(runtime)
}

fn ongoing(runtime: &Runtime) -> usize {
    runtime.status().applications["default"].deployments["Web"].ongoing
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < 10 * SECOND, "{what}");
        sleep(Duration::from_millis(10)).await;
    }
}

async fn connect(runtime: &Runtime, bytes: &[u8]) -> Result<TcpStream> {
    let mut socket = TcpStream::connect(runtime.http_address().unwrap()).await?;
    socket.write_all(bytes).await?;
    Ok(socket)
}

fn request(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: here\r\n\r\n").into_bytes()
}

const UPLOAD: &[u8] = b"POST /up HTTP/1.1\r\nhost: here\r\ncontent-length: 10\r\n\r\nab";
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0";
/// The beginning of a HEADERS frame on stream 1.
const HALF_HEADERS: &[u8] = b"\0\0\x40\x01\x04\0\0\0\x01\x82";

#[tokio::test(start_paused = true)]
async fn what_is_no_request_does_not_hold_a_shutdown() -> Result<()> {
    let preface = |rest: &[u8]| [PREFACE, SETTINGS, rest].concat();
    let after_one = |rest: &[u8]| [&request("/quick")[..], rest].concat();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", Vec::new()),
        ("twelve bytes of a head", b"GET /quick H".to_vec()),
        ("a head without its end", b"GET /quick HTTP/1.1\r\nhost: here\r\n".to_vec()),
        ("a line before a head", b"\r\n".to_vec()),
        ("an idle connection", after_one(b"")),
        ("part of a second head", after_one(b"GET /qui")),
        ("a line after a request", after_one(b"\r\n")),
        ("part of a preface", PREFACE[..9].to_vec()),
        ("a preface", PREFACE.to_vec()),
        ("a silent HTTP/2 client", preface(b"")),
        ("half a frame", preface(HALF_HEADERS)),
        ("half the head of a frame", preface(&HALF_HEADERS[..5])),
    ];
    for (what, bytes) in cases {
        let runtime = serve(false).await?;
        let mut socket = connect(&runtime, &bytes).await?;
        sleep(Duration::from_millis(100)).await;
        let began = Instant::now();
        runtime.shutdown().await;
        let took = began.elapsed();
        assert!(took < 2 * SECOND, "{what}: {took:?}");
        let mut rest = Vec::new();
        let _ = socket.read_to_end(&mut rest).await;
        let answered = String::from_utf8_lossy(&rest).contains("quick");
        assert_eq!(answered, bytes.starts_with(&request("/quick")), "{what}");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_ends_in_a_shutdown_is_answered() -> Result<()> {
    let runtime = serve(false).await?;
    let mut socket = connect(&runtime, UPLOAD).await?;
    sleep(Duration::from_millis(100)).await;
    let shutdown = tokio::spawn(async move { runtime.shutdown().await });
    sleep(5 * SECOND).await;
    socket.write_all(b"cdefghij").await?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await?;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("10"), "{answer}");
    shutdown.await?;
    Ok(())
}

/// Keeps what is logged of shutdowns.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

struct Text(String);

impl tracing::field::Visit for Text {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
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

#[tokio::test(start_paused = true)]
async fn the_log_says_what_a_shutdown_waits_for_and_nothing_outlasts_its_limit() -> Result<()> {
    let lines = Lines::default();
    let _default = tracing::subscriber::set_default(lines.clone());
    let runtime = serve(false).await?;
    let _upload = connect(&runtime, UPLOAD).await?;
    let _waits =
        [connect(&runtime, &request("/wait")).await?, connect(&runtime, &request("/wait")).await?];
    let _stream = connect(&runtime, &request("/ticks")).await?;
    let url = format!("ws://{}/ws", runtime.http_address().unwrap());
    let (mut socket, _) = tokio_tungstenite::connect_async(&url).await.unwrap();
    socket.send(tokio_tungstenite::tungstenite::Message::text("Hola")).await.unwrap();
    until("all of them run", || (ongoing(&runtime), sockets(&runtime)) == (3, 1)).await;
    let began = Instant::now();
    runtime.shutdown().await;
    // 20 s for requests, and 20 s for the WebSocket, which its replica waits for.
    let took = began.elapsed();
    assert!(took >= 39 * SECOND && took < 43 * SECOND, "{took:?}");
    let lines = lines.0.lock();
    let find = |start: &str| lines.iter().find(|line| line.contains(start)).cloned();
    let waits = find("shutting down: waiting for 1 request being uploaded").unwrap_or_default();
    assert!(waits.contains("2 requests being answered, 1 stream"), "{waits} {lines:?}");
    let cut = find("4 requests were cut off").unwrap_or_default();
    assert!(cut.contains("1 request being uploaded, 2 requests being answered, 1 stream"), "{cut}");
    let drains = find("1 replica to drain").unwrap_or_default();
    assert!(drains.contains("1 WebSocket") && drains.contains("`Web` of `default`"), "{lines:?}");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn methods_streams_and_websockets_may_end_when_a_shutdown_begins() -> Result<()> {
    let runtime = serve(true).await?;
    let mut wait = connect(&runtime, &request("/wait")).await?;
    let mut ticks = connect(&runtime, &request("/ticks")).await?;
    let url = format!("ws://{}/ws", runtime.http_address().unwrap());
    let (mut socket, _) = tokio_tungstenite::connect_async(&url).await.unwrap();
    until("all of them run", || (ongoing(&runtime), sockets(&runtime)) == (2, 1)).await;
    sleep(100 * SECOND).await;
    assert_eq!((ongoing(&runtime), sockets(&runtime)), (2, 1));
    let began = Instant::now();
    runtime.shutdown().await;
    assert!(began.elapsed() < 2 * SECOND, "{:?}", began.elapsed());
    for (socket, end) in [(&mut wait, "ended"), (&mut ticks, "last\n\r\n0\r\n\r\n")] {
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await?;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with(end), "{answer}");
    }
    let last = socket.next().await.expect("it says good-bye").unwrap();
    assert_eq!(last, tokio_tungstenite::tungstenite::Message::text("bye"));
    Ok(())
}

#[deployment]
#[derive(Default)]
struct Worker;

#[handle]
impl Worker {
    pub async fn work(&self) -> String {
        shutting_down().await;
        "ended".to_owned()
    }

    pub async fn hears_now(&self) -> bool {
        shutting_down().now_or_never().is_some()
    }

    pub fn items(&self) -> impl Stream<Item = u32> {
        stream::repeat(1).take_until(shutting_down())
    }
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_drains_is_told() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let worker = runtime.run(Worker::bind()).await?;
    assert!(!worker.hears_now().await?);
    let work = worker.work();
    sleep(100 * SECOND).await;

    // Replaced by another version, whose own calls go on.
    runtime.run(Worker::bind().max_ongoing_requests(7).num_cpus(0.5)).await?;
    assert_eq!(work.await?, "ended");
    assert!(!worker.hears_now().await?);

    // Deleted: it is told although calls wait in the queue.
    let work = worker.work();
    sleep(SECOND).await;
    let began = Instant::now();
    let (ended, deleted) = tokio::join!(work, runtime.delete("default"));
    assert_eq!(ended?, "ended");
    deleted?;
    assert!(began.elapsed() < SECOND);

    // The runtime shuts down, also for a callee that is drained after its callers, and for a task.
    let worker = runtime.run(Worker::bind()).await?;
    let (work, items) = (worker.work(), worker.items());
    sleep(SECOND).await;
    let began = Instant::now();
    let (ended, items, ()) = tokio::join!(work, items.count(), runtime.shutdown());
    assert_eq!(ended?, "ended");
    assert!(items > 0);
    assert!(began.elapsed() < SECOND);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn outside_of_any_runtime_nothing_shuts_down() {
    let runtime = MockRuntime::builder().start();
    let end = shutting_down();
    runtime.shutdown().await;
    assert!(tokio::time::timeout(1_000 * SECOND, end).await.is_err());
}

/// Keeps its thread until it may go on.
#[deployment(graceful_shutdown_timeout = "50ms")]
struct Busy {
    gate: Arc<Gate>,
}

#[derive(Default)]
struct Gate {
    open: Mutex<bool>,
    opens: Condvar,
    entered: AtomicBool,
}

#[handle]
impl Busy {
    fn new(gate: Arc<Gate>) -> Self {
        Self { gate }
    }

    #[get("/compute")]
    pub async fn compute(&self) -> String {
        self.gate.entered.store(true, Ordering::SeqCst);
        let mut open = self.gate.open.lock();
        if !*open {
            self.gate.opens.wait_for(&mut open, 30 * SECOND);
        }
        "done".to_owned()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_method_that_keeps_its_thread_does_not_hold_a_shutdown() -> Result<()> {
    for in_place in [true, false] {
        let gate = Arc::<Gate>::default();
        let runtime =
            Runtime::builder().http(([127, 0, 0, 1], 0)).in_place(in_place).start().await?;
        runtime.run(Busy::bind(Arc::clone(&gate))).await?;
        let _socket = connect(&runtime, &request("/compute")).await?;
        while !gate.entered.load(Ordering::SeqCst) {
            tokio::task::yield_now().await;
        }
        // Two grace periods, and a second after each of them.
        let shutdown = tokio::time::timeout(20 * SECOND, runtime.shutdown()).await;
        *gate.open.lock() = true;
        gate.opens.notify_all();
        assert!(shutdown.is_ok(), "in place: {in_place}");
    }
    Ok(())
}
