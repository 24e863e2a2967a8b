//! [`Deadline`]: the moment by which a call, and all calls that it made, must be done.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::time::Instant;

/// The deadline of a call: the call's own deadline, or its caller's deadline if that is earlier.
///
/// A deadline is a chain and not a single moment, because detaching a call later frees the call,
/// and all calls that it made, from the caller's part. Detaching removes the link to the caller.
/// Calls of which each makes the next one and detaches it, forever, therefore do not form a chain.
#[derive(Debug)]
pub(crate) struct Deadline {
    own: Option<Instant>,
    /// The deadline of the caller; none if the caller has no deadline, or once the call is
    /// detached.
    caller: Mutex<Option<Arc<Deadline>>>,
    detached: AtomicBool,
    /// The watcher of the call itself.
    watcher: Mutex<Option<Weak<dyn DeadlineWatcher>>>,
    /// The watchers of the call and of all calls below it.
    watchers: Mutex<Vec<Weak<dyn DeadlineWatcher>>>,
}

/// A watcher of a call that runs elsewhere, which is notified when the call's response is dropped
/// or cancelled and when the call's deadline changes.
pub(crate) trait DeadlineWatcher: Send + Sync {
    /// Called when the response was dropped or cancelled.
    fn call_cancelled(&self);

    /// Called when the inherited part of the deadline changed, or the call was detached.
    fn deadline_changed(&self);
}

impl Deadline {
    /// The deadline of a call; none if neither the call nor its caller has a deadline, so that such
    /// calls cost nothing.
    pub(crate) fn for_call(
        own: Option<Instant>,
        caller: Option<&Arc<Deadline>>,
    ) -> Option<Arc<Deadline>> {
        if own.is_none() && caller.is_none() {
            return None;
        }
        Some(Self::new(own, caller.cloned()))
    }

    /// A deadline whose parts may both be missing, for a call that has to be notified when it is
    /// detached.
    pub(crate) fn new(own: Option<Instant>, caller: Option<Arc<Deadline>>) -> Arc<Deadline> {
        let (caller, watchers) = (Mutex::new(caller), Mutex::default());
        let (detached, watcher) = (AtomicBool::new(false), Mutex::default());
        Arc::new(Self { own, caller, detached, watcher, watchers })
    }

    /// The call's own part of the deadline.
    pub(crate) fn own(&self) -> Option<Instant> {
        self.own
    }

    /// The caller's part of the deadline, as it is now.
    pub(crate) fn inherited(&self) -> Option<Instant> {
        let caller = self.caller.lock().clone();
        caller.and_then(|caller| caller.at())
    }

    /// The earliest moment of all parts of the deadline, as they are now; none if there are no
    /// parts.
    pub(crate) fn at(&self) -> Option<Instant> {
        let mut at = self.own;
        let mut next = self.caller.lock().clone();
        while let Some(caller) = next {
            at = [at, caller.own].into_iter().flatten().min();
            next = caller.caller.lock().clone();
        }
        at
    }

    /// Frees the call from its caller's deadline. The call's own deadline stays.
    pub(crate) fn detach(&self) {
        let caller = self.caller.lock().take();
        drop(caller);
        self.detached.store(true, Ordering::Release);
        self.tell_watchers();
    }

    /// Notifies the watcher of the call that the call is cancelled, so that a call that has not
    /// begun elsewhere does not begin. The call's task is not notified here.
    pub(crate) fn cancel(&self) {
        let watcher = self.watcher.lock().clone();
        if let Some(watcher) = watcher.as_ref().and_then(Weak::upgrade) {
            watcher.call_cancelled();
        }
    }

    /// True once the call itself was detached.
    pub(crate) fn is_detached(&self) -> bool {
        self.detached.load(Ordering::Acquire)
    }

    /// Replaces the caller's part by the moment that a caller in another process sent.
    pub(crate) fn set_inherited(&self, at: Option<Instant>) {
        let caller = at.map(|at| Self::new(Some(at), None));
        let before = std::mem::replace(&mut *self.caller.lock(), caller);
        drop(before);
        self.tell_watchers();
    }

    /// Notifies `watcher` of each change, as long as the watcher exists. The caller's part is a
    /// chain, and may change at each link of the chain.
    pub(crate) fn watch(self: &Arc<Self>, watcher: &Weak<dyn DeadlineWatcher>) {
        // A call that is tried again has another watcher each time.
        *self.watcher.lock() = Some(Weak::clone(watcher));
        let mut next = Some(Arc::clone(self));
        while let Some(deadline) = next {
            let mut watchers = deadline.watchers.lock();
            // Watchers that are gone are removed when the list would grow, so that a caller that
            // makes many calls one after the other keeps a short list.
            if watchers.len() == watchers.capacity() {
                watchers.retain(|watcher| watcher.strong_count() > 0);
            }
            watchers.push(Weak::clone(watcher));
            drop(watchers);
            next = deadline.caller.lock().clone();
        }
    }

