//! The options of HTTP: of the port, of applications, and of both at once.
#![cfg(feature = "http")]

use crate::support::clocks::{MS, SECOND, advance_until, until};
use crate::support::http::{ask, get_request, http2, read, send, serving};
use crate::support::status::total_load;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::stream;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serve_core::axum::Router;
use serve_core::axum::extract::ConnectInfo;
use serve_core::axum::routing::get;
use serve_core::http::HttpOptions;
use serve_core::prelude::*;
use serve_core::status::ApplicationStatus;
use serve_core::{DeployError, StartError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

#[deployment(graceful_shutdown_timeout = "100ms")]
#[derive(Default)]
struct Web;

#[handle]
impl Web {
    #[get("/")]
    pub async fn hello(&self) -> String {
        "hello".to_owned()
    }

    #[get("/wait")]
    pub async fn wait(&self) {
        std::future::pending::<()>().await;
    }

    #[get("/large")]
    pub async fn large(&self) -> Bytes {
        vec![7; 8 << 20].into()
    }

    #[post("/up", body = body)]
    pub async fn up(&self, body: Bytes) -> usize {
        body.len()
    }

    #[get("/slow/{ms}")]
    pub fn slow(&self, ms: u64, fails: Option<bool>) -> impl Stream<Item = Result<String>> {
        stream::once(async move {
            sleep(Duration::from_millis(ms)).await;
            if fails == Some(true) {
                Err(Error::msg("late").with_status(418))
            } else {
                Ok("a".into())
            }
        })
    }

    #[routes]
    pub fn routes(self: Arc<Self>) -> Router {
        let who = async |ConnectInfo(client): ConnectInfo<SocketAddr>| client.ip().to_string();
        Router::new().route("/who", get(who))
    }
}

/// Sends a whole request over a connection of its own, and returns the answer.
async fn exchange(address: SocketAddr, request: &str) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    timeout(10 * SECOND, socket.read_to_end(&mut answer)).await.expect("in time").unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

fn get_with(path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nconnection: close\r\n{headers}\r\n")
}

#[tokio::test]
async fn invalid_options_start_nothing() {
    let cert = HttpOptions::new().tls_cert("cert.pem");
    let error = Runtime::builder().http_options(cert).start().await.unwrap_err();
    assert!(matches!(error, StartError::HttpOptions(_)), "{error:?}");
    assert!(error.to_string().contains("`tls_cert`: needs `tls_key`"), "{error}");
    let runtime = Runtime::builder().start().await.unwrap();
    let port = HttpOptions::new().trusted_proxies(["::1"]);
    let refused = runtime.run(Application::new(Web::bind()).http_options(port)).await.unwrap_err();
    assert!(matches!(refused, DeployError::Graph(_)), "{refused:?}");
    assert!(refused.to_string().contains("`trusted_proxies`"), "{refused}");
    assert!(runtime.status().applications.is_empty());
}

/// A change of the options alone is a redeploy that restarts nothing.
#[tokio::test(start_paused = true)]
async fn options_of_an_application_follow_its_redeploy() -> Result<()> {
    let runtime = MockRuntime::builder().http_options(HttpOptions::new().max_body(4)).start();
    runtime.run(Web::bind()).await?;
    let post = |length| runtime.http().post("/up").body(vec![0_u8; length]);
    assert_eq!(post(4).await?.status(), 200);
    assert_eq!(post(5).await?.status(), 413);
    let ids = || {
        let status = runtime.status();
        let replicas = &status.applications["default"].deployments["Web"].replicas;
        replicas.iter().map(|replica| replica.replica_id.clone()).collect::<Vec<_>>()
    };
    let before = ids();
    let wider = Application::new(Web::bind()).http_options(HttpOptions::new().max_body(5));
    runtime.run(wider).await?;
    assert_eq!(post(5).await?.status(), 200);
    assert_eq!(post(6).await?.status(), 413);
    assert_eq!(ids(), before);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_request_may_have_a_deadline_by_default() -> Result<()> {
    let options = HttpOptions::new().request_timeout(SECOND);
    let runtime = MockRuntime::builder().http_options(options).start();
    runtime.run(Web::bind()).await?;
    let began = Instant::now();
    assert_eq!(runtime.http().get("/wait").await?.status(), 408);
    assert_eq!(began.elapsed(), SECOND);
    let own = runtime.http().get("/wait").header("x-request-timeout-seconds", "3");
    assert_eq!(own.await?.status(), 408);
    assert_eq!(began.elapsed(), 4 * SECOND);
    Ok(())
}

/// Only an error within `first_item_timeout` decides the status; the head does not wait for more.
#[tokio::test(start_paused = true)]
async fn the_head_of_a_stream_does_not_wait_for_its_first_item() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    runtime.run(Web::bind()).await?;
    let http = runtime.http();
    assert_eq!(http.get("/slow/999?fails").await?.status(), 418);
    let began = Instant::now();
    let late = http.get("/slow/60000?fails").header("accept", "text/event-stream").await?;
    assert_eq!((late.status().as_u16(), began.elapsed()), (200, SECOND));
    assert_eq!(late.header("x-accel-buffering"), Some("no"));
    assert_eq!(late.header("cache-control"), Some("no-cache"));
    let text = late.text().await?;
    let beats = text.matches(": heartbeat\n\n").count();
    assert_eq!(beats, 3, "one for each 15 s of 59 s: {text}");
    assert!(text.contains("event: error") && text.contains("418"), "{text}");
    let lines = http.get("/slow/60000").header("accept", "application/x-ndjson").await?;
    assert_eq!(lines.text().await?, "\"a\"\n", "only events have a place for comments");
    Ok(())
}

#[tokio::test]
async fn only_allowed_hosts_are_served() -> Result<()> {
    let options = HttpOptions::new().allowed_hosts(["*.example.org", "127.0.0.1"]);
    let (_runtime, address) = serving(Web::bind(), options.trusted_proxies(["127.0.0.1"])).await?;
    for (headers, status) in [
        ("host: a.example.org:99\r\n", 200),
        ("host: 127.0.0.1\r\n", 200),
        ("host: evil.example\r\n", 421),
        ("host: 127.0.0.1\r\nx-forwarded-host: evil.example\r\n", 421),
        ("host: internal\r\nx-forwarded-host: a.example.org\r\n", 200),
    ] {
        let answer = exchange(address, &get_with("/", headers)).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{headers}: {answer}");
    }
    let health = exchange(address, &get_with("/-/healthz", "host: 10.0.0.1\r\n")).await;
    assert!(health.starts_with("HTTP/1.1 200"), "probes name the address: {health}");
    Ok(())
}

#[tokio::test]
async fn the_client_behind_a_trusted_proxy_is_known() -> Result<()> {
    let via = "host: here\r\nx-forwarded-for: 192.0.2.7\r\nx-forwarded-prefix: /api\r\n";
    let (_direct, address) = serving(Web::bind(), HttpOptions::new().root_path("/fixed")).await?;
    let answer = exchange(address, &get_with("/who", via)).await;
    assert!(answer.ends_with("127.0.0.1"), "nobody is believed: {answer}");
    let description = exchange(address, &get_with("/openapi.json", via)).await;
    assert!(description.contains("\"url\": \"/fixed\""), "{description}");

    let options = HttpOptions::new().trusted_proxies(["127.0.0.0/8"]);
    let (_proxied, address) = serving(Web::bind(), options).await?;
    let answer = exchange(address, &get_with("/who", via)).await;
    assert!(answer.ends_with("192.0.2.7"), "{answer}");
    let description = exchange(address, &get_with("/openapi.json", via)).await;
    assert!(description.contains("\"url\": \"/api\""), "{description}");
    let origin = format!("{via}x-forwarded-host: app.example\r\norigin: https://app.example\r\n");
    let change =
        format!("POST /up HTTP/1.1\r\nconnection: close\r\n{origin}content-length: 2\r\n\r\nab");
    let answer = exchange(address, &change).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "its own page: {answer}");
    Ok(())
}

