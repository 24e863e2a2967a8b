//! [`Deadline`]: the moment by which a call and all it started must be done.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::time::Instant;

/// A call's deadline: its own, or its caller's if that is earlier.
///
/// A chain rather than a moment, because detaching a call frees it, and what it
/// started, of the caller's part after the fact.
#[derive(Debug)]
pub(crate) struct Deadline {
    own: Option<Instant>,
    caller: Option<Arc<Deadline>>,
    detached: AtomicBool,
}

impl Deadline {
    /// None if neither the call nor its caller has one, so that such calls cost nothing.
    pub(crate) fn for_call(
        own: Option<Instant>,
        caller: Option<&Arc<Deadline>>,
    ) -> Option<Arc<Deadline>> {
        // One that is detached hands on nothing of its own caller's, ever: without the link,
        // a call that detaches the next one, and so on, does not make a chain of all of them.
        let (own, caller) = match caller {
            Some(known) if known.detached.load(Ordering::Acquire) => {
                ([own, known.own].into_iter().flatten().min(), None)
            }
            _ => (own, caller),
        };
        if own.is_none() && caller.is_none() {
            return None;
        }
        let detached = AtomicBool::new(false);
        Some(Arc::new(Self { own, caller: caller.cloned(), detached }))
    }

    /// The moment that holds now.
    pub(crate) fn at(&self) -> Option<Instant> {
        let caller = match &self.caller {
            Some(caller) if !self.detached.load(Ordering::Acquire) => caller.at(),
            _ => None,
        };
        match (self.own, caller) {
            (Some(own), Some(caller)) => Some(own.min(caller)),
            (own, caller) => own.or(caller),
        }
    }

    /// Frees the call of its caller's deadline. Its own stays.
    pub(crate) fn detach(&self) {
        self.detached.store(true, Ordering::Release);
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
}
