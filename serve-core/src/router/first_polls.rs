//! [`FirstPolls`]: the methods of a deployment that are polled in place, and the methods whose
//! first polls are timed.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::call::runtime_context::InPlace;

/// The decisions of a deployment's router about first polls, for calls to read. One bit for each of
/// the first 64 methods; any others are never polled in place.
pub(super) struct FirstPolls {
    in_place: AtomicU64,
    light: AtomicU64,
    timed: AtomicU64,
}

/// The way in which the calls of a method begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begin {
    /// Each call begins in a task.
    Spawned,
    /// Each call begins in a task, and its first poll is timed.
    SpawnedTimed,
    /// Calls begin in place, if the caller's code allows that. Calls of a `light` method take no
    /// longer than a task costs.
    InPlace { light: bool },
}

impl FirstPolls {
    pub(super) fn new(in_place: InPlace) -> Self {
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

    /// True if calls of this method are polled in place where that is possible.
    #[inline]
    pub(super) fn in_place(&self, method: usize) -> bool {
        self.in_place.load(Ordering::Relaxed) & Self::bit(method) != 0
    }

    /// True if polls in place of this method's calls take no longer than a task costs.
    #[inline]
    pub(super) fn light(&self, method: usize) -> bool {
        self.light.load(Ordering::Relaxed) & Self::bit(method) != 0
    }

    /// True if the first polls of this method's calls are timed.
    #[inline]
    pub(super) fn timed(&self, method: usize) -> bool {
        self.timed.load(Ordering::Relaxed) & Self::bit(method) != 0
    }

    pub(super) fn set(&self, method: usize, begin: Begin) {
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
