//! [`MethodCalls`]: counts the calls of one method, and decides by their first polls if the method
//! is polled in place. Plain data.

use std::time::Duration;

use super::first_polls::Begin;
use crate::call::runtime_context::InPlace;
use crate::replica::FirstPoll;

/// The number of first polls that a method is judged by before its calls are polled in place.
const JUDGED: u32 = 64;
/// The longest first poll of a method that is to be polled in place. This is some fifty times what
/// a task costs: a poll that takes as long gains nothing in place.
const SHORT: Duration = Duration::from_micros(20);
/// The longest average first poll of a light method: about what a task costs.
const LIGHT: Duration = Duration::from_micros(1);
/// The longest first poll that is tolerated: a longer one sends the method back to tasks.
const LONG: Duration = Duration::from_micros(50);
/// The tolerated share of pending first polls: one in this many.
const PENDING: u64 = 8;
/// The number of calls that are not timed after a method was sent back to tasks.
const RESTING: u64 = 4096;
/// The number of calls in place after which pending polls are counted anew.
const WINDOW: u64 = 1024;

/// The calls of one method.
#[derive(Debug)]
pub(super) struct MethodCalls {
    made: u64,
    /// The calls among `made` that were deferred: they stood until their response was polled or
    /// something else came first.
    deferred: u64,
    /// The deferred calls that got a task after all.
    moved: u64,
    /// The deferred calls that were dropped before they began.
    forgotten: u64,
    stage: Stage,
    /// The value of `made` at which the method is judged again.
    judge_at: u64,
}

#[derive(Debug)]
enum Stage {
    /// The calls have tasks, and their first polls are timed.
    Judged { polls: u32, pending: u64, took: Duration },
    /// The calls are polled in place. `since` is the value of `deferred` from which pending polls
    /// are counted.
    InPlace { since: u64, pending: u64, light: bool },
    /// The calls have tasks.
    Resting,
    /// A test has decided how calls begin.
    Fixed,
}

impl Stage {
    /// The stage of a method before its first call is judged.
    const JUDGED: Self = Self::Judged { polls: 0, pending: 0, took: Duration::ZERO };
}

/// The numbers of calls of one method that ran in place and that had a task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct BegunCalls {
    pub(crate) in_place: u64,
    pub(crate) spawned: u64,
}

impl MethodCalls {
    pub(super) fn new(in_place: InPlace) -> Self {
        let stage = match in_place {
            InPlace::Earned => Stage::JUDGED,
            InPlace::Always | InPlace::Never => Stage::Fixed,
        };
        Self { made: 0, deferred: 0, moved: 0, forgotten: 0, stage, judge_at: u64::MAX }
    }

    /// Counts a call. Returns how calls begin from now on, if that changes.
    #[inline]
    pub(super) fn made(&mut self, deferred: bool) -> Option<Begin> {
        self.made += 1;
        self.deferred += u64::from(deferred);
        if self.made < self.judge_at {
            return None;
        }
        self.judge_at = u64::MAX;
        self.stage = Stage::JUDGED;
        Some(Begin::SpawnedTimed)
    }

    /// Counts a deferred call that got a task after all.
    pub(super) fn moved(&mut self) {
        self.moved += 1;
    }

    /// Counts a deferred call that was dropped before it began.
    pub(super) fn forgotten(&mut self) {
        self.forgotten += 1;
    }

    pub(super) fn begun(&self) -> BegunCalls {
        let in_place = self.deferred.saturating_sub(self.moved + self.forgotten);
        let spawned = self.made.saturating_sub(self.deferred) + self.moved;
        BegunCalls { in_place, spawned }
    }

    /// Judges the method by a first poll. Returns how calls begin from now on, if that changes.
    pub(super) fn judge(&mut self, poll: FirstPoll) -> Option<Begin> {
        let is_long = poll.took.is_some_and(|took| took > LONG);
        match &mut self.stage {
            Stage::Judged { polls, pending, took } if !poll.in_place => {
                *polls += 1;
                *pending += u64::from(!poll.ready);
                *took += poll.took.unwrap_or_default();
                if is_long || *pending > u64::from(JUDGED) / PENDING {
                    return Some(self.rest());
                }
                if poll.took.is_some_and(|took| took > SHORT) {
                    self.stage = Stage::JUDGED;
                    return None;
                }
                if *polls < JUDGED {
                    return None;
                }
                let light = *took <= LIGHT * JUDGED;
                self.stage = Stage::InPlace { since: self.deferred, pending: 0, light };
                Some(Begin::InPlace { light })
            }
            Stage::InPlace { since, pending, light } if poll.in_place => {
                *pending += u64::from(!poll.ready);
                let calls = self.deferred.saturating_sub(*since);
                if is_long || *pending * PENDING > calls.max(u64::from(JUDGED)) {
                    return Some(self.rest());
                }
                if calls >= WINDOW {
                    (*since, *pending) = (self.deferred, 0);
                }
                let too_long = *light && poll.took.is_some_and(|took| took > SHORT);
                *light &= !too_long;
                too_long.then_some(Begin::InPlace { light: false })
            }
            // A poll from before the last decision.
            Stage::Judged { .. } | Stage::InPlace { .. } | Stage::Resting | Stage::Fixed => None,
        }
    }

