//! A whole day of autoscaling: real calls through a real deployment, on a virtual clock.
//!
//! `docs/autoscaling-day.svg` is drawn from what happens here, and compared with it. After
//! a change that is meant, `BLESS_PLOT=1 cargo test -p serve-core --test autoscaling_day`
//! draws it anew.
#![allow(unreachable_pub, reason = "a handle has the public methods, and a test no public face")]

mod plot;

use std::f64::consts::TAU;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng};
use serve_core::prelude::*;
use serve_core::{AutoscalingConfig, DeploymentDetails};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

const HOUR: u64 = 60 * 60;
const DAY: u64 = 24 * HOUR;
/// Replicas, with two calls wanted on each.
const BOUNDS: (usize, usize) = (2, 10);
/// Calls in flight at noon; none at midnight.
const AT_NOON: f64 = 24.0;

#[deployment(num_replicas = "auto", autoscaling(min_replicas = 2, max_replicas = 10), graceful_shutdown_timeout = "1m")]
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

    fn most(&self) -> usize {
        self.replicas.iter().map(|(_, replicas)| *replicas).max().unwrap()
    }

    fn see(&mut self, seen: &DeploymentDetails) {
        self.calls.push(seen.ongoing + seen.queued);
        let (min, max) = BOUNDS;
        let running = seen.replicas.len();
        assert!((min..=max).contains(&running), "{running} replicas at minute {}", self.calls.len());
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

/// Lets as many calls come as keep a sine of them in flight, each of about ten seconds.
async fn live_through(config: AutoscalingConfig, mut traffic: Traffic, seconds: u64) -> Result<Day> {
    const CALL: f64 = 20.0;
    let runtime = MockRuntime::builder().start();
    let model = runtime.run(Model::bind().autoscaling(config)).await?;
    let look = || runtime.status().applications["default"].deployments["Model"].clone();
    let midnight = Instant::now();
    let mut day = Day { replicas: vec![(0.0, look().target_num_replicas)], ..Day::default() };
    let mut calls = JoinSet::new();
    let (mut due, mut rate) = (0.0, 0.0);
    for second in 0..seconds {
        sleep_until(midnight + Duration::from_secs(second)).await;
        if second % 10 == 0 {
            let hour = second as f64 / DAY as f64;
            rate = traffic.around(AT_NOON / 2.0 * (1.0 - (hour * TAU).cos()) / CALL);
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

fn smooth() -> Traffic {
    Traffic { noise: SmallRng::seed_from_u64(0), spread: 0.0 }
}

fn noisy(seed: u64) -> Traffic {
    Traffic { noise: SmallRng::seed_from_u64(seed), spread: 0.5 }
}

/// The one of the deployment itself.
fn defaults() -> AutoscalingConfig {
    AutoscalingConfig::auto().min_replicas(BOUNDS.0).max_replicas(BOUNDS.1)
}

#[tokio::test(start_paused = true)]
async fn experiment() -> Result<()> {
    for (look_back, down, spread, seed) in [(300, 30, 0.3, 0)] {
        let config = defaults().look_back_period(Duration::from_secs(look_back)).downscale_delay(Duration::from_secs(60 * down));
        let t = Traffic { noise: SmallRng::seed_from_u64(seed), spread };
        let day = live_through(config, t, DAY).await?;
        for (at, n) in &day.replicas { println!("{:.2} {n}", at / 3600.0); }
        for at in (0..1440).step_by(10) { print!("{} ", day.calls[at]); }
    }
    println!("{:?}", live_through(defaults(), smooth(), DAY).await?.replicas);
    Ok(())
}
