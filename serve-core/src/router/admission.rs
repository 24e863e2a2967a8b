//! [`Admission`]: decides which calls get a slot, wait, or are turned away. Plain data.
//!
//! Slots are counted here and nowhere else, so the limits are exact. Calls wait in one queue, first
//! come, first served. No slot is free while a call waits.

use std::collections::VecDeque;
use std::task::Waker;

use slab::Slab;
use tokio::task;

use super::queue::{Queue, Waiting};
use crate::call::callee::Ticket;

/// The slots of a deployment's replicas and the queue for them.
#[derive(Debug, Default)]
pub(crate) struct Admission {
    replicas: Slab<Slots>,
    /// Keys of the replicas that have a free slot and take calls, in no order.
    free: Vec<usize>,
    queue: Queue,
    max_queued: Option<usize>,
    /// The number of ongoing calls on all replicas.
    ongoing: usize,
    /// The number of calls that were given a slot of an ordered replica and have not begun.
    unbegun: usize,
}

/// The slots of one replica.
#[derive(Debug)]
struct Slots {
    limit: usize,
    ongoing: usize,
    /// The index of this replica in `free`, if the replica has a free slot and takes calls.
    free_at: Option<usize>,
    draining: bool,
    /// None if the order in which calls begin does not matter. Otherwise the calls that were given
    /// a slot and have not begun, in the order of their admission. Tasks are polled in another
    /// order than they were woken in (a tokio worker runs the last one first), and on several
    /// workers at once, so a call takes its slot only once the call before it has begun.
    #[expect(clippy::box_collection, reason = "what a call looks at stays in one cache line")]
    unbegun: Option<Box<VecDeque<Ticket>>>,
}

/// The decision about a call.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Admitted {
    /// The call has a slot of the replica with this key.
    Now(usize),
    Queued(Ticket),
    /// The queue is full.
    Overloaded {
        queued: usize,
        limit: usize,
    },
}

/// The result of releasing a slot.
#[derive(Debug)]
pub(crate) enum Freed {
    /// The call at the head of the queue has the slot now.
    Passed(Option<Waker>),
    /// No queued call took the slot.
    Kept,
    /// The released slot was the last ongoing one of a replica that drains.
    Drained,
}

impl Admission {
    pub(crate) fn set_max_queued(&mut self, max_queued: Option<usize>) {
        self.max_queued = max_queued;
    }

    pub(crate) fn queued(&self) -> usize {
        self.queue.len()
    }

    /// The number of calls that run or wait.
    pub(crate) fn load(&self) -> usize {
        self.ongoing + self.queue.len()
    }

    /// The number of calls that run on all replicas.
    pub(crate) fn ongoing_in_all(&self) -> usize {
        self.ongoing
    }

    pub(crate) fn ongoing(&self, key: usize) -> usize {
        self.replicas.get(key).map_or(0, |slots| slots.ongoing)
    }

    /// Decides a call's place. `random` returns a number below its argument.
    pub(crate) fn admit(&mut self, random: impl FnMut(usize) -> usize) -> Admitted {
        if let Some(key) = self.pick(random) {
            return self.admit_to(key, None);
        }
        let queued = self.queue.len();
        match self.max_queued {
            Some(limit) if queued >= limit => Admitted::Overloaded { queued, limit },
            _ => Admitted::Queued(self.queue.push()),
        }
    }

    /// Decides the place of a call that had a place before: a slot, or else the head of the queue,
    /// even if the queue is full. The queue also knows the call by its `task`.
    pub(crate) fn admit_again(
        &mut self,
        task: Option<task::Id>,
        random: impl FnMut(usize) -> usize,
    ) -> Admitted {
        if let Some(key) = self.pick(random) {
            return self.admit_to(key, task);
        }
        Admitted::Queued(self.queue.let_in(task))
    }

    /// Assigns a slot of this replica, which has a free one, to a call. Returns a ticket for the
    /// slot if calls begin in order and earlier calls have not begun.
    pub(crate) fn admit_to(&mut self, key: usize, task: Option<task::Id>) -> Admitted {
        self.occupy(key);
        if self.replicas[key].unbegun.as_ref().is_none_or(|unbegun| unbegun.is_empty()) {
            return Admitted::Now(key);
        }
        let ticket = self.queue.push_granted(key, task);
        self.note_unbegun(key, ticket);
        Admitted::Queued(ticket)
    }

