//! HTTP peers that stall lose what they hold after a while; peers that only rest keep it.
#![cfg(feature = "http")]

use crate::support::clocks::{SECOND, advance_until};
use crate::support::http::listening;
use crate::support::status::{sockets, total_load};

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::{StreamExt, stream};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serve_core::axum::Router;
use serve_core::axum::extract::WebSocketUpgrade;
use serve_core::axum::extract::ws::{Message, WebSocket};
use serve_core::axum::routing::{get, post};
use serve_core::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::sleep;

/// WebSockets that send, and are not done yet.
static SENDING: AtomicUsize = AtomicUsize::new(0);

#[deployment(graceful_shutdown_timeout = "100ms")]
#[derive(Default)]
struct Web;

#[handle]
impl Web {
    #[get("/forever")]
    pub fn forever(&self) -> impl Stream<Item = String> {
        stream::repeat_with(|| "x".repeat(10_000))
    }

    #[get("/rests")]
    pub fn rests(&self) -> impl Stream<Item = String> {
        stream::iter(["first\n".to_owned()]).chain(stream::pending())
    }

    #[routes]
    pub fn routes(self: Arc<Self>) -> Router {
        let flood = async |upgrade: WebSocketUpgrade| upgrade.on_upgrade(flood);
        Router::new()
            .route("/up", post(async |body: Bytes| body.len().to_string()))
            .route("/flood", get(flood))
    }
}

/// Sends, and never reads.
async fn flood(mut socket: WebSocket) {
    SENDING.fetch_add(1, Ordering::SeqCst);
    while socket.send(Message::text("x".repeat(100_000))).await.is_ok() {}
    SENDING.fetch_sub(1, Ordering::SeqCst);
}

async fn served(request: &str) -> Result<(Runtime, TcpStream)> {
    let (runtime, address) = listening().await?;
    runtime.run(Web::bind()).await?;
    let mut socket = TcpStream::connect(address).await?;
    socket.write_all(request.as_bytes()).await?;
    let runs = || total_load(&runtime).0 + sockets(&runtime) == 1;
    advance_until(50 * SECOND, "the request runs", runs).await;
    Ok((runtime, socket))
}

/// Two bytes of the ten that it announces.
fn upload(content_type: &str) -> String {
    format!(
        "POST /up HTTP/1.1\r\nhost: here\r\ncontent-type: {content_type}\r\ncontent-length: 10\r\n\
         \r\nab"
    )
}

#[tokio::test(start_paused = true)]
async fn a_stalled_upload_frees_its_slot() -> Result<()> {
    let (runtime, mut socket) = served(&upload("text/plain")).await?;
    let took = advance_until(70 * SECOND, "the slot is free", || total_load(&runtime).0 == 0).await;
    assert!(took > 9 * SECOND, "{took:?}");
    let mut answer = vec![0; 1024];
    let read = socket.read(&mut answer).await?;
    let answer = String::from_utf8_lossy(&answer[..read]);
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn grpc_streams_may_rest() -> Result<()> {
    let (runtime, _socket) = served(&upload("application/grpc")).await?;
    sleep(600 * SECOND).await;
    assert_eq!(total_load(&runtime).0, 1);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_unread_stream_closes_the_connection() -> Result<()> {
    let (runtime, _socket) = served("GET /forever HTTP/1.1\r\nhost: here\r\n\r\n").await?;
    let took =
        advance_until(120 * SECOND, "the slot is free", || total_load(&runtime).0 == 0).await;
    assert!(took >= 50 * SECOND, "{took:?}");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_unread_http2_stream_is_reset_alone() -> Result<()> {
    let (runtime, address) = listening().await?;
    runtime.run(Web::bind()).await?;
    let socket = TokioIo::new(TcpStream::connect(address).await?);
    let (mut client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), socket).await.unwrap();
    tokio::spawn(connection);
    let request = |path| {
        http::Request::get(format!("http://here{path}")).body(Empty::<Bytes>::new()).unwrap()
    };
    let unread = client.send_request(request("/forever")).await.unwrap();
    let resting = client.send_request(request("/rests")).await.unwrap();
    assert_eq!(total_load(&runtime).0, 2);
    let took = advance_until(200 * SECOND, "a slot is free", || total_load(&runtime).0 == 1).await;
    assert!(took >= 50 * SECOND, "{took:?}");
    let other = client.send_request(request("/nowhere")).await.unwrap();
    assert_eq!(other.status(), 404);
    let broken = unread.into_body().collect().await;
    assert!(broken.is_err(), "it looks whole");
    sleep(SECOND).await;
    assert_eq!(total_load(&runtime).0, 1, "what rests goes on");
    drop(resting);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn streams_without_items_may_rest() -> Result<()> {
    let (runtime, mut socket) = served("GET /rests HTTP/1.1\r\nhost: here\r\n\r\n").await?;
    let mut read = vec![0; 4096];
    let read_now = socket.read(&mut read).await?;
    assert!(read_now > 0);
    sleep(3600 * SECOND).await;
    assert_eq!(total_load(&runtime).0, 1);
    Ok(())
}

const UPGRADE: &str = "GET /flood HTTP/1.1\r\nhost: here\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
     sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

#[tokio::test(start_paused = true)]
async fn a_stuck_websocket_write_ends() -> Result<()> {
    let sending = || SENDING.load(Ordering::SeqCst);
    let (runtime, _socket) = served(UPGRADE).await?;
    advance_until(50 * SECOND, "it sends", || sending() == 1).await;
    // It drains for 100 ms, then the replica ends.
    runtime.delete("default").await?;
    let took = advance_until(30 * SECOND, "it ends with its replica", || sending() == 0).await;
    assert!(took < 10 * SECOND, "{took:?}");

    let (runtime, _socket) = served(UPGRADE).await?;
    advance_until(50 * SECOND, "it sends", || sending() == 1).await;
    let took = advance_until(120 * SECOND, "its peer reads nothing", || sending() == 0).await;
    assert!(took >= 50 * SECOND, "{took:?}");
    advance_until(SECOND, "its seat is free", || sockets(&runtime) == 0).await;
    Ok(())
}
