//! `Stop`: the order that ends a proxy and its connections.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::time;

/// The order to stop.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stop {
    /// The time in which requests have to end.
    pub(crate) grace: Duration,
    /// The moment at which that time is over.
    pub(crate) by: Instant,
    /// True if others accept connections on the same socket: clients with an open connection are
    /// told to open another one, and may send one more request on this one meanwhile.
    pub(crate) hands_over: bool,
}

impl Stop {
    pub(crate) fn after(grace: Duration, hands_over: bool) -> Self {
        Self { grace, by: time::after_at_most(Instant::now(), grace), hands_over }
    }
}

/// Waits until the proxy is to stop.
pub(crate) async fn stops(stopped: &mut watch::Receiver<Option<Stop>>) -> Stop {
    match stopped.wait_for(Option::is_some).await.map(|stop| *stop) {
        Ok(Some(stop)) => stop,
        // The proxy is gone without an order to stop.
        Ok(None) | Err(_) => Stop::after(Duration::ZERO, false),
    }
}
