//! [`Candidates`]: the replicas that a [`RequestRouter`](super::RequestRouter) chooses among.

use std::fmt;
use std::iter::FusedIterator;
use std::slice;

/// A replica that has a free slot for the call.
///
/// The numbers are exact for replicas in this process. For replicas on other nodes, which a
/// later version adds, they will be estimates.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Candidate<'a> {
    /// The replica's id, unique in the runtime.
    pub replica_id: &'a str,
    /// The replica's place among the replicas of its deployment, from 0.
    pub rank: usize,
    /// The calls that run on the replica.
    pub ongoing: usize,
    /// The greatest number of calls that run on the replica at a time.
    pub max_ongoing_requests: usize,
    /// The router's key for the replica.
    pub(crate) key: usize,
}

/// A view of the replicas that have a free slot for a call, without a copy of any of them.
///
/// There is at least one candidate. A router that asks only for what it needs costs the same among
/// a thousand replicas as among ten:
///
/// | to find | use | cost |
/// |---|---|---|
/// | how many there are | [`len`](Self::len) | constant |
/// | any of them, or two | [`random`](Self::random), [`random_pair`](Self::random_pair) | constant |
/// | a certain one | [`by_id`](Self::by_id) | one hash map lookup |
/// | the one of a certain rank | [`by_rank`](Self::by_rank) | one binary search |
/// | the first or the last by rank | [`iter`](Self::iter) | one step, and one for each busy replica before it |
/// | the best of all | [`iter`](Self::iter) | one step for each replica, about 10 ns |
///
/// ```
/// use serve_core::routing::{Candidate, Candidates, RequestRouter, RoutedCall};
///
/// /// Of two random replicas, the one with more free slots.
/// #[derive(Debug, Default)]
/// struct MoreRoom;
///
/// impl RequestRouter for MoreRoom {
///     fn choose<'a>(
///         &self,
///         _: &RoutedCall<'_>,
///         candidates: &Candidates<'a>,
///     ) -> Option<Candidate<'a>> {
///         let room = |one: &Candidate<'_>| one.max_ongoing_requests - one.ongoing;
///         // With only one candidate, there is no pair, and nothing to decide.
///         let (one, other) = candidates.random_pair()?;
///         Some(if room(&one) < room(&other) { other } else { one })
///     }
/// }
/// ```
#[derive(Clone, Copy)]
pub struct Candidates<'a> {
    roster: &'a dyn CandidateSource,
}

/// The replicas behind a [`Candidates`], each with a key.
pub(crate) trait CandidateSource {
    /// The keys of the replicas that have a free slot, in no order.
    fn free(&self) -> &[usize];

    /// The keys of the replicas that take calls, with a free slot or not, by rank.
    fn in_order(&self) -> &[usize];

    /// The replica with this key, if it has a free slot.
    fn candidate(&self, key: usize) -> Option<Candidate<'_>>;

    /// The replica of this rank, if it has a free slot.
    fn by_rank(&self, rank: usize) -> Option<Candidate<'_>>;

    /// The replica with this id, if it has a free slot.
    fn by_id(&self, replica_id: &str) -> Option<Candidate<'_>>;

    /// A random number below `bound`.
    fn random(&self, bound: usize) -> usize;
}

impl<'a> Candidates<'a> {
    pub(crate) fn new(roster: &'a dyn CandidateSource) -> Self {
        Self { roster }
    }

    /// Returns the number of replicas with a free slot, in constant time.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.roster.free().len()
    }

    /// True if no replica has a free slot. A router is not called in that case, so this is always
    /// false in [`choose`](super::RequestRouter::choose).
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.roster.free().is_empty()
    }

    /// Returns the candidates in the order of their ranks, lowest first. Use [`rev`](Iterator::rev)
    /// to start at the highest rank.
    ///
    /// The iterator is lazy: a candidate is looked up when the iterator reaches it. Replicas
    /// without a free slot are skipped one at a time, so the next candidate takes constant time
    /// only as long as few replicas are busy.
    #[inline]
    pub fn iter(
        &self,
    ) -> impl DoubleEndedIterator<Item = Candidate<'a>>
    + ExactSizeIterator
    + FusedIterator
    + Clone
    + use<'a> {
        InOrder { roster: self.roster, keys: self.roster.in_order().iter(), left: self.len() }
    }

    /// Returns the candidate of this rank, or `None` if that replica is busy or no replica has this
    /// rank now. Takes a binary search among the deployment's replicas.
    #[inline]
    #[must_use]
    pub fn by_rank(&self, rank: usize) -> Option<Candidate<'a>> {
        self.roster.by_rank(rank)
    }

    /// Returns the candidate with this id, or `None` if that replica is busy or gone. Takes one
    /// lookup in a hash map.
    #[inline]
    #[must_use]
    pub fn by_id(&self, replica_id: &str) -> Option<Candidate<'a>> {
        self.roster.by_id(replica_id)
    }

    /// Returns a random candidate; all candidates are equally likely. Takes constant time.
    ///
    /// The random numbers are those of the runtime, so a [`MockRuntime`](crate::MockRuntime) with a
    /// seed repeats them.
    #[must_use]
    pub fn random(&self) -> Option<Candidate<'a>> {
        let free = self.roster.free();
        match free.len() {
            0 => None,
            1 => self.roster.candidate(free[0]),
            n => self.roster.candidate(free[self.roster.random(n)]),
        }
    }

    /// Returns two different random candidates, or `None` if there is only one candidate; all pairs
    /// are equally likely. Takes constant time. The random numbers come from the same source as
    /// those of [`random`](Self::random).
    #[must_use]
    pub fn random_pair(&self) -> Option<(Candidate<'a>, Candidate<'a>)> {
        let free = self.roster.free();
        let n = free.len();
        if n < 2 {
            return None;
        }
        let first = self.roster.random(n);
        // One of the other candidates, all equally likely.
        let second = (first + 1 + self.roster.random(n - 1)) % n;
        Some((self.roster.candidate(free[first])?, self.roster.candidate(free[second])?))
    }
}

impl fmt::Debug for Candidates<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// The iterator behind [`Candidates::iter`].
#[derive(Clone)]
struct InOrder<'a> {
    roster: &'a dyn CandidateSource,
    keys: slice::Iter<'a, usize>,
    /// The number of candidates still to come. At 0, the rest of `keys` are busy and not looked at.
    left: usize,
}

impl<'a> Iterator for InOrder<'a> {
    type Item = Candidate<'a>;

    #[inline]
    fn next(&mut self) -> Option<Candidate<'a>> {
        self.left = self.left.checked_sub(1)?;
        self.keys.by_ref().find_map(|key| self.roster.candidate(*key))
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<'a> DoubleEndedIterator for InOrder<'a> {
    #[inline]
    fn next_back(&mut self) -> Option<Candidate<'a>> {
        self.left = self.left.checked_sub(1)?;
        self.keys.by_ref().rev().find_map(|key| self.roster.candidate(*key))
    }
}

impl ExactSizeIterator for InOrder<'_> {}

impl FusedIterator for InOrder<'_> {}
