//! [`Ring`]: consistent hashing of sessions to replicas.

use std::collections::BTreeSet;
use std::iter;

use crate::deployment::digest;
use crate::router::admission::Admission;
use crate::router::member::Replicas;

/// The number of places of each replica on the ring, as in Ray Serve: enough for replicas to get
/// about equal shares.
const PLACES: usize = 100;

/// A ring of hashes: each replica has places on the ring, and a session belongs to the next place
/// after its own hash. Holds the hashes with the keys of their replicas.
pub(super) struct Ring(BTreeSet<(u64, usize)>);

impl Ring {
    pub(super) fn of(admission: &Admission, replicas: &Replicas) -> Self {
        let mut ring = Self(BTreeSet::new());
        for (key, replica) in replicas.iter().enumerate() {
            if let Some(replica) = replica
                && !admission.is_draining(key)
            {
                ring.add(key, replica.id());
            }
        }
        ring
    }

    fn places(key: usize, id: &str) -> impl Iterator<Item = (u64, usize)> {
        (0..PLACES).map(move |place| (digest(&[id.as_bytes(), &(place as u64).to_le_bytes()]), key))
    }

    pub(super) fn add(&mut self, key: usize, id: &str) {
        self.0.extend(Self::places(key, id));
    }

    pub(super) fn remove(&mut self, key: usize, id: &str) {
        for place in Self::places(key, id) {
            self.0.remove(&place);
        }
    }

    /// Returns the replicas from a session's place on, each at least once.
    pub(super) fn from(&self, session: &str) -> impl Iterator<Item = usize> + '_ {
        let start = (digest(&[session.as_bytes()]), 0);
        // The second half is searched only once the first half is exhausted.
        let before = iter::once_with(move || self.0.range(..start)).flatten();
        self.0.range(start..).chain(before).map(|(_, key)| *key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_sessions_move_when_a_replica_comes_or_goes() {
        let mut ring = Ring(BTreeSet::new());
        for key in 0..10 {
            ring.add(key, &format!("replica {key}"));
        }
        let sessions: Vec<String> = (0..1000).map(|number| format!("session {number}")).collect();
        let homes = |ring: &Ring| -> Vec<Option<usize>> {
            sessions.iter().map(|session| ring.from(session).next()).collect()
        };
        let before = homes(&ring);
        ring.remove(3, "replica 3");
        let without = homes(&ring);
        for (before, without) in before.iter().zip(&without) {
            assert!(before == without || *before == Some(3), "only its own sessions move");
            assert_ne!(*without, Some(3));
        }
        ring.add(3, "replica 3");
        assert_eq!(homes(&ring), before, "and they come back");
        assert_eq!(ring.from("session 1").count(), 10 * PLACES);
    }
}
