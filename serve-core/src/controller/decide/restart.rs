//! [`StartFailures`]: whether a replica that did not start is tried again, and when.

use std::time::Duration;

use tokio::time::Instant;

/// Failed starts for each wanted replica before a deploy fails: Ray Serve's
/// `RAY_SERVE_MAX_PER_REPLICA_RETRY_COUNT`.
const FOR_EACH_REPLICA: usize = 3;
/// The longest pause between two tries: Ray Serve's.
const LONGEST_PAUSE: Duration = Duration::from_secs(64);

/// The failed starts of one version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct StartFailures {
    in_a_row: usize,
    /// True once a replica of the version has started: it can.
    proven: bool,
    pause_ends: Option<Instant>,
}

/// What follows from a failed start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    TryAgain,
    /// The version does not start.
    GiveUp,
}

impl StartFailures {
    /// A replica has started.
    pub(crate) fn started(&mut self) {
        *self = Self { proven: true, ..Self::default() };
    }

    /// A replica has not started. Tries follow each other at once up to the threshold:
    /// `limit`, and never more than three for each of the `target` replicas. Beyond it, a
    /// version that has never started has failed; one that has is tried again after 1, 2,
    /// 4, ... up to 64 seconds.
    pub(crate) fn failed(&mut self, now: Instant, limit: usize, target: usize) -> Verdict {
        self.in_a_row += 1;
        let threshold = limit.min(FOR_EACH_REPLICA * target.max(1));
        let Some(beyond) = self.in_a_row.checked_sub(threshold) else { return Verdict::TryAgain };
        if !self.proven {
            return Verdict::GiveUp;
        }
        if self.pause_ends.is_some_and(|ends| now < ends) {
            // It was begun with those whose failure is waited out already.
            self.in_a_row -= 1;
            return Verdict::TryAgain;
        }
        let doubled = u32::try_from(beyond).ok().and_then(|beyond| 1_u64.checked_shl(beyond));
        let pause = doubled.map_or(LONGEST_PAUSE, Duration::from_secs).min(LONGEST_PAUSE);
        self.pause_ends = Some(now + pause);
        Verdict::TryAgain
    }

    /// False during a pause.
    pub(crate) fn may_start(&self, now: Instant) -> bool {
        self.pause_ends.is_none_or(|ends| now >= ends)
    }

    /// When the last pause ends.
    pub(crate) fn pause_ends(&self) -> Option<Instant> {
        self.pause_ends
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdicts(limit: usize, target: usize) -> usize {
        let mut failures = StartFailures::default();
        let tries =
            (1..).find(|_| failures.failed(Instant::now(), limit, target) == Verdict::GiveUp);
        tries.unwrap_or_default()
    }

    #[test]
    fn the_threshold_is_the_limit_or_three_for_each_replica() {
        assert_eq!(verdicts(20, 1), 3);
        assert_eq!(verdicts(20, 5), 15);
        assert_eq!(verdicts(20, 100), 20);
        assert_eq!(verdicts(1, 100), 1);
        assert_eq!(verdicts(20, 0), 3, "one that is scaled to zero");
    }

    #[test]
    fn replicas_that_fail_together_are_waited_for_once() {
        let (mut failures, now) = (StartFailures::default(), Instant::now());
        failures.started();
        for _ in 0..8 {
            failures.failed(now, 20, 1);
        }
        assert!(failures.may_start(now + Duration::from_secs(1)));
    }

    #[test]
    fn a_version_that_has_started_is_tried_for_ever_with_longer_pauses() {
        let (mut failures, mut now) = (StartFailures::default(), Instant::now());
        failures.started();
        let mut pauses = Vec::new();
        for _ in 0..12 {
            assert_eq!(failures.failed(now, 20, 1), Verdict::TryAgain);
            let ends = failures.pause_ends().unwrap_or(now);
            pauses.push((ends - now).as_secs());
            assert!(ends == now || !failures.may_start(now));
            now = ends;
            assert!(failures.may_start(now));
        }
        assert_eq!(pauses, [0, 0, 1, 2, 4, 8, 16, 32, 64, 64, 64, 64]);
    }
}
