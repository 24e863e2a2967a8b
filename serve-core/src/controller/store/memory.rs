//! [`MemoryStore`]: a store for a single process.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::{BoxFuture, ready};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::{
    Change, ControlStore, Entry, Expected, StoreError, StoreRevision, Watch, Write, WriteBatch,
};
use crate::time;

/// A store in memory. The store has no timer: an expired key is removed at the next access to the
/// store, and a watch of the key wakes in time.
#[derive(Clone, Default)]
pub(crate) struct MemoryStore(Arc<Mutex<Contents>>);

#[derive(Default)]
struct Contents {
    entries: BTreeMap<String, Entry>,
    /// The keys that expire.
    expiring: BTreeMap<String, Instant>,
    revision: u64,
    watchers: Vec<Weak<Watcher>>,
}

struct Watcher {
    prefix: String,
    seen: Mutex<Seen>,
    changed: Notify,
}

#[derive(Default)]
struct Seen {
    pending: BTreeMap<String, Option<Entry>>,
    revision: StoreRevision,
}

impl Contents {
    /// Removes the keys whose time is over.
    fn expire(&mut self, now: Instant) {
        let over = self.expiring.iter().filter(|(_, at)| **at <= now);
        let over: Vec<String> = over.map(|(key, _)| key.clone()).collect();
        for key in over {
            self.write(key, None, None);
        }
    }

    fn next_expiry(&self) -> Option<Instant> {
        self.expiring.values().min().copied()
    }

    fn check(&self, key: &str, expected: Expected) -> Result<(), StoreError> {
        let known = self.entries.get(key).map(|entry| entry.revision);
        let holds = match expected {
            Expected::Any => true,
            Expected::Absent => known.is_none(),
            Expected::Revision(revision) => known == Some(revision),
        };
        if holds { Ok(()) } else { Err(StoreError::Conflict(key.to_owned())) }
    }

    fn write(&mut self, key: String, value: Option<Bytes>, expires: Option<Instant>) {
        self.revision += 1;
        let revision = StoreRevision(self.revision);
        let entry = value.map(|value| Entry { value, revision });
        self.watchers.retain(|watcher| {
            let Some(watcher) = watcher.upgrade() else { return false };
            let mut seen = watcher.seen.lock();
            seen.revision = revision;
            if key.starts_with(&watcher.prefix) {
                seen.pending.insert(key.clone(), entry.clone());
            }
            true
        });
        match expires {
            Some(at) => self.expiring.insert(key.clone(), at),
            None => self.expiring.remove(&key),
        };
        match entry {
            Some(entry) => self.entries.insert(key, entry),
            None => self.entries.remove(&key),
        };
    }

    /// Notifies the watchers, once a whole batch is written.
    fn tell(&self) {
        for watcher in self.watchers.iter().filter_map(Weak::upgrade) {
            watcher.changed.notify_one();
        }
    }
}

impl MemoryStore {
    fn with<T>(&self, act: impl FnOnce(&mut Contents) -> T) -> T {
        let mut contents = self.0.lock();
        let before = contents.revision;
        contents.expire(Instant::now());
        let result = act(&mut contents);
        if contents.revision != before {
            contents.tell();
        }
        result
    }
}

