//! [`Queue`]: calls in the order in which they were made, which may leave at any time. Every
//! operation takes constant time.

use std::collections::HashMap;
use std::task::Waker;

use slab::Slab;
use tokio::task;

use crate::call::callee::Ticket;

/// A queue of tickets: a doubly linked list inside a slab.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    entries: Slab<Entry>,
    head: Option<usize>,
    tail: Option<usize>,
    /// The last of the calls in line that were let in ahead of all others. These calls are the
    /// first part of the line. None if no such call is in line.
    last_let_in: Option<usize>,
    waiting: usize,
    next_serial: u64,
    /// The calls that were let in and are still in line or granted, by their tasks.
    let_in: HashMap<task::Id, Ticket>,
}

#[derive(Debug)]
struct Entry {
    /// Distinguishes this use of the slab's key from earlier ones.
    serial: u64,
    state: State,
    /// The task of a call that was let in.
    task: Option<task::Id>,
}

#[derive(Debug)]
enum State {
    InLine {
        before: Option<usize>,
        after: Option<usize>,
        waker: Option<Waker>,
    },
    /// Out of the line: the call has a slot of this replica, which its task has not taken.
    Granted {
        slot: usize,
        waker: Option<Waker>,
    },
    /// Out of the line: the deployment took no more calls. Kept until the call's task hears of it,
    /// because the deployment may take calls again by then.
    TurnedAway,
}

/// The state of a ticket.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Waiting {
    InLine,
    /// The call has a slot of the replica with this key.
    Granted(usize),
    /// The call was turned away.
    TurnedAway,
    /// The call left.
    Gone,
}

impl Queue {
    /// The number of calls in line. Granted calls are not in line.
    pub(crate) fn len(&self) -> usize {
        self.waiting
    }

    pub(crate) fn push(&mut self) -> Ticket {
        let serial = self.next_serial;
        self.next_serial += 1;
        let state = State::InLine { before: self.tail, after: None, waker: None };
        let key = self.entries.insert(Entry { serial, state, task: None });
        match self.tail {
            Some(tail) => self.line_mut(tail).1.replace(key),
            None => self.head.replace(key),
        };
        self.tail = Some(key);
        self.waiting += 1;
        Ticket { key, serial }
    }

    /// Re-queues a call whose replica ended: ahead of ordinary calls, behind earlier re-queued
    /// ones.
    pub(crate) fn let_in(&mut self, task: Option<task::Id>) -> Ticket {
        let serial = self.next_serial;
        self.next_serial += 1;
        let before = self.last_let_in;
        let after = match before {
            Some(before) => *self.line_mut(before).1,
            None => self.head,
        };
        let state = State::InLine { before, after, waker: None };
        let key = self.entries.insert(Entry { serial, state, task });
        match before {
            Some(before) => self.line_mut(before).1.replace(key),
            None => self.head.replace(key),
        };
        match after {
            Some(after) => self.line_mut(after).0.replace(key),
            None => self.tail.replace(key),
        };
        self.last_let_in = Some(key);
        self.waiting += 1;
        let ticket = Ticket { key, serial };
        if let Some(task) = task {
            self.let_in.insert(task, ticket);
        }
        ticket
    }

    /// The ticket of a call that was let in, while it is in line or granted.
    pub(crate) fn ticket_of(&self, task: task::Id) -> Option<Ticket> {
        self.let_in.get(&task).copied()
    }

    fn remove(&mut self, key: usize) {
        if let Some(task) = self.entries.remove(key).task {
            self.let_in.remove(&task);
        }
    }

    /// Grants a slot of replica `slot` to the head of the line. Returns the call's ticket, and the
    /// waker to wake if the call has one yet. Returns `None` if no call waits.
    pub(crate) fn grant(&mut self, slot: usize) -> Option<(Ticket, Option<Waker>)> {
        let key = self.head?;
        let waker = self.unlink(key);
        let entry = &mut self.entries[key];
        entry.state = State::Granted { slot, waker: None };
        Some((Ticket { key, serial: entry.serial }, waker))
    }

