//! Calls to the autoscaling policy, which may be user code: a panic or an invalid answer does no
//! harm.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::reason::Reason;
use crate::call::pending::panic_message;
use crate::deployment::{AutoscalingContext, AutoscalingPolicy};

/// Returns the number of replicas that a policy wants, which is 0 or more.
///
/// # Errors
/// If the policy panics or returns NaN.
pub(super) fn desired_replicas(
    policy: &dyn AutoscalingPolicy,
    context: &AutoscalingContext<'_>,
) -> Result<f64, Reason> {
    // A policy that leaves itself in a bad state can affect only its own next answer.
    match catch_unwind(AssertUnwindSafe(|| policy.desired_replicas(context))) {
        Ok(desired) if desired.is_nan() => Err(Reason::NotANumber),
        Ok(desired) => Ok(desired.max(0.0)),
        Err(panic) => Err(Reason::Panicked { message: panic_message(&*panic) }),
    }
}

/// Returns the interval at which a policy wants to be called. A policy that panics is called at the
/// default interval.
pub(super) fn every(policy: &dyn AutoscalingPolicy) -> Option<Duration> {
    catch_unwind(AssertUnwindSafe(|| policy.ask_every())).unwrap_or(Some(UNLESS_SAID))
}

/// The default of `AutoscalingPolicy::ask_every`.
const UNLESS_SAID: Duration = Duration::from_secs(1);
