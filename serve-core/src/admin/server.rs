//! [`AdminServer`]: the socket of the admin port.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tower::ServiceExt as _;

use super::access::Access;
use super::api;
use super::operations::Operations;

/// The number of open connections: enough for a team and its tools.
const MAX_CONNECTIONS: usize = 256;
/// The time for the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// The time that running requests have when the port closes: as long as a change takes to be stored.
const GRACE: Duration = Duration::from_secs(2);
/// The pause after the system refused to accept a connection.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// Serves the admin port. Dropping the server closes the port.
#[derive(Debug)]
pub(crate) struct AdminServer {
    local_addr: SocketAddr,
    closes: watch::Sender<bool>,
}

impl AdminServer {
    /// Serves on a socket that is bound.
    pub(crate) fn start(
        listener: TcpListener,
        access: Access,
        operations: Arc<dyn Operations>,
    ) -> io::Result<Self> {
        let local_addr = listener.local_addr()?;
        let (closes, closing) = watch::channel(false);
        let router = api::router(access, operations);
        tokio::spawn(accept(listener, router, closing));
        Ok(Self { local_addr, closes })
    }

    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }
}

impl Drop for AdminServer {
    fn drop(&mut self) {
        self.closes.send_replace(true);
    }
}

async fn accept(listener: TcpListener, router: axum::Router, mut closing: watch::Receiver<bool>) {
    let (mut connections, watched) = (JoinSet::new(), closing.clone());
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                Ok((stream, peer)) => {
                    connections.spawn(serve(stream, peer, router.clone(), watched.clone()));
                }
                Err(error) => {
                    tracing::error!("the admin port cannot accept connections: {error}");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
            () = closes(&mut closing) => break,
        }
    }
    drop(listener);
    let _ = timeout(GRACE, async { while connections.join_next().await.is_some() {} }).await;
}

async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    router: axum::Router,
    mut closing: watch::Receiver<bool>,
) {
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        router.clone().oneshot(request.map(axum::body::Body::new))
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    builder.http2().timer(TokioTimer::new());
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    // How a connection ends concerns only its client.
    tokio::select! {
        _ = connection.as_mut() => return,
        () = closes(&mut closing) => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

/// Waits until the port closes.
async fn closes(closing: &mut watch::Receiver<bool>) {
    // Without a sender, the server is gone.
    let _ = closing.wait_for(|closes| *closes).await;
}
