//! The life of one connection: its requests, its idleness, and its end.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, interval_at};

use crate::application::HttpSettings;
use crate::ingress::connection::Connection;
use crate::ingress::server::access_log::log_refusal;
use crate::ingress::server::service::HttpService;
use crate::ingress::server::socket::Socket;
use crate::ingress::server::stop::{Stop, stops};
use crate::ingress::server::stream::Stream;
use crate::ingress::server::tls::Tls;
use crate::ingress::server::upload::Upload;

/// The shortest time between two looks at a connection.
const SHORTEST_LOOK: Duration = Duration::from_millis(10);
/// The time in which the peer of an idle connection has to close it: long enough for a request that
/// was already on its way.
const GOODBYE: Duration = Duration::from_secs(5);
/// The time that an HTTP/2 peer which has sent no request has, in a shutdown, to answer the frame that
/// announces the end: several round trips around the world. A peer that has sent requests may still
/// receive an answer, and has [`GOODBYE`].
const FAREWELL: Duration = Duration::from_secs(1);
/// The idle time after which the system begins to probe the peer of a socket. A peer that vanished
/// is given up after some two and a half minutes with Linux's nine probes, one every
/// [`KEEPALIVE_INTERVAL`]; the system's own default is two hours.
const KEEPALIVE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);

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
        connection.note_looks(self.looks);
        self.head_is_late || self.most.is_some_and(|most| self.looks >= most)
    }

    /// From now on, one look suffices.
    fn expect_the_end(&mut self) {
        (self.most, self.looks) = (Some(1), 0);
    }
}

/// Serves one connection until its peer closes it, it idles, or the proxy stops.
pub(crate) async fn serve(
    stream: TcpStream,
    tls: Option<Tls>,
    connection: Arc<Connection>,
    service: Arc<HttpService>,
    mut stopped: watch::Receiver<Option<Stop>>,
) {
    // These calls fail only for a socket that is already closed.
    let _ = stream.set_nodelay(true);
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE_INTERVAL);
    let _ = SockRef::from(&stream).set_tcp_keepalive(&keepalive);
    let stream = match tls {
        None => Stream::from(stream),
        Some(tls) => {
            let accepted = tokio::select! {
                accepted = tls.accept(stream) => accepted,
                _ = stops(&mut stopped) => return,
            };
            match accepted {
                Ok(stream) => Stream::from(stream),
                // Whoever looks for open ports ends here.
                Err(error) => {
                    let peer = connection.peer().map(tracing::field::display);
                    tracing::debug!(peer, "a TLS handshake failed: {error}");
                    return;
                }
            }
        }
    };
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
    let mut asked_to_leave = pin!(connection.asked_to_leave());
    let mut idleness = Idleness::new(connection.settings());
    let mut looks = interval_at(Instant::now() + idleness.period, idleness.period);
    let (mut stopping, mut leaving, mut asked) = (false, false, false);
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
            () = &mut asked_to_leave, if !asked => {
                asked = true;
                // A request that has just begun is still answered.
                serving.as_mut().graceful_shutdown();
                leaving = true;
                idleness.expect_the_end();
                connection.is_idle();
                looks = interval_at(Instant::now() + FAREWELL, FAREWELL);
            }
            stop = stops(&mut stopped), if !stopping => {
                stopping = true;
                let new = connection.begun() == 0;
                if stop.hands_over && !new && !connection.is_http2() {
                    // A request may be on its way. Its answer tells the client to connect again.
                    leaving = true;
                    idleness.expect_the_end();
                    connection.is_idle();
                    looks = interval_at(Instant::now() + FAREWELL, FAREWELL);
                    continue;
                }
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
