//! [`Routing`]: the choice among the replicas with a free slot.
//!
//! A policy only chooses: slots are counted by `Admission` alone. If a policy chooses nothing,
//! power of two choices decides.

mod custom;
mod custom_members;
mod models;
mod ring;

use std::sync::Arc;

use rand::rngs::SmallRng;

use self::custom::Custom;
pub(super) use self::custom::is_choosing;
use self::models::Models;
use self::ring::Ring;
use super::admission::Admission;
use super::member::{Member, Replicas};
use crate::deployment::{RequestRouter, RequestRouting, RoutedCall, digest};

/// The choice among the replicas with a free slot.
pub(super) struct Routing {
    policy: Policy,
    /// Created when first needed.
    ring: Option<Ring>,
    models: Models,
}

enum Policy {
    TwoChoices,
    RoundRobin { next: usize },
    ConsistentHash,
    Custom(Custom),
}

impl Default for Routing {
    fn default() -> Self {
        Self { policy: Policy::TwoChoices, ring: None, models: Models::default() }
    }
}

impl Routing {
    /// Sets the policy. `custom` is the request router of a custom policy. Returns the old policy,
    /// which has to be dropped while no lock is held.
    pub(super) fn set_policy(
        &mut self,
        routing: &RequestRouting,
        custom: Option<&Arc<dyn RequestRouter>>,
    ) -> impl Sized + use<> {
        let policy = match routing {
            RequestRouting::PowerOfTwoChoices => Policy::TwoChoices,
            RequestRouting::RoundRobin => Policy::RoundRobin { next: 0 },
            RequestRouting::ConsistentHash => Policy::ConsistentHash,
            RequestRouting::Custom(_) => {
                let custom = custom.expect("a deploy makes the request router before it begins");
                Policy::Custom(Custom::new(Arc::clone(custom)))
            }
        };
        std::mem::replace(&mut self.policy, policy)
    }

    /// Adds a replica.
    pub(super) fn added(&mut self, key: usize, replica: &Member) {
        if let Some(ring) = &mut self.ring {
            ring.add(key, replica.id());
        }
        if let Policy::Custom(custom) = &mut self.policy {
            custom.added(key, replica);
        }
    }

    /// Removes a replica, which takes no more calls.
    pub(super) fn removed(&mut self, key: usize, replica: &Member) {
        if let Some(ring) = &mut self.ring {
            ring.remove(key, replica.id());
        }
        self.models.forget(key);
        if let Policy::Custom(custom) = &mut self.policy {
            custom.removed(key, replica);
        }
    }

    /// Updates the ranks of the replicas.
    pub(super) fn ranks_changed(&mut self, replicas: &Replicas) {
        if let Policy::Custom(custom) = &mut self.policy {
            custom.ranks_changed(replicas);
        }
    }

    /// Records the models that a replica holds in one of its collections, in place of those
    /// recorded before.
    pub(super) fn hold_models(&mut self, key: usize, collection: usize, ids: &[String]) {
        self.models.hold(key, collection, ids);
    }

    /// Returns the key of the replica that gets a call, or `None` if power of two choices decides.
    /// At least one replica has to be free.
    pub(super) fn choose(
        &mut self,
        admission: &Admission,
        replicas: &Replicas,
        call: &RoutedCall<'_>,
        random: &mut SmallRng,
    ) -> Option<usize> {
        match &mut self.policy {
            Policy::TwoChoices => {
                let model = call.multiplexed_model_id;
                let place = |model: &str, key: usize| {
                    let id = replicas[key].as_ref().map_or("", |replica| replica.id());
                    digest(&[model.as_bytes(), id.as_bytes()])
                };
                let holder = model.and_then(|model| {
                    self.models.choose(admission, model, |key| place(model, key))
                });
                holder.or_else(|| self.on_ring(admission, replicas, call.session_id?))
            }
            Policy::RoundRobin { next } => {
                let n = replicas.len();
                let key =
                    (0..n).map(|step| (*next + step) % n).find(|key| admission.is_free(*key))?;
                *next = (key + 1) % n;
                Some(key)
            }
            Policy::ConsistentHash => self.on_ring(admission, replicas, call.session_id?),
            Policy::Custom(custom) => custom.choose(admission, replicas, call, random),
        }
    }

    /// True if the policy has no say in a call whose request has no details, such as a session or a
    /// model.
    pub(super) fn is_plain(&self) -> bool {
        matches!(self.policy, Policy::TwoChoices | Policy::ConsistentHash)
    }

    fn on_ring(
        &mut self,
        admission: &Admission,
        replicas: &Replicas,
        session: &str,
    ) -> Option<usize> {
        let ring = self.ring.get_or_insert_with(|| Ring::of(admission, replicas));
        ring.from(session).find(|key| admission.is_free(*key))
    }
}
