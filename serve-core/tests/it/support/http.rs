//! Requests over real sockets.

use std::net::SocketAddr;

use http_body_util::Empty;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serve_core::http::HttpOptions;
use serve_core::{Application, Bound, Bytes, Deployment, Result, Runtime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::clocks::seconds;

/// A client of one HTTP/2 connection.
pub(crate) type Http2 = http2::SendRequest<Empty<Bytes>>;

/// A real runtime that serves HTTP on a free port of this machine, and its address.
pub(crate) async fn listening() -> Result<(Runtime, SocketAddr)> {
    let runtime = Runtime::builder().http(([127, 0, 0, 1], 0)).start().await?;
    let address = runtime.http_address().expect("it listens");
    Ok((runtime, address))
}

/// A real runtime that serves an application on a free port of this machine, with these options, and its
/// address.
pub(crate) async fn serving<D: Deployment>(
    ingress: Bound<D>,
    options: HttpOptions,
) -> Result<(Runtime, SocketAddr)> {
    let builder = Runtime::builder().http(([127, 0, 0, 1], 0)).http_options(options);
    let runtime = builder.start().await?;
    let address = runtime.http_address().expect("it listens");
    runtime.run_any(Application::new(ingress).into()).await?;
    Ok((runtime, address))
}

/// Sends a `GET` request over a connection of its own.
pub(crate) async fn send(address: SocketAddr, path: &str) -> TcpStream {
    let mut socket = TcpStream::connect(address).await.unwrap();
    ask(&mut socket, path).await;
    socket
}

/// Sends a `GET` request over a connection.
pub(crate) async fn ask(socket: &mut TcpStream, path: &str) {
    let request = format!("GET {path} HTTP/1.1\r\nhost: here\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
}

/// The next bytes of a response, which may take up to 10 s; empty at the end.
pub(crate) async fn read(socket: &mut TcpStream) -> String {
    let mut buffer = vec![0; 4096];
    let read = timeout(seconds(10), socket.read(&mut buffer)).await.expect("in time");
    String::from_utf8(buffer[..read.unwrap_or(0)].to_vec()).unwrap()
}

/// Opens an HTTP/2 connection.
pub(crate) async fn http2(address: SocketAddr) -> Http2 {
    let socket = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (client, connection) = http2::handshake(TokioExecutor::new(), socket).await.unwrap();
    tokio::spawn(connection);
    client
}

/// A `GET` request without a body.
pub(crate) fn get_request(path: &str) -> ::http::Request<Empty<Bytes>> {
    ::http::Request::get(format!("http://here{path}")).body(Empty::new()).unwrap()
}
