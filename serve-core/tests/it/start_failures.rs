//! Versions that do not start: the attempts, the old version meanwhile, and the messages.

use crate::support::clocks::each_ms_during;
use crate::support::status::{application, deployment, running_ids};

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use serve_core::DeployError;
use serve_core::autoscaling::AutoscalingConfig;
use serve_core::prelude::*;
use serve_core::status::{
    ApplicationStatus, DeploymentDetails, DeploymentStatus, ReplicaState, StatusTrigger,
};
use tokio::time::{Instant, sleep};

/// What the next constructors do; the last entry repeats.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Birth {
    Works,
    Fails,
    Panics,
    Hangs,
    TakesTenSeconds,
}

#[derive(Clone)]
struct Births {
    plan: Arc<Mutex<Vec<Birth>>>,
    tries: Arc<AtomicUsize>,
    version: u32,
}

impl Births {
    fn new(version: u32, plan: &[Birth]) -> Self {
        let plan = Arc::new(Mutex::new(plan.iter().rev().copied().collect()));
        Self { plan, tries: Arc::default(), version }
    }

    fn tries(&self) -> usize {
        self.tries.load(Ordering::SeqCst)
    }

    fn next(&self) -> Birth {
        self.tries.fetch_add(1, Ordering::SeqCst);
        let mut plan = self.plan.lock();
        let last = plan[0];
        if plan.len() > 1 { plan.pop().unwrap_or(last) } else { last }
    }
}

#[deployment]
struct Child {
    version: u32,
}

#[handle]
impl Child {
    async fn new(births: Births) -> Result<Self, String> {
        match births.next() {
            Birth::Works => {}
            Birth::Fails => return Err("the model is missing".to_owned()),
            Birth::Panics => panic!("the model is odd"),
            Birth::Hangs => std::future::pending().await,
            Birth::TakesTenSeconds => sleep(Duration::from_secs(10)).await,
        }
        Ok(Self { version: births.version })
    }

    pub async fn version(&self) -> u32 {
        sleep(Duration::from_millis(20)).await;
        self.version
    }
}

fn child(runtime: &MockRuntime) -> DeploymentDetails {
    deployment(runtime, "Child")
}

/// Makes a call each 5 ms until `change` is done.
async fn under_load<T>(handle: &ChildHandle, change: impl Future<Output = T>) -> (T, Vec<u32>) {
    let mut calls = Vec::new();
    let changed = each_ms_during(change, |ms| {
        if ms % 5 == 0 {
            calls.push(handle.version());
        }
    })
    .await;
    let mut versions = Vec::new();
    for call in calls {
        versions.push(call.await.expect("no call fails"));
    }
    (changed, versions)
}

