//! [`Replacements`]: the replicas that serve and have to be replaced, and how soon.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::Moment;

/// The period for which replacements are counted.
const PERIOD: Duration = Duration::from_secs(60);
/// The number of replacements in a period that a deployment may always have.
///
/// A replacement helps if the panics come from the state of the replica. If they come from the
/// arguments of the calls, the next replica panics as well, and each start costs the time and memory
/// of a constructor. Three attempts are enough to tell.
const AT_LEAST: usize = 3;

/// The replicas of one deployment that serve, but have to be replaced.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Replacements {
    /// The replicas that are not being replaced yet, by number, each with the reason.
    waiting: BTreeMap<u64, String>,
    /// The replicas that are being replaced.
    begun: BTreeMap<u64, String>,
    /// The times at which the replacements of the last period began, the oldest first.
    times: VecDeque<Moment>,
}

impl Replacements {
    /// Records that a replica has to be replaced. Returns `false` if that is known.
    pub(crate) fn ask(&mut self, number: u64, reason: &str) -> bool {
        !self.begun.contains_key(&number)
            && self.waiting.insert(number, reason.to_owned()).is_none()
    }

    /// Begins as many replacements as may begin now: in each minute as many as there are replicas,
    /// but at least three.
    pub(crate) fn begin(&mut self, now: Moment, target: usize) {
        while self.times.front().is_some_and(|began| now.since(*began) >= PERIOD) {
            self.times.pop_front();
        }
        while self.times.len() < target.max(AT_LEAST)
            && let Some((number, reason)) = self.waiting.pop_first()
        {
            self.begun.insert(number, reason);
            self.times.push_back(now);
        }
    }

    /// Returns `true` if the replica is being replaced.
    pub(crate) fn has_begun(&self, number: u64) -> bool {
        self.begun.contains_key(&number)
    }

    /// Forgets a replica that stops or is gone. Returns the reason of its replacement, if the
    /// replacement had begun.
    pub(crate) fn forget(&mut self, number: u64) -> Option<String> {
        self.waiting.remove(&number);
        self.begun.remove(&number)
    }

    /// Returns `true` if no replica has to be replaced.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.begun.is_empty()
    }

    /// Returns the time at which the next replacement may begin, if one waits.
    pub(crate) fn next(&self) -> Option<Moment> {
        let oldest = self.times.front().filter(|_| !self.waiting.is_empty())?;
        Some(*oldest + PERIOD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::WallClock;

    #[test]
    fn a_minute_has_three_replacements_or_one_for_each_replica() {
        let now = WallClock::new().now();
        for (target, most) in [(0, 3), (1, 3), (3, 3), (5, 5)] {
            let mut replacements = Replacements::default();
            assert_eq!(replacements.next(), None);
            for number in 0..7 {
                assert!(replacements.ask(number, "it panics"));
                assert!(!replacements.ask(number, "it panics again"));
                replacements.begin(now + Duration::from_secs(number), target);
            }
            assert_eq!(replacements.begun.len(), most, "of {target}");
            assert!(replacements.has_begun(0) && !replacements.has_begun(6));
            assert_eq!(replacements.next(), Some(now + PERIOD));
            replacements.begin(now + PERIOD, target);
            assert_eq!(
                replacements.begun.len(),
                most + 1,
                "one for the first, which is a minute ago"
            );
            replacements.begin(now + 3 * PERIOD, target);
            assert_eq!((replacements.begun.len(), replacements.next()), (7, None));
        }
    }

    #[test]
    fn what_is_gone_is_forgotten() {
        let now = WallClock::new().now();
        let mut replacements = Replacements::default();
        replacements.ask(1, "it panics");
        replacements.begin(now, 1);
        replacements.ask(2, "it panics");
        assert_eq!(replacements.forget(2), None);
        assert_eq!(replacements.forget(1).as_deref(), Some("it panics"));
        assert!(replacements.is_empty());
    }
}
