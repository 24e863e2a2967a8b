//! The replicas' side of a [`Router`]: they join and leave, calls that end free their slots,
//! and those that wait get them.

use std::any::Any;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use parking_lot::MutexGuard;

use super::{Router, State};
use crate::replica::{Release, Replica};
use crate::router::admission::Freed;

impl Router {
    /// A replica joins and takes calls at once, queued ones first.
    pub(crate) fn add(&self, replica: Arc<Replica>, limit: usize) -> usize {
        let mut state = self.lock();
        let (key, wakers) = state.admission.add(limit);
        if state.replicas.len() <= key {
            state.replicas.resize(key + 1, None);
        }
        replica.set_key(key);
        state.routing.added(key, &replica);
        state.replicas[key] = Some(replica);
        self.granted(state, wakers);
        key
    }

    /// Calls that waited were given slots: wakes them, and who waits for the queue to empty.
    fn granted(&self, state: MutexGuard<'_, State>, wakers: Vec<Waker>) {
        let queue_emptied = state.admission.queued() == 0;
        drop(state);
        if queue_emptied {
            self.quiet.notify_waiters();
        }
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Takes a replica out of routing and waits until its calls have ended, at most
    /// `timeout`; what runs then is ended.
    pub(crate) async fn drain(&self, key: usize, replica: &Arc<Replica>, timeout: Duration) {
        let ongoing = self.lock().take_out(key, replica);
        if ongoing > 0 {
            let idle = self.until(|state| state.ongoing(key, replica) == 0);
            if tokio::time::timeout(timeout, idle).await.is_err() {
                replica.end();
                // Async calls go at once. Compute work cannot be stopped, and keeps the
                // instance until it returns; the router forgets it all the same then.
                return;
            }
        }
        let mut state = self.lock();
        let gone = match state.ongoing(key, replica) {
            0 => state.forget(key, replica),
            _ => None,
        };
        drop(state);
        // May drop the instance, which may hold handles.
        drop(gone);
    }

    /// Ends a replica and forgets it as soon as its last call has ended, without waiting.
    pub(crate) fn discard(&self, key: usize, replica: &Arc<Replica>) {
        let mut state = self.lock();
        if !state.holds(key, replica) {
            return;
        }
        let gone = match state.take_out(key, replica) {
            0 => state.forget(key, replica),
            _ => None,
        };
        drop(state);
        // May drop the instance, which may hold handles.
        drop(gone);
        replica.end();
    }

    /// Waits until no call is queued, at most `timeout`.
    pub(crate) async fn drain_queue(&self, timeout: Duration) {
        let empty = self.until(|state| state.admission.queued() == 0);
        // What still waits then is turned away by `close`.
        let _ = tokio::time::timeout(timeout, empty).await;
    }

    async fn until(&self, holds: impl Fn(&State) -> bool) {
        loop {
            let told = self.quiet.notified();
            let mut told = std::pin::pin!(told);
            // Registered before the look, so that no word is missed between the two.
            told.as_mut().enable();
            if holds(&self.lock()) {
                return;
            }
            told.await;
        }
    }

    /// A replica has another number of slots from now on.
    pub(crate) fn set_slots(&self, key: usize, replica: &Arc<Replica>, slots: usize) {
        let mut state = self.lock();
        if !state.holds(key, replica) {
            return;
        }
        let wakers = state.admission.set_limit(key, slots);
        self.granted(state, wakers);
    }

    /// Some replicas have another rank from now on.
    pub(crate) fn ranks_changed(&self) {
        let mut state = self.lock();
        let State { routing, replicas, .. } = &mut *state;
        routing.ranks_changed(replicas);
    }

    /// Ends the replica of this rank at once. Gives its id; none if there is no such
    /// replica.
    pub(crate) fn kill(&self, rank: usize) -> Option<Arc<str>> {
        let killed = {
            let state = self.lock();
            let mut replicas = state.replicas.iter().enumerate();
            replicas.find_map(|(key, replica)| {
                let replica = replica.as_ref()?;
                let takes_calls = !state.admission.is_draining(key) && !replica.has_ended();
                (takes_calls && replica.context.rank() == rank).then(|| (key, Arc::clone(replica)))
            })
        };
        let (key, replica) = killed?;
        self.discard(key, &replica);
        Some(Arc::clone(&replica.context.id))
    }

    /// Takes calls again.
    pub(crate) fn open(&self) {
        self.lock().open();
    }

    /// Takes a replica out of routing. Its running calls go on.
    pub(crate) fn retire(&self, key: usize, replica: &Arc<Replica>) {
        self.lock().take_out(key, replica);
    }

    /// Takes no more calls. Those that wait are still served.
    pub(crate) fn refuse(&self, reason: &str) {
        self.lock().closed = Some(reason.to_owned());
    }

    /// Takes no more calls, and turns away those that wait.
    pub(crate) fn close(&self, reason: &str) {
        let mut state = self.lock();
        state.closed = Some(reason.to_owned());
        state.turns_all_away = true;
        let wakers = state.admission.clear_queue();
        self.note_load(&mut state);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl State {
    fn open(&mut self) {
        self.closed = None;
        self.turns_all_away = false;
    }

    /// True if `key` is this replica's. The key of one that was killed may be another's by
    /// now, and its reconciler may not have heard of it yet.
    fn holds(&self, key: usize, replica: &Arc<Replica>) -> bool {
        let known = self.replicas.get(key).and_then(Option::as_ref);
        known.is_some_and(|known| Arc::ptr_eq(known, replica))
    }

    fn ongoing(&self, key: usize, replica: &Arc<Replica>) -> usize {
        if self.holds(key, replica) { self.admission.ongoing(key) } else { 0 }
    }

    /// A replica takes no more calls. Gives the number that go on.
    fn take_out(&mut self, key: usize, replica: &Arc<Replica>) -> usize {
        if !self.holds(key, replica) {
            return 0;
        }
        if !self.admission.is_draining(key) {
            self.routing.removed(key, replica);
        }
        self.admission.drain(key)
    }

    fn forget(&mut self, key: usize, replica: &Arc<Replica>) -> Option<Arc<Replica>> {
        if !self.holds(key, replica) {
            return None;
        }
        self.admission.remove(key);
        self.replicas[key].take()
    }
}

impl Release for Router {
    fn hold_models(&self, replica: &Replica, collection: usize, ids: &[String]) {
        let (mut state, key) = (self.lock(), replica.key());
        let known = state.replicas.get(key).and_then(Option::as_ref);
        // One that is on its way out is routed to no more, and its key may be another's.
        if known.is_some_and(|known| std::ptr::eq(Arc::as_ptr(known), replica))
            && !state.admission.is_draining(key)
        {
            state.routing.hold_models(key, collection, ids);
        }
    }

    fn as_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }

    fn release(&self, key: usize) {
        let mut state = self.lock();
        let freed = state.admission.release(key);
        self.note_load(&mut state);
        let queue_emptied = state.admission.queued() == 0;
        // Dropped after the lock is: its instance may hold handles, and so slots.
        let gone = match freed {
            Freed::Drained => {
                let ended = state.replicas[key].clone().filter(|replica| replica.has_ended());
                ended.and_then(|replica| state.forget(key, &replica))
            }
            _ => None,
        };
        drop(state);
        drop(gone);
        match freed {
            Freed::Passed(waker) => {
                if let Some(waker) = waker {
                    waker.wake();
                }
                if queue_emptied {
                    self.quiet.notify_waiters();
                }
            }
            Freed::Drained => self.quiet.notify_waiters(),
            Freed::Kept => {}
        }
    }
}