    fn rest(&mut self) -> Begin {
        self.stage = Stage::Resting;
        self.judge_at = self.made + RESTING;
        Begin::Spawned
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUICK: Duration = Duration::from_micros(1);

    fn poll(in_place: bool, ready: bool, took: Option<Duration>) -> FirstPoll {
        FirstPoll { in_place, ready, took }
    }

    /// Makes calls that have a task each, and returns the decision after the last call.
    fn spawn(calls: &mut MethodCalls, number: u32, ready: bool, took: Duration) -> Option<Begin> {
        (0..number).fold(None, |_, _| {
            calls.made(false);
            calls.judge(poll(false, ready, Some(took)))
        })
    }

    fn earned() -> MethodCalls {
        let mut calls = MethodCalls::new(InPlace::Earned);
        assert_eq!(spawn(&mut calls, JUDGED - 1, true, QUICK), None);
        assert_eq!(spawn(&mut calls, 1, true, QUICK), Some(Begin::InPlace { light: true }));
        calls
    }

    #[test]
    fn a_method_earns_its_place_by_short_polls_in_a_row() {
        let mut calls = MethodCalls::new(InPlace::Earned);
        assert_eq!(spawn(&mut calls, JUDGED - 1, true, QUICK), None);
        assert_eq!(spawn(&mut calls, 1, true, SHORT + QUICK), None);
        assert_eq!(spawn(&mut calls, JUDGED - 1, true, SHORT), None);
        assert_eq!(spawn(&mut calls, 1, true, SHORT), Some(Begin::InPlace { light: false }));
    }

    #[test]
    fn one_long_poll_sends_a_method_back_for_some_thousands_of_calls() {
        for sampled in [LONG + QUICK, Duration::MAX] {
            let mut calls = earned();
            calls.made(true);
            let begin = calls.judge(poll(true, true, Some(LONG)));
            assert_eq!(begin, Some(Begin::InPlace { light: false }), "a longer one");
            assert_eq!(calls.judge(poll(true, true, Some(LONG))), None);
            calls.made(true);
            assert_eq!(calls.judge(poll(true, true, Some(sampled))), Some(Begin::Spawned));
            for _ in 1..RESTING {
                assert_eq!(calls.made(false), None);
            }
            assert_eq!(calls.made(false), Some(Begin::SpawnedTimed));
            let begin = spawn(&mut calls, JUDGED, true, QUICK);
            assert_eq!(begin, Some(Begin::InPlace { light: true }));
        }
        let mut calls = MethodCalls::new(InPlace::Earned);
        assert_eq!(spawn(&mut calls, 1, true, LONG + QUICK), Some(Begin::Spawned));
    }

    #[test]
    fn one_pending_poll_in_eight_sends_a_method_back() {
        for (every, stays) in [(7, false), (9, true), (100, true)] {
            let mut calls = earned();
            let back = (1..=5 * WINDOW).any(|call| {
                calls.made(true);
                call % every == 0 && calls.judge(poll(true, false, None)).is_some()
            });
            assert_eq!(back, !stays, "one in {every}");
        }
        let mut calls = MethodCalls::new(InPlace::Earned);
        assert_eq!(spawn(&mut calls, JUDGED / 8, false, QUICK), None);
        assert_eq!(spawn(&mut calls, 1, false, QUICK), Some(Begin::Spawned));
    }

    #[test]
    fn calls_are_counted_by_how_they_began() {
        let mut calls = earned();
        for _ in 0..10 {
            calls.made(true);
        }
        calls.moved();
        calls.forgotten();
        assert_eq!(calls.begun(), BegunCalls { in_place: 8, spawned: u64::from(JUDGED) + 1 });
    }

    #[test]
    fn a_test_decides_once_and_for_all() {
        for mode in [InPlace::Always, InPlace::Never] {
            let mut calls = MethodCalls::new(mode);
            assert_eq!(spawn(&mut calls, 10 * JUDGED, true, QUICK), None);
            assert_eq!(calls.judge(poll(true, false, Some(Duration::MAX))), None);
        }
    }
}
