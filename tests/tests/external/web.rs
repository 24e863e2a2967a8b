//! The application that the tests reach through other programs.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serve_core::axum::Router;
use serve_core::axum::extract::ConnectInfo;
use serve_core::axum::extract::ws::{WebSocket, WebSocketUpgrade};
use serve_core::axum::routing::get;
use serve_core::futures::stream;
use serve_core::http::HttpOptions;
use serve_core::prelude::*;
use tokio::sync::watch;
use tokio::time::sleep;

/// The application.
#[deployment(graceful_shutdown_timeout = "100ms")]
pub(crate) struct Web {
    received: watch::Sender<usize>,
}

#[handle]
impl Web {
    fn new(received: watch::Sender<usize>) -> Self {
        Self { received }
    }

    #[get("/")]
    pub async fn hello(&self) -> String {
        "hello".to_owned()
    }

    #[post("/add")]
    pub async fn add(&self, a: i64, b: i64) -> i64 {
        a + b
    }

    #[post("/up", body = body)]
    pub async fn up(&self, body: Bytes) -> usize {
        body.len()
    }

    #[get("/large")]
    pub async fn large(&self) -> Bytes {
        vec![b'x'; 8 << 20].into()
    }

    /// Three events. Each one after the first is sent only once the one before has been received.
    #[get("/events")]
    pub fn events(&self) -> impl Stream<Item = usize> {
        self.received.send_replace(0);
        let received = self.received.subscribe();
        stream::unfold((0, received), async |(number, mut received)| {
            if number == 3 {
                return None;
            }
            received.wait_for(|received| *received >= number).await.ok()?;
            Some((number, (number + 1, received)))
        })
    }

    /// Says that another event has been received.
    #[post("/received")]
    pub async fn received(&self) {
        self.received.send_modify(|received| *received += 1);
    }

    /// An item that takes longer than a proxy waits.
    #[get("/late")]
    pub fn late(&self) -> impl Stream<Item = String> {
        stream::once(async {
            sleep(Duration::from_secs(5)).await;
            "late".to_owned()
        })
    }

    #[routes]
    pub fn routes(self: Arc<Self>) -> Router {
        let who = async |ConnectInfo(client): ConnectInfo<SocketAddr>| client.ip().to_string();
        let echo = async |upgrade: WebSocketUpgrade| upgrade.on_upgrade(echo);
        Router::new().route("/who", get(who)).route("/echo", get(echo))
    }
}

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if socket.send(message).await.is_err() {
            return;
        }
    }
}

/// Serves the application, as a program behind proxies on this machine does.
pub(crate) async fn serve() -> Result<(Runtime, SocketAddr)> {
    let options = HttpOptions::new()
        .trusted_proxies(["127.0.0.0/8"])
        .heartbeat_interval(Duration::from_millis(500));
    let builder = Runtime::builder().http(([127, 0, 0, 1], 0)).http_options(options);
    let runtime = builder.start().await?;
    runtime.run(Web::bind(watch::Sender::new(0))).await?;
    let address = runtime.http_address().expect("the runtime listens");
    Ok((runtime, address))
}
