//! `Proxy`: the HTTP service on a port, which serves HTTP/1.1 and HTTP/2 (with prior knowledge).

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{interval, sleep, sleep_until, timeout};

use crate::ingress::server::connections::Connections;
use crate::ingress::server::service::HttpService;
use crate::ingress::server::stop::{self, Stop, stops};
use crate::ingress::server::tls::Tls;

/// The time that connections have to end after they were cut off: as long as a replica has after its
/// grace period, if its code blocks the thread.
const AFTER_ABORT: Duration = Duration::from_secs(1);
/// The period at which the log says what a shutdown waits for: four times in the default grace
/// period.
const REPORT: Duration = Duration::from_secs(5);
/// The time after which a connection that waits for room is looked at again.
const ROOM_LOOK: Duration = Duration::from_millis(100);
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
    /// Closed once the proxy has stopped. The receivers of `stop` may live longer: a method that
    /// computes on the task of its connection keeps that task until the method returns.
    stopped: watch::Receiver<()>,
    /// True if the socket lives on after the proxy.
    hands_over: bool,
}

impl Proxy {
    /// Listens on an address; port 0 takes a free port.
    pub(crate) async fn start(
        address: SocketAddr,
        tls: Option<Tls>,
        service: Arc<HttpService>,
    ) -> io::Result<Self> {
        Self::listen(TcpListener::bind(address).await?, tls, service, false)
    }

    /// Serves connections that come to a socket which another part of the program, or another
    /// program, has bound. Connections wait in the socket until an application can be reached.
    pub(crate) fn listen_on(
        listener: std::net::TcpListener,
        tls: Option<Tls>,
        service: Arc<HttpService>,
    ) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Self::listen(TcpListener::from_std(listener)?, tls, service, true)
    }

    fn listen(
        listener: TcpListener,
        tls: Option<Tls>,
        service: Arc<HttpService>,
        hands_over: bool,
    ) -> io::Result<Self> {
        let local_addr = listener.local_addr()?;
        let (stop, stops) = watch::channel(None);
        let (stopping, stopped) = watch::channel(());
        let connections = Connections::new(Arc::clone(service.settings()), tls);
        // The task ends itself once stopped, and nothing else can keep the proxy's port.
        tokio::spawn(async move {
            if hands_over {
                let mut stopped = stops.clone();
                tokio::select! {
                    () = service.is_populated() => {}
                    _ = stop::stops(&mut stopped) => {}
                }
            }
            accept(listener, service, connections, stops).await;
            drop(stopping);
        });
        Ok(Self { local_addr, stop, stopped, hands_over })
    }

    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Goes on serving for a time, so that load balancers see that the process is going away before
    /// it refuses anything. Returns at once if the proxy already stops.
    pub(crate) async fn linger(&self, delay: Duration) {
        if !delay.is_zero() && self.stop.borrow().is_none() {
            tracing::info!(
                "shutting down: serving for another {delay:?}, while /-/healthz says so"
            );
            sleep(delay).await;
        }
    }

    /// Stops accepting connections, lets running requests continue for `grace`, then closes every
    /// connection, and logs the requests that this cuts off. Returns when no request is running, or
    /// when the grace period is over.
    pub(crate) async fn shut_down(&self, grace: Duration) {
        self.stop.send_replace(Some(Stop::after(grace, self.hands_over)));
        let mut stopped = self.stopped.clone();
        while stopped.changed().await.is_ok() {}
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.send_if_modified(|stop| {
            let running = stop.is_none();
            stop.get_or_insert_with(|| Stop::after(GRACE_AFTER_DROP, self.hands_over));
            running
        });
    }
}

async fn accept(
    listener: TcpListener,
    service: Arc<HttpService>,
    mut connections: Connections,
    mut stopped: watch::Receiver<Option<Stop>>,
) {
    // A connection for which there was no room.
    let mut waiting: Option<(TcpStream, SocketAddr)> = None;
    let stop = loop {
        if connections.has_room()
            && let Some((stream, peer)) = waiting.take()
        {
            connections.serve(stream, peer, &service, &stopped);
        }
        tokio::select! {
            accepted = listener.accept(), if waiting.is_none() => match accepted {
                Ok((stream, peer)) => {
                    if connections.has_room() {
                        connections.serve(stream, peer, &service, &stopped);
                    } else {
                        waiting = Some((stream, peer));
                        connections.close_an_idle_one();
                    }
                }
                Err(error) if is_of_the_connection(&error) => {}
                Err(error) => {
                    tracing::error!("cannot accept connections: {error}");
                    // Most often, there are no descriptors left.
                    let closes = connections.close_an_idle_one();
                    let pause = if closes { ROOM_LOOK } else { ACCEPT_PAUSE };
                    sleep(pause).await;
                }
            },
            () = sleep(ROOM_LOOK), if waiting.is_some() => {
                connections.close_an_idle_one();
            }
            true = connections.one_closes() => {}
            stop = stops(&mut stopped) => break stop,
        }
    };
    drop(listener);
    let mut over = pin!(sleep_until(stop.by));
    let mut reports = interval(REPORT);
    loop {
        tokio::select! {
            one = connections.one_closes() => if !one { return },
            () = &mut over => break,
            _ = reports.tick() => connections.report(stop),
        }
    }
    connections.cut_off(stop.grace);
    // A method that computes on the task of its connection cannot be stopped.
    let _ = timeout(AFTER_ABORT, async { while connections.one_closes().await {} }).await;
}

fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionRefused | ConnectionAborted | ConnectionReset)
}
