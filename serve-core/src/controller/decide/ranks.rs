//! Ranks: the places of a deployment's replicas, from 0 and without gaps.

/// The lowest rank that none of `taken` has.
pub(crate) fn first_free_rank(taken: impl Iterator<Item = usize>) -> usize {
    let taken: Vec<usize> = taken.collect();
    (0..).find(|rank| !taken.contains(rank)).expect("the ranks do not end")
}

/// Gives those beyond the last place the places that are free, so that as few as possible
/// move. Pairs are a replica's number and its rank.
pub(crate) fn close_gaps(ranks: &[(u64, usize)]) -> Vec<(u64, usize)> {
    let mut free = (0..ranks.len()).filter(|rank| !ranks.iter().any(|(_, taken)| taken == rank));
    let mut beyond: Vec<_> = ranks.iter().filter(|(_, rank)| *rank >= ranks.len()).collect();
    beyond.sort_by_key(|(_, rank)| *rank);
    beyond.into_iter().filter_map(|(number, _)| Some((*number, free.next()?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_replica_takes_the_first_free_place() {
        assert_eq!(first_free_rank([].into_iter()), 0);
        assert_eq!(first_free_rank([0, 1, 3].into_iter()), 2);
    }

    #[test]
    fn gaps_are_closed_by_moving_as_few_as_possible() {
        assert_eq!(close_gaps(&[(7, 0), (8, 1)]), []);
        assert_eq!(close_gaps(&[(7, 0), (9, 2)]), [(9, 1)]);
        assert_eq!(close_gaps(&[(1, 5), (2, 1), (3, 4)]), [(3, 0), (1, 2)]);
    }
}
