//! [`AutoscalingPolicy`]: the rule for the number of replicas that a load asks for. The default is
//! [`TargetOngoingRequests`].

use std::any::type_name;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::AutoscalingConfig;

/// A rule for the number of replicas that a deployment should have.
///
/// A policy returns the number of replicas that are wanted now. The controller then applies the
/// config: factors, then bounds, then delays. If a call waits and no replica runs, the controller
/// starts a replica at once, without asking the policy. A policy is therefore a plain function, and
/// a closure can be a policy.
///
/// ```
/// use serve_core::autoscaling::{AutoscalingConfig, AutoscalingContext, AutoscalingPolicy};
///
/// // One replica for each 10 calls, and always one to spare.
/// let policy = |context: &AutoscalingContext<'_>| context.load / 10.0 + 1.0;
///
/// let config = AutoscalingConfig::auto();
/// let mut context = AutoscalingContext::new(&config);
/// context.load = 20.0;
/// assert_eq!(policy.desired_replicas(&context), 3.0);
/// ```
pub trait AutoscalingPolicy: Send + Sync {
    /// Returns the number of replicas that are wanted. The number can have a fraction: it is
    /// rounded up, after the factors are applied.
    ///
    /// A number below zero means zero, and infinity means the upper bound. If the number is NaN, or
    /// if the policy panics, nothing changes, and the deployment's `autoscaling_decisions` report
    /// the reason. This method is called on the controller's own task: it must not block.
    fn desired_replicas(&self, context: &AutoscalingContext<'_>) -> f64;

    /// Returns the period at which the policy is asked while the load does not change: one second
    /// unless overridden.
    ///
    /// A policy that looks only at the load and the replicas returns `None`, so that an idle
    /// deployment costs nothing.
    fn ask_every(&self) -> Option<Duration> {
        Some(Duration::from_secs(1))
    }
}

impl<F> AutoscalingPolicy for F
where
    F: Fn(&AutoscalingContext<'_>) -> f64 + Send + Sync,
{
    fn desired_replicas(&self, context: &AutoscalingContext<'_>) -> f64 {
        self(context)
    }
}

/// A policy as the options of a deployment store it. Two policies with the same registered name are
/// equal; other policies are equal only if they are the same instance.
#[derive(Clone)]
pub struct SharedPolicy {
    policy: Arc<dyn AutoscalingPolicy>,
    /// The name under which the policy is registered, if it is.
    name: Option<&'static str>,
    type_name: &'static str,
}

impl SharedPolicy {
    pub(crate) fn new<P: AutoscalingPolicy + 'static>(policy: P) -> Self {
        Self { policy: Arc::new(policy), name: None, type_name: type_name::<P>() }
    }

    /// Creates the policy of a registered name. Used by `register_autoscaling_policy!`.
    #[doc(hidden)]
    #[must_use]
    pub fn named<P: AutoscalingPolicy + Default + 'static>(name: &'static str) -> Self {
        Self { name: Some(name), ..Self::new(P::default()) }
    }

    pub(crate) fn get(&self) -> &dyn AutoscalingPolicy {
        &*self.policy
    }

    /// Returns the name under which the policy is registered, or else the name of its type.
    pub(crate) fn name(&self) -> &'static str {
        self.name.unwrap_or(self.type_name)
    }
}

impl Default for SharedPolicy {
    fn default() -> Self {
        Self::new(TargetOngoingRequests)
    }
}

impl PartialEq for SharedPolicy {
    fn eq(&self, other: &Self) -> bool {
        match (self.name, other.name) {
            (Some(name), Some(other)) => name == other,
            _ => Arc::ptr_eq(&self.policy, &other.policy),
        }
    }
}

impl fmt::Debug for SharedPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SharedPolicy").field(&self.name()).finish()
    }
}

