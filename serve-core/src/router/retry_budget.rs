//! [`RetryBudget`]: limits the number of retries, so that retries never add much to a load that
//! fails.

use std::time::Duration;

use tokio::time::Instant;

/// One retry, in the units of the budget.
const ONE: u64 = 1000;
/// The share of a retry that each call pays in: a fifth (Finagle's `RetryBudget` and tower's
/// `TpsBudget` have the same rate).
const EARNED: u64 = ONE / 5;
/// The number of retries a second that are free in addition, so that a rare call can be retried at
/// all; Finagle's and tower's number.
const FREE_A_SECOND: u64 = 10;
/// The time for which free retries add up; the time for which Finagle's and tower's budgets keep a
/// deposit.
const LASTS: Duration = Duration::from_secs(10);

/// The number of retries that are left, in a budget that calls and time fill up.
#[derive(Debug)]
pub(super) struct RetryBudget {
    saved: u64,
    at: Option<Instant>,
}

impl RetryBudget {
    /// The most that the budget holds: all free retries of `LASTS`, and as much again for the
    /// retries that calls earn. (The free retries of a millisecond are as many thousandths of a
    /// retry as there are free retries in a second.)
    const MOST: u64 = 2 * LASTS.as_secs() * FREE_A_SECOND * ONE;

    pub(super) const fn new() -> Self {
        Self { saved: 0, at: None }
    }

    /// Pays the share of a call that may be retried into the budget.
    pub(super) fn earn(&mut self) {
        self.saved = (self.saved + EARNED).min(Self::MOST);
    }

    /// Takes one retry out of the budget. Returns false if there is none left.
    pub(super) fn spend(&mut self, now: Instant) -> bool {
        let passed = match self.at.replace(now) {
            Some(before) => now.saturating_duration_since(before).min(LASTS),
            // The budget starts with all free retries.
            None => LASTS,
        };
        let free = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX) * FREE_A_SECOND;
        self.saved = (self.saved + free).min(Self::MOST);
        if self.saved < ONE {
            return false;
        }
        self.saved -= ONE;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_are_bounded_by_time_and_by_calls() {
        let mut budget = RetryBudget::new();
        let now = Instant::now();
        let spent = |budget: &mut RetryBudget, now| (0..1000).filter(|_| budget.spend(now)).count();
        assert_eq!(spent(&mut budget, now), 100, "ten seconds' worth is there at first");
        assert_eq!(spent(&mut budget, now), 0);
        assert_eq!(spent(&mut budget, now + Duration::from_secs(1)), 10);
        for _ in 0..50 {
            budget.earn();
        }
        assert_eq!(spent(&mut budget, now + Duration::from_secs(1)), 10, "a fifth of the calls");
        for _ in 0..100_000 {
            budget.earn();
        }
        assert_eq!(
            spent(&mut budget, now + Duration::from_secs(1)),
            200,
            "it does not grow for ever"
        );
    }
}