impl ControlStore for MemoryStore {
    fn get(&self, key: &str) -> BoxFuture<'_, Result<Option<Entry>, StoreError>> {
        let found = self.with(|contents| contents.entries.get(key).cloned());
        ready(Ok(found)).boxed()
    }

    fn put(&self, batch: WriteBatch) -> BoxFuture<'_, Result<StoreRevision, StoreError>> {
        let put = self.with(|contents| {
            if let Some((key, revision)) = &batch.fence {
                let fenced = |_| StoreError::Fenced(key.clone());
                contents.check(key, Expected::Revision(*revision)).map_err(fenced)?;
            }
            for write in &batch.writes {
                contents.check(&write.key, write.expected)?;
            }
            for Write { key, value, .. } in batch.writes {
                contents.write(key, value, None);
            }
            Ok(StoreRevision(contents.revision))
        });
        ready(put).boxed()
    }

    fn create(
        &self,
        key: &str,
        value: Bytes,
        ttl: Option<Duration>,
    ) -> BoxFuture<'_, Result<StoreRevision, StoreError>> {
        let created = self.with(|contents| {
            contents.check(key, Expected::Absent)?;
            let expires = ttl.and_then(|ttl| time::after(Instant::now(), ttl));
            contents.write(key.to_owned(), Some(value), expires);
            Ok(StoreRevision(contents.revision))
        });
        ready(created).boxed()
    }

    fn renew(
        &self,
        key: &str,
        revision: StoreRevision,
        ttl: Duration,
    ) -> BoxFuture<'_, Result<StoreRevision, StoreError>> {
        let renewed = self.with(|contents| {
            contents.check(key, Expected::Revision(revision))?;
            let value = contents.entries.get(key).map(|entry| entry.value.clone());
            contents.write(key.to_owned(), value, time::after(Instant::now(), ttl));
            Ok(StoreRevision(contents.revision))
        });
        ready(renewed).boxed()
    }

    fn delete(&self, key: &str, expected: Expected) -> BoxFuture<'_, Result<(), StoreError>> {
        let deleted = self.with(|contents| {
            contents.check(key, expected)?;
            if contents.entries.contains_key(key) {
                contents.write(key.to_owned(), None, None);
            }
            Ok(())
        });
        ready(deleted).boxed()
    }

    fn keys(&self, prefix: &str) -> BoxFuture<'_, Result<Vec<String>, StoreError>> {
        let keys = self.with(|contents| {
            let from = contents.entries.range(prefix.to_owned()..);
            from.map(|(key, _)| key).take_while(|key| key.starts_with(prefix)).cloned().collect()
        });
        ready(Ok(keys)).boxed()
    }

    fn watch(&self, prefix: &str) -> Box<dyn Watch> {
        let watcher = self.with(|contents| {
            let all = contents.entries.iter();
            let there = all.filter(|(key, _)| key.starts_with(prefix));
            let there = there.map(|(key, entry)| (key.clone(), Some(entry.clone())));
            let seen =
                Seen { pending: there.collect(), revision: StoreRevision(contents.revision) };
            let watcher = Arc::new(Watcher {
                prefix: prefix.to_owned(),
                seen: Mutex::new(seen),
                changed: Notify::new(),
            });
            contents.watchers.push(Arc::downgrade(&watcher));
            watcher
        });
        Box::new(MemoryWatch { watcher, store: Arc::downgrade(&self.0), first: true })
    }
}

struct MemoryWatch {
    watcher: Arc<Watcher>,
    store: Weak<Mutex<Contents>>,
    /// True until the first call, which returns at once even if there are no entries.
    first: bool,
}

impl MemoryWatch {
    /// Takes the pending changes, if the watch has any to return.
    fn take(&mut self) -> Option<(Vec<Change>, StoreRevision)> {
        let mut seen = self.watcher.seen.lock();
        if !self.first && seen.pending.is_empty() {
            return None;
        }
        self.first = false;
        let changes = std::mem::take(&mut seen.pending);
        Some((changes.into_iter().collect(), seen.revision))
    }
}

impl Watch for MemoryWatch {
    fn next(&mut self) -> BoxFuture<'_, (Vec<Change>, StoreRevision)> {
        Box::pin(async move {
            loop {
                // Taken under the store's lock, so that a batch is seen as a whole.
                let store = self.store.upgrade().map(MemoryStore);
                let (taken, expiry) = match store {
                    Some(store) => store.with(|contents| (self.take(), contents.next_expiry())),
                    None => (self.take(), None),
                };
                if let Some(taken) = taken {
                    return taken;
                }
                tokio::select! {
                    () = self.watcher.changed.notified() => {}
                    () = sleep_until(expiry.unwrap_or_else(Instant::now)), if expiry.is_some() => {}
                }
            }
        })
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let contents = self.0.lock();
        f.debug_struct("MemoryStore")
            .field("keys", &contents.entries.len())
            .field("revision", &contents.revision)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(key: &str, value: &str, expected: Expected) -> Write {
        let value = Some(Bytes::copy_from_slice(value.as_bytes()));
        Write { key: key.to_owned(), value, expected }
    }

    fn batch(writes: Vec<Write>) -> WriteBatch {
        WriteBatch { writes, fence: None }
    }

