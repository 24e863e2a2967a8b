//! `Connections`: the open connections of a proxy.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::{self, JoinSet};
use tokio::time::Instant;

use crate::application::HttpSettings;
use crate::ingress::connection::{Connection, Counts};
use crate::ingress::server::service::HttpService;
use crate::ingress::server::serving::serve;
use crate::ingress::server::stop::Stop;
use crate::ingress::server::tls::Tls;

/// The open connections. Dropping `Connections` closes them.
pub(crate) struct Connections {
    settings: Arc<HttpSettings>,
    tls: Option<Tls>,
    tasks: JoinSet<()>,
    open: HashMap<task::Id, Arc<Connection>>,
}

impl Connections {
    pub(crate) fn new(settings: Arc<HttpSettings>, tls: Option<Tls>) -> Self {
        Self { settings, tls, tasks: JoinSet::new(), open: HashMap::new() }
    }

    pub(crate) fn serve(
        &mut self,
        stream: TcpStream,
        peer: SocketAddr,
        service: &Arc<HttpService>,
        stopped: &watch::Receiver<Option<Stop>>,
    ) {
        let connection = Arc::new(Connection::new(&self.settings, Some(peer)));
        let serving = serve(
            stream,
            self.tls.clone(),
            Arc::clone(&connection),
            Arc::clone(service),
            stopped.clone(),
        );
        self.open.insert(self.tasks.spawn(serving).id(), connection);
    }

    /// Waits until a connection has closed. Returns false if there is none.
    pub(crate) async fn one_closes(&mut self) -> bool {
        let Some(ended) = self.tasks.join_next_with_id().await else { return false };
        let id = ended.map_or_else(|panicked| panicked.id(), |(id, ())| id);
        self.open.remove(&id);
        true
    }

    /// True if one more connection may be open.
    pub(crate) fn has_room(&self) -> bool {
        self.settings.max_connections.is_none_or(|most| self.open.len() < most)
    }

    /// Closes the connection that has been without requests for the longest time. Returns false if
    /// every connection has a request.
    pub(crate) fn close_an_idle_one(&self) -> bool {
        let idle = self.open.iter().filter_map(|(id, connection)| {
            // Task ids grow: of two connections, the older one has the smaller id.
            Some((connection.idle_looks()?, std::cmp::Reverse(*id), connection))
        });
        let longest = idle.max_by_key(|(looks, id, _)| (*looks, *id));
        longest.map(|(_, _, connection)| connection.ask_to_leave()).is_some()
    }

    /// Logs what a shutdown waits for.
    pub(crate) fn report(&self, stop: Stop) {
        let counts: Counts = self.open.values().map(|connection| connection.counts()).sum();
        if counts.requests() > 0 {
            let left = stop.by.saturating_duration_since(Instant::now());
            tracing::info!("shutting down: waiting for {counts}, for at most {left:.0?}");
        }
    }

    /// Closes the remaining connections, and logs the requests that had not ended after `grace`.
    pub(crate) fn cut_off(&mut self, grace: Duration) {
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
