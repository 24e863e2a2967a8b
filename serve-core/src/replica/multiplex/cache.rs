//! [`Cache`]: the models that a [`Multiplexed`](super::Multiplexed) holds, and the decisions under
//! its lock.

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Weak};

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared, WeakShared};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::error::Error;

pub(super) type Load<M> = BoxFuture<'static, Result<Arc<M>, Error>>;
pub(super) type Tell = Box<dyn Fn(&[String]) + Send + Sync>;

/// The listener to changes of the held models, with the ids that it was last called with.
pub(super) struct Listener {
    pub(super) told: Option<Vec<String>>,
    pub(super) tell: Tell,
}

impl Listener {
    fn tell(&mut self, held: Vec<String>) {
        if self.told.as_ref() != Some(&held) {
            (self.tell)(&held);
            self.told = Some(held);
        }
    }
}

pub(super) struct Cache<M> {
    pub(super) max_models: usize,
    pub(super) state: Mutex<State<M>>,
    /// Locked while the listener is called, so that the listener is notified of changes in order.
    pub(super) listener: Mutex<Option<Listener>>,
    /// True if the replica's router is notified of changes.
    pub(super) attached: AtomicBool,
}

pub(super) struct State<M> {
    /// The loaded models in the order in which they were last asked for, the oldest first. The list
    /// is short, because the models have to fit into memory.
    models: Vec<(String, Arc<M>)>,
    /// The models that were evicted, but may still be in use.
    evicted: HashMap<String, Weak<M>>,
    /// The running loads, and those that wait for others to end. A load is gone once no call waits
    /// for it.
    pub(super) loading: HashMap<String, Loading<M>>,
}

/// A load that runs, or waits for others to end.
pub(super) struct Loading<M> {
    load: WeakShared<Load<M>>,
    /// Notified if the load must not wait for others.
    urgent: Arc<Notify>,
}

/// The result of looking up a model.
pub(super) enum Found<M> {
    Model(Arc<M>),
    /// The model came back from the evicted models, and other models were evicted for it.
    Revived(Arc<M>, Vec<Arc<M>>),
    Loading(Shared<Load<M>>),
}

impl<M> Cache<M> {
    pub(super) fn loaded(&self) -> Vec<String> {
        self.state.lock().models.iter().map(|(id, _)| id.clone()).collect()
    }

    /// Returns the ids of the models that are loaded, and then of those that are being loaded.
    fn held(&self) -> Vec<String> {
        let state = self.state.lock();
        let loaded = state.models.iter().map(|(id, _)| id);
        let mut loading: Vec<&String> = state.loading.keys().collect();
        loading.sort_unstable();
        loaded.chain(loading).cloned().collect()
    }

    pub(super) fn announce(&self) {
        if let Some(listener) = &mut *self.listener.lock() {
            listener.tell(self.held());
        }
    }
}

impl<M> Drop for Cache<M> {
    fn drop(&mut self) {
        // Calls for these models need not come to this replica any more.
        if let Some(listener) = self.listener.get_mut() {
            listener.tell(Vec::new());
        }
    }
}

impl<M> Default for State<M> {
    fn default() -> Self {
        Self { models: Vec::new(), evicted: HashMap::new(), loading: HashMap::new() }
    }
}

impl<M> State<M> {
    /// Looks up `id`, which counts as a use of the model. If there is neither a model nor a load of
    /// it, `load` starts a load. An `urgent` load does not wait for others.
    pub(super) fn find(
        &mut self,
        id: &str,
        max_models: usize,
        urgent: bool,
        load: impl FnOnce(Arc<Notify>) -> Load<M>,
    ) -> Found<M> {
        if let Some(place) = self.models.iter().position(|(loaded, _)| loaded == id) {
            // Moved behind the models that were asked for before.
            self.models[place..].rotate_left(1);
            let (_, model) = self.models.last().expect("one was found");
            return Found::Model(Arc::clone(model));
        }
        if let Some(model) = self.evicted.remove(id).and_then(|model| model.upgrade()) {
            let evicted = self.insert(id.to_owned(), Arc::clone(&model), max_models);
            return Found::Revived(model, evicted);
        }
        if let Some(loading) = self.loading.get(id)
            && let Some(load) = loading.load.upgrade()
        {
            if urgent {
                loading.urgent.notify_one();
            }
            return Found::Loading(load);
        }
        let hurry = Arc::new(Notify::new());
        if urgent {
            hurry.notify_one();
        }
        let load = load(Arc::clone(&hurry)).shared();
        let weak = load.downgrade().expect("it was not polled yet");
        self.loading.insert(id.to_owned(), Loading { load: weak, urgent: hurry });
        Found::Loading(load)
    }

    /// Inserts a model. Returns the models that were evicted for it.
    #[must_use = "to be dropped outside the lock"]
    pub(super) fn insert(&mut self, id: String, model: Arc<M>, max_models: usize) -> Vec<Arc<M>> {
        self.models.push((id, model));
        let too_many = self.models.len().saturating_sub(max_models);
        self.evicted.retain(|_, model| model.strong_count() > 0);
        let evict = |(id, model): (String, Arc<M>)| {
            self.evicted.insert(id, Arc::downgrade(&model));
            model
        };
        self.models.drain(..too_many).map(evict).collect()
    }
}

/// A load's entry in the cache. Dropping the entry, with a load that no call waits for any more,
/// removes the load from the cache, unless a newer load of the model runs.
pub(super) struct Entry<M> {
    pub(super) cache: Arc<Cache<M>>,
    pub(super) id: String,
}

impl<M> Drop for Entry<M> {
    fn drop(&mut self) {
        let mut state = self.cache.state.lock();
        let newer = state.loading.get(&self.id).and_then(|loading| loading.load.upgrade());
        if newer.is_none() && state.loading.remove(&self.id).is_some() {
            drop(state);
            self.cache.announce();
        } else {
            drop(state);
        }
        // If this was the last handle of that load, the drop of the load's own entry takes the
        // lock.
        drop(newer);
    }
}
