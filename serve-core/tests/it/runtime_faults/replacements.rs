//! Replicas that are replaced because calls panic: they serve until their successors do.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::StreamExt;
use serve_core::prelude::*;
use serve_core::status::{DeploymentDetails, DeploymentStatus, ReplicaState};
use tokio::time::{Instant, sleep};

fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

fn me() -> String {
    replica_context().expect("a method runs on a replica").replica_id().to_owned()
}

/// Takes a minute to load, and panics where it is told to.
#[deployment(max_ongoing_requests = 10)]
struct Model {
    version: u32,
}

#[handle]
impl Model {
    async fn new(version: u32, loads: Arc<AtomicUsize>) -> Self {
        if loads.fetch_add(1, Ordering::SeqCst) > 0 {
            sleep(minutes(1)).await;
        }
        Self { version }
    }

    pub async fn work(&self, good: bool) -> (u32, String) {
        assert!(good, "bad input");
        (self.version, me())
    }

    #[blocking]
    pub fn compute(&self, good: bool) -> String {
        assert!(good, "bad input");
        me()
    }

    pub fn items(&self, good: bool) -> impl Stream<Item = String> + use<> {
        futures::stream::iter(0..3).map(move |item| {
            assert!(good || item < 2, "bad input");
            me()
        })
    }

    #[batch(max_batch_size = 1)]
    pub async fn batch(&self, good: Vec<bool>) -> Vec<String> {
        assert!(good[0], "bad input");
        vec![me()]
    }

    pub async fn rest(&self, seconds: u64) -> String {
        sleep(Duration::from_secs(seconds)).await;
        me()
    }
}

struct Test {
    runtime: MockRuntime,
    model: ModelHandle,
    loads: Arc<AtomicUsize>,
}

async fn test(change: impl FnOnce(Bound<Model>) -> Bound<Model>) -> Result<Test> {
    test_on(MockRuntime::builder().start(), change).await
}

async fn test_on(
    runtime: MockRuntime,
    change: impl FnOnce(Bound<Model>) -> Bound<Model>,
) -> Result<Test> {
    let loads = Arc::<AtomicUsize>::default();
    let model = runtime.run(change(Model::bind(1_u32, Arc::clone(&loads)))).await?;
    Ok(Test { runtime, model, loads })
}

impl Test {
    fn details(&self) -> DeploymentDetails {
        self.runtime.status().application("default").unwrap().deployment("Model").unwrap().clone()
    }

    fn running(&self) -> Vec<String> {
        let details = self.details();
        let running = details.replicas.iter().filter(|it| it.state == ReplicaState::Running);
        running.map(|replica| replica.replica_id.clone()).collect()
    }

    fn loads(&self) -> usize {
        self.loads.load(Ordering::SeqCst)
    }

