//! How many calls, streams or instances there are at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::watch;
use tokio::time::timeout;

use super::clocks::seconds;

/// Counts what is alive, by guards. Clones count together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gauge(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    now: watch::Sender<usize>,
    most: AtomicUsize,
    left: AtomicUsize,
}

/// One that a [`Gauge`] counts until it is dropped.
#[derive(Debug)]
pub(crate) struct Counted(Gauge);

impl Gauge {
    /// Counts one more, until the returned guard is dropped.
    pub(crate) fn enter(&self) -> Counted {
        self.0.now.send_modify(|now| {
            *now += 1;
            self.0.most.fetch_max(*now, Ordering::SeqCst);
        });
        Counted(self.clone())
    }

    /// How many there are.
    pub(crate) fn now(&self) -> usize {
        *self.0.now.borrow()
    }

    /// The most that there were at a time.
    pub(crate) fn most(&self) -> usize {
        self.0.most.load(Ordering::SeqCst)
    }

    /// How many have been dropped.
    pub(crate) fn left(&self) -> usize {
        self.0.left.load(Ordering::SeqCst)
    }

    /// Waits until there are exactly so many, for at most 10 s.
    pub(crate) async fn reaches(&self, count: usize) {
        let mut counts = self.0.now.subscribe();
        let reached = counts.wait_for(|now| *now == count);
        timeout(seconds(10), reached).await.expect("in time").unwrap();
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.left.fetch_add(1, Ordering::SeqCst);
        self.0.0.now.send_modify(|now| *now -= 1);
    }
}
