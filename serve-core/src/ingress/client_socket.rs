//! `WebSocketClient`: WebSockets without a port, for tests. The bytes go through hyper, as on a port,
//! in memory.

use std::convert::Infallible;
use std::fmt;
use std::future::IntoFuture;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use futures::{SinkExt as _, StreamExt as _};
use http::{HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{self, Error as ProtocolError};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::error::{Error, Result};
use crate::ingress::connection::{Connection, Half};
use crate::ingress::server::service::HttpService;
use crate::ingress::websocket::{CloseCode, Message};

/// The number of bytes that are on their way in each direction, as between two sockets.
const BUFFER: usize = 64 << 10;
/// The number of messages that a test need not read. Beyond it, the server has to wait.
const UNREAD: usize = 64;

/// A WebSocket that has not been opened. `.await` opens it. Created by
/// [`HttpClient::websocket`](super::HttpClient::websocket).
#[must_use = "a WebSocket is opened by `.await`"]
pub struct WebSocketRequest {
    service: Arc<HttpService>,
    path: String,
    headers: Result<Vec<(HeaderName, HeaderValue)>>,
}

impl WebSocketRequest {
    pub(super) fn new(service: Arc<HttpService>, path: String) -> Self {
        Self { service, path, headers: Ok(Vec::new()) }
    }

    /// Adds a header.
    pub fn header(
        mut self,
        name: impl TryInto<HeaderName, Error: fmt::Display>,
        value: impl TryInto<HeaderValue, Error: fmt::Display>,
    ) -> Self {
        self.headers = self.headers.and_then(|mut headers| {
            let name =
                name.try_into().map_err(|error| Error::msg(format!("a header's name: {error}")))?;
            let value = value.try_into().map_err(|error| {
                Error::msg(format!("the value of the header `{name}`: {error}"))
            })?;
            headers.push((name, value));
            Ok(headers)
        });
        self
    }

    /// Opens the WebSocket.
    ///
    /// # Errors
    /// If the server refuses the WebSocket. [`Error::status`] is the status of its response, and the
    /// message has the response's body.
    pub async fn open(self) -> Result<WebSocketClient> {
        let mut request = format!("ws://localhost{}", self.path)
            .into_client_request()
            .map_err(|error| Error::msg(format!("the path {:?}: {error}", self.path)))?;
        for (name, value) in self.headers? {
            request.headers_mut().append(name, value);
        }
        let (here, there) = duplex(BUFFER);
        tokio::spawn(serve(there, self.service));
        match client_async(request, here).await {
            Ok((stream, _)) => Ok(WebSocketClient::new(stream)),
            Err(ProtocolError::Http(response)) => {
                let status = response.status();
                let body = response.into_body().unwrap_or_default();
                let body = String::from_utf8_lossy(&body).into_owned();
                let message = format!("the server refused the WebSocket with {status}: {body}");
                Err(Error::msg(message).with_status(status.as_u16()))
            }
            Err(error) => Err(Error::from(error).context("the WebSocket did not open")),
        }
    }
}

impl IntoFuture for WebSocketRequest {
    type Output = Result<WebSocketClient>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.open())
    }
}

impl fmt::Debug for WebSocketRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocketRequest").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Serves one connection in memory.
async fn serve(io: DuplexStream, service: Arc<HttpService>) {
    let connection = Arc::new(Connection::new(service.settings(), None));
    let io = MemorySocket { io, connection: Arc::clone(&connection) };
    let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
        let (service, connection) = (Arc::clone(&service), Arc::clone(&connection));
        async move {
            let request = request.map(axum::body::Body::new);
            Ok::<_, Infallible>(service.respond_on(request, Some(connection)).await)
        }
    });
    // An error is the client's, which sees that the connection has ended.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(io), service).with_upgrades().await;
}

/// The server's end of a connection in memory, which ends with the replica of an upgraded request.
struct MemorySocket {
    io: DuplexStream,
    connection: Arc<Connection>,
}

impl MemorySocket {
    fn check(&self, half: Half, cx: &Context<'_>) -> io::Result<()> {
        match self.connection.has_ended(half, cx.waker()) {
            true => Err(io::ErrorKind::ConnectionAborted.into()),
            false => Ok(()),
        }
    }
}

impl Drop for MemorySocket {
    fn drop(&mut self) {
        self.connection.close();
    }
}

