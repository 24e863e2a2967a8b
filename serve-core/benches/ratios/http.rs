//! An HTTP endpoint against the same handler in bare axum: JSON in and out, over real
//! loopback sockets that are kept alive.

use std::future::ready;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::Json;
use axum::routing::post;
use bytes::Bytes;
use futures::future::join_all;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use schemars::JsonSchema;
use serve_core::prelude::*;
use tokio::net::{TcpListener, TcpStream};

use super::paired::{Ratio, paired};
use super::table::{Goal, Table};

/// Connections that are busy at once where throughput is measured.
const CONNECTIONS: usize = 16;

#[derive(Serialize, Deserialize, JsonSchema)]
struct Paper {
    title: String,
    pages: u32,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Summary {
    title: String,
    words: u32,
}

fn summarize(paper: Paper) -> Summary {
    Summary { title: paper.title, words: paper.pages * 400 }
}

#[deployment(max_ongoing_requests = 1000)]
struct Summarizer;

#[handle]
impl Summarizer {
    pub fn new() -> Self {
        Self
    }

    #[post("/", body = paper)]
    pub async fn summarize(&self, paper: Paper) -> Summary {
        summarize(paper)
    }
}

/// One connection after the other, and many at once.
pub(crate) async fn measure(table: &mut Table) {
    let loopback = (Ipv4Addr::LOCALHOST, 0);
    let runtime = Runtime::builder().http(loopback).start().await.expect("a port is free");
    let _summarizer = runtime.run(Summarizer::bind()).await.expect("nothing keeps it");
    let ours = runtime.http_address().expect("it was asked for");
    let listener = TcpListener::bind(loopback).await.expect("a port is free");
    let bare = listener.local_addr().expect("it is bound");
    let routes = axum::Router::new().route("/", post(|Json(paper)| ready(Json(summarize(paper)))));
    let serving = tokio::spawn(async move { axum::serve(listener, routes).await });

    let name = "HTTP endpoint, JSON in and out, time";
    if table.wants(name) {
        let ratio = paired(requests(ours, 1).await, requests(bare, 1).await).await;
        table.add(name.to_owned(), "bare axum", Goal::AtMost(1.03), ratio);
    }
    let name = "HTTP endpoint, JSON in and out, throughput";
    if table.wants(name) {
        let (ours, bare) = (requests(ours, CONNECTIONS).await, requests(bare, CONNECTIONS).await);
        let time = paired(ours, bare).await;
        let (lower, upper) = (time.upper.recip(), time.lower.recip());
        let ratio = Ratio { median: time.median.recip(), lower, upper, ..time };
        table.add(name.to_owned(), "bare axum", Goal::AtLeast(0.97), ratio);
    }
    serving.abort();
    runtime.shutdown().await;
}

type Connection = SendRequest<Full<Bytes>>;
type BoxFuture = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

/// Requests to `address` over that many connections; a repetition is one request.
async fn requests(
    address: SocketAddr,
    connections: usize,
) -> impl Fn(usize) -> BoxFuture + Send + Sync {
    let connections = join_all((0..connections).map(|_| connect(address))).await;
    let connections: Arc<[_]> = connections.into_iter().map(Mutex::new).map(Arc::new).collect();
    move |repeats| {
        let connections = Arc::clone(&connections);
        Box::pin(async move {
            let share = repeats.div_ceil(connections.len());
            let busy = connections.iter().map(|connection| {
                let connection = Arc::clone(connection);
                // hyper's client is `!Clone`; nobody else uses it meanwhile.
                tokio::spawn(async move {
                    for _ in 0..share {
                        request(&connection).await;
                    }
                })
            });
            for done in join_all(busy).await {
                done.expect("every request is answered");
            }
        })
    }
}

async fn connect(address: SocketAddr) -> Connection {
    let socket = TcpStream::connect(address).await.expect("it listens");
    socket.set_nodelay(true).expect("a socket can do this");
    let (sender, connection) = handshake(TokioIo::new(socket)).await.expect("it speaks HTTP");
    tokio::spawn(connection);
    sender
}

async fn request(connection: &Mutex<Connection>) {
    let request = hyper::Request::post("/")
        .header("host", "localhost")
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from_static(br#"{"title": "On speed", "pages": 12}"#)))
        .expect("it is well formed");
    let answering = connection.lock().send_request(request);
    let answer = answering.await.expect("the connection lives");
    assert_eq!(answer.status(), 200);
    let body = answer.into_body().collect().await.expect("it is whole").to_bytes();
    assert_eq!(&*body, br#"{"title":"On speed","words":4800}"#);
}
