//! [`Custom`]: the choice by a request router of the user's own.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use rand::rngs::SmallRng;

use super::Replicas;
use super::members::{Members, View};
use crate::call::pending::panic_message;
use crate::deployment::{Candidates, RequestRouter, RoutedCall};
use crate::router::admission::Admission;
use crate::router::members::Member;

/// A request router of the user's own, and the replicas that it chooses among.
pub(super) struct Custom {
    router: Arc<dyn RequestRouter>,
    /// Made at the first call, as the router may come when the replicas are there already.
    members: Option<Members>,
}

impl Custom {
    pub(super) fn new(router: Arc<dyn RequestRouter>) -> Self {
        Self { router, members: None }
    }

    /// A replica came.
    pub(super) fn added(&mut self, key: usize, replica: &Member) {
        if let Some(members) = &mut self.members {
            members.add(key, Arc::clone(replica.id()), replica.rank());
        }
    }

    /// A replica takes no more calls.
    pub(super) fn removed(&mut self, key: usize, replica: &Member) {
        if let Some(members) = &mut self.members {
            members.remove(key);
        }
        if let Err(panic) = choosing(|| self.router.on_removed(replica.id())) {
            tracing::error!(
                replica = &**replica.id(),
                "the request router panicked in `on_removed`: {panic}"
            );
        }
    }

    /// Some replicas have another rank from now on.
    pub(super) fn ranks_changed(&mut self, replicas: &Replicas) {
        if let Some(members) = &mut self.members {
            members.set_ranks(|key| {
                let replica = replicas.get(key).and_then(Option::as_ref);
                replica.map_or(usize::MAX, |replica| replica.rank())
            });
        }
    }

    /// The key of the replica that gets a call; none where power of two choices decides.
    pub(super) fn choose(
        &mut self,
        admission: &Admission,
        replicas: &Replicas,
        call: &RoutedCall<'_>,
        random: &mut SmallRng,
    ) -> Option<usize> {
        let members = self.members.get_or_insert_with(|| taking_calls(admission, replicas));
        let view = View::new(members, admission, random);
        match choosing(|| self.router.choose(call, &Candidates::new(&view))) {
            Ok(chosen) => chosen.map(|candidate| candidate.key),
            Err(panic) => {
                tracing::error!(
                    method = call.method(),
                    "the request router panicked, and power of two choices decides: {panic}"
                );
                None
            }
        }
    }
}

fn taking_calls(admission: &Admission, replicas: &Replicas) -> Members {
    let mut members = Members::default();
    for (key, replica) in replicas.iter().enumerate() {
        if let Some(replica) = replica
            && !admission.is_draining(key)
        {
            members.add(key, Arc::clone(replica.id()), replica.rank());
        }
    }
    members
}

thread_local! {
    /// Whether this thread runs a request router of the user's, under the lock of its
    /// deployment.
    static CHOOSING: Cell<bool> = const { Cell::new(false) };
}

/// Runs code of a request router of the user's. An error is what its panic said.
fn choosing<R>(run: impl FnOnce() -> R) -> Result<R, String> {
    let outer = CHOOSING.replace(true);
    let ran = catch_unwind(AssertUnwindSafe(run));
    CHOOSING.set(outer);
    ran.map_err(|panic| panic_message(&*panic))
}

/// True inside a request router of the user's, where the deployment's lock is held already.
pub(in crate::router) fn is_choosing() -> bool {
    CHOOSING.get()
}