    /// Records that a call was given a slot of this replica and has not begun.
    #[inline]
    fn note_unbegun(&mut self, key: usize, ticket: Ticket) {
        if let Some(unbegun) = &mut self.replicas[key].unbegun {
            unbegun.push_back(ticket);
            self.unbegun += 1;
        }
    }

    /// Records that a call of this replica has begun, or went away. Returns the waker of the call
    /// whose turn is next.
    pub(crate) fn begun(&mut self, key: usize, ticket: Ticket) -> Option<Waker> {
        // The replica may be gone by now, and its key another replica's. No ticket is used twice.
        let unbegun = self.replicas.get_mut(key)?.unbegun.as_mut()?;
        let at = unbegun.iter().position(|known| *known == ticket)?;
        unbegun.remove(at);
        self.unbegun -= 1;
        if at > 0 {
            return None;
        }
        let next = *unbegun.front()?;
        self.queue.take_waker(next)
    }

    /// The ticket of a call that was let in again, if the call waits or has not taken its slot.
    pub(crate) fn ticket_of(&self, task: task::Id) -> Option<Ticket> {
        self.queue.ticket_of(task)
    }

    /// Takes a slot that a call may use at once. Returns the key of the slot's replica.
    #[inline]
    pub(crate) fn admit_now(&mut self, random: impl FnMut(usize) -> usize) -> Option<usize> {
        if self.unbegun > 0 {
            return None;
        }
        let key = self.pick(random)?;
        self.occupy(key);
        Some(key)
    }

    /// Power of two choices: of two random replicas with a free slot, the one with fewer
    /// ongoing calls.
    #[inline]
    fn pick(&self, mut random: impl FnMut(usize) -> usize) -> Option<usize> {
        let n = self.free.len();
        if n < 2 {
            return self.free.first().copied();
        }
        let first = random(n);
        // One of the other replicas, each with the same probability.
        let second = (first + 1 + random(n - 1)) % n;
        let (first, second) = (self.free[first], self.free[second]);
        let fewer = self.replicas[second].ongoing < self.replicas[first].ongoing;
        Some(if fewer { second } else { first })
    }

    /// Marks a slot of this replica, which has a free one, as taken by a call.
    #[inline]
    pub(crate) fn occupy(&mut self, key: usize) {
        let slots = &mut self.replicas[key];
        slots.ongoing += 1;
        self.ongoing += 1;
        if slots.ongoing >= slots.limit {
            self.remove_from_free(key);
        }
    }

    fn remove_from_free(&mut self, key: usize) {
        if let Some(at) = self.replicas[key].free_at.take() {
            self.free.swap_remove(at);
            if let Some(moved) = self.free.get(at) {
                self.replicas[*moved].free_at = Some(at);
            }
        }
    }

    fn add_to_free(&mut self, key: usize) {
        let slots = &mut self.replicas[key];
        if slots.free_at.is_none() {
            slots.free_at = Some(self.free.len());
            self.free.push(key);
        }
    }

    /// Releases a slot of this replica.
    pub(crate) fn release(&mut self, key: usize) -> Freed {
        let slots = &self.replicas[key];
        // More calls than the limit may run, if the limit was lowered.
        if !slots.draining && slots.ongoing <= slots.limit && self.queue.len() > 0 {
            return Freed::Passed(self.pass(key));
        }
        let slots = &mut self.replicas[key];
        slots.ongoing -= 1;
        self.ongoing -= 1;
        if slots.draining {
            return if slots.ongoing == 0 { Freed::Drained } else { Freed::Kept };
        }
        if slots.ongoing < slots.limit {
            self.add_to_free(key);
        }
        Freed::Kept
    }

    /// Passes a slot of this replica to the head of the queue. Returns the call's waker, if the
    /// call has one yet. A function apart from `release`, because most often no call waits.
    #[inline(never)]
    fn pass(&mut self, key: usize) -> Option<Waker> {
        let (ticket, waker) = self.queue.grant(key)?;
        self.note_unbegun(key, ticket);
        waker
    }

