//! A check that the replicas of a deployment take enough calls to fill their batches.

use crate::method::BatchLimits;

/// Returns a warning if the batches of a method can never be full because a replica, which has
/// `slots` slots, never runs that many calls of the method. Returns `None` if they can be full.
pub(crate) fn starved_batches(
    method: &str,
    batch: BatchLimits,
    slots: usize,
    exclusive: bool,
) -> Option<String> {
    let BatchLimits { max_batch_size, max_concurrent_batches, .. } = batch;
    let needed = max_batch_size.saturating_mul(max_concurrent_batches);
    if slots >= needed {
        return None;
    }
    let reason = if exclusive {
        "but a replica has one call at a time, because the deployment has a `&mut self` method: \
         take `&self` everywhere, and keep what changes in a `Mutex` or an atomic"
            .to_owned()
    } else {
        format!(
            "but a replica takes `max_ongoing_requests` = {slots}: raise that to {needed} or more, \
             or lower `max_batch_size` or `max_concurrent_batches`"
        )
    };
    Some(format!(
        "the batches of `{method}` can never all be full: {max_concurrent_batches} at a time of \
         {max_batch_size} calls each is {needed} calls, {reason}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn said(size: usize, concurrent: usize, slots: usize) -> Option<String> {
        let batch = BatchLimits {
            max_batch_size: size,
            batch_wait_timeout: Duration::ZERO,
            max_concurrent_batches: concurrent,
        };
        starved_batches("embed", batch, slots, slots == 1)
    }

    #[test]
    fn only_what_cannot_be_full_is_spoken_of() {
        assert_eq!(said(8, 1, 100), None);
        assert_eq!(said(50, 2, 100), None);
        assert!(said(64, 2, 100).is_some_and(|said| said.contains("raise that to 128 or more")));
        assert!(said(8, 1, 1).is_some_and(|said| said.contains("`&mut self`")));
        assert!(said(usize::MAX, 2, 100).is_some());
    }
}
