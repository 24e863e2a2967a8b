//! Deploys end: `run` returns while replicas scale, die, are refused or do not fit, and the newest
//! good version and config run everywhere.

use crate::support::clocks::{A_DAY, seconds};
use crate::support::status::{application, deployment, running_ids};

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serve_core::DeployError;
use serve_core::autoscaling::AutoscalingConfig;
use serve_core::prelude::*;
use serve_core::status::{ApplicationDetails, ApplicationStatus};
use tokio::time::{Instant, sleep, timeout};

#[deployment]
struct Model {
    version: u32,
    threshold: AtomicUsize,
}

#[handle]
impl Model {
    async fn new(version: u32, load: Duration) -> Self {
        sleep(load).await;
        Self { version, threshold: AtomicUsize::new(0) }
    }

    pub async fn version(&self) -> u32 {
        self.version
    }

    pub async fn threshold(&self) -> usize {
        sleep(Duration::from_millis(1)).await;
        self.threshold.load(Ordering::SeqCst)
    }

    #[reconfigure]
    async fn configure(&self, threshold: usize) -> Result<(), String> {
        sleep(seconds(20)).await;
        if threshold == usize::MAX {
            return Err("too high".to_owned());
        }
        self.threshold.store(threshold, Ordering::SeqCst);
        Ok(())
    }
}

/// Runs an application, and fails the test if that does not end.
async fn run<A: IntoApplication<Deployment = Model>>(
    runtime: &MockRuntime,
    application: A,
) -> Result<ModelHandle, DeployError> {
    timeout(A_DAY, runtime.run(application)).await.expect("a deploy ends")
}

