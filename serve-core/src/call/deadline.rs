//! [`Deadline`]: the moment by which a call and all it started must be done.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::time::Instant;

/// A call's deadline: its own, or its caller's if that is earlier.
///
/// A chain rather than a moment, because detaching a call frees it, and what it
/// started, of the caller's part after the fact. It takes the link out: a call that makes
/// the next one and detaches it, and so on for ever, makes no chain of all of them.
#[derive(Debug)]
pub(crate) struct Deadline {
    own: Option<Instant>,
    /// None once the call is detached.
    caller: Mutex<Option<Arc<Deadline>>>,
    detached: AtomicBool,
    /// The watcher of the call itself.
    watcher: Mutex<Option<Weak<dyn DeadlineWatcher>>>,
    /// The watchers of the call and of all calls below it.
    watchers: Mutex<Vec<Weak<dyn DeadlineWatcher>>>,
}

/// A call in another process, which must hear of what its response says of it.
pub(crate) trait DeadlineWatcher: Send + Sync {
    /// The response was dropped, or cancelled.
    fn call_cancelled(&self);

    /// The inherited part of the deadline changed, or the call was detached.
    fn deadline_changed(&self);
}

impl Deadline {
    /// None if neither the call nor its caller has one, so that such calls cost nothing.
    pub(crate) fn for_call(
        own: Option<Instant>,
        caller: Option<&Arc<Deadline>>,
    ) -> Option<Arc<Deadline>> {
        if own.is_none() && caller.is_none() {
            return None;
        }
        Some(Self::new(own, caller.cloned()))
    }

    /// A deadline that is none as long as it has no part, for a call that must be told when
    /// it is detached.
    pub(crate) fn new(own: Option<Instant>, caller: Option<Arc<Deadline>>) -> Arc<Deadline> {
        let (caller, watchers) = (Mutex::new(caller), Mutex::default());
        let (detached, watcher) = (AtomicBool::new(false), Mutex::default());
        Arc::new(Self { own, caller, detached, watcher, watchers })
    }

    /// The call's own part.
    pub(crate) fn own(&self) -> Option<Instant> {
        self.own
    }

    /// The caller's part, as it holds now.
    pub(crate) fn inherited(&self) -> Option<Instant> {
        let caller = self.caller.lock().clone();
        caller.and_then(|caller| caller.at())
    }

    /// The moment that holds now.
    pub(crate) fn at(&self) -> Option<Instant> {
        let mut at = self.own;
        let mut next = self.caller.lock().clone();
        while let Some(caller) = next {
            at = [at, caller.own].into_iter().flatten().min();
            next = caller.caller.lock().clone();
        }
        at
    }

    /// Frees the call of its caller's deadline. Its own stays.
    pub(crate) fn detach(&self) {
        let caller = self.caller.lock().take();
        drop(caller);
        self.detached.store(true, Ordering::Release);
        self.tell_watchers();
    }

    /// The call is cancelled. Its task hears of that by itself; a watcher hears of it at once,
    /// so that what has not begun elsewhere does not begin.
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

    /// Puts another moment in the place of the caller's part: what a caller in another
    /// process says of it.
    pub(crate) fn set_inherited(&self, at: Option<Instant>) {
        let caller = at.map(|at| Self::new(Some(at), None));
        let before = std::mem::replace(&mut *self.caller.lock(), caller);
        drop(before);
        self.tell_watchers();
    }

    /// Tells `watcher` of each change, as long as it lives. The caller's part is a chain,
    /// and may change at each of its links.
    pub(crate) fn watch(self: &Arc<Self>, watcher: &Weak<dyn DeadlineWatcher>) {
        // A call that is tried again has another watcher each time.
        *self.watcher.lock() = Some(Weak::clone(watcher));
        let mut next = Some(Arc::clone(self));
        while let Some(deadline) = next {
            let mut watchers = deadline.watchers.lock();
            // What is gone is swept out when the list would grow, so that a caller with many
            // calls one after the other keeps a short one.
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
    /// One after the other: to drop a long chain from within takes the stack with it.
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
