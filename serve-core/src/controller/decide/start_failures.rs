//! [`StartFailures`]: decides whether and when a replica that did not start is retried.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::Moment;

/// The number of failed starts per wanted replica after which a deploy fails: Ray Serve's
/// `RAY_SERVE_MAX_PER_REPLICA_RETRY_COUNT`.
const FOR_EACH_REPLICA: usize = 3;
/// The longest pause between two attempts, the same as in Ray Serve.
const LONGEST_PAUSE: Duration = Duration::from_secs(64);
/// The first pause. In Ray Serve, the start of a new process takes about as long. Without the
/// pause, attempts would follow each other at once, and the cause of a failure would have no time
/// to go away.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause below the threshold, so that a deploy fails soon, and the first pause from the
/// threshold on, the same as in Ray Serve.
const PAUSE_AT_THRESHOLD: Duration = Duration::from_secs(1);

/// The failed starts of one version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StartFailures {
    in_a_row: usize,
    /// The number of pauses since the last start, or since the threshold.
    pauses: u32,
    /// True once a pause has begun at or beyond the threshold.
    beyond: bool,
    /// The greatest number of replicas of the version that have run at the same time.
    most_running: usize,
    /// True once all requested replicas have run, of which there may be none. From then on, the
    /// version is never given up.
    proven: bool,
    pause_ends: Option<Moment>,
}

/// The consequence of a failed start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    TryAgain,
    /// The version does not start.
    GiveUp,
}

impl StartFailures {
    /// Creates the record of a version that has started before.
    pub(crate) fn of_proven() -> Self {
        Self { proven: true, ..Self::default() }
    }

    /// Records that a replica has started, and how many replicas of the version run now.
    ///
    /// Until the version has run in full, only a start that brings it further makes up for
    /// failures: a replica that starts, ends and starts again would otherwise hide forever that
    /// other replicas do not start at all.
    pub(crate) fn started(&mut self, running: usize) {
        if self.proven || running > self.most_running {
            *self = Self { proven: self.proven, most_running: running, ..Self::default() };
        }
    }

    /// Records that all requested replicas run, of which there may be none.
    pub(crate) fn met(&mut self) {
        self.proven = true;
    }

    /// Records a failed start.
    ///
    /// The threshold is `limit`, but at most three failures for each of the `target` replicas: at
    /// the threshold, a version that has never run in full has failed. Below the threshold,
    /// attempts follow after 0.1, 0.2, 0.4, ... up to 1 second; from the threshold on, a version
    /// that has run before is retried after 1, 2, 4, ... up to 64 seconds.
    pub(crate) fn failed(&mut self, now: Moment, limit: usize, target: usize) -> Verdict {
        self.in_a_row += 1;
        let threshold = limit.min(FOR_EACH_REPLICA * target.max(1));
        let below = self.in_a_row < threshold;
        let verdict = if below || self.proven { Verdict::TryAgain } else { Verdict::GiveUp };
        if self.pause_ends.is_some_and(|ends| now < ends) {
            // This start began together with others, and the pause for their failure is not over.
            return verdict;
        }
        if !below && !self.beyond {
            (self.beyond, self.pauses) = (true, 0);
        }
        let (first, longest) = if below {
            (FIRST_PAUSE, PAUSE_AT_THRESHOLD)
        } else {
            (PAUSE_AT_THRESHOLD, LONGEST_PAUSE)
        };
        let doubled = 2_u32.checked_pow(self.pauses).and_then(|times| first.checked_mul(times));
        self.pauses += 1;
        self.pause_ends = Some(now + doubled.unwrap_or(longest).min(longest));
        verdict
    }

    /// Returns `false` during a pause.
    pub(crate) fn may_start(&self, now: Moment) -> bool {
        self.pause_ends.is_none_or(|ends| now >= ends)
    }

    /// Returns the end of the current pause, if there is one.
    pub(crate) fn pause_ends(&self, now: Moment) -> Option<Moment> {
        self.pause_ends.filter(|ends| now < *ends)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::WallClock;

    fn now() -> Moment {
        WallClock::new().now()
    }

    fn verdicts(limit: usize, target: usize) -> usize {
        let mut failures = StartFailures::default();
        let tries = (1..).find(|_| failures.failed(now(), limit, target) == Verdict::GiveUp);
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
    fn some_that_start_do_not_hide_that_others_never_do() {
        let (mut failures, now) = (StartFailures::default(), now());
        for failed in 1..12 {
            // One replica starts, ends and starts again.
            failures.started(1);
            let verdict = failures.failed(now, 20, 4);
            assert_eq!(verdict, Verdict::TryAgain, "after {failed}");
        }
        failures.started(1);
        assert_eq!(failures.failed(now, 20, 4), Verdict::GiveUp);
    }

    #[test]
    fn a_start_that_brings_a_version_further_makes_up_for_failures() {
        let (mut failures, now) = (StartFailures::default(), now());
        for running in 1..4 {
            for _ in 0..11 {
                assert_eq!(failures.failed(now, 20, 4), Verdict::TryAgain);
            }
            failures.started(running);
        }
    }

    #[test]
    fn replicas_that_fail_together_are_waited_for_once() {
        let (mut failures, now) = (StartFailures::default(), now());
        failures.met();
        for _ in 0..8 {
            failures.failed(now, 20, 1);
        }
        assert!(failures.may_start(now + FIRST_PAUSE));
        assert!(!failures.may_start(now));
    }

    #[test]
    fn a_version_that_has_started_is_tried_for_ever_with_longer_pauses() {
        let (mut failures, mut now) = (StartFailures::default(), now());
        failures.met();
        let mut pauses = Vec::new();
        for _ in 0..12 {
            assert_eq!(failures.failed(now, 20, 1), Verdict::TryAgain);
            let ends = failures.pause_ends(now).expect("each failure is followed by a pause");
            pauses.push(ends.since(now).as_millis());
            assert!(!failures.may_start(now));
            now = ends;
            assert!(failures.may_start(now));
            assert_eq!(failures.pause_ends(now), None, "nothing more to wait for");
        }
        let seconds = [1, 2, 4, 8, 16, 32, 64, 64, 64, 64].map(|seconds| seconds * 1_000);
        assert_eq!(pauses[..2], [100, 200]);
        assert_eq!(pauses[2..], seconds);
    }
}
