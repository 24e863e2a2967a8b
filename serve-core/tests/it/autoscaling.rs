//! Replicas that follow the load: real deployments on a paused clock.

use crate::support::clocks::seconds;
use crate::support::runtimes::mock_runtime;
use crate::support::status::{application, deployment};

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use serve_core::autoscaling::{
    Aggregation, AutoscalingConfig, AutoscalingContext, AutoscalingDecision, AutoscalingPolicy,
};
use serve_core::prelude::*;
use serve_core::status::{ApplicationStatus, DeploymentDetails, DeploymentStatus, StatusTrigger};
use tokio::time::{Instant, sleep, sleep_until};

/// Works for a time, or until the call is dropped.
#[deployment(name = "Model", num_replicas = "auto")]
#[derive(Default)]
struct Model;

#[handle]
impl Model {
    pub async fn hold(&self) {
        std::future::pending::<()>().await;
    }

    pub async fn work(&self, time: Duration) -> Duration {
        sleep(time).await;
        time
    }
}

fn details(runtime: &Runtime) -> DeploymentDetails {
    deployment(runtime, "Model")
}

fn target(runtime: &Runtime) -> usize {
    details(runtime).target_num_replicas
}

/// The decisions, as (seconds, from, to).
fn decided(runtime: &Runtime) -> Vec<(f64, usize, usize)> {
    let decisions = details(runtime).autoscaling_decisions;
    let shown = |AutoscalingDecision { at, from, to, .. }: &AutoscalingDecision| {
        (at.as_secs_f64(), *from, *to)
    };
    decisions.iter().map(shown).collect()
}

fn holds(model: &ModelHandle, number: usize) -> Vec<Response<()>> {
    (0..number).map(|_| model.hold()).collect()
}

/// The model with this autoscaling.
fn scaled(config: AutoscalingConfig) -> Bound<Model> {
    Model::bind().autoscaling(config)
}

/// Autoscaling that follows the load almost at once, by a look-back period of 10 ms.
fn prompt() -> AutoscalingConfig {
    AutoscalingConfig::auto().look_back_period(Duration::from_millis(10))
}

