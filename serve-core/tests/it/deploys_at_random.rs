//! Random deploys, scaling to zero, config changes, deaths and failing versions at the same time:
//! every deploy ends, the newest good version and config run everywhere, and no call is lost.

use crate::support::cases::cases;
use crate::support::clocks::A_DAY;
use crate::support::runtimes::paused;

use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, Ordering};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serve_core::DeployError;
use serve_core::autoscaling::AutoscalingConfig;
use serve_core::prelude::*;
use serve_core::status::{ApplicationStatus, ReplicaState};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

const SEEDS: u32 = 100;

/// A version of the deployment and its behaviour.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Version {
    number: u32,
    starts: bool,
    start: Duration,
}

/// A user config of the deployment, and how the deployment takes it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Config {
    number: u32,
    taken: bool,
    takes: Duration,
}

#[deployment]
struct Model {
    version: Version,
    config: parking_lot::Mutex<Option<u32>>,
    alive: Arc<AtomicIsize>,
}

impl Drop for Model {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::SeqCst);
    }
}

#[handle]
impl Model {
    async fn new(version: Version, alive: Arc<AtomicIsize>) -> Result<Self, String> {
        sleep(version.start).await;
        if !version.starts {
            return Err("it never starts".to_owned());
        }
        alive.fetch_add(1, Ordering::SeqCst);
        Ok(Self { version, config: parking_lot::Mutex::new(None), alive })
    }

    /// The version and the config of the replica that serves.
    pub async fn serve(&self, work: Duration) -> (u32, Option<u32>) {
        sleep(work).await;
        (self.version.number, *self.config.lock())
    }

    #[reconfigure]
    async fn configure(&self, config: Config) -> Result<(), String> {
        sleep(config.takes).await;
        if !config.taken {
            return Err("it is never taken".to_owned());
        }
        *self.config.lock() = Some(config.number);
        Ok(())
    }
}

/// A deploy that was requested.
struct Deploy {
    version: Version,
    config: Config,
    ended: JoinHandle<Result<ModelHandle, DeployError>>,
}

impl Deploy {
    fn is_good(&self) -> bool {
        self.version.starts && self.config.taken
    }
}

fn time(random: &mut SmallRng, most: u64) -> Duration {
    Duration::from_millis(random.random_range(0..=most))
}

/// A version to deploy: the one before, perhaps, with another config or other options.
fn deploy(
    runtime: &MockRuntime,
    random: &mut SmallRng,
    before: Option<&Deploy>,
    number: u32,
    alive: &Arc<AtomicIsize>,
) -> Deploy {
    let fails = random.random_ratio(1, 4);
    let mut version =
        Version { number, starts: !(fails && random.random()), start: time(random, 20_000) };
    let mut config =
        Config { number, taken: !fails || !version.starts, takes: time(random, 20_000) };
    if let Some(before) = before.filter(|before| before.is_good()) {
        match random.random_range(0..3) {
            0 if version.starts => version = before.version,
            1 if config.taken => config = before.config,
            _ => {}
        }
    }
    let bound = Model::bind(version, Arc::clone(alive)).user_config(config);
    let good = version.starts && config.taken;
    let bound = match random.random_range(0..3) {
        // Nothing tries what is deployed with no replica, so it would be no failure.
        0 if good => bound.autoscaling(
            AutoscalingConfig::new()
                .min_replicas(0)
                .max_replicas(3)
                .initial_replicas(random.random_range(0..=2))
                .upscale_delay(time(random, 5_000))
                .downscale_delay(time(random, 40_000))
                .look_back_period(Duration::from_secs(1) + time(random, 10_000)),
        ),
        _ => bound.num_replicas(random.random_range(1..=4)),
    };
    let bound = bound.rolling_update_percentage([0.2, 0.5, 1.0][random.random_range(0..3)]);
    let bound = bound.max_surge_percent([0.0, 0.0, 50.0][random.random_range(0..3)]);
    let bound = bound.max_ongoing_requests(random.random_range(1..=3));
    let bound = bound.graceful_shutdown_timeout(Duration::from_secs(60));
    let runtime = (**runtime).clone();
    let ended = tokio::spawn(async move { runtime.run(bound).await });
    Deploy { version, config, ended }
}

async fn scenario(seed: u64) {
    let random = &mut SmallRng::seed_from_u64(seed);
    let runtime = MockRuntime::builder().seed(seed).start();
    let alive = Arc::<AtomicIsize>::default();
    let mut deploys: Vec<Deploy> = Vec::new();
    let mut calls = Vec::new();
    let (mut killed, mut has_run) = (false, false);
    for number in 0..random.random_range(4..16) {
        let status = runtime.status().application("default").map(|it| it.status);
        has_run |= status == Some(ApplicationStatus::Running);
        match random.random_range(0..10) {
            0..4 => {
                let next = deploy(&runtime, random, deploys.last(), number, &alive);
                deploys.push(next);
            }
            4..6 => {
                killed |= runtime.kill_replica::<Model>(random.random_range(0..4));
            }
            _ => {
                if let Ok(handle) = runtime.get_app_handle::<Model>("default") {
                    let made = (0..random.random_range(1..8))
                        .map(|_| (handle.serve(time(random, 30_000)), has_run));
                    calls.extend(made);
                }
            }
        }
        // Now and then long enough for it to scale to zero.
        let pause = if random.random() { time(random, 3_000) } else { time(random, 120_000) };
        sleep(pause).await;
    }
    let mut newest_good = None;
    for Deploy { version, config, ended } in &mut deploys {
        let ended = timeout(A_DAY, ended).await.expect("a deploy ends").expect("it does not panic");
        let good = version.starts && config.taken;
        match ended {
            Ok(_) => newest_good = Some((version.number, config.number, good)),
            Err(DeployError::Superseded(_)) => {}
            Err(error) => assert!(!good, "{version:?} and {config:?} are good: {error}"),
        }
    }
    for (call, had_run) in calls {
        match timeout(A_DAY, call).await.expect("a call ends") {
            Ok(_) => {}
            Err(error) if killed && error.may_have_run() => {}
            // It was made before a version ever ran, and the first one failed.
            Err(error) => assert!(!had_run && !error.may_have_run(), "a call is lost: {error}"),
        }
    }
    if let Some((version, config, good)) = newest_good {
        // A deploy that gave way to a good one returns the handle of that one.
        let handle = runtime.get_app_handle::<Model>("default").expect("it runs");
        for _ in 0..2 {
            // A deploy that failed goes back in the background.
            sleep(Duration::from_secs(1_000)).await;
            for served in
                futures::future::join_all((0..9).map(|_| handle.serve(Duration::ZERO))).await
            {
                let (number, configured) = served.expect("it serves");
                if good {
                    assert_eq!((number, configured), (version, Some(config)));
                }
            }
        }
        let status = runtime.status();
        let replicas =
            &status.application("default").expect("it runs").deployments["Model"].replicas;
        assert!(
            replicas.iter().all(|replica| replica.state == ReplicaState::Running),
            "{replicas:?}"
        );
        assert_eq!(alive.load(Ordering::SeqCst), replicas.len().cast_signed());
    }
    runtime.shutdown().await;
    assert_eq!(alive.load(Ordering::SeqCst), 0, "no instance is left");
}

#[test]
fn random_deploys_end_and_lose_no_call() {
    for seed in 0..u64::from(cases(SEEDS)) {
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            paused().block_on(scenario(seed));
        }));
        assert!(ended.is_ok(), "with seed {seed}");
    }
}
