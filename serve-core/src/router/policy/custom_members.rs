//! [`Members`]: the replicas that a custom request router chooses among, in the order of their
//! ranks. Plain data.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use rand::RngExt as _;
use rand::rngs::SmallRng;

use crate::deployment::{Candidate, CandidateSource};
use crate::router::admission::Admission;

/// The replicas that take calls. Changed only when a replica comes, goes or changes rank, so that a
/// call sorts nothing.
#[derive(Debug, Default)]
pub(super) struct Members {
    /// By the keys of the router's `Admission`.
    by_key: Vec<Option<OfferedReplica>>,
    /// Keys, in the order of ranks.
    by_rank: Vec<usize>,
    by_id: HashMap<Arc<str>, usize>,
}

#[derive(Debug)]
struct OfferedReplica {
    id: Arc<str>,
    /// The rank by which the order was made. The replica's own rank may change at any time.
    rank: usize,
}

impl Members {
    /// Adds a replica.
    pub(super) fn add(&mut self, key: usize, id: Arc<str>, rank: usize) {
        if self.by_key.len() <= key {
            self.by_key.resize_with(key + 1, || None);
        }
        self.by_id.insert(Arc::clone(&id), key);
        self.by_key[key] = Some(OfferedReplica { id, rank });
        let at = self.by_rank.partition_point(|known| self.rank(*known) <= rank);
        self.by_rank.insert(at, key);
    }

    /// Removes a replica, which takes no more calls.
    pub(super) fn remove(&mut self, key: usize) {
        if let Some(member) = self.by_key.get_mut(key).and_then(Option::take) {
            self.by_id.remove(&member.id);
            self.by_rank.retain(|known| *known != key);
        }
    }

    /// Updates the ranks and the order. `rank` returns a replica's current rank by its key.
    pub(super) fn set_ranks(&mut self, rank: impl Fn(usize) -> usize) {
        for (key, member) in self.by_key.iter_mut().enumerate() {
            if let Some(member) = member {
                member.rank = rank(key);
            }
        }
        let by_key = &self.by_key;
        self.by_rank.sort_by_key(|key| by_key[*key].as_ref().map(|member| member.rank));
    }

    fn rank(&self, key: usize) -> usize {
        self.by_key[key].as_ref().map_or(usize::MAX, |member| member.rank)
    }
}

/// The members at the moment of a call, of which those with a free slot are candidates.
pub(super) struct View<'a> {
    members: &'a Members,
    admission: &'a Admission,
    /// Shared by the readers of the view, each of which draws a number at a time.
    random: RefCell<&'a mut SmallRng>,
}

impl<'a> View<'a> {
    pub(super) fn new(
        members: &'a Members,
        admission: &'a Admission,
        random: &'a mut SmallRng,
    ) -> Self {
        Self { members, admission, random: RefCell::new(random) }
    }
}

