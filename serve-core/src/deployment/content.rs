//! [`Content`]: what a constructor's argument is made of, so that an update can tell
//! whether it changes anything.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde::Serialize;
use serde_json::Value;

use super::{BoundId, Init, Wiring};

/// What an argument is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A value, by a digest of it.
    Value(u64),
    /// Handles of other deployments, in order, with what else tells their places apart.
    Handles {
        /// Whose handles.
        of: Vec<BoundId>,
        /// The keys of a map, by a digest of each.
        keys: Vec<u64>,
    },
    /// Something that cannot be compared.
    Unknown,
}

/// A digest that is the same in each run of one build.
pub(crate) fn digest(value: &impl Hash) -> u64 {
    // Made by `new`, it has fixed keys.
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// The same JSON whatever the order of its keys, as text.
fn canonical(value: &Value) -> Value {
    match value {
        Value::Array(items) => Value::Array(items.iter().map(canonical).collect()),
        // With the feature `preserve_order`, a map is in the order of its insertions.
        Value::Object(map) => {
            let sorted: BTreeMap<&String, Value> =
                map.iter().map(|(key, value)| (key, canonical(value))).collect();
            let pairs = sorted
                .into_iter()
                .map(|(key, value)| Value::from(vec![Value::from(key.as_str()), value]));
            Value::Array(pairs.collect())
        }
        plain => plain.clone(),
    }
}

/// Finds the content of an argument of type `T`: handles as such, what serde can write by
/// its JSON, nothing of the rest. Called as `(&&ContentOf::new(&init)).content()`; method
/// resolution takes the first that fits.
pub struct ContentOf<'a, T>(&'a Init<T>);

impl<'a, T> ContentOf<'a, T> {
    /// The question.
    #[must_use]
    pub fn new(init: &'a Init<T>) -> Self {
        Self(init)
    }
}

impl<T> fmt::Debug for ContentOf<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ContentOf")
    }
}

/// First choice: serde can write it.
pub trait ContentBySerde {
    /// The content.
    fn content(&self) -> Content;
}

impl<T: Serialize + 'static> ContentBySerde for &ContentOf<'_, T> {
    fn content(&self) -> Content {
        if let Some(handles) = self.0.handles() {
            return handles;
        }
        match serde_json::to_value(self.0.make(&Wiring::default())) {
            Ok(value) => Content::Value(digest(&canonical(&value).to_string())),
            Err(_) => Content::Unknown,
        }
    }
}

/// Second choice: handles, or nothing.
pub trait ContentOtherwise {
    /// The content.
    fn content(&self) -> Content;
}

impl<T: 'static> ContentOtherwise for ContentOf<'_, T> {
    fn content(&self) -> Content {
        self.0.handles().unwrap_or(Content::Unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deployment::IntoInit;
    use std::collections::HashMap;

    fn of<T: Serialize + Clone + Send + Sync + 'static>(value: T) -> Content {
        let init: Init<T> = value.into_init();
        (&&ContentOf::new(&init)).content()
    }

    #[test]
    fn equal_values_have_equal_content_in_whatever_order() {
        let map = |names: &[&str]| -> HashMap<String, usize> {
            names.iter().map(|name| ((*name).to_owned(), name.len())).collect()
        };
        assert_eq!(of(map(&["a", "bb", "ccc"])), of(map(&["ccc", "a", "bb"])));
        assert_ne!(of(map(&["a"])), of(map(&["b"])));
        assert_ne!(of(1), of(2));
        assert_ne!(of("1".to_owned()), of(1));
    }

    #[test]
    fn what_cannot_be_written_cannot_be_compared() {
        #[derive(Clone)]
        struct Opaque;
        let init: Init<Opaque> = Opaque.into_init();
        assert_eq!(ContentOf::new(&init).content(), Content::Unknown);
    }
}
