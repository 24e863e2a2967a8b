//! [`TargetCapacity`]: the part of the replicas of a configuration that may run.

use serde::{Deserialize, Serialize};

use super::DeploymentOptions;

/// The part of the replicas of a configuration that may run: `target_capacity`, in percent. The
/// rules are Ray Serve's.
///
/// Two programs that share a load, of which one takes over from the other, each run a part of their
/// replicas meanwhile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct TargetCapacity {
    /// The percentage, from 0 to 100. `None` is the same as 100.
    pub(crate) percent: Option<f64>,
    /// True while the percentage grows: `initial_replicas` is then the lower bound of autoscaling,
    /// so that the load which moves here finds replicas.
    pub(crate) grows: bool,
}

impl TargetCapacity {
    /// Returns the capacity of a configuration that replaces another one, given as its capacity.
    /// `same_applications` is true if both configurations name the same applications.
    pub(crate) fn after(before: Option<Self>, same_applications: bool, next: Option<f64>) -> Self {
        let grows = match before.filter(|_| same_applications) {
            Some(before) => match (before.percent, next) {
                (_, None) => false,
                (Some(before_percent), Some(next)) if same(before_percent, next) => before.grows,
                (Some(before), Some(next)) => before < next,
                // From all to a part.
                (None, Some(_)) => false,
            },
            None => next.is_some(),
        };
        Self { percent: next, grows }
    }

    /// Returns the number of replicas of which this part may run. The result is 0 only if the
    /// number or the capacity is 0; otherwise, halves are rounded up.
    pub(crate) fn of(self, replicas: usize) -> usize {
        let Some(percent) = self.percent.filter(|percent| !same(*percent, 100.0)) else {
            return replicas;
        };
        if percent <= 0.0 || replicas == 0 {
            return 0;
        }
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "numbers of replicas are small, and not negative"
        )]
        let part = (replicas as f64 * percent / 100.0 + 0.5).floor() as usize;
        part.max(1)
    }

    /// Limits the number of replicas in the options to this part.
    pub(crate) fn limit(self, options: &mut DeploymentOptions) {
        if self.percent.is_none() {
            return;
        }
        let Some(autoscaling) = &mut options.autoscaling else {
            options.num_replicas = Some(self.of(options.num_replicas.unwrap_or(1)));
            return;
        };
        let lowest = match autoscaling.initial_replicas {
            Some(initial) if self.grows => initial,
            _ => autoscaling.min_replicas,
        };
        autoscaling.min_replicas = self.of(lowest);
        autoscaling.max_replicas = self.of(autoscaling.max_replicas);
        autoscaling.initial_replicas = autoscaling.initial_replicas.map(|initial| self.of(initial));
    }
}

/// Compares two percentages that were written by people.
fn same(one: f64, other: f64) -> bool {
    (one - other).abs() < 1e-9
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deployment::AutoscalingConfig;

    fn percent(percent: f64) -> TargetCapacity {
        TargetCapacity { percent: Some(percent), grows: false }
    }

    #[test]
    fn halves_are_rounded_up_and_only_zero_is_zero() {
        // The values of Ray Serve 2.60's `get_capacity_adjusted_num_replicas`.
        let cases = [
            (10, 50.0, 5),
            (5, 50.0, 3),
            (1, 50.0, 1),
            (1, 1.0, 1),
            (100, 0.4, 1),
            (3, 33.3, 1),
            (10, 25.0, 3),
            (10, 24.9, 2),
            (7, 100.0, 7),
            (7, 0.0, 0),
            (0, 50.0, 0),
        ];
        for (replicas, of, part) in cases {
            assert_eq!(percent(of).of(replicas), part, "{of} % of {replicas}");
        }
        assert_eq!(TargetCapacity::default().of(7), 7);
    }

    #[test]
    fn the_bounds_of_autoscaling_are_limited() {
        let config = AutoscalingConfig::new().min_replicas(2).max_replicas(20).initial_replicas(10);
        let limited = |capacity: TargetCapacity| {
            let autoscaling = Some(config.clone());
            let mut options = DeploymentOptions { autoscaling, ..DeploymentOptions::default() };
            capacity.limit(&mut options);
            let limited = options.autoscaling.expect("still autoscaled");
            (limited.min_replicas, limited.initial_replicas, limited.max_replicas)
        };
        assert_eq!(limited(percent(50.0)), (1, Some(5), 10));
        assert_eq!(limited(TargetCapacity { grows: true, ..percent(50.0) }), (5, Some(5), 10));
        assert_eq!(limited(percent(0.0)), (0, Some(0), 0));
        assert_eq!(limited(TargetCapacity::default()), (2, Some(10), 20));
    }

    #[test]
    fn capacity_grows_for_new_applications_and_from_less_to_more() {
        let after = |before: Option<(Option<f64>, bool)>, same, next| {
            let before = before.map(|(percent, grows)| TargetCapacity { percent, grows });
            TargetCapacity::after(before, same, next).grows
        };
        assert!(after(None, false, Some(20.0)), "a first configuration");
        assert!(!after(None, false, None));
        assert!(!after(Some((None, false)), true, Some(50.0)), "from all to a part");
        assert!(after(Some((Some(20.0), false)), true, Some(50.0)));
        assert!(!after(Some((Some(50.0), true)), true, Some(20.0)));
        assert!(after(Some((Some(50.0), true)), true, Some(50.0)), "as before");
        assert!(!after(Some((Some(50.0), true)), true, None));
        assert!(after(Some((Some(50.0), false)), false, Some(20.0)), "other applications");
    }
}
