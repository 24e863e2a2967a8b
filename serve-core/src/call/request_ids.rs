//! [`RequestIds`]: the source of request ids.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Request ids: UUIDs from a seeded sequence, unique in a process and, with a random
/// seed, beyond it.
#[derive(Debug)]
pub(crate) struct RequestIds {
    seed: u64,
    next: AtomicU64,
}

impl RequestIds {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, next: AtomicU64::new(0) }
    }

    /// The seed, from which the ids of numbered requests can be computed.
    #[inline]
    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    /// An id that no numbered request has.
    pub(crate) fn next(&self) -> Arc<str> {
        // Numbers of requests leave the highest bit clear.
        self.of(1 << 63 | self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// The id of the request with this number.
    pub(crate) fn of(&self, number: u64) -> Arc<str> {
        Self::text(self.bits(number))
    }

    /// The 128 bits of the id of the request with this number.
    pub(crate) fn bits(&self, number: u64) -> u128 {
        let bits = u128::from(mix(self.seed ^ mix(number))) << 64
            | u128::from(mix(number ^ mix(self.seed)));
        uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid().as_u128()
    }

    /// The text of an id, as people see it.
    pub(crate) fn text(bits: u128) -> Arc<str> {
        let id = uuid::Uuid::from_u128(bits);
        Arc::from(id.as_hyphenated().encode_lower(&mut uuid::Uuid::encode_buffer()) as &str)
    }
}

/// The finalizer of SplitMix64 (Steele, Lea and Flood, 2014): a bijection that spreads
/// every bit of its input.
fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_uuids_that_differ_and_repeat_with_their_seed() {
        let (one, two) = (RequestIds::new(7), RequestIds::new(7));
        let (a, b) = (one.next(), one.next());
        assert_ne!(a, b);
        assert_eq!([a.clone(), b], [two.next(), two.next()]);
        assert_eq!(uuid::Uuid::parse_str(&a).unwrap().get_version_num(), 4);
    }
}
