//! [`Deadline`]: the moment by which a call and all it started must be done.

use std::sync::Arc;

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
        Some(Arc::new(Self { own, caller: Mutex::new(caller.cloned()) }))
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
