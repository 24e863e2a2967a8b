//! [`Leadership`]: the exclusive right of one controller to write to the store that nodes read.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::store::{ControlStore, Expected, StoreError, StoreRevision};
use crate::time;

/// The key that the leading controller holds. Its revision is the fence of all writes of that
/// controller. Nodes watch the key like their assignments: a node that has seen the key has seen
/// all assignments of earlier controllers.
pub(super) const LEAD: &str = "assign.lead";

/// The exclusive right of one controller to write. The right ends when another controller takes the
/// key, or when its time is over.
#[derive(Debug)]
pub(super) struct Leadership {
    revision: StoreRevision,
    /// The time for which the key lives without renewal. `None` means forever, for a store that
    /// belongs to a single process.
    ttl: Option<Duration>,
    /// The time at which the lead ends.
    ends: Option<Instant>,
}

impl Leadership {
    /// Takes the lead. With a `ttl`, waits until the current leader is gone; without a `ttl`, takes
    /// the lead away from the current leader.
    pub(super) async fn take(store: &dyn ControlStore, ttl: Option<Duration>) -> Self {
        let mut changes = store.watch(LEAD);
        loop {
            let began = Instant::now();
            if let Ok(revision) = store.create(LEAD, Bytes::new(), ttl).await {
                let ends = ttl.and_then(|ttl| time::after(began, ttl));
                return Self { revision, ttl, ends };
            }
            if ttl.is_some() {
                changes.next().await;
            } else {
                // The previous leader writes nothing from now on.
                let _ = store.delete(LEAD, Expected::Any).await;
            }
        }
    }

    pub(super) fn revision(&self) -> StoreRevision {
        self.revision
    }

    /// Returns the fence that every batch has to carry.
    pub(super) fn fence(&self) -> Option<(String, StoreRevision)> {
        Some((LEAD.to_owned(), self.revision))
    }

    /// Returns the time at which the lead has to be renewed: after a third of its time, so that a
    /// slow renewal still ends in time.
    pub(super) fn renews_at(&self) -> Option<Instant> {
        let (ends, ttl) = (self.ends?, self.ttl?);
        ends.checked_sub(ttl - ttl / 3)
    }

    /// Renews the lead.
    ///
    /// # Errors
    /// If the store refuses the renewal, or does not complete it before only half of the time is
    /// left: a controller whose renewal fails steps down before another controller can lead.
    pub(super) async fn renew(&mut self, store: &dyn ControlStore) -> Result<(), StoreError> {
        let (Some(ttl), Some(ends)) = (self.ttl, self.ends) else { return Ok(()) };
        let began = Instant::now();
        let lost = || StoreError::Fenced(LEAD.to_owned());
        let give_up = ends.checked_sub(ttl / 2).unwrap_or(ends);
        let renewed = timeout_at(give_up, store.renew(LEAD, self.revision, ttl)).await;
        self.revision = renewed.map_err(|_| lost())?.map_err(|_| lost())?;
        self.ends = time::after(began, ttl);
        Ok(())
    }

    /// Waits until the lead has to be renewed, or forever if the lead does not end.
    pub(super) async fn is_due(&self) {
        match self.renews_at() {
            Some(at) => sleep_until(at).await,
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::store::{MemoryStore, WriteBatch};
    use super::*;

    const TTL: Duration = Duration::from_secs(15);

    async fn may_write(store: &MemoryStore, leadership: &Leadership) -> bool {
        let batch = WriteBatch { fence: leadership.fence(), ..WriteBatch::default() };
        store.put(batch).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_controller_leads_as_long_as_it_renews_and_the_next_one_waits() {
        let store = MemoryStore::default();
        let mut first = Leadership::take(&store, Some(TTL)).await;
        let next = tokio::spawn({
            let store = store.clone();
            async move { Leadership::take(&store, Some(TTL)).await }
        });
        for _ in 0..10 {
            first.is_due().await;
            first.renew(&store).await.expect("nobody else has it");
        }
        assert!(!next.is_finished() && may_write(&store, &first).await);
        let stopped = Instant::now();
        let next = next.await.expect("it waits");
        assert_eq!(stopped.elapsed(), TTL, "the first one has renewed just before");
        assert!(!may_write(&store, &first).await && may_write(&store, &next).await);
        assert!(first.renew(&store).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_ttl_the_newest_controller_leads() {
        let store = MemoryStore::default();
        let first = Leadership::take(&store, None).await;
        let second = Leadership::take(&store, None).await;
        assert!(!may_write(&store, &first).await && may_write(&store, &second).await);
        assert_eq!(first.renews_at(), None);
    }
}