    /// Three bad calls in a row on a deployment with one replica.
    async fn panic(&self) {
        for _ in 0..3 {
            let panicked = self.model.work(false).await;
            assert_eq!(panicked, Err(CallError::Panicked("bad input".to_owned())));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_only_replica_serves_until_the_next_one_has_loaded() -> Result<()> {
    let test = test(|model| model).await?;
    let before = test.running();
    test.panic().await;
    let long = test.model.rest(70_u64);
    let began = Instant::now();
    while test.running() == before {
        // At every moment.
        assert_eq!(test.model.work(true).await?.1, before[0]);
        sleep(Duration::from_secs(1)).await;
        assert!(began.elapsed() < minutes(2));
        if test.running() == before {
            let details = test.details();
            assert_eq!((details.status, details.replicas.len()), (DeploymentStatus::Unhealthy, 2));
            assert!(details.message.contains("3 calls in a row panicked"), "{}", details.message);
        }
    }
    assert!(began.elapsed() >= minutes(1));
    let (_, after) = test.model.work(true).await?;
    assert_eq!((test.running(), test.loads()), (vec![after.clone()], 2));
    assert_ne!(after, before[0]);
    assert_eq!(test.details().status, DeploymentStatus::Healthy);
    assert_eq!(long.await?, before[0], "what runs on the old one ends there");
    let dead = test.details().recent_dead_replicas;
    assert_eq!((dead.len(), &dead[0].replica_id), (1, &before[0]));
    assert!(dead[0].reason.contains("3 calls in a row panicked"));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn so_it_does_whatever_kind_of_method_panics() -> Result<()> {
    for kind in ["compute", "items", "batch"] {
        let test = test(|model| model).await?;
        let before = test.running();
        for _ in 0..3 {
            let panicked = match kind {
                "compute" => test.model.compute(false).await.is_err(),
                "items" => {
                    test.model.items(false).collect::<Vec<_>>().await.last().unwrap().is_err()
                }
                _ => test.model.batch(false).await.is_err(),
            };
            assert!(panicked, "{kind}");
        }
        sleep(Duration::from_secs(30)).await;
        assert_eq!(
            (test.model.compute(true).await?, test.loads()),
            (before[0].clone(), 2),
            "{kind}"
        );
        sleep(minutes(1)).await;
        assert_ne!(test.model.compute(true).await?, before[0], "{kind}");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn input_that_always_panics_starts_three_replicas_a_minute_at_most() -> Result<()> {
    let test = test(|model| model).await?;
    // A constructor that takes no time would be started for every three calls.
    let fast = test.runtime.run(Application::new(Fast::bind()).name("fast").route_prefix("/fast"));
    let fast = fast.await?;
    for minute in 0..10 {
        for _ in 0..60 {
            for _ in 0..3 {
                assert!(fast.work(false).await.is_err());
                assert!(test.model.work(false).await.is_err());
            }
            assert!(fast.work(true).await.is_ok() && test.model.work(true).await.is_ok());
            sleep(Duration::from_secs(1)).await;
        }
        let starts = FAST.load(Ordering::SeqCst);
        assert!(starts <= 4 + 3 * minute, "{starts} in minute {minute}");
        assert!(test.loads() <= 2 + minute, "one at a time: {}", test.loads());
    }
    assert!(FAST.load(Ordering::SeqCst) > 20, "but so many it starts");
    // Once the input is good, what is left to replace is replaced, and all is well.
    sleep(minutes(10)).await;
    assert_eq!(test.details().status, DeploymentStatus::Healthy);
    assert_eq!(test.running().len(), 1);
    Ok(())
}

static FAST: AtomicUsize = AtomicUsize::new(0);

#[deployment]
struct Fast;

#[handle]
impl Fast {
    fn new() -> Self {
        FAST.fetch_add(1, Ordering::SeqCst);
        Self
    }

    pub async fn work(&self, good: bool) {
        assert!(good, "bad input");
    }
}

#[tokio::test(start_paused = true)]
async fn of_several_that_panic_one_more_starts_at_a_time_and_all_serve() -> Result<()> {
    let test = test(|model| model.num_replicas(4)).await?;
    let before = test.running();
    assert_eq!(before.len(), 4);
    // Until each has panicked three times in a row.
    for _ in 0..200 {
        assert!(test.model.work(false).await.is_err());
    }
    let mut most = 0;
    for _ in 0..60 {
        sleep(Duration::from_secs(5)).await;
        let details = test.details();
        assert!(test.running().len() >= 4, "{details:?}");
        most = most.max(details.replicas.len());
        test.model.work(true).await?;
    }
    let after = test.running();
    assert!(
        after.len() == 4 && after.iter().all(|id| !before.contains(id)),
        "{before:?} {after:?}"
    );
    assert_eq!((most, test.loads()), (5, 8));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn without_room_for_two_the_old_one_makes_room() -> Result<()> {
    let runtime = MockRuntime::builder().num_cpus(1.0).start();
    let test = test_on(runtime, |model| model.num_cpus(1.0)).await?;
    let before = test.running();
    test.panic().await;
    let waiting = test.model.work(true);
    let began = Instant::now();
    let (_, after) = waiting.await?;
    sleep(minutes(2)).await;
    assert!(began.elapsed() < minutes(4) && test.running() != before, "{after}");
    assert_eq!((test.running().len(), test.details().status), (1, DeploymentStatus::Healthy));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn other_changes_meanwhile_end_as_they_would() -> Result<()> {
    // The replica dies, another version is run, the number changes, or it is deleted.
    for change in ["kill", "update", "scale", "delete", "shutdown"] {
        let test = test(|model| model).await?;
        let before = test.running();
        test.panic().await;
        sleep(Duration::from_secs(30)).await;
        let loads = Arc::clone(&test.loads);
        match change {
            "kill" => assert!(test.runtime.kill_replica::<Model>(0)),
            "update" => drop(test.runtime.run(Model::bind(2_u32, loads)).await?),
            "scale" => drop(test.runtime.run(Model::bind(1_u32, loads).num_replicas(3)).await?),
            "delete" => test.runtime.delete("default").await?,
            _ => test.runtime.shutdown().await,
        }
        if matches!(change, "delete" | "shutdown") {
            assert!(test.runtime.status().applications.is_empty());
            continue;
        }
        let (version, replica) = test.model.work(true).await?;
        assert_eq!(version, if change == "update" { 2 } else { 1 });
        sleep(minutes(3)).await;
        let (running, details) = (test.running(), test.details());
        assert_eq!(running.len(), if change == "scale" { 3 } else { 1 }, "{change}: {details:?}");
        assert_eq!(details.replicas.len(), running.len(), "{change}");
        assert!(!running.contains(&before[0]), "{change}: {replica} {before:?}");
        assert_eq!(details.status, DeploymentStatus::Healthy, "{change}");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_deployment_that_scales_to_zero_meanwhile_has_none() -> Result<()> {
    let scaling = AutoscalingConfig::default().min_replicas(0).max_replicas(2);
    let test = test(|model| model.autoscaling(scaling)).await?;
    let served = test.model.work(true).await?;
    test.panic().await;
    assert_eq!(test.model.work(true).await?.1, served.1);
    sleep(minutes(30)).await;
    let details = test.details();
    assert!(details.replicas.is_empty(), "{details:?}");
    assert_eq!(test.model.work(true).await?.0, 1);
    sleep(minutes(2)).await;
    assert_eq!(test.details().status, DeploymentStatus::Healthy);
    Ok(())
}