    /// Adds a ticket that was never in line: the call has a slot of replica `slot` at once, and
    /// takes the slot when its turn comes.
    pub(crate) fn push_granted(&mut self, slot: usize, task: Option<task::Id>) -> Ticket {
        let serial = self.next_serial;
        self.next_serial += 1;
        let state = State::Granted { slot, waker: None };
        let ticket = Ticket { key: self.entries.insert(Entry { serial, state, task }), serial };
        if let Some(task) = task {
            self.let_in.insert(task, ticket);
        }
        ticket
    }

    /// The replica whose slot the ticket was granted, until the slot is taken.
    pub(crate) fn granted(&self, ticket: Ticket) -> Option<usize> {
        match self.entries.get(ticket.key)? {
            Entry { serial, state: State::Granted { slot, .. }, .. }
                if *serial == ticket.serial =>
            {
                Some(*slot)
            }
            _ => None,
        }
    }

    /// Keeps the waker of a granted ticket whose turn to take its slot has not come.
    pub(crate) fn keep_waker(&mut self, ticket: Ticket, new: &Waker) {
        if let Some(Entry { serial, state: State::Granted { waker, .. }, .. }) =
            self.entries.get_mut(ticket.key)
            && *serial == ticket.serial
            && !waker.as_ref().is_some_and(|old| old.will_wake(new))
        {
            *waker = Some(new.clone());
        }
    }

    /// Takes the waker that was kept for a granted ticket.
    pub(crate) fn take_waker(&mut self, ticket: Ticket) -> Option<Waker> {
        match self.entries.get_mut(ticket.key)? {
            Entry { serial, state: State::Granted { waker, .. }, .. }
                if *serial == ticket.serial =>
            {
                waker.take()
            }
            _ => None,
        }
    }

    /// Returns the state of a ticket. Takes the ticket out unless it is in line.
    pub(crate) fn poll(&mut self, ticket: Ticket, new: &Waker) -> Waiting {
        let entry = self.entries.get_mut(ticket.key);
        let Some(entry) = entry.filter(|entry| entry.serial == ticket.serial) else {
            return Waiting::Gone;
        };
        match &mut entry.state {
            State::Granted { slot, .. } => {
                let slot = *slot;
                self.remove(ticket.key);
                Waiting::Granted(slot)
            }
            State::TurnedAway => {
                self.remove(ticket.key);
                Waiting::TurnedAway
            }
            State::InLine { waker, .. } => {
                if !waker.as_ref().is_some_and(|old| old.will_wake(new)) {
                    *waker = Some(new.clone());
                }
                Waiting::InLine
            }
        }
    }

    /// Takes a ticket out of the line. A granted ticket stays, for its task to take or to abandon.
    pub(crate) fn leave(&mut self, ticket: Ticket) {
        if self.knows(ticket) && matches!(self.entries[ticket.key].state, State::InLine { .. }) {
            self.unlink(ticket.key);
            self.remove(ticket.key);
        }
    }

    /// Takes a ticket out, in line or granted. Returns the replica whose slot the ticket was
    /// granted.
    pub(crate) fn abandon(&mut self, ticket: Ticket) -> Option<usize> {
        if !self.knows(ticket) {
            return None;
        }
        match self.entries[ticket.key].state {
            State::Granted { slot, .. } => {
                self.remove(ticket.key);
                Some(slot)
            }
            State::TurnedAway => {
                self.remove(ticket.key);
                None
            }
            State::InLine { .. } => {
                self.leave(ticket);
                None
            }
        }
    }

    /// Turns every call in line away. Returns their wakers.
    pub(crate) fn clear(&mut self) -> Vec<Waker> {
        let mut wakers = Vec::new();
        while let Some(key) = self.head {
            wakers.extend(self.unlink(key));
            self.entries[key].state = State::TurnedAway;
        }
        wakers
    }

    fn knows(&self, ticket: Ticket) -> bool {
        self.entries.get(ticket.key).is_some_and(|entry| entry.serial == ticket.serial)
    }

    fn line_mut(&mut self, key: usize) -> (&mut Option<usize>, &mut Option<usize>) {
        match &mut self.entries[key].state {
            State::InLine { before, after, .. } => (before, after),
            State::Granted { .. } | State::TurnedAway => {
                unreachable!("neighbours in line are in line")
            }
        }
    }