/// The client sends its whole body before it reads, as many clients do.
#[tokio::test]
async fn an_early_answer_is_not_lost() -> Result<()> {
    let (_runtime, address) = serving(Web::bind(), HttpOptions::new()).await?;
    for length in [3 << 20, 20 << 20] {
        let head = format!("POST /up HTTP/1.1\r\nhost: here\r\ncontent-length: {length}\r\n\r\n");
        let mut socket = TcpStream::connect(address).await?;
        socket.write_all(head.as_bytes()).await?;
        socket.write_all(&vec![b'x'; length]).await?;
        let answer = read(&mut socket).await;
        assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
        assert_eq!(socket.read(&mut [0; 16]).await?, 0, "it ends in order");
    }
    Ok(())
}

#[tokio::test]
async fn idle_connections_make_room() -> Result<()> {
    let (_runtime, address) = serving(Web::bind(), HttpOptions::new().max_connections(2)).await?;
    let mut first = send(address, "/").await;
    assert!(read(&mut first).await.ends_with("hello"));
    let mut second = send(address, "/").await;
    assert!(read(&mut second).await.ends_with("hello"));
    let mut third = send(address, "/wait").await;
    assert_eq!(read(&mut first).await, "", "the longest idle one is closed");
    let mut fourth = send(address, "/").await;
    assert!(read(&mut fourth).await.ends_with("hello"));
    assert_eq!(read(&mut second).await, "");
    let mut fifth = send(address, "/").await;
    assert!(read(&mut fifth).await.ends_with("hello"));
    assert_eq!(read(&mut fourth).await, "", "never the one with a request");
    let waits = timeout(50 * MS, third.read(&mut [0; 16])).await;
    assert!(waits.is_err(), "{waits:?}");
    Ok(())
}

