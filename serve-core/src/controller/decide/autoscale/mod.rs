//! Autoscaling: the number of replicas that a deployment's load requires, and the time of the
//! change.
//!
//! ```text
//! load over the window -> policy -> factors -> bounds -> delay -> target
//! ```
//!
//! The results equal those of Ray Serve, which `tests/vectors/` compares step by step, except for
//! three differences. Queued calls are taken from the present, not from the mean of the window, so
//! that the first call of a sleeping deployment wakes it at once. No deployment scales to zero
//! while a call runs or is queued, whatever the aggregation. A target outside changed bounds moves
//! into them without delay.

mod delay;
mod factors;
mod log;
mod policy_call;
mod reason;
#[cfg(test)]
mod simulation;

use std::cmp::Ordering;
use std::time::Duration;

use delay::Pending;
use log::DecisionLog;
pub(crate) use log::LoggedDecision;
use reason::Reason;
use serde::{Deserialize, Serialize};

use crate::deployment::{AutoscalingConfig, AutoscalingContext, AutoscalingPolicy};

/// The rules by which a deployment scales.
pub(crate) struct Asked<'a> {
    pub(crate) application: &'a str,
    pub(crate) deployment: &'a str,
    /// The config, which has been checked.
    pub(crate) config: &'a AutoscalingConfig,
    pub(crate) policy: &'a dyn AutoscalingPolicy,
}

/// The observed state of a deployment at the time of a decision.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Observed {
    /// The number of replicas that take calls.
    pub(crate) running: usize,
    /// The number of calls that are running.
    pub(crate) ongoing: usize,
    /// The number of calls that are queued.
    pub(crate) queued: usize,
    /// The running and queued calls, aggregated over the look-back period.
    pub(crate) load: f64,
    /// True if the load was constant during that period, so that the passage of time alone does not
    /// change the number of replicas that it requires.
    pub(crate) steady: bool,
}

impl Observed {
    fn calls(&self) -> usize {
        self.ongoing + self.queued
    }
}

/// The state of a deployment's autoscaling between decisions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Scaling {
    target: usize,
    pending: Option<Pending>,
    scaled_up_at: Option<Duration>,
    scaled_down_at: Option<Duration>,
    log: DecisionLog,
}

/// A decision on the number of replicas.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Decision {
    /// The number of replicas to have.
    pub(crate) target: usize,
    pub(crate) reason: Reason,
    /// True if the decision was added to the log.
    pub(crate) logged: bool,
    /// The time of the next decision if nothing happens before, or `None` if the passage of time
    /// alone does not change the decision.
    pub(crate) again: Option<Duration>,
    /// True if the next call that starts or ends may change the decision at once, rather than at
    /// `again`.
    pub(crate) tell: bool,
}

impl Scaling {
    /// Creates the state of a deployment that starts with `target` replicas: see
    /// [`AutoscalingConfig::first_target`].
    pub(crate) fn new(target: usize) -> Self {
        let log = DecisionLog::default();
        Self { target, pending: None, scaled_up_at: None, scaled_down_at: None, log }
    }

    pub(crate) fn target(&self) -> usize {
        self.target
    }

    pub(crate) fn log(&self) -> &DecisionLog {
        &self.log
    }

    /// Applies a target. Returns `true` if an entry was added to the log: for another target, or
    /// for the failure of a policy, once for each kind of failure.
    fn scale(&mut self, target: usize, reason: &Reason, now: Duration) -> bool {
        match target.cmp(&self.target) {
            Ordering::Less => self.scaled_down_at = Some(now),
            Ordering::Greater => self.scaled_up_at = Some(now),
            Ordering::Equal if reason.is_failure() => {
                return self.log.push_once(now, target, reason.to_string());
            }
            Ordering::Equal => return false,
        }
        self.log.push(now, self.target, target, reason.to_string());
        self.target = target;
        true
    }
}

