//! Time arithmetic that cannot overflow, and moments as data.
//!
//! `Instant + Duration` panics on overflow, which `Duration::MAX` in the sense of "forever" causes.
//! Durations that come from a user are added with the functions of this module.

use std::ops::Add;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// The duration from which on a time counts as never: 30 years, after which even a tokio sleep
/// without an end is over.
const NEVER: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// Returns the instant `duration` after `moment`, or `None` if that instant never comes.
pub(crate) fn after(moment: Instant, duration: Duration) -> Option<Instant> {
    if duration < NEVER { moment.checked_add(duration) } else { None }
}

/// Returns the instant `duration` after `moment`, or 30 years after it if `duration` is longer, for
/// callers that need an instant.
pub(crate) fn after_at_most(moment: Instant, duration: Duration) -> Instant {
    moment + within_reach(duration)
}

/// Returns the duration, or 30 years if it is longer, so that the result can be added and
/// multiplied.
pub(crate) fn within_reach(duration: Duration) -> Duration {
    duration.min(NEVER)
}

/// A point in time as data, with the same meaning in every process: the time since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Moment(Duration);

impl Moment {
    /// Returns the time that has passed since an earlier moment, or zero if `earlier` is not
    /// earlier.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    /// Adds a duration. A sum that is further away than a clock counts saturates at the last
    /// moment.
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }
}

/// A clock that returns [`Moment`]s. The clock reads the system's clock once and then follows
/// tokio's clock, so that it never goes back, and stands still while tokio's clock is paused.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WallClock {
    began: Instant,
    began_at: Moment,
    /// True if the moments are those of the system's clock.
    is_real: bool,
}

impl WallClock {
    pub(crate) fn new() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { began: Instant::now(), began_at: Moment(since_epoch), is_real: true }
    }

    /// Creates a clock that begins at the Unix epoch, so that a test sees the same times in each
    /// run.
    pub(crate) fn of_a_test() -> Self {
        Self { began: Instant::now(), began_at: Moment(Duration::ZERO), is_real: false }
    }

    pub(crate) fn now(&self) -> Moment {
        self.began_at + self.began.elapsed()
    }

    /// Returns the moment as the time of the system's clock, or `None` for the clock of a test.
    pub(crate) fn system_time(&self, moment: Moment) -> Option<SystemTime> {
        if self.is_real { UNIX_EPOCH.checked_add(moment.0) } else { None }
    }

    /// Returns the instant of tokio's clock at a moment, or `None` if that instant never comes.
    pub(crate) fn instant(&self, moment: Moment) -> Option<Instant> {
        after(self.began, moment.since(self.began_at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_wall_clock_goes_on_by_the_clock_of_tokio() {
        let clock = WallClock::new();
        let began = clock.now();
        let later = began + Duration::from_secs(3600);
        tokio::time::sleep_until(clock.instant(later).expect("in an hour")).await;
        assert_eq!((clock.now(), clock.now().since(began)), (later, Duration::from_secs(3600)));
        assert_eq!(began.since(later), Duration::ZERO);
        assert_eq!(clock.instant(began + Duration::MAX), None);
    }

    #[test]
    fn what_is_further_away_than_a_clock_counts_never_comes() {
        let now = Instant::now();
        let second = Duration::from_secs(1);
        assert_eq!(after(now, second), Some(now + second));
        assert_eq!(after(now, Duration::MAX), None);
        assert_eq!(after_at_most(now, second), now + second);
        assert_eq!(after_at_most(now, Duration::MAX), now + NEVER);
        assert_eq!(within_reach(Duration::MAX), NEVER);
    }
}