#[tokio::test(start_paused = true)]
async fn upscale_waits_for_its_delay() -> Result<()> {
    let (runtime, model) = mock_runtime(scaled(prompt())).await?;
    sleep(seconds(100)).await;
    let _calls = holds(&model, 7);
    sleep(Duration::from_millis(29_900)).await;
    assert_eq!(target(&runtime), 1);
    sleep(Duration::from_millis(200)).await;
    let status = details(&runtime);
    assert_eq!((status.target_num_replicas, status.replicas.len()), (4, 4), "7 calls, 2 on each");
    // The window is 10 ms: before, its mean was less than what 2 replicas hold.
    let (at, from, to) = decided(&runtime)[0];
    assert!((130.0..130.02).contains(&at), "{at}");
    assert_eq!((from, to), (1, 4));
    assert_eq!(status.status, DeploymentStatus::Healthy);
    assert_eq!(status.status_trigger, StatusTrigger::UpscaleCompleted);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn downscale_waits_for_its_delay() -> Result<()> {
    let (runtime, model) = mock_runtime(scaled(prompt().initial_replicas(5))).await?;
    let calls = holds(&model, 10);
    sleep(seconds(100)).await;
    drop(calls);
    let _few = holds(&model, 3);
    sleep(Duration::from_millis(599_900)).await;
    assert_eq!(target(&runtime), 5);
    sleep(Duration::from_millis(200)).await;
    assert_eq!(target(&runtime), 2);
    let (at, ..) = decided(&runtime)[0];
    assert!((700.0..700.02).contains(&at), "{at}");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn short_load_changes_are_ignored() -> Result<()> {
    let (runtime, model) = mock_runtime(scaled(prompt().initial_replicas(2))).await?;
    let steady = holds(&model, 3);
    for _ in 0..20 {
        let burst = holds(&model, 20);
        sleep(seconds(29)).await;
        drop(burst);
        sleep(seconds(1)).await;
    }
    drop(steady);
    for _ in 0..5 {
        sleep(seconds(590)).await;
        let burst = holds(&model, 4);
        sleep(seconds(5)).await;
        drop(burst);
    }
    assert_eq!(decided(&runtime), []);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn defaults_follow_a_step_in_half_a_minute() -> Result<()> {
    let (runtime, model) = mock_runtime(scaled(AutoscalingConfig::auto())).await?;
    sleep(seconds(300)).await;
    let _calls = holds(&model, 20);
    sleep(seconds(300)).await;
    // The mean of the last 30 s passes 2 after 3 s, at once seen; 30 s later it is 20.
    let decided = decided(&runtime);
    let (at, from, to) = decided[0];
    assert!((333.0..333.5).contains(&at), "{decided:?}");
    assert_eq!((decided.len(), from, to), (1, 1, 10));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn scaling_factors_amplify_and_dampen() -> Result<()> {
    for (factor, first) in [(1.0, 5), (0.5, 3), (2.0, 9)] {
        let at_once = prompt().upscale_delay(Duration::ZERO).upscaling_factor(factor);
        let (runtime, model) =
            mock_runtime(scaled(at_once.downscale_delay(seconds(3_000)))).await?;
        let _calls = holds(&model, 10);
        sleep(seconds(1)).await;
        assert_eq!(decided(&runtime)[0].2, first, "{factor}");
    }
    let soft = prompt().initial_replicas(16).downscaling_factor(0.5).downscale_delay(seconds(60));
    let (runtime, model) = mock_runtime(scaled(soft)).await?;
    let _calls = holds(&model, 2);
    sleep(seconds(3_000)).await;
    let steps: Vec<_> = decided(&runtime).iter().map(|(_, _, to)| *to).collect();
    assert_eq!(steps, [9, 5, 3, 2, 1]);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn bounds_hold_under_any_load() -> Result<()> {
    let config = prompt().min_replicas(2).max_replicas(6).initial_replicas(3);
    let (runtime, model) = mock_runtime(scaled(config)).await?;
    assert_eq!(target(&runtime), 3, "`initial_replicas`");
    let calls = holds(&model, 1_000);
    sleep(seconds(60)).await;
    assert_eq!((target(&runtime), details(&runtime).replicas.len()), (6, 6));
    drop(calls);
    sleep(seconds(1_000)).await;
    assert_eq!((target(&runtime), details(&runtime).replicas.len()), (2, 2));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn aggregation_uses_the_mean_min_or_max() -> Result<()> {
    for (aggregation, replicas) in
        [(Aggregation::Mean, 5), (Aggregation::Min, 2), (Aggregation::Max, 8)]
    {
        let config = AutoscalingConfig::auto()
            .aggregation(aggregation)
            .look_back_period(seconds(40))
            .upscale_delay(seconds(80));
        let (runtime, model) = mock_runtime(scaled(config)).await?;
        let _steady = holds(&model, 4);
        // Half of the time 12 more: 16 at most, 4 at least, 10 on average.
        for _ in 0..20 {
            let burst = holds(&model, 12);
            sleep(seconds(10)).await;
            drop(burst);
            sleep(seconds(10)).await;
        }
        assert_eq!(target(&runtime), replicas, "{aggregation:?}: {:?}", decided(&runtime));
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn longer_look_back_delays_the_reaction() -> Result<()> {
    for look_back in [10.0, 100.0, 1_000.0] {
        let period = Duration::from_secs_f64(look_back);
        let (runtime, model) =
            mock_runtime(scaled(AutoscalingConfig::auto().look_back_period(period))).await?;
        sleep(period).await;
        let _calls = holds(&model, 20);
        sleep(seconds(3_000)).await;
        // The mean passes 2 after a tenth of the period; then the delay of 30 s.
        let first = decided(&runtime)[0].0;
        let expected = look_back * 1.1 + 30.0;
        let between_looks = (look_back / 64.0).min(1.0) + 0.01;
        assert!((expected..expected + between_looks).contains(&first), "{look_back}: {first}");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn queued_calls_count_as_load() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let bound = Model::bind().autoscaling(prompt()).max_ongoing_requests(1);
    let model = runtime.run(bound).await?;
    let _calls = holds(&model, 8);
    sleep(seconds(1)).await;
    assert_eq!((details(&runtime).ongoing, details(&runtime).queued), (1, 7));
    sleep(seconds(30)).await;
    let status = details(&runtime);
    assert_eq!((status.target_num_replicas, status.ongoing, status.queued), (4, 4, 4));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn calls_awaiting_arguments_are_not_load() -> Result<()> {
    #[deployment]
    #[derive(Default)]
    struct Slow;

    #[handle]
    impl Slow {
        pub async fn time(&self) -> Duration {
            sleep(seconds(300)).await;
            seconds(1_000)
        }
    }

    #[deployment]
    struct Front {
        slow: SlowHandle,
        model: ModelHandle,
    }

    #[handle]
    impl Front {
        fn new(slow: SlowHandle, model: ModelHandle) -> Self {
            Self { slow, model }
        }

        pub async fn run(&self) -> Result<()> {
            let calls = (0..10).map(|_| self.model.work(self.slow.time()));
            futures::future::try_join_all(calls).await?;
            Ok(())
        }
    }

    let runtime = MockRuntime::builder().start();
    let model = Model::bind().autoscaling(prompt());
    let front = runtime.run(Front::bind(Slow::bind(), model)).await?;
    let _call = front.run();
    sleep(seconds(299)).await;
    assert_eq!((details(&runtime).ongoing, details(&runtime).queued), (0, 0));
    assert_eq!(decided(&runtime), []);
    sleep(seconds(40)).await;
    assert_eq!((details(&runtime).ongoing, target(&runtime)), (10, 5));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn changing_autoscaling_keeps_the_replica_count() -> Result<()> {
    let (runtime, model) = mock_runtime(scaled(prompt())).await?;
    let calls = holds(&model, 12);
    sleep(seconds(60)).await;
    let before = details(&runtime);
    assert_eq!(before.target_num_replicas, 6);
    // Other rules, for which `initial_replicas` is the past already.
    let other = prompt().initial_replicas(2).downscale_delay(seconds(1_000)).max_replicas(8);
    runtime.run(Model::bind().autoscaling(other.clone())).await?;
    let after = details(&runtime);
    assert_eq!(after.target_num_replicas, 6);
    assert_eq!(after.replicas, before.replicas, "they changed in place");
    // Bounds hold at once, and what is decided is remembered.
    runtime.run(Model::bind().autoscaling(other.clone().max_replicas(4))).await?;
    assert_eq!(target(&runtime), 4);
    runtime.run(Model::bind().autoscaling(other.min_replicas(5).initial_replicas(5))).await?;
    assert_eq!(target(&runtime), 5);
    let reasons: Vec<_> =
        details(&runtime).autoscaling_decisions.into_iter().map(|it| it.reason).collect();
    assert_eq!(reasons[1..], ["`max_replicas` is 4 now", "`min_replicas` is 5 now"]);
    drop(calls);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn enabling_autoscaling_keeps_the_replica_count() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    runtime.run(Model::bind().num_replicas(7)).await?;
    runtime.run(Model::bind().autoscaling(prompt())).await?;
    assert_eq!(target(&runtime), 7);
    sleep(seconds(599)).await;
    assert_eq!(target(&runtime), 7);
    sleep(seconds(2)).await;
    assert_eq!(target(&runtime), 1);
    // Unless the new rules say how many.
    runtime.run(Model::bind().num_replicas(7)).await?;
    runtime.run(Model::bind().autoscaling(prompt().initial_replicas(3))).await?;
    assert_eq!(target(&runtime), 3);
    // And a fixed number is one again.
    runtime.run(Model::bind().num_replicas(2)).await?;
    assert_eq!(target(&runtime), 2);
    assert_eq!(decided(&runtime), []);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn status_lists_decisions_and_reasons() -> Result<()> {
    let config = prompt().max_replicas(8).downscale_delay(seconds(60));
    let (runtime, model) = mock_runtime(scaled(config)).await?;
    let calls = holds(&model, 50);
    sleep(seconds(40)).await;
    drop(calls);
    sleep(seconds(100)).await;
    let decisions = details(&runtime).autoscaling_decisions;
    let reasons: Vec<_> = decisions.iter().map(|decision| &decision.reason[..]).collect();
    assert_eq!(
        reasons,
        [
            "a load of 50.00 has asked for more than 1 for 30s: 8 replicas now, the `max_replicas`",
            "a load of 0.00 has asked for fewer than 8 for 1m: 1 replica now, the `min_replicas`",
        ]
    );
    let json = serde_json::to_value(runtime.status())?;
    let json = &json["applications"]["default"]["deployments"]["Model"]["autoscaling_decisions"];
    assert_eq!((&json[1]["from"], &json[1]["to"]), (&8.into(), &1.into()));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn status_is_upscaling_while_replicas_start() -> Result<()> {
    #[deployment(name = "Model")]
    struct SlowToStart;

    #[handle]
    impl SlowToStart {
        async fn new() -> Self {
            sleep(seconds(20)).await;
            Self
        }

        pub async fn hold(&self) {
            std::future::pending::<()>().await;
        }
    }

    let runtime = MockRuntime::builder().start();
    let model = runtime.run(SlowToStart::bind().autoscaling(prompt())).await?;
    let calls: Vec<_> = (0..4).map(|_| model.hold()).collect();
    sleep(seconds(31)).await;
    let status = details(&runtime);
    assert_eq!(status.status, DeploymentStatus::Upscaling);
    assert_eq!(status.status_trigger, StatusTrigger::Autoscaling);
    assert_eq!(status.message, status.autoscaling_decisions[0].reason);
    // Only what an operator asks for takes an application out of RUNNING.
    assert_eq!(application(&runtime).status, ApplicationStatus::Running);
    sleep(seconds(20)).await;
    assert_eq!(details(&runtime).status, DeploymentStatus::Healthy);
    drop(calls);
    Ok(())
}

// Scale to zero.

/// Takes 20 s to start.
#[deployment(name = "Model")]
struct Waking(Arc<AtomicUsize>);

#[handle]
impl Waking {
    async fn new(started: Arc<AtomicUsize>) -> Self {
        sleep(seconds(20)).await;
        started.fetch_add(1, Ordering::Relaxed);
        Self(started)
    }

    pub async fn work(&self, time: Duration) {
        sleep(time).await;
        assert!(self.0.load(Ordering::Relaxed) > 0);
    }
}

fn to_zero() -> AutoscalingConfig {
    AutoscalingConfig::auto().min_replicas(0).downscale_to_zero_delay(seconds(120))
}

#[tokio::test(start_paused = true)]
async fn a_call_at_zero_starts_a_replica_at_once() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let began = Instant::now();
    let model = runtime.run(Waking::bind(Arc::default()).autoscaling(to_zero())).await?;
    assert_eq!(began.elapsed(), Duration::ZERO, "nothing has to start");
    assert_eq!((target(&runtime), details(&runtime).replicas.len()), (0, 0));
    assert_eq!(details(&runtime).status, DeploymentStatus::Healthy);
    sleep(seconds(1_000)).await;
    for _ in 0..3 {
        let began = Instant::now();
        model.work(seconds(1)).await?;
        assert_eq!(began.elapsed(), seconds(21), "20 to start, 1 to work");
        let ended = Instant::now();
        sleep(seconds(119)).await;
        assert_eq!(target(&runtime), 1);
        // The window forgets it 30 s after its end; then the delay.
        sleep_until(ended + seconds(149)).await;
        assert_eq!(target(&runtime), 1);
        sleep_until(ended + seconds(151)).await;
        assert_eq!((target(&runtime), details(&runtime).replicas.len()), (0, 0));
    }
    let reasons: Vec<_> =
        details(&runtime).autoscaling_decisions.into_iter().map(|it| it.reason).collect();
    assert_eq!(reasons[0], "1 call is waiting and no replica is running: 1 to start at once");
    assert_eq!(reasons[1], "a load of 0.00 has asked for fewer than 1 for 2m: 0 replicas now");
    Ok(())
}

/// A custom policy is asked each second: a call must not wait for that.
#[tokio::test(start_paused = true)]
async fn a_call_wakes_a_deployment_under_any_policy() -> Result<()> {
    let config = to_zero().downscale_to_zero_delay(Duration::ZERO);
    let policy = |context: &AutoscalingContext<'_>| if context.total() > 0 { 1.0 } else { 0.0 };
    let runtime = MockRuntime::builder().start();
    let bound = Waking::bind(Arc::default()).autoscaling(config).autoscaling_policy(policy);
    let model = runtime.run(bound).await?;
    for pause in [0, 1, 7, 50, 333, 999, 1_000, 10_000] {
        model.work(seconds(3)).await?;
        sleep(seconds(1)).await;
        assert_eq!(target(&runtime), 0);
        sleep(Duration::from_millis(pause)).await;
        let began = Instant::now();
        model.work(seconds(1)).await?;
        assert_eq!(began.elapsed(), seconds(21), "{pause}");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn queue_limit_holds_at_zero_replicas() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let bound = Waking::bind(Arc::default()).autoscaling(to_zero()).max_queued_requests(3);
    let model = runtime.run(bound).await?;
    let waiting: Vec<_> = (0..3).map(|_| model.work(seconds(1))).collect();
    let refused = model.work(seconds(1)).await;
    assert!(
        matches!(refused, Err(CallError::Overloaded { queued: 3, limit: 3, .. })),
        "{refused:?}"
    );
    for call in waiting {
        call.await?;
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn leaving_while_a_replica_starts_leaks_nothing() -> Result<()> {
    let started = Arc::<AtomicUsize>::default();
    let runtime = MockRuntime::builder().start();
    let model = runtime.run(Waking::bind(Arc::clone(&started)).autoscaling(to_zero())).await?;
    let call = model.work(seconds(1));
    sleep(seconds(5)).await;
    assert_eq!(details(&runtime).queued, 1);
    drop(call);
    assert_eq!((details(&runtime).queued, details(&runtime).ongoing), (0, 0));
    sleep(seconds(16)).await;
    // It was under way, and may be wanted again soon.
    assert_eq!((started.load(Ordering::Relaxed), details(&runtime).replicas.len()), (1, 1));
    sleep(seconds(200)).await;
    assert_eq!((target(&runtime), details(&runtime).replicas.len()), (0, 0));
    let began = Instant::now();
    model.work(seconds(1)).await?;
    assert_eq!(began.elapsed(), seconds(21));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn no_scale_to_zero_during_a_call() -> Result<()> {
    let config = to_zero().downscale_to_zero_delay(Duration::ZERO).aggregation(Aggregation::Min);
    let (runtime, model) = mock_runtime(scaled(config)).await?;
    model.work(seconds(4_000)).await?;
    assert_eq!(decided(&runtime).len(), 1, "it woke: {:?}", decided(&runtime));
    Ok(())
}

// Idleness.

/// The default policy, which counts how often it is asked.
struct Counted(Arc<AtomicUsize>);

impl AutoscalingPolicy for Counted {
    fn desired_replicas(&self, context: &AutoscalingContext<'_>) -> f64 {
        self.0.fetch_add(1, Ordering::Relaxed);
        serve_core::autoscaling::TargetOngoingRequests.desired_replicas(context)
    }

    fn ask_every(&self) -> Option<Duration> {
        None
    }
}

#[tokio::test(start_paused = true)]
async fn idle_deployments_decide_nothing() -> Result<()> {
    let asked = Arc::<AtomicUsize>::default();
    let runtime = MockRuntime::builder().start();
    let bound = Model::bind().autoscaling(AutoscalingConfig::auto().min_replicas(0));
    let model = runtime.run(bound.autoscaling_policy(Counted(Arc::clone(&asked)))).await?;
    let day = seconds(24 * 60 * 60);
    sleep(day).await;
    let idle = asked.swap(0, Ordering::Relaxed);
    assert!(idle <= 3, "{idle} decisions in a day without a call");
    // And under a load that stands still, once it has been met.
    let calls = holds(&model, 9);
    sleep(seconds(3_600)).await;
    assert_eq!(target(&runtime), 5);
    asked.store(0, Ordering::Relaxed);
    sleep(day).await;
    let steady = asked.swap(0, Ordering::Relaxed);
    assert_eq!(steady, 0, "decisions in a day of nine calls");
    // Back to sleep.
    drop(calls);
    sleep(day).await;
    assert_eq!(target(&runtime), 0);
    let falling = asked.load(Ordering::Relaxed);
    assert!(falling <= 64 + 16, "{falling}: the window, the delay twice, five replicas that end");
    asked.store(0, Ordering::Relaxed);
    sleep(day).await;
    assert_eq!(asked.load(Ordering::Relaxed), 0);
    Ok(())
}

// Policies.

#[tokio::test(start_paused = true)]
async fn a_policy_sees_load_time_and_config() -> Result<()> {
    let seen = Arc::<Mutex<Vec<String>>>::default();
    let log = Arc::clone(&seen);
    let policy = move |context: &AutoscalingContext<'_>| {
        log.lock().push(format!(
            "{}#{}: {} of {} run, {}+{} calls, {:.1} on average, at {}, up {:?}, max {}",
            context.application,
            context.deployment,
            context.running,
            context.target,
            context.ongoing,
            context.queued,
            context.load,
            context.now.as_secs(),
            context.since_scale_up.map(|since| since.as_secs()),
            context.config.max_replicas,
        ));
        assert_eq!(context.total(), context.ongoing + context.queued);
        context.load
    };
    let runtime = MockRuntime::builder().start();
    let bound = Model::bind()
        .autoscaling(AutoscalingConfig::auto().upscale_delay(seconds(30)).max_replicas(50))
        .autoscaling_policy(policy)
        .max_ongoing_requests(2);
    let model = runtime.run(Application::new(bound).name("shop")).await?;
    sleep(seconds(100)).await;
    let _calls = holds(&model, 6);
    sleep(seconds(100)).await;
    let seen = seen.lock();
    let has = |line: &str| assert!(seen.iter().any(|seen| seen == line), "{line} in {seen:#?}");
    has("shop#Model: 1 of 1 run, 0+0 calls, 0.0 on average, at 50, up None, max 50");
    has("shop#Model: 1 of 1 run, 2+4 calls, 3.0 on average, at 115, up None, max 50");
    has("shop#Model: 6 of 6 run, 6+0 calls, 6.0 on average, at 190, up Some(55), max 50");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_policy_may_follow_the_clock() -> Result<()> {
    // Office hours: eight replicas from 8 to 18 o'clock, on days whose hours have five minutes. The
    // policy is asked each second.
    let policy = |context: &AutoscalingContext<'_>| match context.now.as_secs() / 300 % 24 {
        8..18 => 8.0,
        _ => 1.0,
    };
    let runtime = MockRuntime::builder().start();
    runtime.run(Model::bind().autoscaling_policy(policy)).await?;
    sleep(seconds(48 * 300)).await;
    let decided: Vec<_> =
        decided(&runtime).iter().map(|(at, _, to)| ((at / 60.0).round(), *to)).collect();
    let (open, closed) = (8.0 * 5.0, 18.0 * 5.0);
    let day = 24.0 * 5.0;
    // The delays are half a minute and ten.
    let expected =
        [(open + 1.0, 8), (closed + 10.0, 1), (day + open + 1.0, 8), (day + closed + 10.0, 1)];
    for ((at, to), (expected, replicas)) in decided.iter().zip(expected) {
        assert!((at - expected).abs() <= 1.0 && *to == replicas, "{decided:?}");
    }
    assert_eq!(decided.len(), 4);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_broken_policy_does_no_harm() -> Result<()> {
    let policy = |context: &AutoscalingContext<'_>| match context.now.as_secs() {
        0..100 => 4.0,
        100..200 => panic!("the broker is gone"),
        200..300 => f64::NAN,
        300..400 => f64::INFINITY,
        400..500 => -1e300,
        _ => 3.0,
    };
    let runtime = MockRuntime::builder().start();
    let at_once = AutoscalingConfig::auto()
        .max_replicas(10)
        .upscale_delay(Duration::ZERO)
        .downscale_delay(Duration::ZERO);
    let model = runtime.run(Model::bind().autoscaling(at_once).autoscaling_policy(policy)).await?;
    let mut targets = Vec::new();
    for _ in 0..6 {
        sleep(seconds(50)).await;
        targets.push(target(&runtime));
        assert_eq!(model.work(seconds(50)).await?, seconds(50));
    }
    assert_eq!(targets, [4, 4, 4, 10, 1, 3]);
    let decisions = details(&runtime).autoscaling_decisions;
    let kept: Vec<_> = decisions.iter().filter(|it| it.from == it.to).collect();
    assert_eq!(kept.len(), 2, "each told once: {decisions:#?}");
    assert_eq!(kept[0].reason, "the autoscaling policy panicked: the broker is gone");
    assert_eq!(kept[1].reason, "the autoscaling policy answered NaN, which is not a number");
    Ok(())
}

// `num_replicas = "auto"`.

#[deployment(num_replicas = "auto", autoscaling(min_replicas = 2, target_ongoing_requests = 5))]
#[derive(Default)]
struct Refined;

#[handle]
impl Refined {
    pub async fn hold(&self) {
        std::future::pending::<()>().await;
    }
}

#[deployment]
#[derive(Default)]
struct Plain;

#[handle]
impl Plain {
    pub async fn hold(&self) {
        std::future::pending::<()>().await;
    }
}

#[tokio::test(start_paused = true)]
async fn auto_is_1_to_100_replicas_with_2_calls_each() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let by_macro = runtime.run(Application::new(Model::bind()).name("macro")).await?;
    let bound = Plain::bind().autoscaling(AutoscalingConfig::auto());
    let by_setter = runtime.run(Application::new(bound).name("setter")).await?;
    let _calls = holds(&by_macro, 500);
    let _more: Vec<_> = (0..500).map(|_| by_setter.hold()).collect();
    let targets = || {
        let applications = runtime.status().applications;
        let deployments = applications.into_values().flat_map(|app| app.deployments.into_values());
        deployments.map(|deployment| deployment.target_num_replicas).collect::<Vec<_>>()
    };
    assert_eq!(targets(), [1, 1]);
    sleep(seconds(300)).await;
    assert_eq!(targets(), [100, 100]);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn autoscaling_options_refine_auto() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let refined = runtime.run(Refined::bind()).await?;
    let target = || deployment(&runtime, "Refined").target_num_replicas;
    assert_eq!(target(), 2);
    let _calls: Vec<_> = (0..400).map(|_| refined.hold()).collect();
    sleep(seconds(300)).await;
    assert_eq!(target(), 80, "5 on each, and up to a hundred");
    Ok(())
}
