//! Ranks: the replicas of a deployment, numbered from 0 without gaps.

use std::collections::BTreeMap;

/// The rank of each of `replicas`, where `before` has those that some hold already.
///
/// The ranks are 0 to one less than there are replicas. A replica keeps its rank if that
/// is one of these, so as few as possible change: each gap is filled by a replica that has
/// no rank, in the order given, or else by one whose rank is too high, the highest first.
pub(crate) fn assign<K: Copy + Ord>(
    before: &BTreeMap<K, usize>,
    replicas: &[K],
) -> BTreeMap<K, usize> {
    let count = replicas.len();
    let mut holders: Vec<Option<K>> = vec![None; count];
    let mut homeless = Vec::new();
    let mut too_high = BTreeMap::new();
    for replica in replicas {
        match before.get(replica) {
            None => homeless.push(*replica),
            Some(rank) => match holders.get_mut(*rank) {
                Some(free @ None) => *free = Some(*replica),
                Some(Some(_)) => homeless.push(*replica),
                None => {
                    too_high.insert((*rank, *replica), *replica);
                }
            },
        }
    }
    let mut fillers = homeless.into_iter().chain(too_high.into_values().rev());
    let filled = holders.into_iter().map(|holder| holder.or_else(|| fillers.next()));
    filled.zip(0..).filter_map(|(holder, rank)| Some((holder?, rank))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ranks(pairs: &[(char, usize)]) -> BTreeMap<char, usize> {
        pairs.iter().copied().collect()
    }

    #[test]
    fn a_scale_down_moves_only_those_that_fill_gaps() {
        let before = ranks(&[('a', 0), ('b', 1), ('c', 2), ('d', 3), ('e', 4)]);
        assert_eq!(assign(&before, &['a', 'c', 'e']), ranks(&[('a', 0), ('c', 2), ('e', 1)]));
        assert_eq!(assign(&before, &['d', 'e']), ranks(&[('d', 1), ('e', 0)]));
        assert_eq!(assign(&before, &[]), ranks(&[]));
    }

    #[test]
    fn a_new_replica_takes_the_lowest_free_rank() {
        let before = ranks(&[('a', 0), ('c', 2)]);
        let after = assign(&before, &['a', 'c', 'x', 'y']);
        assert_eq!(after, ranks(&[('a', 0), ('x', 1), ('c', 2), ('y', 3)]));
    }

    #[test]
    fn of_two_with_one_rank_the_first_keeps_it() {
        let before = ranks(&[('a', 0), ('b', 0)]);
        assert_eq!(assign(&before, &['a', 'b']), ranks(&[('a', 0), ('b', 1)]));
    }

    proptest! {
        #[test]
        fn ranks_have_no_gap_and_as_few_change_as_can(
            before in prop::collection::btree_map(0_u8..30, 0_usize..30, 0..12),
            replicas in prop::collection::btree_set(0_u8..30, 0..12),
        ) {
            let replicas: Vec<_> = replicas.into_iter().collect();
            let after = assign(&before, &replicas);
            prop_assert_eq!(after.keys().copied().collect::<Vec<_>>(), &replicas[..]);
            let mut given: Vec<_> = after.values().copied().collect();
            given.sort_unstable();
            prop_assert_eq!(given, (0..replicas.len()).collect::<Vec<_>>());
            // Each rank below the count that some replica held is still held by one of them.
            for rank in 0..replicas.len() {
                let held_it = |key: &u8| before.get(key) == Some(&rank);
                if replicas.iter().any(held_it) {
                    let holder = after.iter().find(|(_, given)| **given == rank).unwrap().0;
                    prop_assert!(held_it(holder));
                }
            }
        }
    }
}