#[tokio::test]
async fn connections_with_requests_keep_others_waiting() -> Result<()> {
    let (runtime, address) = serving(Web::bind(), HttpOptions::new().max_connections(1)).await?;
    let first = send(address, "/wait").await;
    until("it runs", || total_load(&runtime).0 == 1).await;
    let mut second = send(address, "/").await;
    let waits = timeout(300 * MS, second.read(&mut [0; 16])).await;
    assert!(waits.is_err(), "{waits:?}");
    drop(first);
    assert!(read(&mut second).await.ends_with("hello"));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn heads_and_idle_connections_have_their_own_limits() -> Result<()> {
    let options =
        HttpOptions::new().header_read_timeout(2 * SECOND).keep_alive_timeout(20 * SECOND);
    let (_runtime, address) = serving(Web::bind(), options).await?;
    let began = Instant::now();
    let mut half = TcpStream::connect(address).await?;
    half.write_all(b"GET / HTTP/1.1\r\nho").await?;
    assert_eq!(half.read(&mut [0; 16]).await.unwrap_or(0), 0);
    let took = began.elapsed();
    assert!(took >= 2 * SECOND && took <= 5 * SECOND, "{took:?}");

    let mut idle = send(address, "/").await;
    let answer = idle.read(&mut [0; 1024]).await?;
    assert!(answer > 0);
    let began = Instant::now();
    assert_eq!(idle.read(&mut [0; 16]).await.unwrap_or(0), 0);
    let took = began.elapsed();
    assert!(took >= 18 * SECOND && took <= 41 * SECOND, "{took:?}");
    Ok(())
}

/// Answers of known size, which the client opens no window for: the connection holds nothing of them,
/// and ends as one that is idle.
#[tokio::test(start_paused = true)]
async fn answers_that_nobody_takes_are_given_up_on_http2() -> Result<()> {
    let options = HttpOptions::new().send_timeout(5 * SECOND).keep_alive_timeout(20 * SECOND);
    let (_runtime, address) = serving(Web::bind(), options).await?;
    let socket = TokioIo::new(TcpStream::connect(address).await?);
    let (mut client, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(0)
        .handshake::<_, Full<Bytes>>(socket)
        .await
        .unwrap();
    let connection = tokio::spawn(connection);
    let mut unread = Vec::new();
    for path in ["/large", "/", "/large"] {
        let request = http::Request::get(format!("http://here{path}")).body(Full::default());
        let answer = client.send_request(request.unwrap()).await.unwrap();
        assert_eq!(answer.status(), 200);
        unread.push(answer);
    }
    let began = Instant::now();
    let ended = timeout(300 * SECOND, connection).await;
    assert!(ended.is_ok(), "the connection is held");
    assert!(began.elapsed() >= 20 * SECOND, "{:?}", began.elapsed());
    Ok(())
}

#[tokio::test]
async fn a_large_answer_is_whole_on_http2() -> Result<()> {
    let (_runtime, address) = serving(Web::bind(), HttpOptions::new()).await?;
    let answer = http2(address).await.send_request(get_request("/large")).await.unwrap();
    assert_eq!(answer.headers()["content-length"], (8 << 20).to_string());
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert!(body.len() == 8 << 20 && body.iter().all(|byte| *byte == 7));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_lame_duck_serves_while_it_says_that_it_goes() -> Result<()> {
    let (runtime, address) =
        serving(Web::bind(), HttpOptions::new().drain_delay(10 * SECOND)).await?;
    let began = Instant::now();
    let stopping = runtime.clone();
    let stops = tokio::spawn(async move { stopping.shutdown().await });
    let mut socket = TcpStream::connect(address).await?;
    ask(&mut socket, "/-/healthz").await;
    assert!(read(&mut socket).await.starts_with("HTTP/1.1 503"));
    ask(&mut socket, "/").await;
    assert!(read(&mut socket).await.ends_with("hello"), "and serves");
    assert!(exchange(address, &get_with("/", "host: here\r\n")).await.ends_with("hello"));
    assert!(runtime.status().applications["default"].status == ApplicationStatus::Running);
    stops.await.unwrap();
    assert!(began.elapsed() >= 10 * SECOND);
    assert!(TcpStream::connect(address).await.is_err());
    Ok(())
}

/// Two runtimes with one socket, as two processes that a supervisor replaces: requests go to
/// either, and none is refused.
#[tokio::test]
async fn a_socket_is_handed_over() -> Result<()> {
    let socket = std::net::TcpListener::bind(("127.0.0.1", 0))?;
    let address = socket.local_addr()?;
    let start = async || -> Result<Runtime> {
        let runtime = Runtime::builder().http_listener(socket.try_clone()?).start().await?;
        assert_eq!(runtime.http_address(), Some(address));
        runtime.run(Web::bind()).await?;
        Ok(runtime)
    };
    let mut old = start().await?;
    let asking = tokio::spawn(async move {
        for number in 0..300 {
            let answer = exchange(address, &get_with("/", "host: here\r\n")).await;
            assert!(answer.ends_with("hello"), "request {number}: {answer}");
        }
    });
    while !asking.is_finished() {
        let new = start().await?;
        old.shutdown().await;
        old = new;
    }
    asking.await.unwrap();
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_trickling_body_does_not_hold_a_slot() -> Result<()> {
    let (runtime, address) = serving(Web::bind(), HttpOptions::new()).await?;
    let mut socket = TcpStream::connect(address).await?;
    socket.write_all(b"POST /up HTTP/1.1\r\nhost: here\r\ncontent-length: 1000\r\n\r\n").await?;
    let (mut reader, mut writer) = socket.into_split();
    tokio::spawn(async move {
        while writer.write_all(b"x").await.is_ok() {
            sleep(SECOND).await;
        }
    });
    let began = Instant::now();
    let mut answer = vec![0; 1024];
    let length = reader.read(&mut answer).await?;
    let answer = String::from_utf8_lossy(&answer[..length]);
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("less than 500 bytes a second"), "{answer}");
    assert!(began.elapsed() < 30 * SECOND, "{:?}", began.elapsed());
    advance_until(SECOND, "nothing runs", || total_load(&runtime).0 == 0).await;
    Ok(())
}
