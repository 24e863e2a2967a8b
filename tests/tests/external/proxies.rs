//! The same requests directly, through nginx in several configurations, and through HAProxy.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use serve_core::futures::{SinkExt, StreamExt};
use serve_tests::{request, try_request};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::web;

/// The time after which a silent proxy counts as stuck.
const PATIENCE: Duration = Duration::from_secs(30);

/// A proxy in front of the application. It ends when it is dropped.
struct Proxy {
    program: Child,
    directory: PathBuf,
    address: SocketAddr,
}

impl Proxy {
    /// Starts a program with a configuration in a directory of its own, and waits until it serves.
    /// `arguments` may name the directory as `DIR`.
    fn start(
        program: &str,
        arguments: &[&str],
        configuration: impl Fn(SocketAddr) -> String,
    ) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("serve-{program}-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(directory.join("logs")).expect("a directory");
        let address = free_address();
        fs::write(directory.join("proxy.conf"), configuration(address)).expect("a file");
        let shown = directory.to_str().expect("a name");
        let program = Command::new(program)
            .args(arguments.iter().map(|argument| argument.replace("DIR", shown)))
            .stdin(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{program}, which .ci/run installs: {error}"));
        let proxy = Self { program, directory, address };
        for _ in 0..500 {
            if try_request(address, "GET", "/", "").is_ok_and(|answer| answer.status == 200) {
                return proxy;
            }
            thread::park_timeout(Duration::from_millis(20));
        }
        panic!("the proxy does not serve");
    }

    fn nginx(upstream: SocketAddr, location: &str) -> Self {
        Self::start("nginx", &["-p", "DIR", "-c", "DIR/proxy.conf"], |address| {
            format!(
                "daemon off; master_process off; pid nginx.pid; error_log logs/error.log;\n\
                 events {{ worker_connections 256; }}\n\
                 http {{\n\
                 access_log off; client_max_body_size 0; proxy_read_timeout 2s;\n\
                 client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;\n\
                 uwsgi_temp_path uwsgi; scgi_temp_path scgi;\n\
                 upstream app {{ server {upstream}; keepalive 4; }}\n\
                 map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}\n\
                 server {{\n\
                 listen {address};\n\
                 location / {{ {location} }}\n\
                 location /echo {{\n\
                 proxy_pass http://{upstream}; proxy_http_version 1.1; proxy_set_header Host $host;\n\
                 proxy_set_header Upgrade $http_upgrade;\n\
                 proxy_set_header Connection $connection_upgrade;\n\
                 }}\n\
                 }}\n\
                 }}\n"
            )
        })
    }

    fn haproxy(upstream: SocketAddr) -> Self {
        Self::start("haproxy", &["-db", "-f", "DIR/proxy.conf"], |address| {
            format!(
                "defaults\n mode http\n timeout connect 5s\n timeout client 60s\n timeout server 2s\n \
                 timeout tunnel 60s\n option forwardfor\n\
                 listen app\n bind {address}\n server app {upstream}\n"
            )
        })
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// A port that was free a moment ago.
fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a free port")
}

/// Sends a request over a connection of its own, the whole body first, and returns the answer.
fn exchange(address: SocketAddr, head: &str, body: &[u8]) -> String {
    let mut socket = TcpStream::connect(address).expect("a connection");
    socket.set_read_timeout(Some(PATIENCE)).expect("an open socket");
    socket.write_all(head.as_bytes()).expect("the head is sent");
    // A proxy may answer, and stop reading, before it has the whole body.
    let _ = socket.write_all(body);
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn simple_requests(address: SocketAddr) {
    assert_eq!(request(address, "GET", "/", "").body, "hello");
    let sum = request(address, "POST", "/add", r#"{"a": 1, "b": 2}"#);
    assert_eq!((sum.status, &*sum.body), (200, "3"));
    assert_eq!(request(address, "POST", "/add", "{").status, 400);
    assert_eq!(request(address, "GET", "/nowhere", "").status, 404);
    let large = request(address, "GET", "/large", "");
    assert!(large.body.len() == 8 << 20 && large.body.bytes().all(|byte| byte == b'x'));
    let chunked = "POST /up HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\
                   transfer-encoding: chunked\r\n\r\n";
    let answer = exchange(address, chunked, b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
    assert!(answer.ends_with('5') || answer.contains("\r\n5\r\n"), "{answer}");
}

/// An answer that comes before the body has arrived reaches the client each time.
fn early_answers(address: SocketAddr) {
    let body = vec![b'x'; 3 << 20];
    let head = format!(
        "POST /up HTTP/1.1\r\nhost: here\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    for number in 0..22 {
        let answer = exchange(address, &head, &body);
        assert!(answer.starts_with("HTTP/1.1 413"), "answer {number}: {answer:.300}");
    }
}

/// Each event reaches the client before the next one is sent, and a late one is waited for.
fn streams(address: SocketAddr) {
    let socket = TcpStream::connect(address).expect("a connection");
    socket.set_read_timeout(Some(PATIENCE)).expect("an open socket");
    let head = "GET /events HTTP/1.1\r\nhost: here\r\naccept: text/event-stream\r\n\r\n";
    (&socket).write_all(head.as_bytes()).expect("the head is sent");
    let mut lines = BufReader::new(&socket).lines();
    for number in 0..3 {
        let event = format!("data: {number}");
        let found = lines.by_ref().map_while(Result::ok).any(|line| line == event);
        assert!(found, "event {number} does not come");
        assert_eq!(request(address, "POST", "/received", "{}").status, 200);
    }
    let late = "GET /late HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\
                accept: text/event-stream\r\n\r\n";
    let late = exchange(address, late, b"");
    assert!(late.starts_with("HTTP/1.1 200"), "{late}");
    assert!(late.contains(": heartbeat") && late.contains("data: late"), "{late}");
}

/// A WebSocket of a page that the proxy serves under a public name.
async fn websockets(address: SocketAddr) {
    let mut request = format!("ws://{address}/echo").into_client_request().expect("a request");
    request.headers_mut().insert("host", "app.example".parse().expect("a value"));
    request.headers_mut().insert("origin", "https://app.example".parse().expect("a value"));
    let (mut socket, _) = tokio_tungstenite::connect_async(request).await.expect("an upgrade");
    socket.send(Message::text("hola")).await.expect("it is sent");
    let echo = socket.next().await.expect("an answer").expect("a message");
    assert_eq!(echo, Message::text("hola"));
}

/// What every way to the application has to do.
async fn suite(address: SocketAddr) {
    let blocking = tokio::task::spawn_blocking(move || {
        simple_requests(address);
        early_answers(address);
        streams(address);
    });
    blocking.await.expect("no failure");
    websockets(address).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn directly() {
    let (_runtime, address) = web::serve().await.expect("it serves");
    suite(address).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nginx; .ci/run installs it"]
async fn through_nginx_with_its_defaults() {
    let (_runtime, upstream) = web::serve().await.expect("it serves");
    let proxy = Proxy::nginx(upstream, &format!("proxy_pass http://{upstream};"));
    suite(proxy.address).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nginx; .ci/run installs it"]
async fn through_nginx_without_buffers() {
    let (_runtime, upstream) = web::serve().await.expect("it serves");
    let location = format!(
        "proxy_pass http://{upstream}; proxy_buffering off; proxy_request_buffering off; \
         proxy_http_version 1.1; proxy_set_header Connection '';"
    );
    let proxy = Proxy::nginx(upstream, &location);
    suite(proxy.address).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nginx; .ci/run installs it"]
async fn through_nginx_without_buffers_on_http_1_0() {
    let (_runtime, upstream) = web::serve().await.expect("it serves");
    let location = format!("proxy_pass http://{upstream}; proxy_request_buffering off;");
    let proxy = Proxy::nginx(upstream, &location);
    suite(proxy.address).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nginx; .ci/run installs it"]
async fn through_nginx_with_open_connections_and_a_public_name() {
    let (_runtime, upstream) = web::serve().await.expect("it serves");
    let location = "proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ''; \
                    proxy_set_header Host $host; proxy_set_header X-Forwarded-Proto https; \
                    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; \
                    proxy_set_header X-Forwarded-Prefix /api;";
    let proxy = Proxy::nginx(upstream, location);
    suite(proxy.address).await;
    let address = proxy.address;
    let asked = tokio::task::spawn_blocking(move || {
        let said = "GET /who HTTP/1.1\r\nhost: app.example\r\nconnection: close\r\n\
                    x-forwarded-for: 192.0.2.7\r\n\r\n";
        let client = exchange(address, said, b"");
        assert!(client.contains("192.0.2.7"), "nginx trusts itself alone: {client}");
        let description = request(address, "GET", "/openapi.json", "").body;
        assert!(description.contains("\"url\": \"/api\""), "{description}");
        let change = "POST /up HTTP/1.1\r\nhost: app.example\r\nconnection: close\r\n\
                      origin: https://app.example\r\ncontent-length: 2\r\n\r\n";
        let answer = exchange(address, change, b"ab");
        assert!(answer.starts_with("HTTP/1.1 200"), "a page of the public name: {answer}");
        let foreign = change.replace("origin: https://app", "origin: https://evil");
        let answer = exchange(address, &foreign, b"ab");
        assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    });
    asked.await.expect("no failure");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs haproxy; .ci/run installs it"]
async fn through_haproxy() {
    let (_runtime, upstream) = web::serve().await.expect("it serves");
    let proxy = Proxy::haproxy(upstream);
    suite(proxy.address).await;
}
