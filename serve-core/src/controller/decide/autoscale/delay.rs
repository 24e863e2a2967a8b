//! Delays: a change is made once it has been wanted for its delay without interruption.

use std::cmp::Ordering;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::deployment::AutoscalingConfig;

/// The direction of a wanted change, and the time since which it is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pending {
    up: bool,
    since: Duration,
}

/// The target after the delays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Delayed {
    pub(super) target: usize,
    /// The time for which the change has been wanted in the same direction.
    pub(super) lasted: Duration,
    /// The time at which the pending change will be made if it stays wanted.
    pub(super) due: Option<Duration>,
}

/// Decides if `desired` becomes the target now. `pending` is the result of the previous decision.
///
/// Only the *direction* has to last: the size of the change is the size that is wanted in the end.
/// The last replica has a separate delay, so that a decrease from more than one ends at one.
pub(super) fn delayed(
    config: &AutoscalingConfig,
    pending: &mut Option<Pending>,
    desired: usize,
    target: usize,
    now: Duration,
) -> Delayed {
    let (delay, up, desired) = match desired.cmp(&target) {
        Ordering::Equal => {
            *pending = None;
            return Delayed { target, lasted: Duration::ZERO, due: None };
        }
        Ordering::Greater => (config.upscale_delay, true, desired),
        Ordering::Less if target == 1 => {
            (config.downscale_to_zero_delay.unwrap_or(config.downscale_delay), false, desired)
        }
        Ordering::Less => (config.downscale_delay, false, desired.max(1)),
    };
    let since = match *pending {
        Some(pending) if pending.up == up => pending.since,
        _ => now,
    };
    let (lasted, due) = (now.saturating_sub(since), since.saturating_add(delay));
    if now >= due {
        *pending = None;
        Delayed { target: desired, lasted, due: None }
    } else {
        *pending = Some(Pending { up, since });
        Delayed { target, lasted, due: Some(due) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_delayed_decision_of_ray_serve_is_ours() {
        let text = include_str!("../../../../tests/vectors/delay_logic.json");
        let runs: Vec<serde_json::Value> = serde_json::from_str(text).unwrap();
        assert_eq!(runs.len(), 100);
        let mut compared = 0;
        for (number, run) in runs.iter().enumerate() {
            // Compared in whole nanoseconds: the floats that Ray Serve subtracts differ by far
            // less.
            let delay = |key: &str| run[key].as_f64().map(Duration::from_secs_f64);
            let mut config = AutoscalingConfig::auto()
                .upscale_delay(delay("up").unwrap())
                .downscale_delay(delay("down").unwrap());
            config.downscale_to_zero_delay = delay("to_zero");
            let mut pending = None;
            for step in run["steps(now,desired,current_target,decision)"].as_array().unwrap() {
                let now = Duration::from_secs_f64(step[0].as_f64().unwrap());
                let count = |at: usize| usize::try_from(step[at].as_u64().unwrap()).unwrap();
                let ours = delayed(&config, &mut pending, count(1), count(2), now);
                assert_eq!(ours.target, count(3), "run {number}: {step}");
                assert_eq!(ours.due.is_some(), pending.is_some());
                compared += 1;
            }
        }
        assert_eq!(compared, 6000);
    }

    #[test]
    fn a_delay_longer_than_time_itself_is_never_over() {
        let config = AutoscalingConfig::auto().upscale_delay(Duration::MAX);
        let now = Duration::from_secs(1_000_000);
        let ours = delayed(&config, &mut None, 5, 1, now);
        assert_eq!(ours, Delayed { target: 1, lasted: Duration::ZERO, due: Some(Duration::MAX) });
    }
}