/// Decides how many replicas a deployment should have, and logs the decision.
///
/// Callers call this function at `again`, when the number of running replicas changes, and, after a
/// decision whose `tell` is true, when a call starts or ends.
pub(crate) fn decide(
    asked: &Asked<'_>,
    state: &mut Scaling,
    observed: &Observed,
    now: Duration,
) -> Decision {
    let config = asked.config;
    let (target, reason, due) = if observed.running == 0 && observed.calls() > 0 {
        state.pending = None;
        let wake = factors::to_count(config.upscaling_factor.ceil());
        let target = config.bounded(state.target.max(wake));
        (target, Reason::Woken { calls: observed.calls(), target }, None)
    } else {
        weigh(asked, state, observed, now)
    };
    let logged = state.scale(target, &reason, now);
    // A call that finds no replica must not wait until the load is weighed again.
    let asleep = observed.running == 0 && observed.calls() == 0;
    let tell = observed.steady || asleep;
    Decision { target, reason, logged, again: again(asked, observed, due, now), tell }
}

/// Returns the target, its reason, and the time at which a pending change is due, unless a call
/// waits and no replica runs.
fn weigh(
    asked: &Asked<'_>,
    state: &mut Scaling,
    observed: &Observed,
    now: Duration,
) -> (usize, Reason, Option<Duration>) {
    let config = asked.config;
    let in_bounds = config.bounded(state.target);
    if in_bounds != state.target {
        state.pending = None;
        return (in_bounds, Reason::Bounds { min: config.min_replicas, target: in_bounds }, None);
    }
    let context = context(asked, state, observed, now);
    let desired = match policy_call::desired_replicas(asked.policy, &context) {
        Ok(desired) => desired,
        Err(failure) => {
            state.pending = None;
            return (state.target, failure, None);
        }
    };
    let scaled = factors::scaled(
        desired,
        observed.running,
        config.upscaling_factor,
        config.downscaling_factor,
    );
    let least = i64::from(observed.calls() > 0);
    let wanted = usize::try_from(scaled.max(least)).unwrap_or(0);
    let bounded = config.bounded(wanted);
    let delayed = delay::delayed(config, &mut state.pending, bounded, state.target, now);
    let load = observed.load;
    let reason = if delayed.target != state.target {
        Reason::Scaled {
            load,
            from: state.target,
            target: delayed.target,
            lasted: delayed.lasted,
            bound: bound_met(config, wanted, delayed.target),
        }
    } else if let Some(due) = delayed.due {
        Reason::Waiting { load, wanted: bounded, target: state.target, left: due - now }
    } else {
        Reason::Settled { load, wanted, target: state.target }
    };
    (delayed.target, reason, delayed.due)
}

/// Returns the bound that limits a change, if one does.
fn bound_met(config: &AutoscalingConfig, wanted: usize, target: usize) -> Option<&'static str> {
    match wanted.cmp(&target) {
        Ordering::Greater if target == config.max_replicas => Some("max_replicas"),
        Ordering::Less if target == config.min_replicas => Some("min_replicas"),
        _ => None,
    }
}

fn context<'a>(
    asked: &Asked<'a>,
    state: &Scaling,
    observed: &Observed,
    now: Duration,
) -> AutoscalingContext<'a> {
    let since = |then: Option<Duration>| then.map(|then| now.saturating_sub(then));
    let mut context = AutoscalingContext::new(asked.config);
    context.application = asked.application;
    context.deployment = asked.deployment;
    context.running = observed.running;
    context.target = state.target;
    context.ongoing = observed.ongoing;
    context.queued = observed.queued;
    context.load = observed.load;
    context.now = now;
    context.since_scale_up = since(state.scaled_up_at);
    context.since_scale_down = since(state.scaled_down_at);
    context
}

/// Returns the time at which the passage of time alone may change the decision.
fn again(
    asked: &Asked<'_>,
    observed: &Observed,
    due: Option<Duration>,
    now: Duration,
) -> Option<Duration> {
    let next = (!observed.steady).then(|| now + period(asked.config));
    let asks = policy_call::every(asked.policy)
        .map(|every| now.saturating_add(every.max(SHORTEST_PERIOD)));
    [next, due, asks].into_iter().flatten().min()
}

/// Returns the time between decisions while the load changes: 1/64 of the look-back period, which
/// is 0.47 s with its default of 30 s. Ray Serve's loop runs every 0.1 s.
fn period(config: &AutoscalingConfig) -> Duration {
    (config.look_back_period / 64).clamp(SHORTEST_PERIOD, Duration::from_secs(1))
}

