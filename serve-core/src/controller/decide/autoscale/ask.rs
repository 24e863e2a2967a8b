//! A policy is the user's code: it is asked here, and can do no harm.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::reason::Reason;
use crate::call::pending::panic_message;
use crate::deployment::{AutoscalingContext, AutoscalingPolicy};

/// How many replicas a policy wants, 0 or more.
///
/// # Errors
/// It said nothing that can be used, for this reason.
pub(super) fn desired_replicas(
    policy: &dyn AutoscalingPolicy,
    context: &AutoscalingContext<'_>,
) -> Result<f64, Reason> {
    // A policy that leaves itself in a bad state can only harm its own next answer.
    match catch_unwind(AssertUnwindSafe(|| policy.desired_replicas(context))) {
        Ok(desired) if desired.is_nan() => Err(Reason::NotANumber),
        Ok(desired) => Ok(desired.max(0.0)),
        Err(panic) => Err(Reason::Panicked { message: panic_message(&*panic) }),
    }
}

/// How often a policy wants to be asked. One that panics is asked no less often than one
/// that does not say.
pub(super) fn every(policy: &dyn AutoscalingPolicy) -> Option<Duration> {
    catch_unwind(AssertUnwindSafe(|| policy.ask_every())).unwrap_or(Some(UNLESS_SAID))
}

/// What `AutoscalingPolicy::ask_every` says unless overridden.
const UNLESS_SAID: Duration = Duration::from_secs(1);