/// The state of a deployment that a policy can look at.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct AutoscalingContext<'a> {
    /// The application's name.
    pub application: &'a str,
    /// The deployment's name in the application.
    pub deployment: &'a str,
    /// The deployment's options of autoscaling.
    pub config: &'a AutoscalingConfig,
    /// The number of replicas that take calls.
    pub running: usize,
    /// The number of replicas that are asked for.
    pub target: usize,
    /// The number of calls that run now.
    pub ongoing: usize,
    /// The number of calls that wait now.
    pub queued: usize,
    /// The number of calls that ran or waited, aggregated over the look-back period as the config
    /// says.
    pub load: f64,
    /// The time since the deployment's first deploy.
    pub now: Duration,
    /// The time since replicas were last added, if they ever were.
    pub since_scale_up: Option<Duration>,
    /// The time since replicas were last removed, if they ever were.
    pub since_scale_down: Option<Duration>,
}

impl<'a> AutoscalingContext<'a> {
    /// Creates the context of a deployment of which nothing is known: every number is 0 and every
    /// name is empty.
    ///
    /// Use this in the tests of a policy, which then set the fields that they are about.
    #[must_use]
    pub fn new(config: &'a AutoscalingConfig) -> Self {
        Self {
            application: "",
            deployment: "",
            config,
            running: 0,
            target: 0,
            ongoing: 0,
            queued: 0,
            load: 0.0,
            now: Duration::ZERO,
            since_scale_up: None,
            since_scale_down: None,
        }
    }

    /// Returns the number of calls that run or wait now.
    #[must_use]
    pub fn total(&self) -> usize {
        self.ongoing + self.queued
    }
}

/// The default policy: as many replicas as leave `target_ongoing_requests` calls on each replica.
///
/// While no replica runs yet, the number of replicas that are asked for stays the same.
#[derive(Clone, Copy, Debug, Default)]
pub struct TargetOngoingRequests;

impl AutoscalingPolicy for TargetOngoingRequests {
    fn desired_replicas(&self, context: &AutoscalingContext<'_>) -> f64 {
        if context.running == 0 {
            #[expect(clippy::cast_precision_loss, reason = "no deployment has 2^52 replicas")]
            let target = context.target as f64;
            return target;
        }
        without_rounding(context.load / context.config.target_ongoing_requests)
    }

    fn ask_every(&self) -> Option<Duration> {
        None
    }
}

/// Removes the rounding error of a division, if the exact quotient is a whole number: 2.1 calls at
/// 0.3 a replica are 7 replicas, and must not be rounded up to 8.
fn without_rounding(quotient: f64) -> f64 {
    let whole = quotient.round();
    if (quotient - whole).abs() <= whole * 4.0 * f64::EPSILON { whole } else { quotient }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_policy_wants_the_load_divided_by_the_target() {
        let config = AutoscalingConfig::auto().target_ongoing_requests(4.0);
        let mut context = AutoscalingContext::new(&config);
        (context.running, context.target, context.load) = (1, 3, 10.0);
        assert_eq!(TargetOngoingRequests.desired_replicas(&context), 2.5);
        context.running = 0;
        assert_eq!(TargetOngoingRequests.desired_replicas(&context), 3.0);
    }
    #[test]
    fn the_last_bits_of_a_division_start_no_replica() {
        for (load, target, replicas) in
            [(2.1, 0.3, 7.0), (2.1, 0.7, 3.0), (50.7, 3.9, 13.0), (0.7, 0.1, 7.0)]
        {
            let config = AutoscalingConfig::auto().target_ongoing_requests(target);
            let mut context = AutoscalingContext::new(&config);
            (context.running, context.load) = (1, load);
            assert_eq!(TargetOngoingRequests.desired_replicas(&context), replicas);
        }
        assert_eq!(without_rounding(3.000_001), 3.000_001);
        assert_eq!(without_rounding(0.0), 0.0);
        assert_eq!(without_rounding(f64::INFINITY), f64::INFINITY);
    }
}
