//! [`Routing`]: which of the replicas with a free slot gets a call.
//!
//! Whatever it says, slots are counted by `Admission` alone. Where it says nothing, power
//! of two choices does.

use std::cell::Cell;
use std::collections::{BTreeSet, HashMap};
use std::iter;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::admission::Admission;
use crate::call::pending::panic_message;
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
    /// Made when first needed.
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
                Policy::Custom(Arc::clone(custom))
            }
        };
        std::mem::replace(&mut self.policy, policy)
    }

    /// A replica came.
    pub(super) fn added(&mut self, key: usize, replica: &Replica) {
        if let Some(ring) = &mut self.ring {
            ring.add(key, replica.context.replica_id());
        }
    }

    /// A replica takes no more calls.
    pub(super) fn removed(&mut self, key: usize, replica: &Replica) {
        if let Some(ring) = &mut self.ring {
            ring.remove(key, replica.context.replica_id());
        }
        self.models.forget(key);
        if let Policy::Custom(custom) = &self.policy
            && let Err(panic) = choosing(|| custom.on_removed(replica.context.replica_id()))
        {
            tracing::error!(
                replica = replica.context.replica_id(),
                "the request router panicked in `on_removed`: {panic}"
            );
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
                let model = call.multiplexed_model_id;
                let holder = model.and_then(|model| self.models.choose(admission, model));
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
fn choosing<R>(run: impl FnOnce() -> R) -> Result<R, String> {
    let outer = CHOOSING.replace(true);
    let ran = catch_unwind(AssertUnwindSafe(run));
    CHOOSING.set(outer);
    ran.map_err(|panic| panic_message(&*panic))
}

/// True inside a request router of the user's, where the deployment's lock is held already.
pub(super) fn is_choosing() -> bool {
    CHOOSING.get()
}

/// Where sessions belong: each replica has places on a circle of hashes, and a session
/// belongs to the next place after its own hash. Hashes with the keys of their replicas.
struct Ring(BTreeSet<(u64, usize)>);

impl Ring {
    fn of(admission: &Admission, replicas: &Replicas) -> Self {
        let mut ring = Self(BTreeSet::new());
        for (key, replica) in replicas.iter().enumerate() {
            if let Some(replica) = replica
                && !admission.is_draining(key)
            {
                ring.add(key, replica.context.replica_id());
            }
        }
        ring
    }

    fn places(key: usize, id: &str) -> impl Iterator<Item = (u64, usize)> {
        (0..PLACES).map(move |place| (digest(&(id, place)), key))
    }

    fn add(&mut self, key: usize, id: &str) {
        self.0.extend(Self::places(key, id));
    }

    fn remove(&mut self, key: usize, id: &str) {
        for place in Self::places(key, id) {
            self.0.remove(&place);
        }
    }

    /// The replicas from a session's place on, each at least once.
    fn from(&self, session: &str) -> impl Iterator<Item = usize> + '_ {
        let start = (digest(&session), 0);
        // The second half is looked for only once the first is through.
        let before = iter::once_with(move || self.0.range(..start)).flatten();
        self.0.range(start..).chain(before).map(|(_, key)| *key)
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
        let collections = self.held.entry(key).or_default();
        let before = if ids.is_empty() {
            collections.remove(&collection)
        } else {
            collections.insert(collection, ids.to_vec())
        };
        self.no_longer(key, &before.unwrap_or_default());
        for id in ids {
            let keys = self.holders.entry(id.clone()).or_default();
            // In order, so that each run chooses the same. Two collections of a replica may
            // have one of the same id.
            let at = keys.partition_point(|known| *known <= key);
            keys.insert(at, key);
        }
    }

    fn forget(&mut self, key: usize) {
        for ids in self.held.remove(&key).unwrap_or_default().into_values() {
            self.no_longer(key, &ids);
        }
    }

    /// One of the replica's collections had these.
    fn no_longer(&mut self, key: usize, ids: &[String]) {
        for id in ids {
            let Some(keys) = self.holders.get_mut(id) else { continue };
            if let Ok(at) = keys.binary_search(&key) {
                keys.remove(at);
            }
            if keys.is_empty() {
                self.holders.remove(id);
            }
        }
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
        let keys: Vec<usize> = (0..3).map(|_| admission.add(1, false).0).collect();
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

    #[test]
    fn few_sessions_move_when_a_replica_comes_or_goes() {
        let mut ring = Ring(BTreeSet::new());
        for key in 0..10 {
            ring.add(key, &format!("replica {key}"));
        }
        let sessions: Vec<String> = (0..1000).map(|number| format!("session {number}")).collect();
        let homes = |ring: &Ring| -> Vec<Option<usize>> {
            sessions.iter().map(|session| ring.from(session).next()).collect()
        };
        let before = homes(&ring);
        ring.remove(3, "replica 3");
        let without = homes(&ring);
        for (before, without) in before.iter().zip(&without) {
            assert!(before == without || *before == Some(3), "only its own sessions move");
            assert_ne!(*without, Some(3));
        }
        ring.add(3, "replica 3");
        assert_eq!(homes(&ring), before, "and they come back");
        assert_eq!(ring.from("session 1").count(), 10 * PLACES);
    }

    #[test]
    fn two_collections_may_have_a_model_of_the_same_name() {
        let mut admission = Admission::default();
        let keys: Vec<usize> = (0..2).map(|_| admission.add(1, false).0).collect();
        let mut models = Models::default();
        models.hold(keys[1], 0, &["a".to_owned()]);
        models.hold(keys[1], 7, &["a".to_owned()]);
        models.hold(keys[1], 0, &["b".to_owned()]);
        assert_eq!(models.choose(&admission, "a"), Some(keys[1]), "the other one has it still");
        models.forget(keys[1]);
        assert_eq!(models.choose(&admission, "a"), None, "no replica keeps any");
        assert!(models.holders.is_empty() && models.held.is_empty());
    }
}
