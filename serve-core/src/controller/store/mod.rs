//! [`ControlStore`]: the data that must outlive a controller, behind seven operations that every
//! consistent key-value store has.
//!
//! The controller writes applications, deployments and assignments; nodes watch the assignments and
//! write reports. Neither calls the other.

mod memory;

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use thiserror::Error;

pub(crate) use memory::MemoryStore;

/// The number of a write. Later writes to a store have greater numbers, whatever their keys.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub(crate) struct StoreRevision(pub(crate) u64);

/// A value and the number of the write that stored it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) value: Bytes,
    pub(crate) revision: StoreRevision,
}

/// The condition of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    Any,
    Absent,
    Revision(StoreRevision),
}

/// One write of a [`WriteBatch`]. A write without a value deletes the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Write {
    pub(crate) key: String,
    pub(crate) value: Option<Bytes>,
    pub(crate) expected: Expected,
}

/// Writes that are applied together or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct WriteBatch {
    pub(crate) writes: Vec<Write>,
    /// The key, and its revision, from which the writer derives the right to write. Once the key
    /// has another revision, or none, the store refuses the batch.
    pub(crate) fence: Option<(String, StoreRevision)>,
}

impl WriteBatch {
    /// Stores a value, regardless of the previous value.
    pub(crate) fn put(&mut self, key: String, value: &impl Serialize) {
        let value = serde_json::to_vec(value).expect("what is stored is plain data");
        self.writes.push(Write { key, value: Some(value.into()), expected: Expected::Any });
    }

    /// Deletes a key, if the key is present.
    pub(crate) fn delete(&mut self, key: String) {
        self.writes.push(Write { key, value: None, expected: Expected::Any });
    }
}

/// The error of a store.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum StoreError {
    /// A condition does not hold. Nothing was written.
    #[error("`{0}` has another revision than the write expects")]
    Conflict(String),
    /// The writer has lost the right to write. Nothing was written.
    #[error("another controller has taken over: `{0}` has another revision")]
    Fenced(String),
}

/// A change of a key: its new entry, or `None` if it was deleted or has expired.
pub(crate) type Change = (String, Option<Entry>);

/// The data that a process leaves for other processes and for its successor.
pub(crate) trait ControlStore: fmt::Debug + Send + Sync {
    /// Returns the entry of a key.
    fn get(&self, key: &str) -> BoxFuture<'_, Result<Option<Entry>, StoreError>>;

    /// Applies all writes of a batch, or none.
    fn put(&self, batch: WriteBatch) -> BoxFuture<'_, Result<StoreRevision, StoreError>>;

    /// Stores a value under a key that must be absent. With a `ttl`, the key expires unless it is
    /// renewed.
    fn create(
        &self,
        key: &str,
        value: Bytes,
        ttl: Option<Duration>,
    ) -> BoxFuture<'_, Result<StoreRevision, StoreError>>;

    /// Extends the life of a key that has this revision by another `ttl` from now. The key is
    /// assigned a new revision.
    fn renew(
        &self,
        key: &str,
        revision: StoreRevision,
        ttl: Duration,
    ) -> BoxFuture<'_, Result<StoreRevision, StoreError>>;

    /// Deletes a key, if the condition holds.
    fn delete(&self, key: &str, expected: Expected) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Returns the keys that begin with `prefix`, in order.
    fn keys(&self, prefix: &str) -> BoxFuture<'_, Result<Vec<String>, StoreError>>;

    /// Watches the keys that begin with `prefix`.
    fn watch(&self, prefix: &str) -> Box<dyn Watch>;
}

/// A watch of a [`ControlStore`]. Dropping the value ends the watch.
pub(crate) trait Watch: Send {
    /// Waits for changes and returns them in the order of their keys: at first the existing
    /// entries, then the last change of each key since the previous call. The revision is the one
    /// up to which the watch has seen the store.
    ///
    /// Cancel safe: changes that were not returned are returned by the next call.
    fn next(&mut self) -> BoxFuture<'_, (Vec<Change>, StoreRevision)>;
}

/// Deserializes a value that [`WriteBatch::put`] wrote.
///
/// # Panics
/// If the value has another type.
pub(crate) fn read<T: for<'a> Deserialize<'a>>(key: &str, entry: &Entry) -> T {
    serde_json::from_slice(&entry.value)
        .unwrap_or_else(|error| panic!("the store has something else under `{key}`: {error}"))
}