impl CandidateSource for View<'_> {
    fn free(&self) -> &[usize] {
        self.admission.free()
    }

    fn in_order(&self) -> &[usize] {
        &self.members.by_rank
    }

    fn candidate(&self, key: usize) -> Option<Candidate<'_>> {
        let (ongoing, limit) = self.admission.if_free(key)?;
        let member = self.members.by_key.get(key)?.as_ref()?;
        Some(Candidate {
            replica_id: &member.id,
            rank: member.rank,
            ongoing,
            max_ongoing_requests: limit,
            key,
        })
    }

    fn by_rank(&self, rank: usize) -> Option<Candidate<'_>> {
        let by_rank = &self.members.by_rank;
        let at = by_rank.partition_point(|key| self.members.rank(*key) < rank);
        self.candidate(*by_rank.get(at)?).filter(|candidate| candidate.rank == rank)
    }

    fn by_id(&self, replica_id: &str) -> Option<Candidate<'_>> {
        self.candidate(*self.members.by_id.get(replica_id)?)
    }

    fn random(&self, bound: usize) -> usize {
        self.random.borrow_mut().random_range(0..bound)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng as _;

    use super::*;
    use crate::deployment::Candidates;

    /// The parts of a candidate that tests compare: rank, id, ongoing calls and their limit.
    type Shown = (usize, String, usize, usize);

    fn shown(candidate: Candidate<'_>) -> Shown {
        let Candidate { replica_id, rank, ongoing, max_ongoing_requests, .. } = candidate;
        (rank, replica_id.to_owned(), ongoing, max_ongoing_requests)
    }

    fn ranks<'a>(candidates: impl Iterator<Item = Candidate<'a>>) -> Vec<usize> {
        candidates.map(|candidate| candidate.rank).collect()
    }

    /// A stand-in for a router: changes replicas as a router does, and records the replicas that
    /// take calls.
    #[derive(Default)]
    struct Fleet {
        admission: Admission,
        members: Members,
        /// The replicas in the order in which they came.
        running: Vec<Running>,
        came: usize,
    }

    struct Running {
        key: usize,
        id: String,
        rank: usize,
        ongoing: usize,
        limit: usize,
    }

    impl Fleet {
        fn with_ranks(ranks: impl IntoIterator<Item = usize>) -> Self {
            let mut fleet = Self::default();
            for rank in ranks {
                fleet.come(rank, 1);
            }
            fleet
        }

        fn come(&mut self, rank: usize, limit: usize) {
            let (key, _) = self.admission.add(limit, false);
            let id = format!("replica {}", self.came);
            self.came += 1;
            self.members.add(key, id.as_str().into(), rank);
            self.running.push(Running { key, id, rank, ongoing: 0, limit });
        }

        fn go(&mut self, at: usize) {
            let gone = self.running.remove(at);
            self.members.remove(gone.key);
            self.admission.drain(gone.key);
            for _ in 0..gone.ongoing {
                self.admission.release(gone.key);
            }
            // The key may belong to another replica from now on.
            self.admission.remove(gone.key);
        }

        fn occupy(&mut self, at: usize) {
            let running = &mut self.running[at];
            if running.ongoing < running.limit {
                self.admission.occupy(running.key);
                running.ongoing += 1;
            }
        }

        fn release(&mut self, at: usize) {
            let running = &mut self.running[at];
            if running.ongoing > 0 {
                self.admission.release(running.key);
                running.ongoing -= 1;
            }
        }

        fn set_limit(&mut self, at: usize, limit: usize) {
            self.running[at].limit = limit;
            self.admission.set_limit(self.running[at].key, limit);
        }

        fn swap_ranks(&mut self, one: usize, other: usize) {
            let rank = self.running[one].rank;
            self.running[one].rank = self.running[other].rank;
            self.running[other].rank = rank;
            self.tell_ranks();
        }

        /// Closes the gaps between ranks, as happens when replicas have gone.
        fn close_gaps(&mut self) {
            let mut order: Vec<&mut Running> = self.running.iter_mut().collect();
            order.sort_by_key(|running| running.rank);
            order.into_iter().enumerate().for_each(|(rank, running)| running.rank = rank);
            self.tell_ranks();
        }

        fn tell_ranks(&mut self) {
            let ranks: HashMap<_, _> = self.running.iter().map(|one| (one.key, one.rank)).collect();
            self.members.set_ranks(|key| ranks[&key]);
        }

        fn free_rank(&self) -> usize {
            (0..).find(|rank| self.running.iter().all(|one| one.rank != *rank)).unwrap()
        }

        /// The candidates by their definition: looks at each replica and sorts.
        fn by_definition(&self) -> Vec<Shown> {
            let free = self.running.iter().filter(|one| one.ongoing < one.limit);
            let mut all: Vec<Shown> =
                free.map(|one| (one.rank, one.id.clone(), one.ongoing, one.limit)).collect();
            all.sort_unstable();
            all
        }

        fn look<R>(&self, look: impl FnOnce(Candidates<'_>) -> R) -> R {
            let mut random = SmallRng::seed_from_u64(self.came as u64);
            let view = View::new(&self.members, &self.admission, &mut random);
            look(Candidates::new(&view))
        }
    }

    #[test]
    fn candidates_are_in_the_order_of_their_ranks_from_both_ends() {
        Fleet::with_ranks([2, 0, 3, 1]).look(|candidates| {
            assert_eq!(ranks(candidates.iter()), [0, 1, 2, 3]);
            assert_eq!(ranks(candidates.iter().rev()), [3, 2, 1, 0]);
            let mut both = candidates.iter();
            let ends = [both.next(), both.next_back(), both.next(), both.next_back()];
            assert_eq!(ranks(ends.into_iter().flatten()), [0, 3, 1, 2]);
            assert!(both.next().is_none() && both.next_back().is_none());
        });
    }

    #[test]
    fn busy_ones_are_skipped_and_counted_nowhere() {
        let mut fleet = Fleet::with_ranks(0..4);
        fleet.occupy(0);
        fleet.occupy(2);
        fleet.look(|candidates| {
            assert_eq!((candidates.len(), candidates.iter().len()), (2, 2));
            assert_eq!(ranks(candidates.iter()), [1, 3]);
            assert!(candidates.by_rank(0).is_none() && candidates.by_id("replica 2").is_none());
            let (one, other) = candidates.random_pair().unwrap();
            assert_eq!(one.rank + other.rank, 4);
        });
        fleet.occupy(1);
        fleet.look(|candidates| {
            assert_eq!(candidates.random().map(|one| one.rank), Some(3));
            assert!(candidates.random_pair().is_none(), "there is only one");
        });
        fleet.occupy(3);
        fleet.look(|candidates| {
            assert!(candidates.is_empty() && candidates.iter().next().is_none());
            assert!(candidates.random().is_none());
        });
    }

    #[test]
    fn ranks_that_change_change_the_order() {
        let mut fleet = Fleet::with_ranks(0..4);
        fleet.go(0);
        fleet.close_gaps();
        fleet.swap_ranks(0, 2);
        fleet.look(|candidates| {
            let ids: Vec<_> = candidates.iter().map(|candidate| candidate.replica_id).collect();
            assert_eq!(ids, ["replica 3", "replica 2", "replica 1"]);
            assert_eq!(candidates.by_rank(2).map(|one| one.replica_id), Some("replica 1"));
            assert_eq!(candidates.by_id("replica 3").map(|one| one.rank), Some(0));
            assert!(candidates.by_rank(3).is_none() && candidates.by_id("replica 0").is_none());
        });
    }

    #[test]
    fn random_ones_and_pairs_are_spread_evenly() {
        Fleet::with_ranks(0..4).look(|candidates| {
            let (mut singles, mut pairs) = ([0; 4], HashMap::<_, usize>::new());
            for _ in 0..12_000 {
                singles[candidates.random().unwrap().rank] += 1;
                let (one, other) = candidates.random_pair().unwrap();
                *pairs.entry((one.rank, other.rank)).or_default() += 1;
            }
            assert!(singles.iter().all(|count| (2_700..3_300).contains(count)), "{singles:?}");
            assert_eq!(pairs.len(), 12, "both orders of each pair, and none of one alone");
            assert!(pairs.values().all(|count| (850..1_150).contains(count)), "{pairs:?}");
        });
    }

    #[derive(Clone, Debug)]
    enum Step {
        Come(usize),
        Go(usize),
        Occupy(usize),
        Release(usize),
        SetLimit(usize, usize),
        SwapRanks(usize, usize),
        CloseGaps,
    }

    fn step() -> impl Strategy<Value = Step> {
        let any = || any::<usize>();
        prop_oneof![
            4 => (1_usize..4).prop_map(Step::Come),
            2 => any().prop_map(Step::Go),
            8 => any().prop_map(Step::Occupy),
            4 => any().prop_map(Step::Release),
            1 => (any(), 1_usize..4).prop_map(|(at, limit)| Step::SetLimit(at, limit)),
            2 => (any(), any()).prop_map(|(one, other)| Step::SwapRanks(one, other)),
            1 => Just(Step::CloseGaps),
        ]
    }

    proptest! {
        /// Replicas change in any way and any order. The candidates are always those of a list that
        /// is made and sorted anew.
        #[test]
        fn the_view_is_what_a_fresh_list_would_be(steps in prop::collection::vec(step(), 0..120)) {
            let mut fleet = Fleet::default();
            for step in steps {
                let n = fleet.running.len();
                match step {
                    Step::Come(limit) => fleet.come(fleet.free_rank(), limit),
                    Step::CloseGaps => fleet.close_gaps(),
                    _ if n == 0 => continue,
                    Step::Go(at) => fleet.go(at % n),
                    Step::Occupy(at) => fleet.occupy(at % n),
                    Step::Release(at) => fleet.release(at % n),
                    Step::SetLimit(at, limit) => fleet.set_limit(at % n, limit),
                    Step::SwapRanks(one, other) => fleet.swap_ranks(one % n, other % n),
                }
                let expected = fleet.by_definition();
                let of_rank = |rank| expected.iter().find(|one| one.0 == rank).cloned();
                let of_id = |id: &str| expected.iter().find(|one| one.1 == id).cloned();
                fleet.look(|candidates| {
                    prop_assert_eq!(candidates.len(), expected.len());
                    let all: Vec<_> = candidates.iter().map(shown).collect();
                    prop_assert_eq!(&all, &expected);
                    let mut back: Vec<_> = candidates.iter().rev().map(shown).collect();
                    back.reverse();
                    prop_assert_eq!(&back, &expected);
                    for number in 0..=fleet.came {
                        prop_assert_eq!(candidates.by_rank(number).map(shown), of_rank(number));
                        let id = format!("replica {number}");
                        prop_assert_eq!(candidates.by_id(&id).map(shown), of_id(&id));
                    }
                    prop_assert_eq!(candidates.random().is_some(), !expected.is_empty());
                    prop_assert!(candidates.random().is_none_or(|one| all.contains(&shown(one))));
                    prop_assert_eq!(candidates.random_pair().is_some(), expected.len() > 1);
                    Ok(())
                })?;
            }
        }
    }
}
