//! The front door on a real socket: both HTTP versions, disconnecting clients, shutdown and
//! WebSockets.
#![cfg(feature = "http")]

use crate::support::clocks::until;
use crate::support::gauges::Gauge;
use crate::support::http::{ask, get_request, http2, listening, read, send};
use crate::support::status::{load, sockets};

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use http_body_util::BodyExt;
use serve_core::StartError;
use serve_core::axum::Router;
use serve_core::axum::extract::WebSocketUpgrade;
use serve_core::axum::extract::ws::WebSocket;
use serve_core::axum::routing::get;
use serve_core::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;

#[deployment]
struct Leaf {
    running: Gauge,
}

#[handle]
impl Leaf {
    fn new(running: Gauge) -> Self {
        Self { running }
    }

    pub async fn wait(&self) {
        let _run = self.running.enter();
        std::future::pending::<()>().await;
    }
}

#[deployment]
struct Middle {
    leaf: LeafHandle,
    running: Gauge,
}

#[handle]
impl Middle {
    fn new(leaf: LeafHandle, running: Gauge) -> Self {
        Self { leaf, running }
    }

    pub async fn wait(&self) -> Result<()> {
        let _run = self.running.enter();
        Ok(self.leaf.wait().await?)
    }
}

#[deployment(max_ongoing_requests = 2, graceful_shutdown_timeout = "100ms")]
struct Front {
    middle: MiddleHandle,
    running: Gauge,
    go: watch::Receiver<bool>,
}

#[handle]
impl Front {
    fn new(middle: MiddleHandle, running: Gauge, go: watch::Receiver<bool>) -> Self {
        Self { middle, running, go }
    }

    #[get("/")]
    pub async fn hello(&self) -> String {
        "Hola".to_owned()
    }

    #[get("/wait")]
    pub async fn wait(&self) -> Result<()> {
        let _run = self.running.enter();
        Ok(self.middle.wait().await?)
    }

    #[get("/go")]
    pub async fn wait_for_go(&self) -> String {
        let _run = self.running.enter();
        self.go.clone().wait_for(|go| *go).await.unwrap();
        "gone".to_owned()
    }

    #[get("/stream")]
    pub fn stream(&self) -> impl Stream<Item = String> {
        let run = self.running.enter();
        let first = futures::stream::iter(["first\n".to_owned()]);
        first.chain(futures::stream::pending()).map(move |item| {
            let _run = &run;
            item
        })
    }

    #[routes]
    pub fn routes(self: Arc<Self>) -> Router {
        let upgrade = async |upgrade: WebSocketUpgrade| upgrade.on_upgrade(echo);
        Router::new().route("/ws", get(upgrade))
    }
}

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if socket.send(message).await.is_err() {
            return;
        }
    }
}

struct Served {
    runtime: Runtime,
    address: SocketAddr,
    running: Gauge,
    go: watch::Sender<bool>,
}

async fn serve() -> Result<Served> {
    let running = Gauge::default();
    let (go, gone) = watch::channel(false);
    let (runtime, address) = listening().await?;
    let leaf = Leaf::bind(running.clone());
    let middle = Middle::bind(leaf, running.clone());
    runtime.run(Front::bind(middle, running.clone(), gone)).await?;
    Ok(Served { runtime, address, running, go })
}

#[tokio::test]
async fn one_port_serves_both_http_versions() -> Result<()> {
    let served = serve().await?;
    let mut socket = send(served.address, "/").await;
    let response = read(&mut socket).await;
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
    assert!(response.ends_with("\r\n\r\nHola"), "{response}");
    assert!(response.contains("content-length: 4\r\n"), "{response}");
    // The connection is kept.
    ask(&mut socket, "/nothing").await;
    assert!(read(&mut socket).await.starts_with("HTTP/1.1 404"));

    let mut client = http2(served.address).await;
    for _ in 0..2 {
        let response = client.send_request(get_request("/")).await.unwrap();
        assert_eq!(response.version(), http::Version::HTTP_2);
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "Hola");
    }
    Ok(())
}

#[tokio::test]
async fn disconnecting_cancels_the_call_tree() -> Result<()> {
    let served = serve().await?;
    let socket = send(served.address, "/wait").await;
    served.running.reaches(3).await;
    drop(socket);
    served.running.reaches(0).await;

    let mut client = http2(served.address).await;
    let request = tokio::spawn(client.send_request(get_request("/wait")));
    served.running.reaches(3).await;
    request.abort();
    served.running.reaches(0).await;
    // The connection itself goes on.
    assert_eq!(client.send_request(get_request("/")).await.unwrap().status(), 200);
    Ok(())
}

#[tokio::test]
async fn disconnecting_stops_a_stream() -> Result<()> {
    let served = serve().await?;
    let mut socket = send(served.address, "/stream").await;
    let mut got = String::new();
    while !got.contains("first\n") {
        got += &read(&mut socket).await;
    }
    served.running.reaches(1).await;
    drop(socket);
    served.running.reaches(0).await;

    let mut client = http2(served.address).await;
    let response = client.send_request(get_request("/stream")).await.unwrap();
    served.running.reaches(1).await;
    drop(response);
    served.running.reaches(0).await;
    Ok(())
}