    /// Closes the gap around `key`, which is in line. Returns the call's waker.
    fn unlink(&mut self, key: usize) -> Option<Waker> {
        let State::InLine { before, after, waker } = &mut self.entries[key].state else {
            unreachable!("only what is in line is unlinked");
        };
        let (before, after, waker) = (before.take(), after.take(), waker.take());
        if self.last_let_in == Some(key) {
            self.last_let_in = before;
        }
        match before {
            Some(before) => *self.line_mut(before).1 = after,
            None => self.head = after,
        }
        match after {
            Some(after) => *self.line_mut(after).0 = before,
            None => self.tail = before,
        }
        self.waiting -= 1;
        waker
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_come_first_served_though_some_leave() {
        let mut queue = Queue::default();
        let tickets: Vec<_> = (0..5).map(|_| queue.push()).collect();
        for gone in [0, 2, 4] {
            queue.leave(tickets[gone]);
        }
        assert_eq!(queue.len(), 2);
        let late = queue.push();
        for slot in [10, 11, 12] {
            assert!(queue.grant(slot).is_some());
        }
        assert!(queue.grant(13).is_none());
        let waker = Waker::noop();
        let stand = |queue: &mut Queue, ticket| queue.poll(ticket, waker);
        assert_eq!(stand(&mut queue, tickets[1]), Waiting::Granted(10));
        assert_eq!(stand(&mut queue, tickets[3]), Waiting::Granted(11));
        assert_eq!(stand(&mut queue, late), Waiting::Granted(12));
        assert_eq!(stand(&mut queue, tickets[0]), Waiting::Gone);
    }

    #[test]
    fn who_was_served_before_is_let_in_first_and_in_order() {
        let mut queue = Queue::default();
        let later = queue.push();
        let first = queue.let_in(None);
        let gone = queue.let_in(None);
        queue.leave(gone);
        let second = queue.let_in(None);
        let last = queue.push();
        let waker = Waker::noop();
        for (slot, ticket) in [first, second].into_iter().enumerate() {
            assert!(queue.grant(slot).is_some());
            assert_eq!(queue.poll(ticket, waker), Waiting::Granted(slot));
        }
        let again = queue.let_in(None);
        for (slot, ticket) in [again, later, last].into_iter().enumerate() {
            assert!(queue.grant(slot).is_some());
            assert_eq!(queue.poll(ticket, waker), Waiting::Granted(slot));
        }
        assert!(queue.grant(9).is_none());
    }

    #[test]
    fn who_is_turned_away_hears_of_it_once_and_takes_no_room() {
        let mut queue = Queue::default();
        let tickets: Vec<_> = (0..3).map(|_| queue.push()).collect();
        assert!(queue.grant(7).is_some());
        assert!(queue.clear().is_empty(), "none was polled yet");
        assert_eq!(queue.len(), 0);
        let later = queue.push();
        let poll = |queue: &mut Queue, ticket| queue.poll(ticket, Waker::noop());
        assert_eq!(poll(&mut queue, tickets[0]), Waiting::Granted(7), "it had its slot before");
        assert_eq!(poll(&mut queue, tickets[1]), Waiting::TurnedAway);
        assert_eq!(poll(&mut queue, tickets[1]), Waiting::Gone);
        assert_eq!(queue.abandon(tickets[2]), None);
        assert_eq!(poll(&mut queue, tickets[2]), Waiting::Gone, "it left");
        assert_eq!(poll(&mut queue, later), Waiting::InLine);
        queue.leave(later);
        assert!(queue.entries.is_empty());
    }

    #[test]
    fn a_reused_place_is_not_mistaken_for_the_old_ticket() {
        let mut queue = Queue::default();
        let old = queue.push();
        queue.leave(old);
        let new = queue.push();
        assert_eq!(old.key, new.key);
        queue.leave(old);
        assert_eq!(queue.len(), 1);
        assert_eq!(queue.abandon(old), None);
        assert_eq!(queue.len(), 1);
    }
}
