//! Moments that may be further away than a clock counts.
//!
//! `Instant + Duration` panics where the sum is none, and a `Duration::MAX` that means "for
//! ever" makes it so. Wherever a duration comes from a user, one of these adds it.

use std::time::Duration;

use tokio::time::Instant;

/// What is further away never comes: 30 years, after which a sleep of tokio's that is to
/// have no end ends.
const NEVER: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// The moment so long after another; none if it never comes.
pub(crate) fn after(moment: Instant, duration: Duration) -> Option<Instant> {
    if duration < NEVER { moment.checked_add(duration) } else { None }
}

/// The moment so long after another, or in 30 years, where there has to be one.
pub(crate) fn after_at_most(moment: Instant, duration: Duration) -> Instant {
    moment + within_reach(duration)
}

/// The duration, or 30 years if it is longer: one that can be added and multiplied.
pub(crate) fn within_reach(duration: Duration) -> Duration {
    duration.min(NEVER)
}

#[cfg(test)]
mod tests {
    use super::*;

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