    async fn value(store: &MemoryStore, key: &str) -> Option<String> {
        let entry = store.get(key).await.expect("a store in memory");
        entry.map(|entry| String::from_utf8(entry.value.to_vec()).expect("text"))
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_is_written_as_a_whole_or_not_at_all() {
        let store = MemoryStore::default();
        let first = store.put(batch(vec![put("a", "1", Expected::Absent)])).await.unwrap();
        let refused = store
            .put(batch(vec![put("b", "2", Expected::Any), put("a", "2", Expected::Absent)]))
            .await;
        assert_eq!(refused, Err(StoreError::Conflict("a".to_owned())));
        assert_eq!(value(&store, "b").await, None);
        let both = vec![put("b", "2", Expected::Any), put("a", "2", Expected::Revision(first))];
        store.put(batch(both)).await.unwrap();
        assert_eq!(value(&store, "a").await.as_deref(), Some("2"));
        assert_eq!(store.keys("").await.unwrap(), ["a", "b"]);
        let stale = store.delete("a", Expected::Revision(first)).await;
        assert_eq!(stale, Err(StoreError::Conflict("a".to_owned())));
        store.delete("a", Expected::Any).await.unwrap();
        assert_eq!(store.keys("").await.unwrap(), ["b"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_fence_that_another_has_taken_refuses_every_write() {
        let store = MemoryStore::default();
        let mine = store.create("lead", "a".into(), None).await.unwrap();
        let fence = Some(("lead".to_owned(), mine));
        let write =
            || WriteBatch { writes: vec![put("x", "1", Expected::Any)], fence: fence.clone() };
        store.put(write()).await.unwrap();
        assert!(store.create("lead", "b".into(), None).await.is_err(), "it is taken");
        store.delete("lead", Expected::Any).await.unwrap();
        let refused = Err(StoreError::Fenced("lead".to_owned()));
        assert_eq!(store.put(write()).await, refused, "nobody leads");
        store.create("lead", "b".into(), None).await.unwrap();
        assert_eq!(store.put(write()).await, refused, "another one leads");
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_with_a_ttl_lives_as_long_as_it_is_renewed() {
        let store = MemoryStore::default();
        let ttl = Duration::from_secs(15);
        let mut watch = store.watch("lead");
        assert_eq!(watch.next().await.0, []);
        let mut revision = store.create("lead", "a".into(), Some(ttl)).await.unwrap();
        assert_eq!(watch.next().await.0.len(), 1);
        for _ in 0..4 {
            tokio::time::advance(Duration::from_secs(10)).await;
            revision = store.renew("lead", revision, ttl).await.unwrap();
            assert_eq!(watch.next().await.0.len(), 1);
        }
        let began = Instant::now();
        let (changes, _) = watch.next().await;
        assert_eq!(changes, [("lead".to_owned(), None)]);
        assert_eq!(began.elapsed(), ttl, "the watch wakes when the time is over");
        assert!(store.renew("lead", revision, ttl).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_returns_what_there_is_and_then_the_last_change_of_each_key() {
        let store = MemoryStore::default();
        store.put(batch(vec![put("a.1", "x", Expected::Any)])).await.unwrap();
        let mut watch = store.watch("a.");
        let keys = |changes: &[Change]| {
            let text = |entry: &Entry| String::from_utf8_lossy(&entry.value).into_owned();
            let changes = changes.iter();
            changes.map(|(key, it)| (key.clone(), it.as_ref().map(text))).collect::<Vec<_>>()
        };
        let x = |key: &str, value: Option<&str>| (key.to_owned(), value.map(str::to_owned));
        assert_eq!(keys(&watch.next().await.0), [x("a.1", Some("x"))]);
        for value in ["1", "2"] {
            store.put(batch(vec![put("a.2", value, Expected::Any)])).await.unwrap();
        }
        store.delete("a.1", Expected::Any).await.unwrap();
        store.put(batch(vec![put("b", "3", Expected::Any)])).await.unwrap();
        let (changes, revision) = watch.next().await;
        assert_eq!(keys(&changes), [x("a.1", None), x("a.2", Some("2"))]);
        assert_eq!(revision, StoreRevision(5), "of the whole store");
    }
}
