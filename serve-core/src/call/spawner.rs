//! [`Spawner`]: the runtime on which calls run, and the source of request ids.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;

use tokio::runtime::{Handle, RuntimeFlavor};

/// The state that all calls of one runtime share. Handles keep this state, so that calls can be
/// made from any thread.
#[derive(Debug)]
pub(crate) struct Spawner {
    pub(crate) tokio: Handle,
    pub(crate) ids: Arc<RequestIds>,
    /// True if compute work goes to threads for which the paused clock of a test waits, instead of
    /// to the threads of the replica.
    pub(crate) clock_waits: bool,
    pub(crate) in_place: InPlace,
    /// True if the sweeper begins calls that stand too long. On a single thread, nothing could run
    /// such calls sooner anyway.
    pub(crate) sweeps: bool,
}

/// The methods that are polled in place, if their callers allow that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InPlace {
    /// Methods whose first polls are short.
    Earned,
    /// All methods, for tests.
    Always,
    /// No methods, for tests.
    Never,
}

impl Spawner {
    pub(crate) fn new(tokio: Handle, seed: u64) -> Self {
        let sweeps = tokio.runtime_flavor() != RuntimeFlavor::CurrentThread;
        let (ids, in_place) = (Arc::new(RequestIds::new(seed)), InPlace::Earned);
        Self { tokio, ids, clock_waits: false, in_place, sweeps }
    }
}

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

/// Yields to the tasks that are ready to run.
///
/// `tokio::task::yield_now` hands a task to its worker thread until that thread has nothing else to
/// do. This function leaves the task where other threads can take it, so that user code that blocks
/// the thread meanwhile does not hold up the task.
pub(crate) async fn reschedule() {
    let mut yielded = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
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
