//! `Proxy`: the HTTP service on a port, which serves HTTP/1.1 and HTTP/2 (with prior knowledge).

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{self, JoinSet};
use tokio::time::{Instant, interval_at, sleep, sleep_until};

use crate::ingress::connection::Connection;
use crate::ingress::server::service::HttpService;
use crate::ingress::server::socket::Socket;
use crate::time;

/// The idle time after which a connection is closed: 90 s (Ray Serve's `keep_alive_timeout_s`), or
/// at the latest twice as long, because one look every 90 s costs less than a timer for each
/// request.
const IDLE: Duration = Duration::from_secs(90);
/// The time in which the peer of an idle connection has to close it: long enough for a request that
/// was already on its way.
const GOODBYE: Duration = Duration::from_secs(5);
/// The period at which an HTTP/2 peer is pinged.
const PING: Duration = Duration::from_secs(20);
/// The idle time after which the system begins to probe the peer of a socket. A peer that vanished
/// is given up after some two and a half minutes with Linux's nine probes, one every
/// [`KEEPALIVE_INTERVAL`]; the system's own default is two hours.
const KEEPALIVE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// The pause after the system refused to accept a connection, most often for lack of file
/// descriptors, as in axum.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);
/// The time in which requests have to end when a proxy is dropped: Ray Serve's
/// `graceful_shutdown_timeout_s`.
const GRACE_AFTER_DROP: Duration = Duration::from_secs(20);

/// Serves HTTP on a socket. Dropping the proxy stops it: it accepts no more connections, and
/// running requests may continue for 20 s.
#[derive(Debug)]
pub(crate) struct Proxy {
    local_addr: SocketAddr,
    /// Set once the proxy is to stop.
    stop: watch::Sender<Option<Stop>>,
}

/// The order to stop.
#[derive(Clone, Copy, Debug)]
struct Stop {
    /// The time in which requests have to end.
    grace: Duration,
    /// The moment at which that time is over.
    by: Instant,
}

impl Stop {
    fn after(grace: Duration) -> Self {
        Self { grace, by: time::after_at_most(Instant::now(), grace) }
    }
}

impl Proxy {
    /// Listens on an address; port 0 takes a free port.
    pub(crate) async fn start(address: SocketAddr, service: Arc<HttpService>) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let local_addr = listener.local_addr()?;
        let (stop, stopped) = watch::channel(None);
        // The task ends itself once stopped, and nothing else can keep the proxy's port.
        tokio::spawn(accept(listener, service, stopped));
        Ok(Self { local_addr, stop })
    }

    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Stops accepting connections, lets running requests continue for `grace`, then closes every
    /// connection, and logs the number of requests that this cuts off. Returns when all connections
    /// are closed.
    pub(crate) async fn shut_down(&self, grace: Duration) {
        self.stop.send_replace(Some(Stop::after(grace)));
        self.stop.closed().await;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.send_if_modified(|stop| {
            let running = stop.is_none();
            stop.get_or_insert_with(|| Stop::after(GRACE_AFTER_DROP));
            running
        });
    }
}

async fn accept(
    listener: TcpListener,
    service: Arc<HttpService>,
    mut stopped: watch::Receiver<Option<Stop>>,
) {
    let mut connections = Connections::default();
    let stop = loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => connections.serve(stream, &service, &stopped),
                Err(error) if is_of_the_connection(&error) => {}
                Err(error) => {
                    tracing::error!("cannot accept connections: {error}");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
            true = connections.one_closes() => {}
            stop = stops(&mut stopped) => break stop,
        }
    };
    drop(listener);
    let mut over = pin!(sleep_until(stop.by));
    loop {
        tokio::select! {
            one = connections.one_closes() => if !one { return },
            () = &mut over => return connections.cut_off(stop.grace),
        }
    }
}

/// The open connections. Dropping `Connections` closes them.
#[derive(Default)]
struct Connections {
    tasks: JoinSet<()>,
    open: HashMap<task::Id, Arc<Connection>>,
}

impl Connections {
    fn serve(
        &mut self,
        stream: TcpStream,
        service: &Arc<HttpService>,
        stopped: &watch::Receiver<Option<Stop>>,
    ) {
        let connection = Arc::new(Connection::default());
        let serving = serve(stream, Arc::clone(&connection), Arc::clone(service), stopped.clone());
        self.open.insert(self.tasks.spawn(serving).id(), connection);
    }

    /// Waits until a connection has closed. Returns false if there is none.
    async fn one_closes(&mut self) -> bool {
        let Some(ended) = self.tasks.join_next_with_id().await else { return false };
        let id = ended.map_or_else(|panicked| panicked.id(), |(id, ())| id);
        self.open.remove(&id);
        true
    }

    /// Closes the remaining connections, and logs the number of requests that had not ended after
    /// `grace`.
    fn cut_off(self, grace: Duration) {
        let requests: usize = self.open.values().map(|connection| connection.cut_off()).sum();
        if requests > 0 {
            let what = if requests == 1 { "request was" } else { "requests were" };
            tracing::warn!(
                "{requests} {what} cut off, not ended {grace:?} after the shutdown began; \
                 `Runtime::shutdown` waits for the longest `graceful_shutdown_timeout`"
            );
        }
    }
}

/// Waits until the proxy is to stop.
async fn stops(stopped: &mut watch::Receiver<Option<Stop>>) -> Stop {
    match stopped.wait_for(Option::is_some).await.map(|stop| *stop) {
        Ok(Some(stop)) => stop,
        // The proxy is gone without an order to stop.
        Ok(None) | Err(_) => Stop::after(Duration::ZERO),
    }
}

fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionRefused | ConnectionAborted | ConnectionReset)
}

/// Serves one connection until its peer closes it, it idles, or the proxy stops.
async fn serve(
    stream: TcpStream,
    connection: Arc<Connection>,
    service: Arc<HttpService>,
    mut stopped: watch::Receiver<Option<Stop>>,
) {
    // These calls fail only for a socket that is already closed.
    let _ = stream.set_nodelay(true);
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE_INTERVAL);
    let _ = SockRef::from(&stream).set_tcp_keepalive(&keepalive);
    let io = TokioIo::new(Socket::new(stream, Arc::clone(&connection)));
    let service = {
        let connection = Arc::clone(&connection);
        service_fn(move |request: http::Request<Incoming>| {
            let (service, connection) = (Arc::clone(&service), Arc::clone(&connection));
            async move {
                let request = request.map(Body::new);
                Ok::<_, Infallible>(service.respond_on(request, Some(connection)).await)
            }
        })
    };
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // hyper's own timer would be reset for every request; `IDLE` replaces it.
    builder.http1().header_read_timeout(None);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(PING);
    let mut serving = pin!(builder.serve_connection_with_upgrades(io, service));
    let mut looks = interval_at(Instant::now() + IDLE, IDLE);
    let (mut stopping, mut leaving) = (false, false);
    loop {
        tokio::select! {
            // The peer's own errors end here; they concern nobody else.
            _ = serving.as_mut() => return,
            _ = looks.tick() => if connection.is_idle() {
                // A peer that is in the middle of a request's head gets no more time.
                if leaving {
                    return;
                }
                leaving = true;
                serving.as_mut().graceful_shutdown();
                looks.reset_after(GOODBYE);
            },
            _ = stops(&mut stopped), if !stopping => {
                stopping = true;
                serving.as_mut().graceful_shutdown();
            }
        }
    }
}