    /// Adds a replica that takes calls. With `ordered`, its calls begin in the order of their
    /// admission. Returns the replica's key and the wakers of the calls that waited for it.
    pub(crate) fn add(&mut self, limit: usize, ordered: bool) -> (usize, Vec<Waker>) {
        let unbegun = ordered.then(Box::default);
        let slots = Slots { limit, ongoing: 0, free_at: None, draining: false, unbegun };
        let key = self.replicas.insert(slots);
        let wakers = self.fill(key);
        (key, wakers)
    }

    /// Hands free slots to queued calls and returns their wakers.
    fn fill(&mut self, key: usize) -> Vec<Waker> {
        let mut wakers = Vec::new();
        while self.replicas[key].ongoing < self.replicas[key].limit
            && let Some((ticket, waker)) = self.queue.grant(key)
        {
            self.note_unbegun(key, ticket);
            self.replicas[key].ongoing += 1;
            self.ongoing += 1;
            wakers.extend(waker);
        }
        if self.replicas[key].ongoing < self.replicas[key].limit {
            self.add_to_free(key);
        }
        wakers
    }

    /// Changes the number of a replica's slots. Returns the wakers of the calls that get one of the
    /// new slots. Running calls beyond a lower limit go on.
    pub(crate) fn set_limit(&mut self, key: usize, limit: usize) -> Vec<Waker> {
        let Some(slots) = self.replicas.get_mut(key) else { return Vec::new() };
        slots.limit = limit;
        if slots.draining {
            return Vec::new();
        }
        if slots.ongoing >= limit {
            self.remove_from_free(key);
            return Vec::new();
        }
        self.fill(key)
    }

    /// Stops a replica from taking calls. Returns the number of its calls that go on.
    pub(crate) fn drain(&mut self, key: usize) -> usize {
        self.remove_from_free(key);
        let slots = &mut self.replicas[key];
        slots.draining = true;
        slots.ongoing
    }

    /// The keys of the replicas with a free slot, in no order.
    pub(crate) fn free(&self) -> &[usize] {
        &self.free
    }

    /// True if the replica has a free slot and takes calls.
    pub(crate) fn is_free(&self, key: usize) -> bool {
        self.if_free(key).is_some()
    }

    /// The number of calls that run on a replica and its limit, if the replica has a free slot and
    /// takes calls.
    #[inline]
    pub(crate) fn if_free(&self, key: usize) -> Option<(usize, usize)> {
        let slots = self.replicas.get(key)?;
        slots.free_at.map(|_| (slots.ongoing, slots.limit))
    }

    /// True if the replica takes no more calls, or is gone.
    pub(crate) fn is_draining(&self, key: usize) -> bool {
        self.replicas.get(key).is_none_or(|slots| slots.draining)
    }

    /// Forgets a replica that has drained.
    pub(crate) fn remove(&mut self, key: usize) {
        let slots = self.replicas.remove(key);
        debug_assert!(slots.draining && slots.ongoing == 0, "a replica drains before it goes");
        // A call that finds its replica ended frees the slot before it says that it is out of line.
        self.unbegun -= slots.unbegun.map_or(0, |unbegun| unbegun.len());
    }

    /// Returns the state of a queued call. A granted call is taken out of the queue, because its
    /// slot is the caller's now. The flag is true if the calls after it wait for it to begin, and
    /// [`begun`](Self::begun) has to be called.
    #[inline]
    pub(crate) fn poll(&mut self, ticket: Ticket, waker: &Waker) -> (Waiting, bool) {
        if self.unbegun == 0 {
            // No order is kept, as in most deployments.
            (self.queue.poll(ticket, waker), false)
        } else {
            self.poll_in_order(ticket, waker)
        }
    }

    #[cold]
    fn poll_in_order(&mut self, ticket: Ticket, waker: &Waker) -> (Waiting, bool) {
        let Some(key) = self.queue.granted(ticket) else {
            return (self.queue.poll(ticket, waker), false);
        };
        let first = self.replicas[key].unbegun.as_ref().map(|unbegun| unbegun.front().copied());
        if let Some(Some(first)) = first
            && first != ticket
        {
            self.queue.keep_waker(ticket, waker);
            return (Waiting::InLine, false);
        }
        (self.queue.poll(ticket, waker), first.is_some())
    }

