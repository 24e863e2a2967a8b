//! [`RetryBudget`]: how many retries there may be, so that they never add much to a load
//! that fails.

use std::time::Duration;

use tokio::time::Instant;

/// Retries are paid for by calls: each call earns a fifth of a retry (Finagle's
/// `RetryBudget` and tower's `TpsBudget` have the same rate).
const EARNED: f64 = 0.2;
/// Beside that, as many a second are free, so that a rare call can be retried at all;
/// Finagle's and tower's number.
const FREE_A_SECOND: f64 = 10.0;
/// What is earned lasts so long; Finagle's and tower's number.
const LASTS: Duration = Duration::from_secs(10);

/// How many retries there may be.
#[derive(Debug)]
pub(super) struct RetryBudget {
    saved: f64,
    at: Option<Instant>,
}

impl RetryBudget {
    pub(super) const fn new() -> Self {
        Self { saved: 0.0, at: None }
    }

    /// A call that may be retried was made.
    pub(super) fn earn(&mut self) {
        self.saved = (self.saved + EARNED).min(self.most());
    }

    /// Takes one retry out. False if there is none left.
    pub(super) fn spend(&mut self, now: Instant) -> bool {
        let passed = match self.at.replace(now) {
            Some(before) => now.saturating_duration_since(before).min(LASTS),
            // At first, all that is free.
            None => LASTS,
        };
        self.saved = (self.saved + passed.as_secs_f64() * FREE_A_SECOND).min(self.most());
        if self.saved < 1.0 {
            return false;
        }
        self.saved -= 1.0;
        true
    }

    fn most(&self) -> f64 {
        // What is free in its whole time, and as much again for what calls earn.
        LASTS.as_secs_f64() * FREE_A_SECOND * 2.0
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
        assert_eq!(spent(&mut budget, now + Duration::from_secs(1)), 200, "it does not grow for ever");
    }
}