#[tokio::test(start_paused = true)]
async fn updates_end_while_scaling_to_zero() -> Result<()> {
    let config = AutoscalingConfig::auto().min_replicas(0).downscale_delay(seconds(600));
    for moment in (0..=720).step_by(10) {
        let runtime = MockRuntime::builder().start();
        let model = |version: u32| Model::bind(version, seconds(60)).autoscaling(config.clone());
        let handle = run(&runtime, model(1)).await?;
        // One replica starts for the call, and goes when it was idle for long enough.
        assert_eq!(handle.version().await?, 1);
        sleep(seconds(moment)).await;
        let again = run(&runtime, model(2)).await?;
        assert_eq!(again.version().await?, 2, "updated after {moment} s");
        assert_eq!(handle.version().await?, 2);
        assert_eq!(application(&runtime).status, ApplicationStatus::Running);
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_dying_replica_does_not_refuse_a_config() -> Result<()> {
    for moment in 0..25 {
        for dead in 0..3 {
            let runtime = MockRuntime::builder().start();
            let model = || Model::bind(1, Duration::ZERO).num_replicas(3);
            run(&runtime, model().user_config(1)).await?;
            let update = run(&runtime, model().user_config(2));
            let death = async {
                sleep(seconds(moment)).await;
                runtime.kill_replica::<Model>(dead)
            };
            let (handle, _) = futures::join!(update, death);
            let handle = handle?;
            sleep(seconds(100)).await;
            assert_eq!(application(&runtime).status, ApplicationStatus::Running);
            for _ in 0..12 {
                assert_eq!(handle.threshold().await?, 2, "{dead} died after {moment} s");
            }
            assert_eq!(running_ids(&runtime, "Model").len(), 3);
        }
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_downscaled_replica_does_not_refuse_a_config() -> Result<()> {
    for moment in 0..25 {
        let runtime = MockRuntime::builder().start();
        let config = AutoscalingConfig::new().min_replicas(1).max_replicas(4).initial_replicas(4);
        let config = config.downscale_delay(seconds(30)).look_back_period(seconds(1));
        let model = || Model::bind(1, Duration::ZERO).autoscaling(config.clone());
        run(&runtime, model().user_config(1)).await?;
        sleep(seconds(5 + moment)).await;
        let handle = run(&runtime, model().user_config(2)).await?;
        sleep(seconds(600)).await;
        assert_eq!((handle.threshold().await?, running_ids(&runtime, "Model").len()), (2, 1));
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_bad_config_is_refused_although_a_replica_dies() -> Result<()> {
    for moment in 0..25 {
        let runtime = MockRuntime::builder().start();
        let model = || Model::bind(1, Duration::ZERO).num_replicas(3);
        let handle = run(&runtime, model().user_config(1)).await?;
        let death = async {
            sleep(seconds(moment)).await;
            runtime.kill_replica::<Model>(1)
        };
        let (refused, _) = futures::join!(run(&runtime, model().user_config(usize::MAX)), death);
        let refused = refused.map(drop).expect_err("it is too high");
        assert!(refused.to_string().contains("too high"), "{refused}");
        sleep(A_DAY).await;
        for _ in 0..12 {
            assert_eq!(handle.threshold().await?, 1);
        }
        assert_eq!(running_ids(&runtime, "Model").len(), 3);
    }
    Ok(())
}

/// Its first `good` constructors work, all others fail until they are `mended`.
#[deployment]
struct Picky;

#[derive(Clone, Default)]
struct Births {
    good: usize,
    tries: Arc<AtomicUsize>,
    mended: Arc<AtomicUsize>,
}

#[handle]
impl Picky {
    fn new(births: Births) -> Result<Self, String> {
        let earlier = births.tries.fetch_add(1, Ordering::SeqCst);
        let works = earlier < births.good || births.mended.load(Ordering::SeqCst) > 0;
        works.then_some(Self).ok_or_else(|| "there is no licence left".to_owned())
    }

    pub async fn pick(&self) -> usize {
        1
    }
}

#[tokio::test(start_paused = true)]
async fn a_partial_first_deploy_fails_and_serves() -> Result<()> {
    for good in 1..4 {
        let runtime = MockRuntime::builder().start();
        let births = Births { good, ..Births::default() };
        let bound = Picky::bind(births.clone()).num_replicas(4);
        let failed = timeout(A_DAY, runtime.run(bound)).await.expect("a deploy ends");
        let failed = failed.map(drop).expect_err("three replicas do not start");
        assert!(failed.to_string().contains("there is no licence left"), "{failed}");
        assert_eq!(births.tries.load(Ordering::SeqCst), good + 12, "three for each replica");
        let details = application(&runtime);
        assert_eq!(details.status, ApplicationStatus::DeployFailed);
        assert!(details.message.contains("there is no licence left"), "{}", details.message);
        let message = deployment(&runtime, "Picky").message;
        assert!(message.contains("there is no licence left"), "{message}");

        let handle = runtime.get_app_handle::<Picky>("default")?;
        assert_eq!((handle.pick().await?, running_ids(&runtime, "Picky").len()), (1, good));
        // The others are tried again, ever more slowly.
        births.mended.store(1, Ordering::SeqCst);
        sleep(seconds(64)).await;
        assert_eq!(running_ids(&runtime, "Picky").len(), 4);
        assert!(runtime.kill_replica::<Picky>(0));
        assert_eq!(handle.pick().await?, 1);
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_partial_update_fails_and_rolls_back() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let old = Births { good: usize::MAX, ..Births::default() };
    let handle = runtime.run(Picky::bind(old).num_replicas(4)).await?;
    let births = Births { good: 2, ..Births::default() };
    let update = runtime.run(Picky::bind(births.clone()).num_replicas(4));
    let failed = timeout(A_DAY, update).await.expect("a deploy ends").map(drop);
    assert!(matches!(failed, Err(DeployError::Constructor { .. })), "{failed:?}");
    sleep(seconds(100)).await;
    assert_eq!((handle.pick().await?, running_ids(&runtime, "Picky").len()), (1, 4));
    assert_eq!(application(&runtime).status, ApplicationStatus::DeployFailed);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn impossible_resources_are_refused_at_once() -> Result<()> {
    let runtime =
        MockRuntime::builder().num_cpus(2.0).num_gpus(1).memory(1_000).resource("tpu", 2.0).start();
    let model = |version: u32| Model::bind(version, Duration::ZERO);
    let handle = run(&runtime, model(1).num_cpus(1.0)).await?;
    let began = Instant::now();
    let rows: [(Bound<Model>, &str); 7] = [
        (model(2).num_cpus(8.0), "it needs 8 CPUs, and the node has 2"),
        (model(2).num_gpus(2.0), "it needs 2 GPUs, and the node has 1"),
        (model(2).memory(1_001), "it needs 1001 bytes of memory, and the node has 1000"),
        (model(2).resource("tpu", 3.0), "it needs 3 `tpu`, and the node has 2"),
        (model(2).num_cpus(1.0).num_replicas(3), "3 replicas of it need 3 CPUs"),
        (model(2).num_gpus(0.6).num_replicas(2), "2 replicas of it need"),
        (model(2).max_replicas_per_node(1).num_replicas(2), "`max_replicas_per_node` is 1"),
    ];
    for (bound, reason) in rows {
        let refused = run(&runtime, bound).await.map(drop).expect_err(reason).to_string();
        assert!(refused.contains(reason) && refused.contains("`Model`"), "{refused}");
        assert!(refused.contains("lower its") || refused.contains("raise it"), "{refused}");
    }
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!(handle.version().await?, 1);
    assert_eq!(application(&runtime).status, ApplicationStatus::Running);

    // What others may give back is waited for.
    let second = Application::new(model(3).num_cpus(2.0)).name("second").without_route();
    let (second, deleted) = futures::join!(runtime.run(second), async {
        runtime.wait_for("second", ApplicationStatus::Deploying).await;
        sleep(seconds(60)).await;
        runtime.delete("default").await
    });
    deleted?;
    assert_eq!(second?.version().await?, 3);
    // No more replicas than at first are needed for a deploy to end.
    let config = AutoscalingConfig::new().min_replicas(1).max_replicas(100);
    let scaled = model(4).num_cpus(1.0).autoscaling(config);
    runtime.delete("second").await?;
    assert_eq!(run(&runtime, scaled).await?.version().await?, 4);
    Ok(())
}

#[deployment]
struct Caller {
    model: ModelHandle,
}

#[handle]
impl Caller {
    fn new(model: ModelHandle) -> Self {
        Self { model }
    }

    pub async fn ask(&self) -> Result<u32> {
        Ok(self.model.version().await?)
    }
}

#[tokio::test(start_paused = true)]
async fn handles_find_a_redeployed_application() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let model = |version: u32| Model::bind(version, Duration::ZERO);
    let first = run(&runtime, model(1)).await?;
    // An application that was given a handle of another one.
    let caller = |model: &ModelHandle| {
        Application::new(Caller::bind(model.clone())).name("caller").without_route()
    };
    let asks = runtime.run(caller(&first)).await?;
    for version in 2..6 {
        runtime.delete("default").await?;
        let gone = first.version().await.expect_err("it was deleted");
        assert!(gone.is_retryable() && !gone.may_have_run(), "{gone}");
        let again = run(&runtime, model(version)).await?;
        assert_eq!((first.version().await?, again.version().await?), (version, version));
        assert_eq!(asks.ask().await?, version);
        // The same again with the new handle: nothing has changed.
        let same = runtime.run(caller(&again)).await?;
        assert_eq!(same.ask().await?, version);
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn handles_find_a_deployment_added_back() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let model = |version: u32| Model::bind(version, Duration::ZERO);
    let with = |version: u32| Application::new(Caller::bind(model(version)));
    runtime.run(with(1)).await?;
    let handle = runtime.get_deployment_handle::<Model>("default", "Model")?;
    for version in 2..6 {
        // It is on its way out when it comes back.
        let long = handle.threshold();
        run(&runtime, model(100).name("other")).await?;
        runtime.run(with(version)).await?;
        assert_eq!(handle.version().await?, version);
        assert_eq!(long.await?, 0);
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn another_type_under_a_name_is_another_deployment() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let handle = run(&runtime, Model::bind(1, Duration::ZERO).name("it")).await?;
    runtime.delete("default").await?;
    let births = Births { good: usize::MAX, ..Births::default() };
    let other = runtime.run(Picky::bind(births).name("it")).await?;
    assert_eq!(other.pick().await?, 1);
    assert!(handle.version().await.is_err());
    runtime.delete("default").await?;
    run(&runtime, Model::bind(2, Duration::ZERO).name("it")).await?;
    assert_eq!(handle.version().await?, 2);
    assert!(other.pick().await.is_err());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn statuses_can_be_looked_up_and_awaited() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    assert_eq!(runtime.status().application("default"), None);
    let statuses = async {
        runtime.wait_for("default", ApplicationStatus::Deploying).await;
        assert_eq!(application(&runtime).deployment("none"), None);
        assert_eq!(application(&runtime).status, ApplicationStatus::Deploying);
        runtime.wait_for("default", ApplicationStatus::Running).await;
        assert_eq!(application(&runtime).status, ApplicationStatus::Running);
        assert!(runtime.kill_replica::<Model>(0));
        runtime.wait_for("default", ApplicationStatus::Unhealthy).await;
        runtime.wait_for("default", ApplicationStatus::Running).await;
        let deletion = runtime.delete("default");
        let (deleted, ()) =
            futures::join!(deletion, runtime.wait_for("default", ApplicationStatus::NotStarted));
        assert_eq!(runtime.status().application("default"), None);
        deleted
    };
    let (handle, deleted) =
        futures::join!(run(&runtime, Model::bind(1, seconds(60))), timeout(A_DAY, statuses));
    handle?;
    deleted.expect("each status comes")?;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn status_names_what_a_deploy_waits_for() -> Result<()> {
    let runtime = MockRuntime::builder().num_cpus(2.0).start();
    let model = |version: u32| Model::bind(version, seconds(60)).num_cpus(1.0).num_replicas(2);
    let named =
        |name: &str, bound: Bound<Model>| Application::new(bound).name(name).without_route();
    let message =
        |name: &str| runtime.status().application(name).expect("it is there").message.clone();
    let first = runtime.run(named("first", model(1)));
    let (first, ()) = futures::join!(first, async {
        sleep(seconds(1)).await;
        assert_eq!(message("first"), "waits for 2 replicas of `Model` to start");
    });
    first?;
    assert_eq!(message("first"), "");

    let second = runtime.run(named("second", model(2)));
    let (second, ()) = futures::join!(second, async {
        sleep(seconds(1)).await;
        let no_room =
            "waits for room for 2 replicas of `Model`: it needs 1 CPU, and 0 of 2 are free";
        assert_eq!(message("second"), no_room);
        runtime.delete("first").await.expect("it is there");
    });
    second?;

    let update = runtime.run(named("second", model(2).user_config(3)));
    let (update, ()) = futures::join!(update, async {
        sleep(seconds(1)).await;
        assert_eq!(message("second"), "waits for 2 replicas of `Model` to take the user config");
    });
    update?;
    runtime.delete("second").await?;

    let failing = runtime.run(Picky::bind(Births::default()).num_replicas(2));
    let (failed, ()) = futures::join!(failing, async {
        sleep(Duration::from_millis(50)).await;
        let paused = "waits for the pause before 2 replicas of `Picky` start again (the last attempt \
                      failed: there is no licence left)";
        assert_eq!(message("default"), paused);
    });
    assert!(failed.is_err());

    // A status is data: it is read as it was written.
    let status = runtime.status();
    let written = serde_json::to_string(&status)?;
    assert_eq!(serde_json::from_str::<serve_core::status::Status>(&written)?, status);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_superseded_config_is_not_served() -> Result<()> {
    for moment in 1..20 {
        let runtime = MockRuntime::builder().start();
        let model = |config: usize| Model::bind(1, Duration::ZERO).user_config(config);
        let handle = run(&runtime, model(1)).await?;
        let newer = async {
            sleep(seconds(moment)).await;
            run(&runtime, model(1)).await.map(drop)?;
            for _ in 0..100 {
                assert_eq!(handle.threshold().await, Ok(1), "after {moment} s");
                sleep(seconds(1)).await;
            }
            Ok::<(), DeployError>(())
        };
        let (older, newer) = futures::join!(run(&runtime, model(2)), newer);
        newer?;
        older?;
    }
    Ok(())
}

/// Takes a while to stop.
#[deployment(graceful_shutdown_timeout = "60s")]
struct Stubborn(u32);

#[handle]
impl Stubborn {
    fn new(version: u32) -> Self {
        Self(version)
    }

    pub async fn version(&self) -> u32 {
        self.0
    }

    #[shutdown]
    async fn stop(&self) {
        sleep(seconds(30)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn deploys_during_a_deletion_end_with_the_newest() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    runtime.run(Stubborn::bind(1)).await?;
    let at = async |moment: u64, version: u32| {
        sleep(seconds(moment)).await;
        let began = Instant::now();
        let handle = runtime.run(Stubborn::bind(version)).await.expect("it runs");
        assert!(began.elapsed() > seconds(10), "it waits for the deletion");
        assert_eq!(handle.version().await, Ok(3));
    };
    let look = async {
        sleep(seconds(15)).await;
        let ApplicationDetails { status, message, .. } = application(&runtime);
        assert_eq!(
            (status, &*message),
            (ApplicationStatus::Deleting, "waits for `Stubborn` to stop")
        );
    };
    let (deleted, (), (), ()) =
        futures::join!(runtime.delete("default"), at(5, 2), at(10, 3), look);
    deleted?;
    assert_eq!(application(&runtime).status, ApplicationStatus::Running);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_deletion_wins_over_earlier_deploys() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    runtime.run(Stubborn::bind(1)).await?;
    let again = async {
        sleep(seconds(5)).await;
        runtime.run(Stubborn::bind(2)).await.map(drop)
    };
    let last = async {
        sleep(seconds(10)).await;
        runtime.delete("default").await
    };
    let (first, again, last) = futures::join!(runtime.delete("default"), again, last);
    first?;
    last?;
    assert!(matches!(again, Err(DeployError::Deleted(_))), "{again:?}");
    sleep(seconds(100)).await;
    assert!(runtime.status().applications.is_empty());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn arguments_are_dropped_with_their_deployment() -> Result<()> {
    /// Serde cannot write it.
    #[derive(Clone)]
    struct Client(Arc<()>);

    #[deployment]
    struct Calls(Client);

    #[handle]
    impl Calls {
        fn new(client: Client) -> Self {
            Self(client)
        }

        pub async fn count(&self) -> usize {
            Arc::strong_count(&self.0.0)
        }
    }

    let runtime = MockRuntime::builder().start();
    let client = Client(Arc::default());
    let bind = || Calls::bind(client.clone());
    let handle = runtime.run(bind()).await?;
    for _ in 0..3 {
        runtime.run(bind()).await?;
    }
    sleep(seconds(1)).await;
    let of_one = handle.count().await?;
    runtime.delete("default").await?;
    let refused = Application::new(bind().num_cpus(2_000.0)).name("too large");
    assert!(runtime.run(refused).await.is_err());
    sleep(seconds(1)).await;
    assert_eq!(Arc::strong_count(&client.0), 1, "there were {of_one} while it ran");
    Ok(())
}

/// Panics when it is dropped, as an argument and as a part of the instance.
#[derive(Clone)]
struct Bomb(Arc<AtomicUsize>);

impl Drop for Bomb {
    fn drop(&mut self) {
        let left = self.0.fetch_sub(1, Ordering::SeqCst);
        assert!(left == 0 || left > 1_000, "the last one");
    }
}

#[deployment]
struct Bombed {
    _bomb: Option<Bomb>,
}

#[handle]
impl Bombed {
    async fn new(bomb: Bomb, pause: Duration) -> Self {
        sleep(pause).await;
        Self { _bomb: Some(bomb) }
    }

    pub async fn ping(&self) {}
}

#[tokio::test(start_paused = true)]
async fn panicking_drops_stop_nothing() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let bombed = |pause| Bombed::bind(Bomb(Arc::new(AtomicUsize::new(1))), pause);
    let handle = runtime.run(bombed(Duration::ZERO).num_replicas(2)).await?;
    assert!(runtime.kill_replica::<Bombed>(0));
    sleep(seconds(5)).await;
    handle.ping().await?;
    runtime.run(bombed(Duration::ZERO).num_replicas(1)).await?;
    sleep(seconds(5)).await;
    handle.ping().await?;
    // One that stops as soon as it has started.
    let superseded = async {
        let _ = timeout(A_DAY, runtime.run(bombed(seconds(10)))).await.expect("it ends");
    };
    let newer = async {
        sleep(seconds(10)).await;
        timeout(A_DAY, runtime.run(bombed(Duration::ZERO))).await.expect("it ends")
    };
    let ((), newer) = futures::join!(superseded, newer);
    newer?.ping().await?;
    timeout(A_DAY, runtime.delete("default")).await.expect("a deletion ends")?;
    run(&runtime, Model::bind(1, Duration::ZERO)).await?;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn enabled_autoscaling_knows_the_load_at_once() -> Result<()> {
    #[deployment(max_ongoing_requests = 2)]
    #[derive(Default)]
    struct Busy;

    #[handle]
    impl Busy {
        pub async fn work(&self) {
            sleep(seconds(1_000)).await;
        }
    }

    let runtime = MockRuntime::builder().start();
    let busy = runtime.run(Busy::bind().num_replicas(8)).await?;
    let calls: Vec<_> = (0..16).map(|_| busy.work()).collect();
    sleep(seconds(1)).await;
    let autoscaling = AutoscalingConfig::new().max_replicas(8).target_ongoing_requests(2.0);
    let autoscaling = autoscaling.downscale_delay(Duration::ZERO);
    runtime.run(Busy::bind().autoscaling(autoscaling)).await?;
    for _ in 0..100 {
        assert_eq!(running_ids(&runtime, "Busy").len(), 8);
        sleep(seconds(1)).await;
    }
    drop(calls);
    Ok(())
}

/// The version of its argument.
#[deployment]
struct Quick(u32);

#[handle]
impl Quick {
    fn new(version: u32) -> Self {
        Self(version)
    }

    pub async fn version(&self) -> u32 {
        self.0
    }
}

/// Races between the caller, the controller and the node: on the paused clock of one thread there
/// are none.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn deploys_and_deletions_end_on_several_threads() -> Result<()> {
    let runtime = Runtime::builder().num_cpus(1_000.0).start().await?;
    let minute = seconds(60);
    for round in 0..150 {
        for version in [2 * round, 2 * round + 1] {
            let model = Quick::bind(version).num_replicas(1 + version as usize % 4);
            let ended = timeout(minute, runtime.run(model)).await;
            let handle = ended.expect("a deploy ends")?;
            assert_eq!(handle.version().await, Ok(version), "the newest version answers");
            let found = runtime.get_app_handle::<Quick>("default")?;
            assert_eq!(found.version().await, Ok(version));
        }
        if round % 3 == 0 {
            timeout(minute, runtime.delete("default")).await.expect("a deletion ends")?;
            assert!(runtime.get_app_handle::<Quick>("default").is_err());
            assert!(runtime.status().applications.is_empty());
        }
    }
    timeout(minute, runtime.shutdown()).await.expect("a shutdown ends");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_start_with_a_panicking_drop_has_failed() {
    #[deployment]
    struct Refuses(Arc<AtomicUsize>);

    impl Drop for Refuses {
        fn drop(&mut self) {
            assert!(std::thread::panicking(), "it is dropped");
        }
    }

    #[handle]
    impl Refuses {
        fn new(starts: Arc<AtomicUsize>) -> Self {
            starts.fetch_add(1, Ordering::SeqCst);
            Self(starts)
        }

        pub async fn starts(&self) -> usize {
            self.0.load(Ordering::SeqCst)
        }

        #[reconfigure]
        fn configure(&self, _config: u32) -> Result<(), String> {
            Err("never".to_owned())
        }
    }

    let runtime = MockRuntime::builder().start();
    let starts = Arc::<AtomicUsize>::default();
    let deploy = runtime.run(Refuses::bind(Arc::clone(&starts)).user_config(1));
    let error = timeout(A_DAY, deploy).await.expect("a deploy ends").unwrap_err();
    assert!(format!("{error:#}").contains("never"), "{error:#}");
    assert_eq!(starts.load(Ordering::SeqCst), 3, "as often as any start that fails");
}

#[tokio::test(start_paused = true)]
async fn an_actor_without_handles_is_gone() -> Result<()> {
    #[deployment]
    struct Actor(Arc<()>);

    #[handle]
    impl Actor {
        async fn new(alive: Arc<()>, starts: bool) -> Result<Self, String> {
            sleep(seconds(1)).await;
            if starts { Ok(Self(alive)) } else { Err("never".to_owned()) }
        }

        pub async fn count(&self) -> usize {
            Arc::strong_count(&self.0)
        }
    }

    let runtime = MockRuntime::builder().start();
    let alive = Arc::new(());
    let actor = runtime.actor(Actor::bind(Arc::clone(&alive), true)).await?;
    assert!(actor.count().await? > 1);
    drop(actor);
    assert!(runtime.actor(Actor::bind(Arc::clone(&alive), false)).await.is_err());
    let dropped = runtime.actor(Actor::bind(Arc::clone(&alive), true));
    assert!(timeout(Duration::from_millis(10), dropped).await.is_err());
    sleep(seconds(100)).await;
    assert_eq!(Arc::strong_count(&alive), 1);
    Ok(())
}
