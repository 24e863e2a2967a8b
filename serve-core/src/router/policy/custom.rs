//! The choice by a request router of the user's own.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::Replicas;
use crate::call::pending::panic_message;
use crate::deployment::{Candidate, RequestRouter, RoutedCall};
use crate::router::admission::Admission;

pub(super) fn by_custom(
    custom: &dyn RequestRouter,
    admission: &Admission,
    replicas: &Replicas,
    call: &RoutedCall<'_>,
) -> Option<usize> {
    let mut free: Vec<usize> = admission.free().to_vec();
    // In the order of their ranks, which a router may count on.
    free.sort_by_key(|key| replicas[*key].as_ref().map(|replica| replica.context.rank()));
    let candidates: Vec<Candidate<'_>> = free
        .iter()
        .filter_map(|key| {
            let context = &replicas[*key].as_ref()?.context;
            Some(Candidate {
                replica_id: context.replica_id(),
                rank: context.rank(),
                ongoing: admission.ongoing(*key),
                max_ongoing_requests: admission.limit(*key),
            })
        })
        .collect();
    match choosing(|| custom.choose(call, &candidates)) {
        Ok(place) => free.get(place?).copied(),
        Err(panic) => {
            tracing::error!(
                method = call.method(),
                "the request router panicked, and power of two choices decides: {panic}"
            );
            None
        }
    }
}

thread_local! {
    /// Whether this thread runs a request router of the user's, under the lock of its
    /// deployment.
    static CHOOSING: Cell<bool> = const { Cell::new(false) };
}

/// Runs code of a request router of the user's. An error is what its panic said.
pub(super) fn choosing<R>(run: impl FnOnce() -> R) -> Result<R, String> {
    let outer = CHOOSING.replace(true);
    let ran = catch_unwind(AssertUnwindSafe(run));
    CHOOSING.set(outer);
    ran.map_err(|panic| panic_message(&*panic))
}

/// True inside a request router of the user's, where the deployment's lock is held already.
pub(in crate::router) fn is_choosing() -> bool {
    CHOOSING.get()
}
