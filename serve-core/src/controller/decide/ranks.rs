//! Ranks: the positions of a deployment's replicas, from 0 and without gaps.

use std::collections::HashSet;

/// Returns an infinite iterator over the ranks that are not in `taken`, the lowest first.
pub(crate) fn free_ranks(taken: impl Iterator<Item = usize>) -> impl Iterator<Item = usize> {
    let taken: HashSet<usize> = taken.collect();
    (0..).filter(move |rank| !taken.contains(rank))
}

/// Returns new ranks for the replicas whose rank is beyond the last position, so that as few
/// replicas as possible move. Each pair is a replica's number and its rank.
pub(crate) fn close_gaps(ranks: &[(u64, usize)]) -> Vec<(u64, usize)> {
    let mut beyond: Vec<_> = ranks.iter().filter(|(_, rank)| *rank >= ranks.len()).collect();
    if beyond.is_empty() {
        return Vec::new();
    }
    beyond.sort_by_key(|(_, rank)| *rank);
    let free = free_ranks(ranks.iter().map(|(_, rank)| *rank));
    beyond.into_iter().map(|(number, _)| *number).zip(free).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_replica_takes_the_first_free_place() {
        assert_eq!(free_ranks([].into_iter()).next(), Some(0));
        let free: Vec<usize> = free_ranks([0, 1, 3].into_iter()).take(3).collect();
        assert_eq!(free, [2, 4, 5]);
    }

    #[test]
    fn gaps_are_closed_by_moving_as_few_as_possible() {
        assert_eq!(close_gaps(&[(7, 0), (8, 1)]), []);
        assert_eq!(close_gaps(&[(7, 0), (9, 2)]), [(9, 1)]);
        assert_eq!(close_gaps(&[(1, 5), (2, 1), (3, 4)]), [(3, 0), (1, 2)]);
    }
}
