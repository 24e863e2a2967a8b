//! [`Models`]: the models that each replica holds.

use std::collections::HashMap;

use crate::router::admission::Admission;

/// The models that each replica holds.
#[derive(Default)]
pub(super) struct Models {
    holders: HashMap<String, Vec<usize>>,
    /// The models of each collection of a replica, by the replica's key.
    held: HashMap<usize, HashMap<usize, Vec<String>>>,
}

impl Models {
    pub(super) fn hold(&mut self, key: usize, collection: usize, ids: &[String]) {
        let collections = self.held.entry(key).or_default();
        let before = if ids.is_empty() {
            collections.remove(&collection)
        } else {
            collections.insert(collection, ids.to_vec())
        };
        self.no_longer(key, &before.unwrap_or_default());
        for id in ids {
            let keys = self.holders.entry(id.clone()).or_default();
            // Sorted, so that each run chooses the same replica. Two collections of a replica may
            // each have a model of the same id.
            let at = keys.partition_point(|known| *known <= key);
            keys.insert(at, key);
        }
    }

    pub(super) fn forget(&mut self, key: usize) {
        for ids in self.held.remove(&key).unwrap_or_default().into_values() {
            self.no_longer(key, &ids);
        }
    }

    /// Removes models that one of the replica's collections held.
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

    /// Chooses a replica as Ray Serve does: the least busy free replica that holds the model, or
    /// else a free replica that holds the fewest models. Returns `None` if no replica has reported
    /// a collection of models, because a model's name also travels to deployments that have no use
    /// for it.
    ///
    /// `place` returns the digest of a replica and the model, which is the same in every process.
    pub(super) fn choose(
        &self,
        admission: &Admission,
        model: &str,
        place: impl Fn(usize) -> u64,
    ) -> Option<usize> {
        if self.held.is_empty() {
            return None;
        }
        let holders = self.holders.get(model).map_or(&[][..], Vec::as_slice);
        let free = holders.iter().copied().filter(|key| admission.is_free(*key));
        free.min_by_key(|key| admission.ongoing(*key)).or_else(|| {
            // Among equals, the same replica for each call that is made before the first of these
            // calls has come to load the model, so that the model is loaded once.
            let free = admission.free().iter().copied();
            free.min_by_key(|key| (self.count(*key), place(*key)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(key: usize) -> u64 {
        key as u64
    }

    #[test]
    fn a_model_goes_to_who_holds_it_else_to_who_holds_the_fewest() {
        let mut admission = Admission::default();
        let keys: Vec<usize> = (0..3).map(|_| admission.add(1, false).0).collect();
        let mut models = Models::default();
        models.hold(keys[0], 0, &["a".to_owned(), "b".to_owned()]);
        models.hold(keys[1], 0, &["c".to_owned()]);
        assert_eq!(models.choose(&admission, "a", place), Some(keys[0]));
        assert_eq!(models.choose(&admission, "c", place), Some(keys[1]));
        assert_eq!(models.choose(&admission, "new", place), Some(keys[2]));
        admission.occupy(keys[0]);
        assert_eq!(models.choose(&admission, "a", place), Some(keys[2]), "its holder is busy");
        models.forget(keys[1]);
        models.hold(keys[2], 0, &["d".to_owned()]);
        assert_eq!(models.choose(&admission, "c", place), Some(keys[1]));
    }

    #[test]
    fn two_collections_may_have_a_model_of_the_same_name() {
        let mut admission = Admission::default();
        let keys: Vec<usize> = (0..2).map(|_| admission.add(1, false).0).collect();
        let mut models = Models::default();
        models.hold(keys[1], 0, &["a".to_owned()]);
        models.hold(keys[1], 7, &["a".to_owned()]);
        models.hold(keys[1], 0, &["b".to_owned()]);
        assert_eq!(
            models.choose(&admission, "a", place),
            Some(keys[1]),
            "the other one has it still"
        );
        models.forget(keys[1]);
        assert_eq!(models.choose(&admission, "a", place), None, "no replica keeps any");
        assert!(models.holders.is_empty() && models.held.is_empty());
    }
}
