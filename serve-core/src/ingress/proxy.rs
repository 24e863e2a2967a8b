//! `Proxy`: the front door on a socket. HTTP/1.1 and HTTP/2 (with prior knowledge) on
//! one port.

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
use tokio::task::JoinSet;
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
    /// When everything must have ended, once it is to end.
    stop: watch::Sender<Option<Instant>>,
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
    /// connection. Returns when all are closed.
    pub(crate) async fn shut_down(&self, grace: Duration) {
        self.stop.send_replace(Some(clock::after_at_most(Instant::now(), grace)));
        self.stop.closed().await;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.send_if_modified(|stop| {
            let running = stop.is_none();
            stop.get_or_insert_with(|| Instant::now() + GRACE_AFTER_DROP);
            running
        });
    }
}

async fn accept(
    listener: TcpListener,
    front_door: Arc<FrontDoor>,
    mut stopped: watch::Receiver<Option<Instant>>,
) {
    let mut connections = JoinSet::new();
    let give_up = loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve(stream, Arc::clone(&front_door), stopped.clone()));
                }
                Err(error) if is_of_the_connection(&error) => {}
                Err(error) => {
                    tracing::error!("cannot accept connections: {error}");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
            moment = stop_moment(&mut stopped) => break moment,
        }
    };
    drop(listener);
    let mut give_up = pin!(sleep_until(give_up));
    loop {
        tokio::select! {
            ended = connections.join_next() => if ended.is_none() { return },
            () = &mut give_up => return,
        }
    }
}

/// Waits until the proxy is to stop; gives the moment by which it must have.
async fn stop_moment(stopped: &mut watch::Receiver<Option<Instant>>) -> Instant {
    match stopped.wait_for(Option::is_some).await.map(|moment| *moment) {
        Ok(Some(moment)) => moment,
        // The proxy is gone without a word.
        Ok(None) | Err(_) => Instant::now(),
    }
}

fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionRefused | ConnectionAborted | ConnectionReset)
}

/// Serves one connection until its peer closes it, it idles, or the proxy stops.
async fn serve(
    stream: TcpStream,
    front_door: Arc<FrontDoor>,
    mut stopped: watch::Receiver<Option<Instant>>,
) {
    // These fail only for a socket that is gone already.
    let _ = stream.set_nodelay(true);
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE_INTERVAL);
    let _ = SockRef::from(&stream).set_tcp_keepalive(&keepalive);
    let connection = Arc::new(Connection::default());
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
            _ = stop_moment(&mut stopped), if !stopping => {
                stopping = true;
                serving.as_mut().graceful_shutdown();
            }
        }
    }
}
