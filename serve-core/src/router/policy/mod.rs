//! [`Routing`]: which of the replicas with a free slot gets a call.
//!
//! Whatever it says, slots are counted by `Admission` alone. Where it says nothing, power
//! of two choices does.

mod custom;
mod members;
mod models;
mod ring;

use std::sync::Arc;

use rand::rngs::SmallRng;

use self::custom::Custom;
pub(super) use self::custom::is_choosing;
use self::models::Models;
use self::ring::Ring;
use super::admission::Admission;
use super::members::Member;
use crate::deployment::{RequestRouter, RequestRouting, RoutedCall, digest};

/// The replicas of a router, by the keys of its `Admission`.
pub(super) type Replicas = [Option<Member>];

/// Which of the replicas with a free slot gets a call.
pub(super) struct Routing {
    policy: Policy,
    /// Made when first needed.
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
    /// Another policy holds from now on; `custom` where it is the user's own. Gives the old
    /// one, to be dropped where no lock is held.
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

    /// A replica came.
    pub(super) fn added(&mut self, key: usize, replica: &Member) {
        if let Some(ring) = &mut self.ring {
            ring.add(key, replica.id());
        }
        if let Policy::Custom(custom) = &mut self.policy {
            custom.added(key, replica);
        }
    }

    /// A replica takes no more calls.
    pub(super) fn removed(&mut self, key: usize, replica: &Member) {
        if let Some(ring) = &mut self.ring {
            ring.remove(key, replica.id());
        }
        self.models.forget(key);
        if let Policy::Custom(custom) = &mut self.policy {
            custom.removed(key, replica);
        }
    }

    /// Some replicas have another rank from now on.
    pub(super) fn ranks_changed(&mut self, replicas: &Replicas) {
        if let Policy::Custom(custom) = &mut self.policy {
            custom.ranks_changed(replicas);
        }
    }

    /// A replica holds these models, of one of its collections, from now on.
    pub(super) fn hold_models(&mut self, key: usize, collection: usize, ids: &[String]) {
        self.models.hold(key, collection, ids);
    }

    /// The key of the replica that gets a call; none where power of two choices decides.
    /// There is a free one.
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

    /// True if a call of which nothing is known but its arguments needs no look.
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
