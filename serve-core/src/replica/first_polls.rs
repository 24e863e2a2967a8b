//! [`FirstPolls`]: which methods of a deployment are polled in place, and of which the first
//! polls are timed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::coop;
use tokio::time::Instant;

use crate::call::deferred;
use crate::call::spawner::InPlace;

/// What a deployment's router decided about first polls. One bit for each of the first 64 methods; any others are never polled in place.
pub(crate) struct FirstPolls {
    in_place: AtomicU64,
    light: AtomicU64,
    timed: AtomicU64,
}

/// How the calls of a method are begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begin {
    /// By a task each.
    Spawned,
    /// By a task each, whose first poll is timed.
    SpawnedTimed,
    /// In place, where the caller's code allows that. `light` ones take no longer than a task
    /// costs.
    InPlace { light: bool },
}

/// The first poll of a call, as far as it was observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FirstPoll {
    pub(crate) in_place: bool,
    pub(crate) ready: bool,
    /// None if the poll was not timed.
    pub(crate) took: Option<Duration>,
}

impl FirstPolls {
    pub(crate) fn new(in_place: InPlace) -> Self {
        let (in_place, timed) = match in_place {
            InPlace::Earned => (0, u64::MAX),
            InPlace::Always => (u64::MAX, 0),
            InPlace::Never => (0, 0),
        };
        Self { in_place: in_place.into(), light: 0.into(), timed: timed.into() }
    }

    fn bit(method: usize) -> u64 {
        u32::try_from(method).ok().and_then(|method| 1_u64.checked_shl(method)).unwrap_or(0)
    }

    /// True if calls of this method are polled in place where that can be done.
    #[inline]
    pub(crate) fn in_place(&self, method: usize) -> bool {
        self.in_place.load(Ordering::Relaxed) & Self::bit(method) != 0
    }

    /// True if polls in place of this method's calls take no longer than a task costs.
    #[inline]
    pub(crate) fn light(&self, method: usize) -> bool {
        self.light.load(Ordering::Relaxed) & Self::bit(method) != 0
    }

    /// True if the first polls of this method's calls are timed.
    #[inline]
    pub(crate) fn timed(&self, method: usize) -> bool {
        self.timed.load(Ordering::Relaxed) & Self::bit(method) != 0
    }

    pub(crate) fn set(&self, method: usize, begin: Begin) {
        let bit = Self::bit(method);
        let put = |bits: &AtomicU64, on: bool| {
            if on {
                bits.fetch_or(bit, Ordering::Relaxed);
            } else {
                bits.fetch_and(!bit, Ordering::Relaxed);
            }
        };
        put(&self.timed, begin == Begin::SpawnedTimed);
        put(&self.light, begin == Begin::InPlace { light: true });
        put(&self.in_place, matches!(begin, Begin::InPlace { .. }));
    }
}

impl FirstPoll {
    /// The watch over a poll in place; none for most.
    #[inline]
    pub(crate) fn watch() -> Option<Instant> {
        if deferred::is_sampled() { Some(begin_watch()) } else { None }
    }

    /// What is to be reported of a poll in place that began when `watch` says. None for most.
    #[inline]
    pub(crate) fn observed(watch: Option<Instant>, ready: bool) -> Option<Self> {
        if watch.is_none() && ready && !deferred::is_overdue() {
            return None;
        }
        Some(Self::seen(watch, ready))
    }

    #[cold]
    fn seen(watch: Option<Instant>, ready: bool) -> Self {
        let took = if deferred::is_overdue() {
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