    fn tell_watchers(&self) {
        let watchers = self.watchers.lock().clone();
        for watcher in watchers.iter().filter_map(Weak::upgrade) {
            watcher.deadline_changed();
        }
    }
}

impl Drop for Deadline {
    /// Drops the links one after the other, because dropping a long chain recursively would
    /// overflow the stack.
    fn drop(&mut self) {
        let mut next = self.caller.get_mut().take();
        while let Some(mut caller) = next.and_then(Arc::into_inner) {
            next = caller.caller.get_mut().take();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_earlier_of_own_and_callers_holds() {
        let now = Instant::now();
        let (soon, late) = (now + Duration::from_secs(1), now + Duration::from_secs(9));
        let caller = Deadline::for_call(Some(soon), None);
        let call = Deadline::for_call(Some(late), caller.as_ref()).unwrap();
        assert_eq!(call.at(), Some(soon));
        let strict = Deadline::for_call(Some(soon), Deadline::for_call(Some(late), None).as_ref());
        assert_eq!(strict.unwrap().at(), Some(soon));
        assert!(Deadline::for_call(None, None).is_none());
    }

    #[test]
    fn detaching_frees_the_whole_subtree_of_the_callers_part_only() {
        let now = Instant::now();
        let (soon, late) = (now + Duration::from_secs(1), now + Duration::from_secs(9));
        let caller = Deadline::for_call(Some(soon), None);
        let call = Deadline::for_call(Some(late), caller.as_ref()).unwrap();
        let nested = Deadline::for_call(None, Some(&call)).unwrap();
        call.detach();
        assert_eq!(call.at(), Some(late));
        assert_eq!(nested.at(), Some(late));
    }

    #[test]
    fn a_watcher_is_told_whichever_link_is_detached() {
        struct Count(std::sync::atomic::AtomicUsize);
        impl DeadlineWatcher for Count {
            fn call_cancelled(&self) {
                self.0.fetch_add(100, Ordering::Relaxed);
            }

            fn deadline_changed(&self) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let soon = Instant::now() + Duration::from_secs(1);
        let root = Deadline::new(Some(soon), None);
        let middle = Deadline::new(None, Some(Arc::clone(&root)));
        let call = Deadline::new(None, Some(Arc::clone(&middle)));
        let count = Arc::new(Count(0.into()));
        let watcher: Weak<dyn DeadlineWatcher> = Arc::downgrade(&(Arc::clone(&count) as _));
        call.watch(&watcher);
        assert_eq!(call.inherited(), Some(soon));
        middle.detach();
        assert_eq!((count.0.load(Ordering::Relaxed), call.inherited()), (1, None));
        call.set_inherited(Some(soon));
        assert_eq!((count.0.load(Ordering::Relaxed), call.at()), (2, Some(soon)));
        assert!(middle.is_detached() && !call.is_detached());
        middle.cancel();
        assert_eq!(count.0.load(Ordering::Relaxed), 2, "a call below hears it from its own");
        call.cancel();
        assert_eq!(count.0.load(Ordering::Relaxed), 102);
        drop(count);
        call.detach();
    }

    #[test]
    fn calls_that_detach_the_next_one_make_no_chain() {
        let now = Instant::now();
        let hour = Duration::from_secs(3600);
        let mut call = Deadline::for_call(Some(now + hour), None).unwrap();
        let first = Arc::downgrade(&call);
        for number in 2..=9 {
            let next = Deadline::for_call(Some(now + number * hour), Some(&call)).unwrap();
            // It made a call of its own before it was detached.
            let nested = Deadline::for_call(None, Some(&next)).unwrap();
            next.detach();
            assert_eq!(nested.at(), Some(now + number * hour));
            call = next;
        }
        assert_eq!(call.at(), Some(now + 9 * hour));
        assert!(first.upgrade().is_none(), "the last one holds the first");
    }

    #[test]
    fn a_chain_of_any_length_is_read_and_dropped() {
        let soon = Instant::now();
        let mut call = Deadline::for_call(Some(soon), None).unwrap();
        for _ in 0..300_000 {
            call = Deadline::for_call(None, Some(&call)).unwrap();
        }
        assert_eq!(call.at(), Some(soon));
    }
}