    /// Removes a queued call that goes away. Returns the key of the replica whose slot the call had
    /// been granted, which must now be released, and the waker of the call whose turn is next.
    pub(crate) fn abandon(&mut self, ticket: Ticket) -> (Option<usize>, Option<Waker>) {
        let next = self.queue.granted(ticket).and_then(|key| self.begun(key, ticket));
        (self.queue.abandon(ticket), next)
    }

    /// Turns every waiting call away. Returns their wakers.
    pub(crate) fn clear_queue(&mut self) -> Vec<Waker> {
        self.queue.clear()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn first(_: usize) -> usize {
        0
    }

    #[test]
    fn n_slots_and_m_places_take_exactly_n_plus_m() {
        let mut admission = Admission::default();
        admission.set_max_queued(Some(3));
        admission.add(2, false);
        let taken: Vec<_> = (0..10).map(|_| admission.admit(first)).collect();
        let now = taken.iter().filter(|got| matches!(got, Admitted::Now(_))).count();
        let queued = taken.iter().filter(|got| matches!(got, Admitted::Queued(_))).count();
        assert_eq!((now, queued), (2, 3));
        assert_eq!(taken[9], Admitted::Overloaded { queued: 3, limit: 3 });
    }

    #[test]
    fn two_choices_take_the_less_busy_one() {
        let mut admission = Admission::default();
        let (a, _) = admission.add(10, false);
        let (b, _) = admission.add(10, false);
        let mut picked = [0, 0];
        for _ in 0..10 {
            match admission.admit(first) {
                Admitted::Now(key) if key == a => picked[0] += 1,
                Admitted::Now(key) if key == b => picked[1] += 1,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(picked, [5, 5]);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Call,
        Finish(usize),
        Poll,
        Leave(usize),
        Abandon(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => Just(Step::Call),
            2 => any::<usize>().prop_map(Step::Finish),
            2 => Just(Step::Poll),
            1 => any::<usize>().prop_map(Step::Leave),
            1 => any::<usize>().prop_map(Step::Abandon),
        ]
    }

    proptest! {
        /// Calls come, end, give up and are cancelled in any order. Limits hold at each moment, the
        /// queue is served in order, and at the end every slot is free.
        #[test]
        fn no_slot_is_ever_lost(
            limits in prop::collection::vec(1_usize..4, 1..4),
            ordered in any::<bool>(),
            steps in prop::collection::vec(step(), 0..200),
        ) {
            let mut admission = Admission::default();
            for limit in &limits {
                admission.add(*limit, ordered);
            }
            let total: usize = limits.iter().sum();
            let waker = Waker::noop();
            let (mut running, mut waiting) = (Vec::new(), Vec::<(Ticket, u64)>::new());
            let (mut serial, mut last_served) = (0, None);
            let free = |admission: &mut Admission, key| {
                admission.release(key);
            };
            for step in steps {
                match step {
                    Step::Call => match admission.admit(first) {
                        Admitted::Now(key) => running.push(key),
                        Admitted::Queued(ticket) => {
                            serial += 1;
                            waiting.push((ticket, serial));
                        }
                        Admitted::Overloaded { .. } => prop_assert!(false, "no limit was set"),
                    },
                    Step::Finish(n) if !running.is_empty() => {
                        let key = running.swap_remove(n % running.len());
                        free(&mut admission, key);
                    }
                    Step::Poll => {
                        // In order, as granted calls are polled: none may overtake.
                        let mut still = Vec::new();
                        for (ticket, serial) in waiting.drain(..) {
                            match admission.poll(ticket, waker).0 {
                                Waiting::Granted(key) => {
                                    admission.begun(key, ticket);
                                    prop_assert!(Some(serial) > last_served || still.is_empty());
                                    prop_assert!(still.is_empty(), "a later call was served first");
                                    last_served = Some(serial);
                                    running.push(key);
                                }
                                Waiting::InLine => still.push((ticket, serial)),
                                Waiting::Gone | Waiting::TurnedAway => {}
                            }
                        }
                        waiting = still;
                    }
                    Step::Leave(n) if !waiting.is_empty() => {
                        // A dropped response does this; its task finds the ticket gone later.
                        let (ticket, _) = waiting[n % waiting.len()];
                        if let (Some(key), _) = admission.abandon(ticket) {
                            free(&mut admission, key);
                        }
                    }
                    Step::Abandon(n) if !waiting.is_empty() => {
                        let (ticket, _) = waiting.remove(n % waiting.len());
                        if let (Some(key), _) = admission.abandon(ticket) {
                            free(&mut admission, key);
                        }
                    }
                    _ => {}
                }
                let ongoing: usize = (0..limits.len()).map(|key| admission.ongoing(key)).sum();
                prop_assert!(ongoing <= total);
                for (key, limit) in limits.iter().enumerate() {
                    prop_assert!(admission.ongoing(key) <= *limit);
                }
                prop_assert!(admission.queued() == 0 || ongoing == total, "a call waits beside a free slot");
            }
            for (ticket, _) in waiting {
                if let (Some(key), _) = admission.abandon(ticket) {
                    free(&mut admission, key);
                }
            }
            for key in running {
                free(&mut admission, key);
            }
            prop_assert_eq!(admission.queued(), 0);
            for key in 0..limits.len() {
                prop_assert_eq!(admission.ongoing(key), 0);
            }
        }
    }

    /// Carries out the steps, each of which a replica may end after, and then ends all calls.
    fn with_deaths(admission: &mut Admission, ordered: bool, steps: Vec<(Step, bool)>) {
        let release = |admission: &mut Admission, key| {
            if let Freed::Drained = admission.release(key) {
                admission.remove(key);
            }
        };
        let mut live = vec![admission.add(2, ordered).0, admission.add(1, ordered).0];
        let (mut running, mut waiting) = (Vec::new(), Vec::<Ticket>::new());
        for (step, dies) in steps {
            match step {
                Step::Call => match admission.admit(first) {
                    Admitted::Now(key) => running.push(key),
                    Admitted::Queued(ticket) => waiting.push(ticket),
                    Admitted::Overloaded { .. } => unreachable!("no limit was set"),
                },
                Step::Finish(n) if !running.is_empty() => {
                    let key = running.swap_remove(n % running.len());
                    release(admission, key);
                }
                Step::Poll => {
                    for ticket in std::mem::take(&mut waiting) {
                        match admission.poll(ticket, Waker::noop()).0 {
                            // As a call does that finds its replica ended.
                            Waiting::Granted(key) if admission.is_draining(key) => {
                                release(admission, key);
                                match admission.admit_again(None, first) {
                                    Admitted::Now(key) => running.push(key),
                                    Admitted::Queued(ticket) => waiting.push(ticket),
                                    Admitted::Overloaded { .. } => unreachable!("it is let in"),
                                }
                                admission.begun(key, ticket);
                            }
                            Waiting::Granted(key) => {
                                admission.begun(key, ticket);
                                running.push(key);
                            }
                            Waiting::InLine => waiting.push(ticket),
                            Waiting::Gone | Waiting::TurnedAway => {}
                        }
                    }
                }
                Step::Leave(n) | Step::Abandon(n) if !waiting.is_empty() => {
                    let ticket = waiting.swap_remove(n % waiting.len());
                    if let (Some(key), _) = admission.abandon(ticket) {
                        release(admission, key);
                    }
                }
                _ => {}
            }
            if dies {
                let key = live.remove(0);
                if admission.drain(key) == 0 {
                    admission.remove(key);
                }
                live.push(admission.add(1, ordered).0);
            }
        }
        for ticket in waiting {
            if let (Some(key), _) = admission.abandon(ticket) {
                release(admission, key);
            }
        }
        for key in running {
            release(admission, key);
        }
    }

    proptest! {
        /// Replicas end at any moment, also between the two steps in which a call finds out. Once
        /// all calls are gone, nothing of them is left, and a call gets its slot at once.
        #[test]
        fn replicas_that_end_leave_nothing_behind(
            ordered in any::<bool>(),
            steps in prop::collection::vec((step(), prop::bool::weighted(0.1)), 0..200),
        ) {
            let mut admission = Admission::default();
            with_deaths(&mut admission, ordered, steps);
            prop_assert_eq!((admission.load(), admission.unbegun), (0, 0));
            prop_assert_eq!(admission.replicas.len(), 2);
            prop_assert!(admission.admit_now(first).is_some());
        }
    }
}
