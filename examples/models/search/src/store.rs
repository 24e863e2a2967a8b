//! The documents in memory, and which of them are closest to a direction.
//!
//! Every passage is looked at: for as many as fit here that is a matter of milliseconds, the answer
//! is exact, and to add, replace or remove a document is to change a list. The README has the
//! figures, also those of a graph of neighbours (HNSW), which is faster from some ten thousand
//! passages on.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use crate::api::{Added, Hit, Id, Kept, Size, Title};
use crate::vectors::{DIMENSIONS, Embedding, dot};

/// How many passages are held if nothing else is said: 154 MB of directions, and as much text as
/// comes with them.
pub const MAX_PASSAGES: usize = 100_000;

/// A document with its directions.
#[derive(Debug)]
pub struct Entry {
    id: Id,
    title: Title,
    passages: Vec<String>,
    /// [`DIMENSIONS`] numbers for each passage.
    directions: Vec<f32>,
}

/// All documents.
///
/// A search takes [`entries`](Self::entries), which stay as they are while others are added; who
/// adds waits for no search, and no search waits for who adds.
#[derive(Debug)]
pub struct Store {
    entries: Entries,
    places: HashMap<Id, usize>,
    passages: usize,
    max_passages: usize,
}

/// The documents at one moment.
pub type Entries = Arc<Vec<Arc<Entry>>>;

/// There is no room for more passages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the index is full: it has {passages} passages and may hold {max_passages}, and there are \
     {more} more in these documents. Delete some, or start it with a larger `max_passages`"
)]
pub struct Full {
    passages: usize,
    max_passages: usize,
    more: usize,
}

impl Entry {
    /// A document of passages, each with its direction.
    #[must_use]
    pub fn new(id: Id, title: Title, passages: Vec<String>, directions: &[Embedding]) -> Self {
        debug_assert_eq!(passages.len(), directions.len(), "each passage has a direction");
        Self { id, title, passages, directions: directions.concat() }
    }

    /// How close its closest passage is, and which that is.
    fn closest(&self, to: &[f32]) -> Option<(f32, usize)> {
        let directions = self.directions.chunks_exact(DIMENSIONS);
        let scores = directions.zip(0..).map(|(direction, passage)| (dot(direction, to), passage));
        scores.max_by(|(one, _), (other, _)| one.total_cmp(other))
    }
}

impl Store {
    /// An empty one.
    #[must_use]
    pub fn new(max_passages: usize) -> Self {
        Self { entries: Entries::default(), places: HashMap::new(), passages: 0, max_passages }
    }

    /// Adds documents, all of them or none. Each takes the place of the one that is called the
    /// same, and of several that are called the same the last one stays.
    ///
    /// # Errors
    /// If there is no room.
    pub fn add(&mut self, entries: Vec<Entry>) -> Result<Vec<Added>, Full> {
        self.room_for(&entries)?;
        let list = Arc::make_mut(&mut self.entries);
        let mut added = Vec::with_capacity(entries.len());
        for entry in entries {
            let (id, passages) = (entry.id.clone(), entry.passages.len());
            self.passages += passages;
            let place = self.places.get(&id).copied();
            if let Some(place) = place {
                self.passages -= list[place].passages.len();
                list[place] = Arc::new(entry);
            } else {
                self.places.insert(id.clone(), list.len());
                list.push(Arc::new(entry));
            }
            added.push(Added { id, passages, replaced: place.is_some() });
        }
        Ok(added)
    }

    /// Takes a document out, and gives it; none if it is not there.
    pub fn remove(&mut self, id: &Id) -> Option<Kept> {
        let place = self.places.remove(id)?;
        let list = Arc::make_mut(&mut self.entries);
        let removed = list.swap_remove(place);
        if let Some(moved) = list.get(place) {
            self.places.insert(moved.id.clone(), place);
        }
        self.passages -= removed.passages.len();
        Some(Kept::from(&*removed))
    }

    /// A document; none if it is not there.
    #[must_use]
    pub fn get(&self, id: &Id) -> Option<Kept> {
        Some(Kept::from(&*self.entries[*self.places.get(id)?]))
    }

    /// The documents as they are now.
    #[must_use]
    pub fn entries(&self) -> Entries {
        Arc::clone(&self.entries)
    }

    /// How full it is.
    #[must_use]
    pub fn size(&self) -> Size {
        let Self { entries, passages, max_passages, .. } = self;
        Size { documents: entries.len(), passages: *passages, max_passages: *max_passages }
    }

    fn room_for(&self, entries: &[Entry]) -> Result<(), Full> {
        let last: HashMap<&Id, &Entry> = entries.iter().map(|entry| (&entry.id, entry)).collect();
        let replaced = last.keys().filter_map(|id| self.places.get(*id));
        let fewer: usize = replaced.map(|place| self.entries[*place].passages.len()).sum();
        let more: usize = last.values().map(|entry| entry.passages.len()).sum();
        let Self { passages, max_passages, .. } = *self;
        if passages - fewer + more > max_passages {
            return Err(Full { passages, max_passages, more: more.saturating_sub(fewer) });
        }
        Ok(())
    }
}

