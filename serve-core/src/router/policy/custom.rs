//! [`Custom`]: the choice by a custom request router.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use rand::rngs::SmallRng;

use super::custom_members::{Members, View};
use crate::call::pending::panic_message;
use crate::deployment::{Candidates, RequestRouter, RoutedCall};
use crate::router::admission::Admission;
use crate::router::member::Member;
use crate::router::member::Replicas;

/// A custom request router, and the replicas that it chooses among.
pub(super) struct Custom {
    router: Arc<dyn RequestRouter>,
    /// Created at the first call, because replicas may exist before the request router is set.
    members: Option<Members>,
}

impl Custom {
    pub(super) fn new(router: Arc<dyn RequestRouter>) -> Self {
        Self { router, members: None }
    }

    /// Adds a replica.
    pub(super) fn added(&mut self, key: usize, replica: &Member) {
        if let Some(members) = &mut self.members {
            members.add(key, Arc::clone(replica.id()), replica.rank());
        }
    }

    /// Removes a replica, which takes no more calls.
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

    /// Updates the ranks of the replicas.
    pub(super) fn ranks_changed(&mut self, replicas: &Replicas) {
        if let Some(members) = &mut self.members {
            members.set_ranks(|key| {
                let replica = replicas.get(key).and_then(Option::as_ref);
                replica.map_or(usize::MAX, |replica| replica.rank())
            });
        }
    }

    /// Returns the key of the replica that gets a call, or `None` if power of two choices decides.
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
    /// True while this thread runs a custom request router, under the lock of the request router's
    /// deployment.
    static CHOOSING: Cell<bool> = const { Cell::new(false) };
}

/// Runs code of a custom request router. The error is the message of its panic.
fn choosing<R>(run: impl FnOnce() -> R) -> Result<R, String> {
    let outer = CHOOSING.replace(true);
    let ran = catch_unwind(AssertUnwindSafe(run));
    CHOOSING.set(outer);
    ran.map_err(|panic| panic_message(&*panic))
}

/// True inside a custom request router, where the deployment's lock is already held.
pub(in crate::router) fn is_choosing() -> bool {
    CHOOSING.get()
}
