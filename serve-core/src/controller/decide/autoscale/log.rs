//! [`DecisionLog`]: the last changes of a deployment's target, and the failures of its policy, for
//! people to read.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The number of entries that are kept, the same as in Ray Serve.
const KEPT: usize = 10;

/// The last ten entries, the oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DecisionLog {
    entries: VecDeque<LoggedDecision>,
}

/// A change of the target, or the failure of a policy if `from` equals `to`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LoggedDecision {
    /// The time of the decision, since the origin of the clock by which decisions are made.
    pub(crate) at: Duration,
    pub(crate) from: usize,
    pub(crate) to: usize,
    /// The reason for the decision, in a sentence.
    pub(crate) reason: String,
}

impl DecisionLog {
    pub(super) fn push(&mut self, at: Duration, from: usize, to: usize, reason: String) {
        if self.entries.len() == KEPT {
            self.entries.pop_front();
        }
        self.entries.push_back(LoggedDecision { at, from, to, reason });
    }

    /// Logs the reason why the target stays at `target`, unless the last entry has the same reason.
    /// Returns `true` if an entry was added.
    pub(super) fn push_once(&mut self, at: Duration, target: usize, reason: String) -> bool {
        let known = self.entries.back().is_some_and(|last| last.reason == reason);
        if !known {
            self.push(at, target, target, reason);
        }
        !known
    }

    pub(crate) fn entries(&self) -> impl ExactSizeIterator<Item = &LoggedDecision> {
        self.entries.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ten_are_kept() {
        let mut log = DecisionLog::default();
        for number in 0..25 {
            log.push(Duration::from_secs(number), 1, 2, String::new());
        }
        let kept: Vec<u64> = log.entries().map(|entry| entry.at.as_secs()).collect();
        assert_eq!(kept, (15..25).collect::<Vec<_>>());
    }
}
