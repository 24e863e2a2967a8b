//! `Proxy`: the HTTP service on a port, which serves HTTP/1.1 and HTTP/2 (with prior knowledge).

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{self, JoinSet};
use tokio::time::{Instant, interval, interval_at, sleep, sleep_until, timeout};

use crate::application::HttpSettings;
use crate::ingress::connection::{Connection, Counts};
use crate::ingress::server::access_log::log_refusal;
use crate::ingress::server::service::HttpService;
use crate::ingress::server::socket::Socket;
use crate::ingress::server::upload::Upload;
use crate::time;

/// The shortest time between two looks at a connection.
const SHORTEST_LOOK: Duration = Duration::from_millis(10);
/// The time in which the peer of an idle connection has to close it: long enough for a request that
/// was already on its way.
const GOODBYE: Duration = Duration::from_secs(5);
/// The time that an HTTP/2 peer which has sent no request has, in a shutdown, to answer the frame that
/// announces the end: several round trips around the world. A peer that has sent requests may still
/// receive an answer, and has [`GOODBYE`].
const FAREWELL: Duration = Duration::from_secs(1);
/// The time that connections have to end after they were cut off: as long as a replica has after its
/// grace period, if its code blocks the thread.
const AFTER_ABORT: Duration = Duration::from_secs(1);
/// The period at which the log says what a shutdown waits for: four times in the default grace
/// period.
const REPORT: Duration = Duration::from_secs(5);
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
    /// Closed once the proxy has stopped. The receivers of `stop` may live longer: a method that
    /// computes on the task of its connection keeps that task until the method returns.
    stopped: watch::Receiver<()>,
    sockets: Arc<AtomicUsize>,
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
        let (stop, stops) = watch::channel(None);
        let (stopping, stopped) = watch::channel(());
        let sockets = Arc::<AtomicUsize>::default();
        let connections = Connections::new(Arc::clone(service.settings()), Arc::clone(&sockets));
        // The task ends itself once stopped, and nothing else can keep the proxy's port.
        tokio::spawn(async move {
            accept(listener, service, connections, stops).await;
            drop(stopping);
        });
        Ok(Self { local_addr, stop, stopped, sockets })
    }

    /// The number of WebSockets that are open. They end with their replicas.
    pub(crate) fn sockets(&self) -> usize {
        self.sockets.load(Ordering::Relaxed)
    }

    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Stops accepting connections, lets running requests continue for `grace`, then closes every
    /// connection, and logs the requests that this cuts off. Returns when no request is running, or
    /// when the grace period is over.
    pub(crate) async fn shut_down(&self, grace: Duration) {
        self.stop.send_replace(Some(Stop::after(grace)));
        let mut stopped = self.stopped.clone();
        while stopped.changed().await.is_ok() {}
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
    mut connections: Connections,
    mut stopped: watch::Receiver<Option<Stop>>,
) {
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

/// The open connections. Dropping `Connections` closes them.
struct Connections {
    settings: Arc<HttpSettings>,
    tasks: JoinSet<()>,
    open: HashMap<task::Id, Arc<Connection>>,
    /// The number of upgraded sockets, which are not among `tasks`.
    sockets: Arc<AtomicUsize>,
}

impl Connections {
    fn new(settings: Arc<HttpSettings>, sockets: Arc<AtomicUsize>) -> Self {
        Self { settings, tasks: JoinSet::new(), open: HashMap::new(), sockets }
    }

    fn serve(
        &mut self,
        stream: TcpStream,
        service: &Arc<HttpService>,
        stopped: &watch::Receiver<Option<Stop>>,
    ) {
        let connection = Arc::new(Connection::new(&self.settings, &self.sockets));
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

    /// Logs what a shutdown waits for.
    fn report(&self, stop: Stop) {
        let counts: Counts = self.open.values().map(|connection| connection.counts()).sum();
        if counts.requests() > 0 {
            let left = stop.by.saturating_duration_since(Instant::now());
            tracing::info!("shutting down: waiting for {counts}, for at most {left:.0?}");
        }
    }

    /// Closes the remaining connections, and logs the requests that had not ended after `grace`.
    fn cut_off(&mut self, grace: Duration) {
        let counts: Counts = self.open.values().map(|connection| connection.cut_off()).sum();
        self.tasks.abort_all();
        let requests = counts.requests();
        if requests > 0 {
            let what = if requests == 1 { "request was" } else { "requests were" };
            tracing::warn!(
                "{requests} {what} cut off ({counts}), not ended {grace:?} after the shutdown \
                 began; `Runtime::shutdown` waits for the longest `graceful_shutdown_timeout`"
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

/// The looks at a connection that find out whether it is idle. One look in a while costs less than
/// timers for each request.
struct Idleness {
    /// The time between two looks.
    period: Duration,
    /// The number of looks after which a connection without requests is idle; `None` for never.
    most: Option<u32>,
    /// The number of looks since something happened.
    looks: u32,
    /// The number of requests that had begun at the last look, if a part of the next one's head had
    /// arrived.
    head: Option<usize>,
    /// True if the head of a request is longer on its way than it may be.
    head_is_late: bool,
    limits_heads: bool,
}

impl Idleness {
    fn new(settings: &HttpSettings) -> Self {
        let (idle, head) = (settings.keep_alive_timeout, settings.header_read_timeout);
        let limits = [idle, head].into_iter().filter(|limit| !limit.is_zero());
        let period = limits.min().unwrap_or(Duration::from_secs(3600)).max(SHORTEST_LOOK);
        let most = idle.as_nanos().div_ceil(period.as_nanos());
        let most = (!idle.is_zero()).then(|| u32::try_from(most).unwrap_or(u32::MAX));
        let limits_heads = !head.is_zero();
        Self { period, most, looks: 0, head: None, head_is_late: false, limits_heads }
    }

    /// True if the connection is to be closed.
    fn look(&mut self, connection: &Connection) -> bool {
        let before = std::mem::replace(&mut self.head, connection.partial_head());
        self.head_is_late = self.limits_heads && self.head.is_some() && self.head == before;
        self.looks = if connection.is_idle() { self.looks + 1 } else { 0 };
        self.head_is_late || self.most.is_some_and(|most| self.looks >= most)
    }

    /// From now on, one look suffices.
    fn expect_the_end(&mut self) {
        (self.most, self.looks) = (Some(1), 0);
    }
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
    let ids = Arc::clone(service.ids());
    let io = TokioIo::new(Socket::new(stream, Arc::clone(&connection), ids));
    let service = {
        let connection = Arc::clone(&connection);
        service_fn(move |request: http::Request<Incoming>| {
            let (service, connection) = (Arc::clone(&service), Arc::clone(&connection));
            async move {
                let request = request.map(|body| Upload::counted(body, &connection));
                Ok::<_, Infallible>(service.respond_on(request, Some(connection)).await)
            }
        })
    };
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // hyper's own timer would be reset for every request; the looks replace it.
    builder.http1().header_read_timeout(None);
    let ping = Some(connection.settings().http2_keep_alive_interval).filter(|it| !it.is_zero());
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(ping);
    let mut serving = pin!(builder.serve_connection_with_upgrades(io, service));
    let mut idleness = Idleness::new(connection.settings());
    let mut looks = interval_at(Instant::now() + idleness.period, idleness.period);
    let (mut stopping, mut leaving) = (false, false);
    loop {
        tokio::select! {
            // Most errors are the peer's own, and concern nobody else.
            ended = serving.as_mut() => return log_refusal(&connection, ended.err()),
            _ = looks.tick() => if idleness.look(&connection) {
                // A peer that is in the middle of a request's head gets no more time.
                if leaving || idleness.head_is_late {
                    return;
                }
                leaving = true;
                idleness.expect_the_end();
                serving.as_mut().graceful_shutdown();
                looks.reset_after(GOODBYE);
            },
            _ = stops(&mut stopped), if !stopping => {
                stopping = true;
                let new = connection.begun() == 0;
                // On a new connection, hyper would wait for the rest of a request's head.
                if new && !connection.is_http2() {
                    return;
                }
                serving.as_mut().graceful_shutdown();
                if connection.is_http2() {
                    // hyper waits until the peer answers, which a silent peer never does. From now
                    // on, the connection is idle unless something happens on it.
                    leaving = true;
                    idleness.expect_the_end();
                    connection.is_idle();
                    let period = if new { FAREWELL } else { GOODBYE };
                    looks = interval_at(Instant::now() + period, period);
                }
            }
        }
    }
}
