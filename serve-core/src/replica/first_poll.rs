//! [`FirstPoll`]: the observed first poll of a call, by which its method is judged.

use std::time::Duration;

use tokio::task::coop;
use tokio::time::Instant;

use crate::call::in_place;

/// The first poll of a call, as far as it was observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FirstPoll {
    pub(crate) in_place: bool,
    pub(crate) ready: bool,
    /// None if the poll was not timed.
    pub(crate) took: Option<Duration>,
}

impl FirstPoll {
    /// Starts a watch over a poll in place. Returns `None` for most polls, which are not timed.
    #[inline]
    pub(crate) fn watch() -> Option<Instant> {
        if in_place::is_sampled() { Some(begin_watch()) } else { None }
    }

    /// True if the sweeper found that the poll lasted too long.
    pub(crate) fn is_overdue(self) -> bool {
        self.took == Some(Duration::MAX)
    }

    /// Returns the report of a poll in place that began at `watch`. Most polls have no report.
    #[inline]
    pub(crate) fn observed(watch: Option<Instant>, ready: bool) -> Option<Self> {
        if watch.is_none() && ready && !in_place::is_overdue() {
            return None;
        }
        Some(Self::seen(watch, ready))
    }

    #[cold]
    fn seen(watch: Option<Instant>, ready: bool) -> Self {
        let took = if in_place::is_overdue() {
            Some(Duration::MAX)
        } else {
            watch.map(|began| began.elapsed())
        };
        // A poll that found its caller's budget exhausted says nothing of the method.
        let ready = ready || !coop::has_budget_remaining();
        Self { in_place: true, ready, took }
    }
}

#[cold]
fn begin_watch() -> Instant {
    Instant::now()
}
