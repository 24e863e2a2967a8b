//! Which replicas stop first when there are too many.

use std::cmp::Reverse;
use std::collections::HashMap;

/// A replica that might stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Candidate<'a> {
    pub(crate) key: u64,
    /// It takes calls. If not, it is still starting.
    pub(crate) running: bool,
    /// The node it is on.
    pub(crate) node: &'a str,
    /// Larger for those that were started later.
    pub(crate) started: u64,
}

/// The keys of the first `count` to stop.
///
/// As in Ray Serve: those that do not run yet, for they serve nobody; then those on nodes
/// with the fewest of these replicas, so that nodes fall free; then the newest, whose
/// caches are the coldest.
pub(crate) fn first<'a>(
    count: usize,
    candidates: impl IntoIterator<Item = Candidate<'a>>,
) -> Vec<u64> {
    if count == 0 {
        return Vec::new();
    }
    let mut candidates: Vec<_> = candidates.into_iter().collect();
    let mut on_node: HashMap<&str, usize> = HashMap::new();
    for candidate in &candidates {
        *on_node.entry(candidate.node).or_default() += 1;
    }
    candidates.sort_by_key(|one| {
        let Candidate { key, running, node, started } = *one;
        (running, on_node[node], node, Reverse(started), key)
    });
    candidates.into_iter().take(count).map(|candidate| candidate.key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(key: u64, running: bool, node: &str) -> Candidate<'_> {
        Candidate { key, running, node, started: key }
    }

    #[test]
    fn starting_ones_first_then_lonely_ones_then_the_newest() {
        let candidates = [
            candidate(1, true, "a"),
            candidate(2, true, "a"),
            candidate(3, true, "a"),
            candidate(4, true, "b"),
            candidate(5, false, "a"),
            candidate(6, true, "c"),
            candidate(7, true, "c"),
        ];
        assert_eq!(first(99, candidates), [5, 4, 7, 6, 3, 2, 1]);
        assert_eq!(first(2, candidates), [5, 4]);
        assert_eq!(first(0, candidates), [0_u64; 0]);
    }

    #[test]
    fn nodes_with_as_many_are_emptied_one_after_the_other() {
        let candidates = [
            candidate(1, true, "a"),
            candidate(2, true, "b"),
            candidate(3, true, "a"),
            candidate(4, true, "b"),
        ];
        assert_eq!(first(2, candidates), [3, 1]);
    }
}