impl AsyncRead for MemorySocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(Half::Read, cx)?;
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for MemorySocket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check(Half::Write, cx)?;
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// The client's end of an open WebSocket, for tests. It answers pings by itself, like a browser.
/// Dropping it has the same effect as a client that disconnects without closing the socket.
///
/// ```
/// use serve_core::http::{WebSocket, WebSocketError};
/// use serve_core::prelude::*;
///
/// #[deployment]
/// #[derive(Default)]
/// struct Adder;
///
/// #[handle]
/// impl Adder {
///     #[websocket("/sums")]
///     pub async fn sums(&self, mut socket: WebSocket<i64, i64>) -> Result<(), WebSocketError> {
///         let mut sum = 0;
///         while let Some(number) = socket.next().await {
///             sum += number?;
///             socket.send(sum).await?;
///         }
///         Ok(())
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> serve_core::Result<()> {
/// let runtime = MockRuntime::builder().start();
/// runtime.run(Adder::bind()).await?;
/// let mut socket = runtime.http().websocket("/sums").await?;
/// socket.send_json(&2).await?;
/// socket.send_json(&3).await?;
/// assert_eq!(socket.next_json::<i64>().await?, 2);
/// assert_eq!(socket.next_json::<i64>().await?, 5);
/// assert_eq!(socket.close(1000, "done").await, 1000);
/// # Ok(())
/// # }
/// ```
pub struct WebSocketClient {
    commands: mpsc::Sender<tungstenite::Message>,
    messages: mpsc::Receiver<Message>,
    closed: Arc<Mutex<Option<(CloseCode, String)>>>,
    task: JoinHandle<()>,
}

impl WebSocketClient {
    fn new(stream: WebSocketStream<DuplexStream>) -> Self {
        let (commands, ordered) = mpsc::channel(1);
        let (arrived, messages) = mpsc::channel(UNREAD);
        let closed = Arc::<Mutex<Option<(CloseCode, String)>>>::default();
        let task = tokio::spawn(talk(stream, ordered, arrived, Arc::clone(&closed)));
        Self { commands, messages, closed, task }
    }

    /// Sends a message: text from a `&str` or a `String`, binary from `Bytes`.
    ///
    /// # Errors
    /// If the socket is closed.
    pub async fn send(&self, message: impl Into<Message>) -> Result<()> {
        self.command(message.into().into()).await
    }

    /// Sends a value as JSON, in a text message.
    ///
    /// # Errors
    /// If the value cannot be written as JSON, or the socket is closed.
    pub async fn send_json<T: Serialize + ?Sized>(&self, value: &T) -> Result<()> {
        self.send(serde_json::to_string(value)?).await
    }

    async fn command(&self, command: tungstenite::Message) -> Result<()> {
        let sent = self.commands.send(command).await;
        sent.map_err(|_| self.closed_error("nothing can be sent"))
    }

    /// Returns the next message, or `None` once the socket is closed. [`close_code`](Self::close_code)
    /// then says how.
    pub async fn next(&mut self) -> Option<Message> {
        self.messages.recv().await
    }

    /// Returns the next message, which has to be text.
    ///
    /// # Errors
    /// If the message is binary, or the socket is closed.
    pub async fn next_text(&mut self) -> Result<String> {
        match self.next().await {
            Some(Message::Text(text)) => Ok(text),
            Some(Message::Binary(_)) => Err(Error::msg("the message is binary, expected text")),
            None => Err(self.closed_error("there is no message")),
        }
    }

    /// Returns the next message, read from JSON.
    ///
    /// # Errors
    /// If the message is not the JSON of a `T`, or the socket is closed. In the former case, the error
    /// shows the message.
    pub async fn next_json<T: DeserializeOwned>(&mut self) -> Result<T> {
        let text = self.next_text().await?;
        serde_json::from_str(&text).map_err(|error| {
            Error::from(error).context(format!("the message {text:?} is not as expected"))
        })
    }

    /// Closes the socket, waits until the server has closed it too, and returns the server's code.
    pub async fn close(&mut self, code: impl Into<CloseCode>, reason: &str) -> CloseCode {
        let code = code.into().get().into();
        let frame = CloseFrame { code, reason: reason.into() };
        // If the socket is closed already, its code is known.
        let _ = self.command(tungstenite::Message::Close(Some(frame))).await;
        self.closed().await
    }

    /// Waits until the server has closed the socket, without reading messages that are left, and
    /// returns its code.
    pub async fn closed(&mut self) -> CloseCode {
        while self.messages.recv().await.is_some() {}
        self.close_code().unwrap_or(CloseCode::LOST)
    }

    /// The code with which the server has closed the socket. 1005 if it has given none, 1006 if the
    /// connection was lost.
    #[must_use]
    pub fn close_code(&self) -> Option<CloseCode> {
        self.closed.lock().as_ref().map(|(code, _)| *code)
    }

    /// The reason with which the server has closed the socket.
    #[must_use]
    pub fn close_reason(&self) -> Option<String> {
        self.closed.lock().as_ref().map(|(_, reason)| reason.clone())
    }

    fn closed_error(&self, what: &str) -> Error {
        let closed = self.closed.lock();
        let (code, reason) = closed.clone().unwrap_or((CloseCode::LOST, String::new()));
        Error::msg(format!("{what}: the WebSocket is closed with code {code} ({reason:?})"))
    }
}

impl Drop for WebSocketClient {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for WebSocketClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocketClient").field("close_code", &self.close_code()).finish()
    }
}

/// Reads the socket, and sends what it is told to, until the socket is closed.
async fn talk(
    mut stream: WebSocketStream<DuplexStream>,
    mut ordered: mpsc::Receiver<tungstenite::Message>,
    arrived: mpsc::Sender<Message>,
    closed: Arc<Mutex<Option<(CloseCode, String)>>>,
) {
    let mut end = (CloseCode::LOST, String::new());
    loop {
        // Nothing is read while the test has enough to read.
        let read = async {
            let permit = arrived.reserve().await.ok()?;
            Some((permit, stream.next().await?.ok()?))
        };
        let (permit, message) = tokio::select! {
            read = read => match read {
                Some(read) => read,
                None => break,
            },
            Some(command) = ordered.recv() => match stream.send(command).await {
                Ok(()) => continue,
                Err(_) => break,
            },
        };
        match message {
            tungstenite::Message::Text(text) => {
                permit.send(Message::Text(text.as_str().to_owned()));
            }
            tungstenite::Message::Binary(bytes) => permit.send(Message::Binary(bytes)),
            tungstenite::Message::Close(frame) => {
                end = match frame {
                    Some(frame) => (u16::from(frame.code).into(), frame.reason.to_string()),
                    None => (CloseCode::NO_CODE, String::new()),
                };
            }
            _ => {}
        }
    }
    *closed.lock() = Some(end);
}
