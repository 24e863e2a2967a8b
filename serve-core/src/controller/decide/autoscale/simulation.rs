//! Simulated days of autoscaling, on a separate clock: properties that must hold for any load.

use std::f64::consts::TAU;
use std::time::Duration;

use super::{Asked, Observed, Scaling, decide};
use crate::deployment::{Aggregation, AutoscalingConfig, TargetOngoingRequests};
use crate::router::LoadWindow;

/// A moment of a simulated run.
#[derive(Clone, Copy, Debug)]
struct Moment {
    second: u64,
    target: usize,
}

/// Simulates `load(second)` calls in each second, on replicas that take `start` seconds to start.
/// Returns the first target and each change of the target.
fn simulate(
    config: &AutoscalingConfig,
    start: u64,
    length: u64,
    mut load: impl FnMut(u64) -> usize,
) -> Vec<Moment> {
    let asked =
        Asked { application: "app", deployment: "Model", config, policy: &TargetOngoingRequests };
    let mut state = Scaling::new(config.first_target(None));
    let mut window = LoadWindow::new(config.look_back_period);
    let mut running = state.target();
    // The time at which the requested replicas that do not run yet will run.
    let mut starting: Option<u64> = None;
    let mut changes = vec![Moment { second: 0, target: state.target() }];
    for second in 0..length {
        if starting.is_some_and(|at| at <= second) {
            running = state.target();
            starting = None;
        }
        let now = Duration::from_secs(second);
        let calls = load(second);
        window.record(now, calls);
        let ongoing = calls.min(running * 4);
        let load = window.aggregate(now, config.aggregation);
        let steady = window.is_steady(now);
        let observed = Observed { running, ongoing, queued: calls - ongoing, load, steady };
        let before = state.target();
        let target = decide(&asked, &mut state, &observed, now).target;
        assert!((config.min_replicas..=config.max_replicas).contains(&target), "{target}");
        if target > before {
            starting = Some(second + start);
        } else if target < before {
            running = running.min(target);
        }
        if target != before {
            changes.push(Moment { second, target });
        }
    }
    changes
}

/// Returns how often the target changed between rising and falling.
fn turns(changes: &[Moment]) -> usize {
    let rises: Vec<bool> = changes.windows(2).map(|two| two[1].target > two[0].target).collect();
    rises.windows(2).filter(|two| two[0] != two[1]).count()
}

fn highest(changes: &[Moment]) -> usize {
    changes.iter().map(|change| change.target).max().unwrap()
}

const DAY: u64 = 24 * 60 * 60;

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a small number that is not negative, and rounded"
)]
fn whole(calls: f64) -> usize {
    calls.round() as usize
}

/// Returns numbers that are evenly distributed over 0..1, and the same in every run.
fn noise(state: &mut u64) -> f64 {
    // Knuth's multiplier, as in MMIX.
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 40) as f64 / (1_u64 << 24) as f64
}

#[test]
fn a_day_is_followed_with_one_turn_for_each_of_its_own() {
    let config = AutoscalingConfig::auto().max_replicas(12);
    // Three days, each with one low and one high.
    let load = |second: u64| 10.0 - 10.0 * (second as f64 / DAY as f64 * TAU).cos();
    let changes = simulate(&config, 5, 3 * DAY, |second| whole(load(second)));
    assert_eq!(highest(&changes), 10, "20 calls at noon, 2 on each");
    assert_eq!(turns(&changes), 5, "up and down, three times: {changes:?}");
    assert_eq!(changes.last().unwrap().target, 1);
}

#[test]
fn a_noisy_day_is_followed_without_flapping() {
    let config = AutoscalingConfig::auto().max_replicas(12);
    let mut seed = 7;
    let load = |second: u64| 10.0 - 10.0 * (second as f64 / DAY as f64 * TAU).cos();
    let changes = simulate(&config, 5, 3 * DAY, |second| {
        whole((load(second) + 6.0 * (noise(&mut seed) - 0.5)).max(0.0))
    });
    assert_eq!(turns(&changes), 5, "{changes:?}");
}

#[test]
fn noise_around_a_threshold_does_not_flap() {
    let config = AutoscalingConfig::auto().initial_replicas(5);
    let mut seed = 11;
    // 10 calls require exactly 5 replicas, and 11 calls require 6.
    let changes = simulate(&config, 5, DAY, |_| if noise(&mut seed) < 0.5 { 9 } else { 11 });
    assert!(changes.len() <= 2 && turns(&changes) == 0, "{changes:?}");
    assert!((5..=6).contains(&highest(&changes)));
}

#[test]
fn a_step_is_met_within_the_window_and_the_delay_and_never_overshot() {
    let config = AutoscalingConfig::auto();
    let changes = simulate(&config, 5, 3600, |second| if second < 600 { 0 } else { 20 });
    let (first, last) = (changes[1], changes.last().unwrap());
    assert!((630..=640).contains(&first.second), "{changes:?}");
    assert_eq!(last.target, 10);
    assert!(last.second <= 600 + 30 + 30 + 5 + 30, "{changes:?}");
    assert_eq!((highest(&changes), turns(&changes)), (10, 0));
}

#[test]
fn a_step_down_waits_for_its_delay() {
    let config = AutoscalingConfig::auto().initial_replicas(10);
    let changes = simulate(&config, 5, 7200, |second| if second < 600 { 20 } else { 6 });
    assert!(changes[1].second >= 600 + 600, "{changes:?}");
    assert_eq!(changes.last().unwrap().target, 3);
    assert_eq!(turns(&changes), 0);
}

#[test]
fn a_burst_shorter_than_the_delay_starts_nothing() {
    // The window remembers a burst for its 30 s, so that together with the burst the load lasts
    // longer than the delay of 30 s; `min` forgets the burst at once.
    let config = AutoscalingConfig::auto().aggregation(Aggregation::Min);
    let burst = |second: u64| if (600..620).contains(&second) { 50 } else { 1 };
    assert_eq!(simulate(&config, 5, 3600, burst).len(), 1);
    let patient = AutoscalingConfig::auto().upscale_delay(Duration::from_secs(60));
    assert_eq!(simulate(&patient, 5, 3600, burst).len(), 1);
}

#[test]
fn an_idle_deployment_goes_to_zero_and_the_next_call_wakes_it_at_once() {
    let config =
        AutoscalingConfig::auto().min_replicas(0).downscale_to_zero_delay(Duration::from_secs(120));
    let load = |second: u64| match second {
        60..180 | 3000..3060 => 1,
        _ => 0,
    };
    let changes = simulate(&config, 5, 4000, load);
    let seen: Vec<_> = changes.iter().map(|change| (change.second, change.target)).collect();
    // The last trace of the call leaves the window 30 s after the call; then the delay follows.
    assert_eq!(seen, [(0, 0), (60, 1), (330, 0), (3000, 1), (3210, 0)]);
}

#[test]
fn factors_take_a_step_in_parts() {
    let soft = AutoscalingConfig::auto()
        .initial_replicas(16)
        .downscaling_factor(0.5)
        .downscale_delay(Duration::from_secs(60));
    let changes = simulate(&soft, 5, 3600, |_| 2);
    let targets: Vec<_> = changes.iter().map(|change| change.target).collect();
    assert_eq!(targets, [16, 9, 5, 3, 2, 1]);
}
