//! A whole day of autoscaling: real calls through a real deployment, on a virtual clock.
//!
//! `docs/autoscaling-day.svg` is drawn from what happens here, and compared with it. After
//! a change that is meant, `BLESS_PLOT=1 cargo test -p serve-core --test it autoscaling_day`
//! draws it anew.

mod plot;

use crate::support::cases::cases;
use crate::support::status::deployment;

use std::f64::consts::TAU;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng};
use serve_core::autoscaling::AutoscalingConfig;
use serve_core::prelude::*;
use serve_core::status::DeploymentDetails;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

const DAY: u64 = 24 * 60 * 60;
/// Replicas, with two calls wanted on each.
const BOUNDS: (usize, usize) = (2, 10);
/// Calls in flight at noon; none at midnight.
const AT_NOON: f64 = 24.0;

#[deployment(
    num_replicas = "auto",
    autoscaling(min_replicas = 2, max_replicas = 10),
    graceful_shutdown_timeout = "1m"
)]
#[derive(Default)]
struct Model;

#[handle]
impl Model {
    pub async fn work(&self, time: Duration) {
        sleep(time).await;
    }
}

/// What was seen of a day.
#[derive(Debug, Default)]
struct Day {
    /// Calls in flight, minute by minute.
    calls: Vec<usize>,
    /// When the number of replicas changed, in seconds, and to what. Begins with the first.
    replicas: Vec<(f64, usize)>,
}

impl Day {
    /// How often the number of replicas turned from rising to falling or back.
    fn turns(&self) -> usize {
        let rises: Vec<bool> = self.replicas.windows(2).map(|two| two[1].1 > two[0].1).collect();
        rises.windows(2).filter(|two| two[0] != two[1]).count()
    }

    fn see(&mut self, seen: &DeploymentDetails) {
        self.calls.push(seen.ongoing + seen.queued);
        let (min, max) = BOUNDS;
        let running = seen.replicas.len();
        assert!(
            (min..=max).contains(&running),
            "{running} replicas at minute {}",
            self.calls.len()
        );
        let last = self.replicas.last().map_or(0.0, |(at, _)| *at);
        for decision in &seen.autoscaling_decisions {
            let at = decision.at.as_secs_f64();
            if at > last {
                assert!((min..=max).contains(&decision.to), "{decision:?}");
                assert_ne!(decision.from, decision.to);
                self.replicas.push((at, decision.to));
            }
        }
    }
}

/// How the calls of a day come.
struct Traffic {
    noise: SmallRng,
    /// How far a rate or a duration may be from its mean, as a part of it.
    spread: f64,
}

impl Traffic {
    fn around(&mut self, mean: f64) -> f64 {
        mean * (1.0 + self.spread * self.noise.random_range(-1.0..1.0))
    }
}

/// Lets as many calls come as keep a sine of them in flight, each of about twenty seconds.
async fn live_through(config: AutoscalingConfig, mut traffic: Traffic) -> Result<Day> {
    const CALL: f64 = 20.0;
    let runtime = MockRuntime::builder().start();
    let model = runtime.run(Model::bind().autoscaling(config)).await?;
    let look = || deployment(&runtime, "Model");
    let midnight = Instant::now();
    let mut day = Day { replicas: vec![(0.0, look().target_num_replicas)], ..Day::default() };
    let mut calls = JoinSet::new();
    let (mut due, mut rate) = (0.0, 0.0);
    for second in 0..DAY {
        sleep_until(midnight + Duration::from_secs(second)).await;
        if second % 10 == 0 {
            let time_of_day = second as f64 / DAY as f64;
            rate = traffic.around(AT_NOON / 2.0 * (1.0 - (time_of_day * TAU).cos()) / CALL);
        }
        due += rate;
        while due >= 1.0 {
            due -= 1.0;
            let time = traffic.around(CALL);
            calls.spawn(model.work(Duration::from_secs_f64(time)));
        }
        while let Some(ended) = calls.try_join_next() {
            ended?.expect("no call fails while replicas come and go");
        }
        if second % 60 == 0 {
            day.see(&look());
        }
    }
    Ok(day)
}

/// The options of the deployment itself: its bounds, and the defaults.
fn as_declared() -> AutoscalingConfig {
    let (min, max) = BOUNDS;
    AutoscalingConfig::auto().min_replicas(min).max_replicas(max)
}

async fn smooth_day() -> Result<Day> {
    let traffic = Traffic { noise: SmallRng::seed_from_u64(0), spread: 0.0 };
    live_through(as_declared(), traffic).await
}

/// Rates, each for ten seconds, and durations are up to 30 % off; so it is looked at for
/// longer.
async fn noisy_day(seed: u64) -> Result<Day> {
    let patient = as_declared()
        .look_back_period(Duration::from_secs(5 * 60))
        .upscale_delay(Duration::from_secs(10 * 60));
    let traffic = Traffic { noise: SmallRng::seed_from_u64(seed), spread: 0.3 };
    live_through(patient, traffic).await
}

/// The load turns once, at noon, and wants less than the least and more than the most.
#[expect(clippy::print_stdout, reason = "the series, for who asks for it by --nocapture")]
fn is_followed(day: &Day) {
    let (min, max) = BOUNDS;
    let counts = || day.replicas.iter().map(|(_, replicas)| *replicas);
    for (at, replicas) in &day.replicas {
        println!("{:5.2} h: {replicas} replicas", at / 3_600.0);
    }
    assert_eq!(day.turns(), 1);
    assert_eq!(
        (counts().next(), counts().max(), counts().next_back()),
        (Some(min), Some(max), Some(min))
    );
    let step = counts().zip(counts().skip(1)).map(|(from, to)| from.abs_diff(to)).max();
    assert!(step <= Some(2), "no jumps where the load has none");
}

#[tokio::test(start_paused = true)]
async fn replicas_follow_a_day_as_in_the_guide() -> Result<()> {
    let (smooth, noisy) = (smooth_day().await?, noisy_day(1).await?);
    is_followed(&smooth);
    is_followed(&noisy);
    let drawn = plot::draw(&[
        ("A smooth day, with the default delays", &smooth),
        ("A noisy day: look_back_period 5m, upscale_delay 10m", &noisy),
    ]);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/autoscaling-day.svg");
    if std::env::var_os("BLESS_PLOT").is_some() {
        std::fs::write(path, &drawn)?;
    }
    assert!(
        std::fs::read_to_string(path)? == drawn,
        "docs/autoscaling-day.svg shows another day than this: if that is meant, draw it anew \
         with BLESS_PLOT=1"
    );
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn noise_does_not_reverse_scaling() -> Result<()> {
    for seed in (2..=4).take(cases(1) as usize) {
        is_followed(&noisy_day(seed).await?);
    }
    Ok(())
}
