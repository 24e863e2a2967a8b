//! A connection: any bytes on a socket.
//!
//! Whatever is sent, the connection ends once its client has sent everything, and what was answered
//! in HTTP/1 are complete answers, each with its request's id.

use std::cell::RefCell;
use std::mem::ManuallyDrop;
use std::net::SocketAddr;
use std::time::Duration;

use futures::stream;
use serve_core::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::answers::check_error;

/// A time in which every request of the target is answered, on any machine.
const LONG: Duration = Duration::from_secs(60);
/// The number of inputs after which the server is replaced.
const INPUTS: u32 = 20_000;

#[deployment]
#[derive(Default)]
pub struct Front;

#[handle]
impl Front {
    #[get("/")]
    pub async fn hello(&self) -> String {
        "Hola".to_owned()
    }

    #[post("/echo", body = bytes, max_body = "4KiB")]
    pub async fn echo(&self, bytes: Bytes) -> Bytes {
        bytes
    }

    #[post("/json")]
    pub async fn json(&self, text: String, number: Option<u8>) -> String {
        format!("{text} {}", number.unwrap_or_default())
    }

    #[get("/stream")]
    pub fn stream(&self) -> impl Stream<Item = u8> {
        stream::iter(0..3)
    }
}

struct Listening {
    tokio: tokio::runtime::Runtime,
    runtime: Option<Runtime>,
    address: SocketAddr,
    inputs: u32,
}

impl Listening {
    fn start() -> Self {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let tokio = builder.enable_all().build().expect("tokio starts");
        let (runtime, address) = tokio.block_on(async {
            let runtime = Runtime::builder().http(([127, 0, 0, 1], 0)).start().await;
            let runtime = runtime.expect("a port is free");
            runtime.run(Front::bind()).await.expect("it starts");
            let address = runtime.http_address().expect("it listens");
            (runtime, address)
        });
        Self { tokio, runtime: Some(runtime), address, inputs: 0 }
    }

    /// Sends bytes, in pieces that end where a zero stands, and returns what was sent back.
    fn send(&self, data: &[u8]) -> Vec<u8> {
        let address = self.address;
        self.tokio.block_on(async {
            let mut socket = TcpStream::connect(address).await.expect("the server listens");
            let _ = socket.set_nodelay(true);
            let (mut read, mut write) = socket.split();
            let sending = async {
                for piece in data.split_inclusive(|byte| *byte == 0) {
                    // The server may have closed the connection.
                    if write.write_all(piece).await.is_err() {
                        break;
                    }
                    tokio::task::yield_now().await;
                }
                let _ = write.shutdown().await;
            };
            let mut answers = Vec::new();
            let reading = async {
                let mut buffer = [0; 4096];
                while let Ok(length @ 1..) = read.read(&mut buffer).await {
                    answers.extend_from_slice(&buffer[..length]);
                }
            };
            let both = timeout(LONG, futures::future::join(sending, reading)).await;
            assert!(both.is_ok(), "the connection does not end");
            // The port is free at once, not after a minute.
            let _ = socket.set_zero_linger();
            answers
        })
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let _entered = self.tokio.enter();
        drop(self.runtime.take());
    }
}

pub fn run(data: &[u8]) {
    thread_local! {
        static SERVER: RefCell<ManuallyDrop<Option<Listening>>> =
            const { RefCell::new(ManuallyDrop::new(None)) };
    }
    SERVER.with_borrow_mut(|server| {
        if server.as_ref().is_none_or(|server| server.inputs == INPUTS) {
            drop(server.take());
            **server = Some(Listening::start());
        }
        let server = server.as_mut().expect("a server was started");
        server.inputs += 1;
        let answers = server.send(data);
        if !data.starts_with(b"PRI * HTTP/2.0") {
            check(&answers, data);
        }
    });
}

/// Checks answers in HTTP/1. The last may break off, as the connection does if the client is at
/// fault.
fn check(mut answers: &[u8], data: &[u8]) {
    while !answers.is_empty() {
        let Some(end) = answers.windows(4).position(|window| window == b"\r\n\r\n") else { return };
        let head = std::str::from_utf8(&answers[..end]).expect("a head is text");
        answers = &answers[end + 4..];
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap_or_default();
        assert!(status.starts_with("HTTP/1."), "{status:?} answers {data:?}");
        let status: u16 = status.split(' ').nth(1).unwrap_or_default().parse().expect("a status");
        let header = |name: &str| {
            let mut lines = head.split("\r\n").skip(1).filter_map(|line| line.split_once(": "));
            lines.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
        };
        if status == 100 {
            continue;
        }
        let known = [200, 204, 400, 403, 404, 405, 408, 413, 414, 415, 422, 431, 503];
        assert!(known.contains(&status), "{head:?} answers {data:?}");
        assert!(header("x-request-id").is_some(), "no id: {head:?} answers {data:?}");
        let Some(length) = header("content-length") else {
            // A body in chunks, which is the last or is found by the next head.
            let Some(next) = answers.windows(7).position(|window| window == b"HTTP/1.") else {
                return;
            };
            answers = &answers[next..];
            continue;
        };
        let length: usize = length.parse().expect("a length");
        // An answer to `HEAD` has a length and no body.
        if answers.starts_with(b"HTTP/1.") {
            continue;
        }
        let Some(body) = answers.get(..length) else { return };
        if header("content-type") == Some("application/json") && status >= 400 && !body.is_empty() {
            check_error(std::str::from_utf8(body).expect("an error is text"), status);
        }
        answers = &answers[length..];
    }
}
