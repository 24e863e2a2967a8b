//! [`Content`]: the content of a constructor's argument, by which an update detects whether the
//! argument changes anything.

use super::BoundId;
use super::digest::ContentHash;

/// The content of a constructor's argument, which can be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A value that serde can serialize, identified by the hash of its JSON.
    Value(ContentHash),
    /// Handles of other deployments, in order, with the keys that distinguish their places.
    Handles {
        /// The deployments that the handles call.
        of: Vec<BoundId>,
        /// The digests of the keys, if the handles are in a map.
        keys: Vec<u64>,
    },
    /// A value that equals only itself, because serde cannot serialize it or because it can change
    /// while replicas share it.
    Opaque {
        /// The type of the argument.
        type_name: &'static str,
        /// The addresses of the shared state; empty if the value shares nothing that is known.
        shared: Vec<usize>,
    },
}
