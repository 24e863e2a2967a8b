//! [`ContentHash`] and [`digest`]: the XXH3 hashes by which processes agree on which values are
//! equal and where a value belongs. A value has the same hash in every build and on every machine.

use std::fmt;
use std::hash::Hash;
use std::path::Path;
use std::sync::LazyLock;
use std::{env, fs};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

/// The hash of some content: 128 bits of XXH3.
///
/// Equal content has equal hashes, in every process and build. A hash is displayed and serialized
/// as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct ContentHash(u128);

impl ContentHash {
    /// Returns the hash of a value, regardless of the order of its keys.
    pub(crate) fn of(value: &Value) -> Self {
        let mut text = String::new();
        write_canonical(value, &mut text);
        Self(xxh3_128(text.as_bytes()))
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<ContentHash> for String {
    fn from(hash: ContentHash) -> Self {
        hash.to_string()
    }
}

impl TryFrom<String> for ContentHash {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match u128::from_str_radix(&text, 16) {
            Ok(hash) if text.len() == 32 => Ok(Self(hash)),
            _ => Err(format!("{text:?} is not a content hash, which has 32 hexadecimal digits")),
        }
    }
}

/// Writes JSON without spaces and with sorted keys, so that equal values have equal texts.
///
/// The keys have to be sorted because a map keeps the order of its insertions if serde_json has the
/// feature `preserve_order`.
fn write_canonical(value: &Value, text: &mut String) {
    match value {
        Value::Array(items) => {
            text.push('[');
            for item in items {
                write_canonical(item, text);
                text.push(',');
            }
            text.push(']');
        }
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_unstable_by_key(|(key, _)| *key);
            text.push('{');
            for (key, value) in entries {
                text.push_str(&Value::from(key.as_str()).to_string());
                text.push(':');
                write_canonical(value, text);
                text.push(',');
            }
            text.push('}');
        }
        plain => text.push_str(&plain.to_string()),
    }
}

/// Returns the 64-bit digest of some parts, each of which counts by its bytes and its length.
pub(crate) fn digest(parts: &[&[u8]]) -> u64 {
    let mut hasher = Xxh3::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.digest()
}

/// Returns the 64-bit digest of any value that can be hashed.
pub(crate) fn digest_of(value: &impl Hash) -> u64 {
    let mut hasher = Xxh3::new();
    value.hash(&mut hasher);
    hasher.digest()
}

/// Returns the id of this program's build: the value that `SERVE_BUILD_ID` had when Serve was
/// compiled, or else a hash of the executable, which any change of the code changes.
///
/// The executable is read once. If the executable cannot be read, the id is `unknown`.
#[must_use]
pub fn build_id() -> &'static str {
    static BUILD_ID: LazyLock<String> = LazyLock::new(|| match option_env!("SERVE_BUILD_ID") {
        Some(id) if !id.is_empty() => id.to_owned(),
        // On Linux this is the running executable, even if another file has replaced it meanwhile.
        _ => hash_of(Path::new("/proc/self/exe"))
            .or_else(|| hash_of(&env::current_exe().ok()?))
            .unwrap_or_else(|| "unknown".to_owned()),
    });
    &BUILD_ID
}

fn hash_of(file: &Path) -> Option<String> {
    let bytes = fs::read(file).ok()?;
    Some(ContentHash(xxh3_128(&bytes)).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_hash_of_a_value_is_pinned_and_does_not_depend_on_the_order_of_keys() {
        let one = ContentHash::of(&json!({ "a": [1, "x"], "b": { "c": null } }));
        let other: Value = serde_json::from_str(r#"{"b":{"c":null},"a":[1,"x"]}"#).expect("JSON");
        assert_eq!(one, ContentHash::of(&other));
        assert_eq!(one.to_string(), PINNED, "another build has another hash");
        let read: ContentHash = serde_json::from_value(json!(PINNED)).expect("its own words");
        assert_eq!(read, one);
        assert!(serde_json::from_value::<ContentHash>(json!("12")).is_err());
    }

    const PINNED: &str = "4fa9d4eacd952b4ed79d2fda0e0a77dc";

    #[test]
    fn values_that_read_alike_differ() {
        let hash = |value: Value| ContentHash::of(&value);
        assert_ne!(hash(json!("1")), hash(json!(1)));
        assert_ne!(hash(json!(["a", "b"])), hash(json!(["a,b"])));
        assert_ne!(hash(json!([["a"], "b"])), hash(json!([["a", "b"]])));
        assert_ne!(hash(json!({ "a": {} })), hash(json!({ "a": [] })));
    }

    #[test]
    fn parts_are_told_apart() {
        assert_ne!(digest(&[b"ab", b"c"]), digest(&[b"a", b"bc"]));
        assert_eq!(digest(&[b"session", &3_u64.to_le_bytes()]), PINNED_DIGEST);
    }

    const PINNED_DIGEST: u64 = 15_064_225_302_870_410_020;

    #[test]
    fn a_build_has_one_id() {
        assert_eq!(build_id(), build_id());
        assert_ne!(build_id(), "unknown");
    }
}