#[tokio::test]
async fn shutdown_drains_and_refuses_new_connections() -> Result<()> {
    let served = serve().await?;
    let mut idle = send(served.address, "/").await;
    read(&mut idle).await;
    let mut running = send(served.address, "/go").await;
    served.running.reaches(1).await;
    let shutdown = tokio::spawn({
        let runtime = served.runtime.clone();
        async move { runtime.shutdown().await }
    });
    assert_eq!(read(&mut idle).await, "", "an idle connection is closed");
    assert!(TcpStream::connect(served.address).await.is_err());
    served.go.send_replace(true);
    let response = read(&mut running).await;
    assert!(response.starts_with("HTTP/1.1 200") && response.ends_with("gone"), "{response}");
    timeout(Duration::from_secs(10), shutdown).await.expect("in time").unwrap();
    Ok(())
}

#[tokio::test]
async fn shutdown_does_not_wait_forever() -> Result<()> {
    let served = serve().await?;
    let mut waiting = send(served.address, "/wait").await;
    served.running.reaches(3).await;
    // All deployments have 20 s but the front, so the clock is turned on.
    tokio::time::pause();
    served.runtime.shutdown().await;
    tokio::time::resume();
    served.running.reaches(0).await;
    assert!(!read(&mut waiting).await.contains(" 200 "));
    Ok(())
}

#[tokio::test]
async fn a_taken_port_is_named_in_the_error() -> Result<()> {
    let served = serve().await?;
    let error = Runtime::builder().http(served.address).start().await.unwrap_err();
    assert!(matches!(error, StartError::Listen { address, .. } if address == served.address));
    assert!(error.to_string().contains(&served.address.to_string()));
    Ok(())
}

#[tokio::test]
async fn idle_connections_are_closed() -> Result<()> {
    let served = serve().await?;
    let mut idle = TcpStream::connect(served.address).await?;
    idle.write_all(b"GET / HT").await?;
    let mut busy = send(served.address, "/go").await;
    served.running.reaches(1).await;
    for _ in 0..5 {
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(60)).await;
        tokio::time::resume();
    }
    assert_eq!(read(&mut idle).await, "");
    served.go.send_replace(true);
    assert!(read(&mut busy).await.ends_with("gone"));
    Ok(())
}

#[tokio::test]
async fn a_websocket_of_axum_has_a_seat_until_closed() -> Result<()> {
    use tokio_tungstenite::tungstenite::Message;
    let served = serve().await?;
    let url = format!("ws://{}/ws", served.address);
    let (mut socket, response) = tokio_tungstenite::connect_async(&url).await.unwrap();
    assert!(response.headers().contains_key("x-request-id"));
    socket.send(Message::text("Hola")).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("Hola"));
    assert_eq!((load(&served.runtime, "Front").0, sockets(&served.runtime)), (0, 1));
    drop(socket);
    until("the socket is closed", || sockets(&served.runtime) == 0).await;
    Ok(())
}

#[tokio::test]
async fn a_websocket_ends_with_its_replica() -> Result<()> {
    let served = serve().await?;
    let url = format!("ws://{}/ws", served.address);
    let (mut socket, _) = tokio_tungstenite::connect_async(&url).await.unwrap();
    until("the socket is open", || sockets(&served.runtime) == 1).await;
    // It drains for 100 ms, then the replica ends.
    served.runtime.delete("default").await?;
    let end = timeout(Duration::from_secs(10), socket.next()).await.expect("in time");
    assert!(!matches!(end, Some(Ok(_))), "{end:?}");
    Ok(())
}

#[tokio::test]
async fn head_has_no_body_over_both_versions() -> Result<()> {
    let served = serve().await?;
    let mut client = http2(served.address).await;
    for (path, status) in [("/nowhere", 404), ("/-/healthz", 200), ("/stream", 200), ("/", 200)] {
        let mut request = get_request(path);
        *request.method_mut() = http::Method::HEAD;
        let answer = client.send_request(request).await.unwrap();
        assert_eq!(answer.status(), status, "{path}");
        let length = answer.headers().get("content-length").cloned();
        // A stream has none.
        let has_length = path != "/stream";
        assert_eq!(length.is_some(), has_length, "{path}: {length:?}");
        let body = answer.into_body().collect().await.map(|body| body.to_bytes());
        assert!(body.as_ref().is_ok_and(Bytes::is_empty), "{path}: {body:?}");

        let mut socket = TcpStream::connect(served.address).await?;
        let request = format!("HEAD {path} HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n");
        socket.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await?;
        assert!(answer.ends_with("\r\n\r\n"), "{path}: {answer}");
        assert!(!answer.contains("content-length: 0"), "{path}: {answer}");
    }
    // Of what streams, nothing goes on.
    served.running.reaches(0).await;
    Ok(())
}
