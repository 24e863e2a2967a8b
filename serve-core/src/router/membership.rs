//! [`Member`]: a replica as callers know it, with the methods of [`Router`] by which replicas join,
//! drain and leave.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Waker;
use std::time::Duration;

use parking_lot::MutexGuard;

use super::member::Member;
use super::router::{Intake, Router, RouterState, Term};
use crate::replica::Replica;

impl Router {
    /// Adds a replica, which takes calls at once, queued calls first. With `ordered`, its calls
    /// take their slots in the order of their admission. Returns the replica's key.
    pub(crate) fn add(&self, replica: Arc<Replica>, limit: usize, ordered: bool) -> usize {
        if replica.target.is_remote() {
            self.remote.store(true, Ordering::Relaxed);
        }
        let mut state = self.lock();
        let (key, wakers) = state.admission.add(limit, ordered);
        if state.replicas.len() <= key {
            state.replicas.resize_with(key + 1, || None);
        }
        replica.set_key(key);
        let member = Member::new(replica);
        state.routing.added(key, &member);
        state.replicas[key] = Some(member);
        self.granted(state, wakers);
        key
    }

    /// Wakes calls that were granted slots, and notifies `quiet` if the queue is empty now.
    fn granted(&self, state: MutexGuard<'_, RouterState>, wakers: Vec<Waker>) {
        let queue_emptied = state.quiet_waiters > 0 && state.admission.queued() == 0;
        drop(state);
        if queue_emptied {
            self.quiet.notify_waiters();
        }
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Takes a replica out of routing and waits until its calls have ended, at most `timeout`. Then
    /// ends the calls that still run.
    pub(crate) async fn drain(&self, key: usize, replica: &Arc<Replica>, timeout: Duration) {
        let ongoing = self.lock().take_out(key, replica);
        if ongoing > 0 {
            let idle = self.until(|state| state.ongoing(key, replica) == 0);
            if tokio::time::timeout(timeout, idle).await.is_err() {
                replica.end();
                // Async calls end at once. Compute work cannot be stopped, and keeps the
                // instance until it returns. `release` forgets the replica then.
                return;
            }
        }
        let mut state = self.lock();
        let gone = match state.ongoing(key, replica) {
            0 => state.forget(key, replica),
            _ => None,
        };
        drop(state);
        // After the lock: this may drop the instance, whose handles may lead back here.
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
        // After the lock: this may drop the instance, whose handles may lead back here.
        drop(gone);
        replica.end();
    }

    /// Waits until no call is queued, at most `timeout`.
    pub(crate) async fn drain_queue(&self, timeout: Duration) {
        let empty = self.until(|state| state.admission.queued() == 0);
        // `close` turns away the calls that still wait then.
        let _ = tokio::time::timeout(timeout, empty).await;
    }

    async fn until(&self, holds: impl Fn(&RouterState) -> bool) {
        let _waiting = QuietWaiter::new(self);
        loop {
            let told = self.quiet.notified();
            let mut told = std::pin::pin!(told);
            // Registered before the check, so that no notification is missed between the two.
            told.as_mut().enable();
            if holds(&self.lock()) {
                return;
            }
            told.await;
        }
    }

    /// Changes the number of a replica's slots.
    pub(crate) fn set_slots(&self, key: usize, replica: &Arc<Replica>, slots: usize) {
        let mut state = self.lock();
        if !state.holds(key, replica) {
            return;
        }
        let wakers = state.admission.set_limit(key, slots);
        self.granted(state, wakers);
    }

    /// Updates the order of routing after ranks of replicas have changed.
    pub(crate) fn ranks_changed(&self) {
        let mut state = self.lock();
        let RouterState { routing, replicas, .. } = &mut *state;
        routing.ranks_changed(replicas);
    }

    /// Ends the replica of this rank at once. Returns its id, or `None` if there is no such
    /// replica.
    pub(crate) fn kill(&self, rank: usize) -> Option<Arc<str>> {
        let killed = {
            let state = self.lock();
            let mut replicas = state.replicas.iter().enumerate();
            replicas.find_map(|(key, member)| {
                let member = member.as_ref()?;
                let takes_calls = !state.admission.is_draining(key) && !member.has_ended();
                (takes_calls && member.rank() == rank).then(|| (key, Arc::clone(member.replica())))
            })
        };
        let (key, replica) = killed?;
        self.discard(key, &replica);
        Some(Arc::clone(&replica.context.id))
    }

    /// Begins another term: the router takes calls, which go to the replicas of the new term only.
    /// Replicas of earlier terms finish their running calls.
    pub(crate) fn begin_term(&self) -> Term {
        let mut state = self.lock();
        state.term.0 += 1;
        state.intake = Intake::Open;
        let members = state.replicas.iter().enumerate();
        let members: Vec<(usize, Arc<Replica>)> = members
            .filter_map(|(key, member)| Some((key, Arc::clone(member.as_ref()?.replica()))))
            .collect();
        for (key, replica) in members {
            state.take_out(key, &replica);
        }
        state.term
    }

    /// Makes the router take calls again, unless the term is over.
    pub(crate) fn open(&self, term: Term) {
        let mut state = self.lock();
        if state.term == term {
            state.intake = Intake::Open;
        }
    }

    /// Takes a replica out of routing. Its running calls go on.
    pub(crate) fn retire(&self, key: usize, replica: &Arc<Replica>) {
        self.lock().take_out(key, replica);
    }

    /// Makes the router refuse new calls, unless the term is over. Calls that wait are still
    /// served.
    pub(crate) fn refuse(&self, term: Term, reason: &str) {
        let mut state = self.lock();
        if state.term == term && !matches!(state.intake, Intake::Closed(_)) {
            state.intake = Intake::Draining(reason.to_owned());
        }
    }

    /// Makes the router refuse new calls, and turns away the calls that wait, unless the term is
    /// over.
    pub(crate) fn close(&self, term: Term, reason: &str) {
        let mut state = self.lock();
        if state.term != term {
            return;
        }
        state.intake = Intake::Closed(reason.to_owned());
        reason.clone_into(&mut state.turned_away);
        let wakers = state.admission.clear_queue();
        self.note_load(&mut state);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// A task that waits on `quiet`, and is counted so that it is notified.
struct QuietWaiter<'a>(&'a Router);

impl<'a> QuietWaiter<'a> {
    fn new(router: &'a Router) -> Self {
        router.lock().quiet_waiters += 1;
        Self(router)
    }
}

impl Drop for QuietWaiter<'_> {
    fn drop(&mut self) {
        self.0.lock().quiet_waiters -= 1;
    }
}

impl RouterState {
    /// True if `key` is the key of this replica. The key of a replica that was killed may have
    /// gone to another one before the reconciler hears of it.
    fn holds(&self, key: usize, replica: &Arc<Replica>) -> bool {
        let known = self.replicas.get(key).and_then(Option::as_ref);
        known.is_some_and(|known| Arc::ptr_eq(known.replica(), replica))
    }

    fn ongoing(&self, key: usize, replica: &Arc<Replica>) -> usize {
        if self.holds(key, replica) { self.admission.ongoing(key) } else { 0 }
    }

    /// Takes a replica out of routing. Returns the number of its running calls.
    fn take_out(&mut self, key: usize, replica: &Arc<Replica>) -> usize {
        if !self.holds(key, replica) {
            return 0;
        }
        if !self.admission.is_draining(key) {
            self.routing.removed(key, &Member::new(Arc::clone(replica)));
        }
        self.admission.drain(key)
    }

    /// Forgets a replica that has drained. Returns its member, which the caller must drop
    /// without the lock.
    pub(super) fn forget(&mut self, key: usize, replica: &Arc<Replica>) -> Option<Member> {
        if !self.holds(key, replica) {
            return None;
        }
        self.admission.remove(key);
        self.replicas[key].take()
    }
}