/// The lower bound of the time between decisions, so that neither a tiny look-back period nor a
/// policy keeps a core busy.
const SHORTEST_PERIOD: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deployment::TargetOngoingRequests;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn asked<'a>(config: &'a AutoscalingConfig, policy: &'a dyn AutoscalingPolicy) -> Asked<'a> {
        Asked { application: "app", deployment: "Model", config, policy }
    }

    fn idle(running: usize) -> Observed {
        Observed { running, ongoing: 0, queued: 0, load: 0.0, steady: true }
    }

    fn busy(running: usize, ongoing: usize) -> Observed {
        Observed { running, ongoing, queued: 0, load: ongoing as f64, steady: true }
    }

    fn at_once() -> AutoscalingConfig {
        AutoscalingConfig::auto().upscale_delay(seconds(0)).downscale_delay(seconds(0))
    }

    #[test]
    fn a_load_is_met_once_it_has_lasted_and_the_log_says_why() {
        let config = AutoscalingConfig::auto();
        let asked = asked(&config, &TargetOngoingRequests);
        let mut state = Scaling::new(1);
        let first = decide(&asked, &mut state, &busy(1, 7), seconds(100));
        assert_eq!(first.target, 1);
        assert_eq!(
            first.reason.to_string(),
            "a load of 7.00 asks for 4 replicas: 3 more in 30s if it lasts"
        );
        assert!(!first.logged && first.tell, "a call that ends may take the wish back");
        assert_eq!(first.again, Some(seconds(130)));
        let second = decide(&asked, &mut state, &busy(1, 7), seconds(130));
        assert_eq!(second.target, 4);
        let logged: Vec<_> = state.log().entries().collect();
        assert_eq!(logged.len(), 1);
        assert_eq!((logged[0].at, logged[0].from, logged[0].to), (seconds(130), 1, 4));
        assert_eq!(
            logged[0].reason,
            "a load of 7.00 has asked for more than 1 for 30s: 4 replicas now"
        );
    }

    #[test]
    fn the_first_call_of_a_sleeping_deployment_wakes_it_at_once() {
        let config = AutoscalingConfig::auto().min_replicas(0).upscaling_factor(1.5);
        let asked = asked(&config, &TargetOngoingRequests);
        let mut state = Scaling::new(0);
        assert_eq!(decide(&asked, &mut state, &idle(0), seconds(1)).target, 0);
        // The mean of the window is still 0, because the call has just begun.
        let first = Observed { queued: 1, ..idle(0) };
        let woken = decide(&asked, &mut state, &first, seconds(1));
        assert_eq!(woken.target, 2, "the upscaling factor, rounded up");
        // Further calls before a replica runs require nothing more.
        let more = Observed { queued: 9, load: 5.0, ..idle(0) };
        assert_eq!(decide(&asked, &mut state, &more, seconds(2)).target, 2);
    }

    #[test]
    fn an_idle_deployment_is_left_alone() {
        let config = AutoscalingConfig::auto();
        let asked = asked(&config, &TargetOngoingRequests);
        let mut state = Scaling::new(1);
        let decision = decide(&asked, &mut state, &idle(1), seconds(1));
        assert_eq!(decision.again, None);
        assert_eq!(decision.reason.to_string(), "a load of 0.00 asks for no more than 1 replica");
        let fading = Observed { load: 0.4, steady: false, ..idle(1) };
        let decision = decide(&asked, &mut state, &fading, seconds(2));
        assert_eq!((decision.again, decision.tell), (Some(seconds(2) + seconds(30) / 64), false));
    }

    #[test]
    fn no_deployment_goes_to_zero_while_a_call_runs() {
        let config = at_once().min_replicas(0);
        let asked = asked(&config, &TargetOngoingRequests);
        let mut state = Scaling::new(1);
        // The load that `aggregation = "min"` yields for calls that come and go.
        let running = Observed { ongoing: 1, ..idle(1) };
        assert_eq!(decide(&asked, &mut state, &running, seconds(1)).target, 1);
        assert_eq!(decide(&asked, &mut state, &idle(1), seconds(2)).target, 0);
    }

    #[test]
    fn many_replicas_go_to_one_before_they_go_to_zero() {
        let config = at_once().min_replicas(0).downscale_to_zero_delay(seconds(60));
        let asked = asked(&config, &TargetOngoingRequests);
        let mut state = Scaling::new(8);
        let mut targets = Vec::new();
        for second in [0, 1, 60, 61] {
            let running = idle(state.target());
            targets.push(decide(&asked, &mut state, &running, seconds(second)).target);
        }
        assert_eq!(targets, [1, 1, 1, 0]);
    }

    #[test]
    fn a_redeploy_keeps_what_the_load_asked_for_within_the_new_bounds() {
        let config = AutoscalingConfig::new().min_replicas(2).max_replicas(6).initial_replicas(3);
        for (before, target) in [(None, 3), (Some(5), 5), (Some(9), 6), (Some(0), 2)] {
            assert_eq!(config.first_target(before), target);
        }
        assert_eq!(AutoscalingConfig::new().min_replicas(0).first_target(None), 0);
    }

    #[test]
    fn new_bounds_hold_at_once() {
        let config = AutoscalingConfig::auto().min_replicas(5).max_replicas(6);
        let asked = asked(&config, &TargetOngoingRequests);
        for (before, after) in [(1, 5), (5, 5), (9, 6)] {
            let mut state = Scaling::new(before);
            assert_eq!(decide(&asked, &mut state, &busy(before, 11), seconds(1)).target, after);
        }
    }

    #[test]
    fn a_policy_of_ones_own_is_asked_and_its_answer_bounded() {
        for (answer, target) in
            [(3.2, 4), (-7.0, 1), (f64::INFINITY, 100), (f64::NEG_INFINITY, 1), (f64::NAN, 2)]
        {
            let config = at_once();
            let policy = move |context: &AutoscalingContext<'_>| {
                assert_eq!((context.deployment, context.running, context.target), ("Model", 2, 2));
                answer
            };
            let mut state = Scaling::new(2);
            let decision = decide(&asked(&config, &policy), &mut state, &busy(2, 3), seconds(1));
            assert_eq!(decision.target, target, "{answer}");
            assert!(decision.again.is_some(), "it may look at the clock");
        }
    }

    #[test]
    fn a_policy_that_fails_changes_nothing_and_the_log_says_so_once() {
        let config = at_once();
        let policy = |context: &AutoscalingContext<'_>| match context.now.as_secs() {
            0..5 => 3.0,
            5..9 => f64::NAN,
            9 => panic!("no answer from the broker"),
            _ => 4.0,
        };
        let asked = asked(&config, &policy);
        let mut state = Scaling::new(1);
        let mut logged = Vec::new();
        for second in 1..12 {
            let running = busy(state.target(), 1);
            let decision = decide(&asked, &mut state, &running, seconds(second));
            logged.push(decision.logged);
            assert!(decision.again.is_some(), "it is asked again");
        }
        let count = logged.iter().filter(|logged| **logged).count();
        let log: Vec<_> = state.log().entries().map(|entry| (entry.from, entry.to)).collect();
        assert_eq!((count, &log[..]), (4, &[(1, 3), (3, 3), (3, 3), (3, 4)][..]));
        let reasons: Vec<_> = state.log().entries().map(|entry| &entry.reason[..]).collect();
        assert_eq!(reasons[1], "the autoscaling policy answered NaN, which is not a number");
        assert_eq!(reasons[2], "the autoscaling policy panicked: no answer from the broker");
    }

    #[test]
    fn a_policy_may_ask_to_be_left_alone_for_ever_or_panic_over_it() {
        struct Odd(Option<Duration>);
        impl AutoscalingPolicy for Odd {
            fn desired_replicas(&self, _: &AutoscalingContext<'_>) -> f64 {
                1.0
            }
            fn ask_every(&self) -> Option<Duration> {
                Some(self.0.expect("a time"))
            }
        }
        let config = at_once();
        for (every, again) in [
            (Some(Duration::MAX), Duration::MAX),
            (Some(Duration::ZERO), seconds(9) + SHORTEST_PERIOD),
            (None, seconds(10)),
        ] {
            let decision =
                decide(&asked(&config, &Odd(every)), &mut Scaling::new(1), &idle(1), seconds(9));
            assert_eq!(decision.again, Some(again));
        }
    }

    #[test]
    fn a_policy_knows_how_long_ago_replicas_were_added() {
        let config = at_once();
        let policy = |context: &AutoscalingContext<'_>| match context.since_scale_up {
            Some(since) if since >= Duration::from_secs(5) => 3.0,
            _ => 2.0,
        };
        let asked = asked(&config, &policy);
        let mut state = Scaling::new(1);
        let targets = [1, 2, 6].map(|second| {
            let running = busy(state.target(), 1);
            decide(&asked, &mut state, &running, seconds(second)).target
        });
        assert_eq!(targets, [2, 2, 3]);
    }
}