#[tokio::test(start_paused = true)]
async fn the_old_version_serves_while_the_new_fails() -> Result<()> {
    for (birth, replicas, why) in [
        (Birth::Fails, 1, "the model is missing"),
        (Birth::Fails, 4, "the model is missing"),
        (Birth::Panics, 1, "the model is odd"),
        (Birth::Panics, 4, "the model is odd"),
    ] {
        let runtime = MockRuntime::builder().start();
        let good = Births::new(1, &[Birth::Works]);
        let handle = runtime.run(Child::bind(good).num_replicas(replicas)).await?;
        let before = running_ids(&runtime, "Child");
        let bad = Births::new(2, &[birth]);
        let update = runtime.run(Child::bind(bad.clone()).num_replicas(replicas));
        let (failed, versions) = under_load(&handle, update).await;
        let failed = failed.map(drop).expect_err("it does not start");
        assert!(matches!(failed, DeployError::Constructor { .. }), "{failed:?}");
        let text = failed.to_string();
        assert!(text.contains("`Child`") && text.contains(why), "{text}");
        assert!(versions.len() > 20 && versions.iter().all(|version| *version == 1));
        assert_eq!(bad.tries(), 3 * replicas, "{birth:?}");

        sleep(Duration::from_secs(1)).await;
        let app = application(&runtime);
        assert_eq!(app.status, ApplicationStatus::DeployFailed);
        assert_eq!(app.message, text);
        let status = child(&runtime);
        assert_eq!(status.status, DeploymentStatus::DeployFailed);
        assert_eq!(status.status_trigger, StatusTrigger::ReplicaStartupFailed);
        assert!(status.message.contains(why), "{}", status.message);
        assert!(status.recent_dead_replicas.iter().all(|dead| dead.reason.contains(why)));
        let kept = running_ids(&runtime, "Child").iter().filter(|id| before.contains(id)).count();
        assert_eq!(running_ids(&runtime, "Child").len(), replicas);
        // With four, the one that made room for the new version's first is made again.
        assert!(kept >= replicas - usize::from(replicas > 1), "{kept} of {replicas}");
        assert_eq!(handle.version().await?, 1);

        let better = Births::new(3, &[Birth::Works]);
        runtime.run(Child::bind(better).num_replicas(replicas)).await?;
        assert_eq!(handle.version().await?, 3);
        let app = application(&runtime);
        assert_eq!((app.status, app.message.as_str()), (ApplicationStatus::Running, ""));
        let status = child(&runtime);
        assert_eq!(status.status, DeploymentStatus::Healthy);
        assert_eq!(status.status_trigger, StatusTrigger::ConfigUpdateCompleted);
        assert_eq!(status.message, "");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn rolling_back_restarts_nothing() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let good = Child::bind(Births::new(1, &[Birth::Works]));
    let _handle = runtime.run(good.clone()).await?;
    let before = running_ids(&runtime, "Child");
    assert!(runtime.run(Child::bind(Births::new(2, &[Birth::Fails]))).await.is_err());
    runtime.run(good).await?;
    assert_eq!(running_ids(&runtime, "Child"), before);
    assert_eq!(application(&runtime).status, ApplicationStatus::Running);
    assert_eq!(child(&runtime).status, DeploymentStatus::Healthy);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_hanging_update_yields_to_deletion() -> Result<()> {
    for shuts_down in [false, true] {
        let runtime = MockRuntime::builder().start();
        let handle = runtime.run(Child::bind(Births::new(1, &[Birth::Works]))).await?;
        let update = runtime.run(Child::bind(Births::new(2, &[Birth::Hangs])));
        let end = async {
            let (_, versions) = under_load(&handle, sleep(Duration::from_secs(60))).await;
            assert!(versions.iter().all(|version| *version == 1));
            assert_eq!(application(&runtime).status, ApplicationStatus::Deploying);
            assert_eq!(child(&runtime).status, DeploymentStatus::Updating);
            let began = Instant::now();
            let last = handle.version();
            sleep(Duration::from_millis(1)).await;
            if shuts_down {
                runtime.shutdown().await;
            } else {
                runtime.delete("default").await.unwrap();
            }
            assert_eq!(last.await, Ok(1));
            began.elapsed()
        };
        let (updated, took) = futures::join!(update, end);
        assert!(took < Duration::from_millis(50), "{took:?}: nothing but the call is waited for");
        let error = updated.map(drop).expect_err("it never ran");
        match shuts_down {
            false => assert!(matches!(error, DeployError::Deleted(_)), "{error:?}"),
            true => assert!(matches!(error, DeployError::ShutDown), "{error:?}"),
        }
        assert!(runtime.status().applications.is_empty());
        assert!(handle.version().await.is_err());
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_hanging_first_version_yields_to_deletion() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let deploy = runtime.run(Child::bind(Births::new(1, &[Birth::Hangs])));
    let end = async {
        sleep(Duration::from_secs(60)).await;
        assert_eq!(child(&runtime).replicas[0].state, ReplicaState::Starting);
        runtime.delete("default").await
    };
    let (deployed, deleted) = futures::join!(deploy, end);
    deleted?;
    assert!(matches!(deployed.map(drop), Err(DeployError::Deleted(_))));
    assert!(runtime.status().applications.is_empty());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_hanging_version_yields_to_the_next() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let first = runtime.run(Child::bind(Births::new(1, &[Birth::Hangs])));
    let others = async {
        sleep(Duration::from_secs(1)).await;
        let handle = runtime.run(Child::bind(Births::new(2, &[Birth::Works]))).await?;
        assert_eq!(handle.version().await?, 2);
        let hanging = runtime.run(Child::bind(Births::new(3, &[Birth::Hangs])));
        let next = async {
            let (_, versions) = under_load(&handle, sleep(Duration::from_secs(9))).await;
            assert!(versions.iter().all(|version| *version == 2));
            let fourth = runtime.run(Child::bind(Births::new(4, &[Birth::Works])));
            let (fourth, versions) = under_load(&handle, fourth).await;
            assert!(versions.iter().all(|version| [2, 4].contains(version)));
            fourth
        };
        let (hanging, next) = futures::join!(hanging, next);
        assert_eq!(hanging?.version().await?, 4, "its `run` gives the handle of what runs");
        assert_eq!(next?.version().await?, 4);
        // Nor does one that hangs stand in the way of one that fails.
        let hanging = runtime.run(Child::bind(Births::new(5, &[Birth::Hangs])));
        let failing = async {
            sleep(Duration::from_secs(1)).await;
            runtime.run(Child::bind(Births::new(6, &[Birth::Fails]))).await
        };
        let (hanging, failing) = futures::join!(hanging, failing);
        let error = hanging.map(drop).expect_err("nothing new runs");
        assert!(matches!(error, DeployError::Superseded(_)), "{error:?}");
        assert!(matches!(failing.map(drop), Err(DeployError::Constructor { .. })));
        assert_eq!(handle.version().await?, 4);
        Ok::<_, Error>(())
    };
    let (first, others) = futures::join!(first, others);
    others?;
    assert_eq!(first?.version().await?, 4, "old handles follow");
    Ok(())
}

/// Six starts fail, twice as many as a first deploy may have.
const SIX_FAIL: [Birth; 7] = [
    Birth::Fails,
    Birth::Fails,
    Birth::Fails,
    Birth::Fails,
    Birth::Fails,
    Birth::Fails,
    Birth::Works,
];

#[tokio::test(start_paused = true)]
async fn a_repeated_deploy_is_not_given_up() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let births = Births::new(1, &[&[Birth::Works][..], &SIX_FAIL].concat());
    let bound = Child::bind(births.clone());
    let handle = runtime.run(bound.clone()).await?;
    // Nothing restarts for that.
    runtime.run(bound.request_timeout(Duration::from_secs(3_000))).await?;
    assert_eq!(births.tries(), 1);
    assert!(runtime.kill_replica::<Child>(0));
    let (call, unhealthy) = futures::join!(handle.version(), async {
        sleep(Duration::from_millis(1)).await;
        application(&runtime)
    });
    assert_eq!((call?, births.tries()), (1, 8));
    assert_eq!(unhealthy.status, ApplicationStatus::Unhealthy);
    assert!(unhealthy.message.contains("`Child`: replica"), "{}", unhealthy.message);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_first_start_from_zero_is_tried_until_it_works() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let births = Births::new(1, &SIX_FAIL);
    let none_at_first = AutoscalingConfig::auto().min_replicas(0);
    let bound = Child::bind(births.clone()).autoscaling(none_at_first);
    let handle = runtime.run(bound.clone()).await?;
    assert_eq!(births.tries(), 0);
    let calls = futures::future::join_all((0..3).map(|_| handle.version())).await;
    assert!(calls.into_iter().all(|call| call == Ok(1)));
    assert_eq!(births.tries(), 7);

    let refused = runtime.run(bound.max_queued_requests(0)).await.map(drop).unwrap_err();
    assert!(refused.to_string().contains("no call could wait"), "{refused}");
    assert_eq!(handle.version().await?, 1);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn the_last_of_many_deploys_runs() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let deploys = (1..=10)
        .map(|version| runtime.run(Child::bind(Births::new(version, &[Birth::TakesTenSeconds]))));
    let began = Instant::now();
    for handle in futures::future::try_join_all(deploys).await? {
        assert_eq!(handle.version().await?, 10);
    }
    assert!(began.elapsed() < Duration::from_secs(21), "{:?}", began.elapsed());
    assert_eq!(application(&runtime).status, ApplicationStatus::Running);
    assert_eq!(running_ids(&runtime, "Child").len(), 1);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_first_deploy_fails_after_its_tries() -> Result<()> {
    for (replicas, limit, tries) in [(1, 20, 3), (2, 20, 6), (5, 20, 15), (1, 1, 1), (1, 2, 2)] {
        let runtime = MockRuntime::builder().start();
        let births = Births::new(1, &[Birth::Fails]);
        let bound = Child::bind(births.clone());
        let bound = bound.num_replicas(replicas).max_constructor_retry_count(limit);
        let began = Instant::now();
        let failed = runtime.run(bound).await.map(drop).expect_err("it does not start");
        assert_eq!(births.tries(), tries, "{replicas} replicas, at most {limit}");
        let pauses = if tries / replicas > 2 { 300 } else { 100 * (tries as u64 - 1) };
        assert_eq!(began.elapsed(), Duration::from_millis(pauses));
        assert!(failed.to_string().ends_with("the model is missing"), "{failed}");

        sleep(Duration::from_secs(600)).await;
        assert_eq!(births.tries(), tries, "nothing is tried any more");
        let app = application(&runtime);
        assert_eq!(app.status, ApplicationStatus::DeployFailed);
        assert_eq!(app.message, failed.to_string());
        let status = child(&runtime);
        assert_eq!(status.status, DeploymentStatus::DeployFailed);
        assert_eq!(status.status_trigger, StatusTrigger::ReplicaStartupFailed);
        assert!(status.message.contains("the model is missing"), "{}", status.message);
        assert!(status.replicas.is_empty());
        assert_eq!(status.recent_dead_replicas.len(), tries.min(10));
        let handle = runtime.get_app_handle::<Child>("default")?;
        let refused = handle.version().await.expect_err("nothing of it runs");
        assert!(matches!(refused, CallError::Unavailable { started: false, .. }), "{refused:?}");

        runtime.run(Child::bind(Births::new(2, &[Birth::Works]))).await?;
        assert_eq!(handle.version().await?, 2);
        assert_eq!(application(&runtime).status, ApplicationStatus::Running);
        assert_eq!(child(&runtime).status, DeploymentStatus::Healthy);
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_constructor_may_fail_twice() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let births = Births::new(1, &[Birth::Fails, Birth::Panics, Birth::Works]);
    let handle = runtime.run(Child::bind(births.clone())).await?;
    assert_eq!(handle.version().await?, 1);
    assert_eq!(births.tries(), 3);
    let status = child(&runtime);
    assert_eq!(status.status, DeploymentStatus::Healthy);
    let reasons: Vec<_> = status.recent_dead_replicas.iter().map(|dead| &*dead.reason).collect();
    assert_eq!(reasons[0], "the model is missing");
    assert!(reasons[1].contains("panicked: the model is odd"), "{reasons:?}");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_proven_version_is_tried_until_it_starts() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let mut plan = vec![Birth::Works];
    plan.extend([Birth::Fails; 7]);
    plan.push(Birth::TakesTenSeconds);
    let births = Births::new(1, &plan);
    let handle = runtime.run(Child::bind(births.clone())).await?;
    let began = Instant::now();
    assert!(runtime.kill_replica::<Child>(0));
    let call = handle.version();
    sleep(Duration::from_secs(5)).await;
    let status = child(&runtime);
    assert_eq!(status.status, DeploymentStatus::Unhealthy);
    assert_eq!(application(&runtime).status, ApplicationStatus::Unhealthy);
    assert_eq!(call.await?, 1, "it waits for the new replica");
    // 0.1 + 0.2 s, then 1 + 2 + 4 + 8 + 16 s, then the constructor that takes 10.
    let expected = Duration::from_millis(300 + 31_000 + 10_000 + 20);
    assert!(began.elapsed() >= expected && began.elapsed() < expected + Duration::from_millis(99));
    assert_eq!(births.tries(), 9);
    assert_eq!(child(&runtime).status, DeploymentStatus::Healthy);
    assert_eq!(child(&runtime).status_trigger, StatusTrigger::Unspecified);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_failed_upscale_keeps_the_old_replicas() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let births = Births::new(1, &[Birth::Works, Birth::Fails]);
    let bound = Child::bind(births.clone());
    let handle = runtime.run(bound.clone()).await?;
    let before = running_ids(&runtime, "Child");
    let (failed, _) = under_load(&handle, runtime.run(bound.num_replicas(3))).await;
    assert!(failed.map(drop).expect_err("no more start").to_string().contains("model is missing"));
    assert_eq!(running_ids(&runtime, "Child"), before);
    assert_eq!(child(&runtime).target_num_replicas, 1);
    assert_eq!(application(&runtime).status, ApplicationStatus::DeployFailed);
    assert_eq!(handle.version().await?, 1);
    Ok(())
}

/// A caller whose callee does not start.
#[deployment]
struct Parent {
    child: ChildHandle,
}

#[handle]
impl Parent {
    fn new(child: ChildHandle) -> Self {
        Self { child }
    }

    pub async fn version(&self) -> Result<u32> {
        Ok(self.child.version().await?)
    }
}

#[tokio::test(start_paused = true)]
async fn status_names_the_failed_deployment() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let bind = |version, birth| Parent::bind(Child::bind(Births::new(version, &[birth])));
    let failed = runtime.run(bind(1, Birth::Fails)).await.map(drop).expect_err("it fails");
    let DeployError::Constructor { deployment, .. } = &failed else { panic!("{failed:?}") };
    assert_eq!(deployment, "Child");
    sleep(Duration::from_secs(1)).await;
    let deployments = application(&runtime).deployments;
    assert_eq!(deployments["Child"].status, DeploymentStatus::DeployFailed);
    // Of the other nothing runs either, which is not its own failure.
    assert_eq!(deployments["Parent"].status, DeploymentStatus::Updating);
    assert!(deployments["Parent"].replicas.is_empty());
    assert!(deployments["Parent"].message.contains("failed to deploy"));

    let handle = runtime.run(bind(2, Birth::Works)).await?;
    assert_eq!(handle.version().await?, 2);
    assert!(runtime.run(bind(3, Birth::Panics)).await.is_err());
    assert_eq!(handle.version().await?, 2);
    let deployments = application(&runtime).deployments;
    assert_eq!(deployments["Child"].status, DeploymentStatus::DeployFailed);
    assert_eq!(deployments["Parent"].status, DeploymentStatus::Healthy);
    Ok(())
}