/// The documents that are closest to a direction, the closest first, at most `limit` of them, each
/// with its closest passage. Of two that are as close, the one called by the lesser id comes first.
#[must_use]
pub fn closest(entries: &[Arc<Entry>], to: &[f32], limit: usize) -> Vec<Hit> {
    let by_score = |one: &(f32, usize, &Entry), other: &(f32, usize, &Entry)| {
        let scores = other.0.total_cmp(&one.0);
        if scores == Ordering::Equal { one.2.id.cmp(&other.2.id) } else { scores }
    };
    let scored = entries.iter().filter_map(|entry| {
        let (score, passage) = entry.closest(to)?;
        Some((score, passage, &**entry))
    });
    let mut scored: Vec<_> = scored.collect();
    if limit < scored.len() {
        scored.select_nth_unstable_by(limit, by_score);
        scored.truncate(limit);
    }
    scored.sort_unstable_by(by_score);
    let hits = scored.into_iter().map(|(score, passage, entry)| Hit {
        score,
        id: entry.id.clone(),
        title: entry.title.clone(),
        passage: entry.passages[passage].clone(),
    });
    hits.collect()
}

impl From<&Entry> for Kept {
    fn from(Entry { id, title, passages, .. }: &Entry) -> Self {
        Self { id: id.clone(), title: title.clone(), passages: passages.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(id: &str) -> Id {
        Id::try_from(id.to_owned()).expect("a plain id")
    }

    /// A document with a passage in each of these directions.
    fn entry(name: &str, axes: &[usize]) -> Entry {
        let direction = |axis: &usize| {
            let mut direction = vec![0.0; DIMENSIONS];
            direction[*axis] = 1.0;
            direction
        };
        let directions: Vec<_> = axes.iter().map(direction).collect();
        let passages = axes.iter().map(|axis| format!("{name} {axis}")).collect();
        Entry::new(id(name), Title::default(), passages, &directions)
    }

    fn found(store: &Store, to: &[f32], limit: usize) -> Vec<String> {
        let mut direction = vec![0.0; DIMENSIONS];
        direction[..to.len()].copy_from_slice(to);
        let hits = closest(&store.entries(), &direction, limit);
        hits.into_iter().map(|hit| hit.passage).collect()
    }

    #[test]
    fn the_closest_come_first_each_once_with_its_closest_passage() {
        let mut store = Store::new(10);
        store.add(vec![entry("b", &[1]), entry("a", &[1]), entry("c", &[2, 0])]).expect("room");
        assert_eq!(found(&store, &[0.6, 0.8, 0.1], 9), ["a 1", "b 1", "c 0"]);
        assert_eq!(found(&store, &[0.6, 0.8, 0.1], 1), ["a 1"]);
        assert_eq!(found(&store, &[1.0, 0.0], 1), ["c 0"]);
        assert_eq!(found(&store, &[1.0, 0.0], 0), Vec::<String>::new());
    }

    #[test]
    fn a_document_takes_the_place_of_its_namesake() {
        let mut store = Store::new(3);
        store.add(vec![entry("a", &[0, 1, 2])]).expect("room");
        let added = store.add(vec![entry("a", &[3]), entry("b", &[4]), entry("b", &[5])]);
        let added = added.expect("room");
        assert_eq!(
            added.iter().map(|added| added.replaced).collect::<Vec<_>>(),
            [true, false, true]
        );
        assert_eq!(found(&store, &[1.0], 9), ["a 3", "b 5"]);
        assert_eq!(store.size(), Size { documents: 2, passages: 2, max_passages: 3 });
    }

    #[test]
    fn a_removed_document_is_gone_and_the_others_are_found() {
        let mut store = Store::new(9);
        store.add(vec![entry("a", &[0]), entry("b", &[1]), entry("c", &[2])]).expect("room");
        assert_eq!(store.remove(&id("a")).expect("it was there").passages, ["a 0"]);
        assert_eq!((store.remove(&id("a")), store.get(&id("a"))), (None, None));
        for name in ["b", "c"] {
            assert_eq!(store.get(&id(name)).expect("it is there").id, id(name));
        }
        assert_eq!(found(&store, &[1.0], 9), ["b 1", "c 2"]);
        assert_eq!(store.size().passages, 2);
    }

    #[test]
    fn what_does_not_fit_changes_nothing() {
        let mut store = Store::new(2);
        store.add(vec![entry("a", &[0, 1])]).expect("room");
        let full = store.add(vec![entry("a", &[2]), entry("b", &[3, 4])]).expect_err("no room");
        assert_eq!(full, Full { passages: 2, max_passages: 2, more: 1 });
        assert_eq!(store.get(&id("a")).expect("it is there").passages, ["a 0", "a 1"]);
        store.add(vec![entry("a", &[2]), entry("b", &[3])]).expect("they fit");
    }

    #[test]
    fn a_search_sees_the_documents_of_its_moment() {
        let mut store = Store::new(9);
        store.add(vec![entry("a", &[0])]).expect("room");
        let before = store.entries();
        store.add(vec![entry("b", &[0])]).expect("room");
        store.remove(&id("a"));
        let direction = vec![1.0; DIMENSIONS];
        assert_eq!(closest(&before, &direction, 9)[0].id, id("a"));
        assert_eq!(closest(&store.entries(), &direction, 9)[0].id, id("b"));
    }
}
