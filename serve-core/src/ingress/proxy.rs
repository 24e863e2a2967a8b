//! `Proxy`: the front door on a socket. HTTP/1.1 and HTTP/2 (with prior knowledge) on
//! one port.

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

use super::connection::{Connection, Socket};
use super::front_door::FrontDoor;
use crate::clock;

/// A connection on which nothing happens is closed after 90 s (Ray Serve's
/// `keep_alive_timeout_s`), at the latest after twice as long: one look every 90 s costs
/// less than a timer for each request.
const IDLE: Duration = Duration::from_secs(90);
/// What the peer of an idle connection has to take leave in: long enough for a request
/// that was already on its way.
const GOODBYE: Duration = Duration::from_secs(5);
/// How often an HTTP/2 peer is asked whether it is there.
const PING: Duration = Duration::from_secs(20);
/// When the system begins to ask whether the peer of a socket on which nothing happens is
/// there, and how often it asks: one that vanished is given up after some two and a half
/// minutes with Linux's nine tries, where two hours are the system's own default.
const KEEPALIVE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// A pause after the system refused to accept, most often for want of file descriptors,
/// as axum takes it.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);
/// What requests have to end in when a proxy is dropped: Ray Serve's
/// `graceful_shutdown_timeout_s`.
const GRACE_AFTER_DROP: Duration = Duration::from_secs(20);

/// Serves HTTP on a socket. Dropping it stops it: it accepts nothing more, and requests
/// that run may go on for 20 s.
#[derive(Debug)]
pub(crate) struct Proxy {
    local_addr: SocketAddr,
    /// Set once everything is to end.
    stop: watch::Sender<Option<Stop>>,
}

/// That everything is to end.
#[derive(Clone, Copy, Debug)]
struct Stop {
    /// What requests have to end in.
    grace: Duration,
    /// When that is over.
    by: Instant,
}

impl Stop {
    fn after(grace: Duration) -> Self {
        Self { grace, by: clock::after_at_most(Instant::now(), grace) }
    }
}

impl Proxy {
    /// Listens on an address; port 0 takes a free one.
    pub(crate) async fn start(address: SocketAddr, front_door: Arc<FrontDoor>) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let local_addr = listener.local_addr()?;
        let (stop, stopped) = watch::channel(None);
        // Ends itself once stopped, and nothing else can keep the proxy's port.
        tokio::spawn(accept(listener, front_door, stopped));
        Ok(Self { local_addr, stop })
    }

    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Accepts nothing more, lets requests that run go on for `grace`, then closes every
    /// connection, and logs how many requests it cuts off by that. Returns when all are
    /// closed.
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
    front_door: Arc<FrontDoor>,
    mut stopped: watch::Receiver<Option<Stop>>,
) {
    let mut connections = Connections::default();
    let stop = loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => connections.serve(stream, &front_door, &stopped),
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

/// The connections that are open. Dropping it closes them.
#[derive(Default)]
struct Connections {
    tasks: JoinSet<()>,
    open: HashMap<task::Id, Arc<Connection>>,
}

impl Connections {
    fn serve(
        &mut self,
        stream: TcpStream,
        front_door: &Arc<FrontDoor>,
        stopped: &watch::Receiver<Option<Stop>>,
    ) {
        let connection = Arc::new(Connection::default());
        let serving =
            serve(stream, Arc::clone(&connection), Arc::clone(front_door), stopped.clone());
        self.open.insert(self.tasks.spawn(serving).id(), connection);
    }

    /// Waits until one has closed; false if there is none.
    async fn one_closes(&mut self) -> bool {
        let Some(ended) = self.tasks.join_next_with_id().await else { return false };
        let id = ended.map_or_else(|panicked| panicked.id(), |(id, ())| id);
        self.open.remove(&id);
        true
    }

    /// Closes those that are left, and says how many requests had not ended after `grace`.
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
        // The proxy is gone without a word.
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
    front_door: Arc<FrontDoor>,
    mut stopped: watch::Receiver<Option<Stop>>,
) {
    // These fail only for a socket that is gone already.
    let _ = stream.set_nodelay(true);
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE_INTERVAL);
    let _ = SockRef::from(&stream).set_tcp_keepalive(&keepalive);
    let io = TokioIo::new(Socket::new(stream, Arc::clone(&connection)));
    let service = {
        let connection = Arc::clone(&connection);
        service_fn(move |request: http::Request<Incoming>| {
            let (front_door, connection) = (Arc::clone(&front_door), Arc::clone(&connection));
            async move {
                let request = request.map(Body::new);
                Ok::<_, Infallible>(front_door.respond_on(request, Some(connection)).await)
            }
        })
    };
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // Its own timer would be set anew for every request; `IDLE` stands in for it.
    builder.http1().header_read_timeout(None);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(PING);
    let mut serving = pin!(builder.serve_connection_with_upgrades(io, service));
    let mut looks = interval_at(Instant::now() + IDLE, IDLE);
    let (mut stopping, mut leaving) = (false, false);
    loop {
        tokio::select! {
            // The peer's own mistakes end here; they concern nobody else.
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
