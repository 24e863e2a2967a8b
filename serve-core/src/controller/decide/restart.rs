//! When a replica is given up, tried again or replaced.

use std::time::Duration;

/// Constructor failures, for each replica that is asked for, after which a deploy fails:
/// Ray Serve's `MAX_PER_REPLICA_RETRY_COUNT`.
const FAILURES_A_REPLICA: usize = 3;
/// The first pause before a constructor runs again. Ray Serve waits 1 s, for a process to
/// start; here nothing but the constructor runs again.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// No pause is longer, as in Ray Serve.
const LONGEST_PAUSE: Duration = Duration::from_secs(64);
/// Failed health checks in a row that replace a replica, as in Ray Serve.
pub(crate) const HEALTH_CHECK_FAILURES: u32 = 3;
/// Panics without a success between them that make a replica unhealthy.
pub(crate) const PANICS: u32 = 3;

/// What follows a failure of a constructor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AfterFailure {
    /// It runs again after a pause.
    Retry {
        /// From now.
        after: Duration,
    },
    /// The deploy has failed.
    GiveUp,
}

/// How often the constructor of one version of a deployment has failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ConstructorFailures {
    in_a_row: usize,
    /// Some replica of this version has started once.
    proven: bool,
}

impl ConstructorFailures {
    pub(crate) fn in_a_row(self) -> usize {
        self.in_a_row
    }

    /// A replica has started: the version works, so later failures are tried again for
    /// ever.
    pub(crate) fn started(&mut self) {
        *self = Self { in_a_row: 0, proven: true };
    }

    /// A constructor failed, timed out or panicked.
    ///
    /// The deploy fails at min(`max_constructor_retry_count`, 3 for each of the `target`
    /// replicas) failures. Pauses double with each round, a round being as many failures
    /// as there are replicas, since those fail together.
    pub(crate) fn failed(
        &mut self,
        max_constructor_retry_count: usize,
        target: usize,
    ) -> AfterFailure {
        self.in_a_row = self.in_a_row.saturating_add(1);
        if !self.proven && self.in_a_row >= threshold(max_constructor_retry_count, target) {
            return AfterFailure::GiveUp;
        }
        let round = self.in_a_row.div_ceil(target.max(1));
        AfterFailure::Retry { after: pause(round) }
    }
}

/// How many failures of constructors fail a deploy.
pub(crate) fn threshold(max_constructor_retry_count: usize, target: usize) -> usize {
    max_constructor_retry_count.min(target.saturating_mul(FAILURES_A_REPLICA)).max(1)
}

/// The pause after the `round`th round of failures, from 1.
fn pause(round: usize) -> Duration {
    let doublings = u32::try_from(round.saturating_sub(1)).unwrap_or(u32::MAX);
    let factor = 2_u32.checked_pow(doublings).unwrap_or(u32::MAX);
    FIRST_PAUSE.saturating_mul(factor).min(LONGEST_PAUSE)
}

/// Failures in a row, up to the number that is one too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Streak {
    failures: u32,
    limit: u32,
}

impl Streak {
    /// None yet; `limit` of them are too many.
    pub(crate) fn new(limit: u32) -> Self {
        Self { failures: 0, limit }
    }

    /// One went well.
    pub(crate) fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// One failed. True if that makes it too many.
    #[must_use]
    pub(crate) fn failed(&mut self) -> bool {
        self.failures = self.failures.saturating_add(1);
        self.failures >= self.limit
    }
}

/// The pause before a replica's next health check: the period, but for up to a tenth more
/// or less by `random` (0 up to 1), so that many replicas are not checked in step. As in
/// Ray Serve.
pub(crate) fn until_next_check(period: Duration, random: f64) -> Duration {
    period.mul_f64(0.9 + 0.2 * random.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pauses(limit: usize, target: usize) -> Vec<u128> {
        let mut failures = ConstructorFailures::default();
        std::iter::from_fn(|| match failures.failed(limit, target) {
            AfterFailure::Retry { after } => Some(after.as_millis()),
            AfterFailure::GiveUp => None,
        })
        .collect()
    }

    #[test]
    fn a_deploy_fails_at_the_smaller_of_the_limit_and_three_a_replica() {
        for (limit, target, expected) in
            [(20, 1, 3), (20, 4, 12), (20, 7, 20), (2, 5, 2), (1, 1, 1), (20, 0, 1)]
        {
            assert_eq!(threshold(limit, target), expected);
            assert_eq!(pauses(limit, target).len(), expected - 1, "{limit} {target}");
        }
    }

    #[test]
    fn pauses_double_from_round_to_round() {
        assert_eq!(pauses(20, 1), [100, 200]);
        assert_eq!(pauses(20, 3), [100, 100, 100, 200, 200, 200, 400, 400]);
    }

    #[test]
    fn once_one_has_started_failures_are_tried_again_for_ever() {
        let mut failures = ConstructorFailures::default();
        failures.started();
        let mut last = Duration::ZERO;
        for _ in 0..1000 {
            let AfterFailure::Retry { after } = failures.failed(20, 1) else {
                panic!("gave up after {}", failures.in_a_row());
            };
            assert!(after >= last && after <= LONGEST_PAUSE);
            last = after;
        }
        assert_eq!(last, LONGEST_PAUSE);
    }

    #[test]
    fn three_in_a_row_are_too_many_and_a_success_starts_over() {
        let mut streak = Streak::new(HEALTH_CHECK_FAILURES);
        let failed = [false, false, true, false, false, false].map(|ok| {
            if ok {
                streak.succeeded();
                return false;
            }
            streak.failed()
        });
        assert_eq!(failed, [false, false, false, false, false, true]);
        assert!(streak.failed(), "and it stays so");
        assert_eq!(HEALTH_CHECK_FAILURES, PANICS);
    }

    #[test]
    fn checks_are_a_tenth_out_of_step_at_most() {
        let period = Duration::from_secs(10);
        let at = |random| until_next_check(period, random).as_millis();
        assert_eq!((at(0.0), at(0.5), at(1.0)), (9_000, 10_000, 11_000));
        assert_eq!((at(-3.0), at(7.0)), (9_000, 11_000));
    }
}
