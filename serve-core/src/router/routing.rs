//! [`Routing`]: which of the replicas with a free slot gets a call.
//!
//! Whatever it says, slots are counted by `Admission` alone. Where it says nothing, power
//! of two choices does.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::admission::Admission;
use crate::deployment::{Candidate, RequestRouter, RequestRouting, RoutedCall, digest};
use crate::replica::Replica;

/// Places of each replica on the ring, as in Ray Serve: enough that replicas get about as
/// much each.
const PLACES: usize = 100;

/// The replicas of a router, by the keys of its `Admission`.
pub(super) type Replicas = [Option<Arc<Replica>>];

/// Which of the replicas with a free slot gets a call.
pub(super) struct Routing {
    policy: Policy,
    /// Made when first needed, and anew when replicas have come or gone.
    ring: Option<Ring>,
    models: Models,
}

enum Policy {
    TwoChoices,
    RoundRobin { next: usize },
    ConsistentHash,
    Custom(Arc<dyn RequestRouter>),
}

impl Default for Routing {
    fn default() -> Self {
        Self { policy: Policy::TwoChoices, ring: None, models: Models::default() }
    }
}

impl Routing {
    pub(super) fn set_policy(&mut self, routing: &RequestRouting) {
        self.policy = match routing {
            RequestRouting::PowerOfTwoChoices => Policy::TwoChoices,
            RequestRouting::RoundRobin => Policy::RoundRobin { next: 0 },
            RequestRouting::ConsistentHash => Policy::ConsistentHash,
            RequestRouting::Custom(custom) => Policy::Custom(custom.make()),
        };
    }

    /// A replica came.
    pub(super) fn added(&mut self) {
        self.ring = None;
    }

    /// A replica takes no more calls.
    pub(super) fn removed(&mut self, key: usize, replica: &Replica) {
        self.ring = None;
        self.models.forget(key);
        if let Policy::Custom(custom) = &self.policy {
            let told = || custom.on_removed(replica.context.replica_id());
            if catch_unwind(AssertUnwindSafe(told)).is_err() {
                tracing::error!(
                    replica = replica.context.replica_id(),
                    "the request router panicked in `on_removed`"
                );
            }
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
    ) -> Option<usize> {
        match &mut self.policy {
            Policy::TwoChoices => {
                if let Some(model) = call.multiplexed_model_id {
                    return self.models.choose(admission, model);
                }
                self.on_ring(admission, replicas, call.session_id?)
            }
            Policy::RoundRobin { next } => {
                let n = replicas.len();
                let key =
                    (0..n).map(|step| (*next + step) % n).find(|key| admission.is_free(*key))?;
                *next = (key + 1) % n;
                Some(key)
            }
            Policy::ConsistentHash => self.on_ring(admission, replicas, call.session_id?),
            Policy::Custom(custom) => by_custom(&**custom, admission, replicas, call),
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

fn by_custom(
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
    let chosen = catch_unwind(AssertUnwindSafe(|| custom.choose(call, &candidates)));
    match chosen {
        Ok(place) => free.get(place?).copied(),
        Err(_) => {
            tracing::error!(
                method = call.method(),
                "the request router panicked; power of two choices decides"
            );
            None
        }
    }
}

/// Where sessions belong: each replica has places on a circle of hashes, and a session
/// belongs to the next place after its own hash.
struct Ring(Vec<(u64, usize)>);

impl Ring {
    fn of(admission: &Admission, replicas: &Replicas) -> Self {
        let mut places = Vec::new();
        for (key, replica) in replicas.iter().enumerate() {
            let Some(replica) = replica else { continue };
            if !admission.is_draining(key) {
                let id = replica.context.replica_id();
                places.extend((0..PLACES).map(|place| (digest(&(id, place)), key)));
            }
        }
        places.sort_unstable();
        Self(places)
    }

    /// The replicas from a session's place on, each at least once.
    fn from(&self, session: &str) -> impl Iterator<Item = usize> + '_ {
        let hash = digest(&session);
        let start = self.0.partition_point(|(place, _)| *place < hash);
        let n = self.0.len();
        (0..n).map(move |step| self.0[(start + step) % n].1)
    }
}

/// Which replicas hold which models.
#[derive(Default)]
struct Models {
    holders: HashMap<String, Vec<usize>>,
    /// By replica: the models of each of its collections.
    held: HashMap<usize, HashMap<usize, Vec<String>>>,
}

impl Models {
    fn hold(&mut self, key: usize, collection: usize, ids: &[String]) {
        let held = self.held.entry(key).or_default();
        if ids.is_empty() {
            held.remove(&collection);
        } else {
            held.insert(collection, ids.to_vec());
        }
        self.index();
    }

    fn forget(&mut self, key: usize) {
        if self.held.remove(&key).is_some() {
            self.index();
        }
    }

    fn index(&mut self) {
        self.holders.clear();
        for (key, collections) in &self.held {
            for id in collections.values().flatten() {
                self.holders.entry(id.clone()).or_default().push(*key);
            }
        }
        // The same choice in each run, whatever the order of the maps.
        self.holders.values_mut().for_each(|keys| keys.sort_unstable());
    }

    fn count(&self, key: usize) -> usize {
        self.held.get(&key).map_or(0, |held| held.values().map(Vec::len).sum())
    }

    /// As in Ray Serve: of the replicas that hold the model, the least busy one; where none
    /// of them is free, one of those that hold the fewest. None where no replica keeps any:
    /// a model's name travels to deployments that have no use for it.
    fn choose(&self, admission: &Admission, model: &str) -> Option<usize> {
        if self.held.is_empty() {
            return None;
        }
        let holders = self.holders.get(model).map_or(&[][..], Vec::as_slice);
        let free = holders.iter().copied().filter(|key| admission.is_free(*key));
        free.min_by_key(|key| admission.ongoing(*key)).or_else(|| {
            // Of several, the same one for each call that is made before the first of them
            // has come to load the model, so that it is loaded once.
            let free = admission.free().iter().copied();
            free.min_by_key(|key| (self.count(*key), digest(&(model, *key))))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_goes_to_who_holds_it_else_to_who_holds_the_fewest() {
        let mut admission = Admission::default();
        let keys: Vec<usize> = (0..3).map(|_| admission.add(1).0).collect();
        let mut models = Models::default();
        models.hold(keys[0], 0, &["a".to_owned(), "b".to_owned()]);
        models.hold(keys[1], 0, &["c".to_owned()]);
        assert_eq!(models.choose(&admission, "a"), Some(keys[0]));
        assert_eq!(models.choose(&admission, "c"), Some(keys[1]));
        assert_eq!(models.choose(&admission, "new"), Some(keys[2]));
        admission.occupy(keys[0]);
        assert_eq!(models.choose(&admission, "a"), Some(keys[2]), "its holder is busy");
        models.forget(keys[1]);
        models.hold(keys[2], 0, &["d".to_owned()]);
        assert_eq!(models.choose(&admission, "c"), Some(keys[1]));
    }
}
