//! Unhealthy replicas, their replacement, and their status.

use crate::support::status::{application, deployment, ids};

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serve_core::prelude::*;
use serve_core::status::{
    ApplicationStatus, DeploymentDetails, DeploymentStatus, ReplicaState, StatusTrigger,
};
use tokio::time::{Instant, sleep};

fn me() -> String {
    replica_context().expect("a replica is current").replica_id().to_owned()
}

/// The way in which a check fails.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ill {
    Says,
    Panics,
    Hangs,
}

/// What is wrong with each replica, and what its hooks saw.
#[derive(Clone, Default)]
struct Ward {
    /// By replica: how its next checks fail.
    ill: Arc<Mutex<HashMap<String, Vec<Ill>>>>,
    checks: Arc<Mutex<BTreeMap<String, usize>>>,
    shut_down: Arc<Mutex<Vec<String>>>,
    dropped: Arc<Mutex<Vec<String>>>,
}

impl Ward {
    fn infect(&self, replica: &str, with: &[Ill]) {
        self.ill.lock().insert(replica.to_owned(), with.to_vec());
    }

    fn shut_down(&self) -> Vec<String> {
        let mut ids = self.shut_down.lock().clone();
        ids.sort();
        ids
    }
}

#[deployment(health_check_period = "10s", health_check_timeout = "5s")]
struct Patient {
    ward: Ward,
    id: String,
}

#[handle]
impl Patient {
    fn new(ward: Ward) -> Self {
        Self { ward, id: me() }
    }

    #[check_health]
    async fn check(&self) -> Result<()> {
        *self.ward.checks.lock().entry(me()).or_default() += 1;
        let ill = self.ward.ill.lock().get_mut(&self.id).and_then(Vec::pop);
        match ill {
            None => Ok(()),
            Some(Ill::Says) => Err(Error::msg("feverish")),
            Some(Ill::Panics) => panic!("feverish"),
            Some(Ill::Hangs) => std::future::pending().await,
        }
    }

    #[shutdown]
    async fn leave(&self) {
        self.ward.shut_down.lock().push(me());
    }

    /// The replica that served it.
    pub async fn rest(&self, ms: u64) -> String {
        sleep(Duration::from_millis(ms)).await;
        self.id.clone()
    }

    pub async fn fall(&self) {
        panic!("it fell");
    }
}

impl Drop for Patient {
    fn drop(&mut self) {
        self.ward.dropped.lock().push(self.id.clone());
    }
}

#[tokio::test(start_paused = true)]
async fn three_failed_checks_replace_a_replica() -> Result<()> {
    for ill in [Ill::Says, Ill::Panics, Ill::Hangs] {
        let ward = Ward::default();
        let runtime = MockRuntime::builder().start();
        let _patient = runtime.run(Patient::bind(ward.clone()).num_replicas(2)).await?;
        let before = ids(&runtime, "Patient");
        ward.infect(&before[0], &[ill, ill]);
        sleep(Duration::from_secs(100)).await;
        assert_eq!(ids(&runtime, "Patient"), before, "{ill:?} twice");
        assert_eq!(deployment(&runtime, "Patient").status, DeploymentStatus::Healthy);
        assert!(ward.ill.lock()[&before[0]].is_empty());

        ward.infect(&before[0], &[ill, ill, ill]);
        sleep(Duration::from_secs(100)).await;
        let after = ids(&runtime, "Patient");
        assert_eq!(after.len(), 2, "{ill:?}");
        assert!(!after.contains(&before[0]) && after.contains(&before[1]), "{ill:?}: {after:?}");
        let details = deployment(&runtime, "Patient");
        assert_eq!(details.status, DeploymentStatus::Healthy);
        assert_eq!(details.status_trigger, StatusTrigger::Unspecified);
        let [dead] = &details.recent_dead_replicas[..] else { panic!("{details:?}") };
        assert_eq!(dead.replica_id, before[0]);
        let said = if ill == Ill::Hangs { "within 5s" } else { "feverish" };
        assert!(dead.reason.contains("3 health checks") && dead.reason.contains(said), "{dead:?}");
        assert_eq!(ward.shut_down(), [before[0].clone()], "it is drained, not killed");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_passed_check_resets_the_count() -> Result<()> {
    let ward = Ward::default();
    let runtime = MockRuntime::builder().start();
    let _patient = runtime.run(Patient::bind(ward.clone())).await?;
    let before = ids(&runtime, "Patient");
    assert_eq!(ward.checks.lock()[&before[0]], 1, "once before the first call");
    sleep(Duration::from_secs(1_000)).await;
    let checks = ward.checks.lock()[&before[0]];
    assert!((91..=112).contains(&checks), "{checks} in 1,000 s");
    // The health of 100 days is not the sum of its failures.
    for _ in 0..20 {
        ward.infect(&before[0], &[Ill::Says, Ill::Says]);
        sleep(Duration::from_secs(50)).await;
    }
    assert_eq!(ids(&runtime, "Patient"), before);
    // Another period holds at once.
    runtime.run(Patient::bind(ward.clone()).health_check_period(Duration::from_secs(1))).await?;
    Ok(())
}

/// Updates that change nothing about the checks do not begin the count again, however often they
/// come.
#[tokio::test(start_paused = true)]
async fn updates_do_not_keep_an_unhealthy_replica() -> Result<()> {
    let ward = Ward::default();
    let runtime = MockRuntime::builder().start();
    // The same `bind`, because a ward is compared by identity.
    let bound = Patient::bind(ward.clone());
    let _patient = runtime.run(bound.clone()).await?;
    let before = ids(&runtime, "Patient");
    ward.infect(&before[0], &[Ill::Says; 100]);
    for slots in 1..=10 {
        runtime.run(bound.clone().max_ongoing_requests(slots)).await?;
        sleep(Duration::from_secs(8)).await;
    }
    let details = deployment(&runtime, "Patient");
    let [dead] = &details.recent_dead_replicas[..] else { panic!("{details:?}") };
    assert_eq!(dead.replica_id, before[0]);
    assert!(dead.reason.contains("3 health checks"), "{dead:?}");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn callers_of_an_unhealthy_replica_are_served() -> Result<()> {
    let ward = Ward::default();
    let runtime = MockRuntime::builder().start();
    let bound = Patient::bind(ward.clone()).num_replicas(2).max_ongoing_requests(1);
    let patient = runtime.run(bound).await?;
    let before = ids(&runtime, "Patient");
    ward.infect(&before[0], &[Ill::Says; 3]);
    // Until the third check fails, calls of 8 s on both; some are always waiting.
    let mut calls: Vec<_> = (0..24).map(|_| patient.rest(8_000)).collect();
    let mut unhealthy = None;
    for second in 0..60 {
        sleep(Duration::from_secs(1)).await;
        let details = deployment(&runtime, "Patient");
        if details.status == DeploymentStatus::Unhealthy && unhealthy.is_none() {
            unhealthy = Some(second);
            assert_eq!(details.status_trigger, StatusTrigger::HealthCheckFailed);
            assert!(details.message.contains(&before[0]), "{}", details.message);
            assert!(details.message.contains("feverish"), "{}", details.message);
            let app = application(&runtime).status;
            assert_eq!(app, ApplicationStatus::Unhealthy);
        }
    }
    calls.push(patient.rest(1));
    let mut served = BTreeMap::<String, usize>::new();
    for call in calls {
        *served.entry(call.await?).or_default() += 1;
    }
    assert_eq!(served.len(), 3, "{served:?}");
    // The one that ran at the third failure ended there, and no other began there.
    assert!((3..=5).contains(&served[&before[0]]), "{served:?}");
    assert_eq!(ward.shut_down(), [before[0].clone()]);
    Ok(())
}

/// Starts slowly, so that one can see how it stands meanwhile.
#[deployment(health_check_period = "10s")]
struct Slow {
    well: Arc<Mutex<bool>>,
}

#[handle]
impl Slow {
    async fn new(well: Arc<Mutex<bool>>) -> Self {
        sleep(Duration::from_secs(3)).await;
        *well.lock() = true;
        Self { well }
    }

    #[check_health]
    fn check(&self) -> Result<(), String> {
        if *self.well.lock() { Ok(()) } else { Err("worn out".to_owned()) }
    }

    pub async fn work(&self) -> u32 {
        1
    }
}

#[tokio::test(start_paused = true)]
async fn unhealthy_until_the_replacement_runs() -> Result<()> {
    let well = Arc::new(Mutex::new(true));
    let runtime = MockRuntime::builder().start();
    let slow = runtime.run(Slow::bind(Arc::clone(&well))).await?;
    let standing = || {
        let details = deployment(&runtime, "Slow");
        (details.status, details.status_trigger)
    };
    let healthy = (DeploymentStatus::Healthy, StatusTrigger::ConfigUpdateCompleted);
    assert_eq!(standing(), healthy);
    *well.lock() = false;
    let mut seen = vec![healthy];
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(60) {
        sleep(Duration::from_millis(100)).await;
        if seen.last() != Some(&standing()) {
            seen.push(standing());
            if seen.len() == 2 {
                // No other replica is there: the call waits for the new one.
                assert_eq!(slow.work().await?, 1);
            }
        }
    }
    let unhealthy = (DeploymentStatus::Unhealthy, StatusTrigger::HealthCheckFailed);
    let again = (DeploymentStatus::Healthy, StatusTrigger::Unspecified);
    assert_eq!(seen, [healthy, unhealthy, again]);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_failed_first_check_is_a_failed_start() -> Result<()> {
    #[deployment]
    #[derive(Default)]
    struct Stillborn;

    #[handle]
    impl Stillborn {
        #[check_health]
        fn check(&self) -> Result<()> {
            Err(Error::msg("no pulse"))
        }
    }

    let runtime = MockRuntime::builder().start();
    let failed = runtime.run(Stillborn::bind()).await.map(drop).expect_err("it is not healthy");
    let said = failed.to_string();
    assert!(said.ends_with("its first health check failed: no pulse"), "{said}");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn panics_replace_a_replica_but_spare_other_calls() -> Result<()> {
    let ward = Ward::default();
    let runtime = MockRuntime::builder().start();
    let patient = runtime.run(Patient::bind(ward.clone())).await?;
    let before = ids(&runtime, "Patient");
    let running = patient.rest(9_000);
    for fall in 0..3 {
        assert_eq!(patient.fall().await, Err(CallError::Panicked("it fell".to_owned())), "{fall}");
    }
    assert_ne!(patient.rest(1).await?, before[0]);
    assert_eq!(running.await?, before[0]);
    let dead = &deployment(&runtime, "Patient").recent_dead_replicas;
    assert!(dead[0].reason.contains("3 calls in a row panicked"), "{dead:?}");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_killed_replica_is_replaced_and_named() -> Result<()> {
    let ward = Ward::default();
    let runtime = MockRuntime::builder().start();
    let patient = runtime.run(Patient::bind(ward.clone()).num_replicas(3)).await?;
    let before = ids(&runtime, "Patient");
    assert!(runtime.kill_replica::<Patient>(1));
    sleep(Duration::from_millis(1)).await;
    let details = deployment(&runtime, "Patient");
    assert_eq!(details.recent_dead_replicas[0].replica_id, before[1]);
    let mut ranks: Vec<usize> = details.replicas.iter().map(|replica| replica.rank).collect();
    ranks.sort_unstable();
    assert_eq!(ranks, [0, 1, 2]);
    assert_eq!(ward.shut_down(), [""; 0], "one that is gone has no `#[shutdown]`");
    assert_eq!(*ward.dropped.lock(), [before[1].clone()]);
    patient.rest(1).await?;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn status_keeps_the_last_ten_failures() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let _patient = runtime.run(Patient::bind(Ward::default())).await?;
    let mut killed = Vec::new();
    for _ in 0..13 {
        killed.extend(ids(&runtime, "Patient"));
        assert!(runtime.kill_replica::<Patient>(0));
        sleep(Duration::from_secs(1)).await;
    }
    let dead = deployment(&runtime, "Patient").recent_dead_replicas;
    let dead: Vec<_> = dead.into_iter().map(|dead| dead.replica_id).collect();
    assert_eq!(dead, killed[3..]);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn shutdown_runs_once_on_each_drained_replica() -> Result<()> {
    let ward = Ward::default();
    let runtime = MockRuntime::builder().start();
    let bind = || Patient::bind(ward.clone());
    let bound = bind();
    let patient = runtime.run(bound.clone().num_replicas(3)).await?;
    let mut gone = Vec::new();

    // Scaling down.
    let first = ids(&runtime, "Patient");
    let running: Vec<_> = (0..30).map(|_| patient.rest(5_000)).collect();
    sleep(Duration::from_millis(1)).await;
    let stopping = |details: DeploymentDetails| {
        details.replicas.iter().filter(|replica| replica.state == ReplicaState::Stopping).count()
    };
    let meanwhile = async {
        sleep(Duration::from_secs(4)).await;
        assert_eq!(ward.shut_down(), [""; 0], "calls still run there");
        assert_eq!(stopping(deployment(&runtime, "Patient")), 2);
        assert_eq!(deployment(&runtime, "Patient").status, DeploymentStatus::Downscaling);
    };
    let began = Instant::now();
    let (scaled, ()) = futures::join!(runtime.run(bound.clone().num_replicas(1)), meanwhile);
    scaled?;
    assert_eq!(began.elapsed().as_millis(), 4_999, "as soon as those that are too many are gone");
    let now = ids(&runtime, "Patient");
    gone.extend(first.iter().filter(|id| !now.contains(id)).cloned());
    assert_eq!(ward.shut_down(), gone);
    assert_eq!(deployment(&runtime, "Patient").status, DeploymentStatus::Healthy);
    for call in running {
        call.await?;
    }

    // Another version.
    gone.extend(ids(&runtime, "Patient"));
    runtime.run(bind()).await?;
    sleep(Duration::from_millis(1)).await;
    gone.sort();
    assert_eq!(ward.shut_down(), gone);

    // The end of the runtime.
    gone.extend(ids(&runtime, "Patient"));
    let began = Instant::now();
    let last = patient.rest(7_000);
    sleep(Duration::from_millis(1)).await;
    runtime.shutdown().await;
    assert_eq!(began.elapsed(), Duration::from_secs(7), "as long as its last call");
    last.await?;
    gone.sort();
    assert_eq!(ward.shut_down(), gone);
    let mut dropped = ward.dropped.lock().clone();
    dropped.sort();
    assert_eq!(dropped, gone);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_idle_replica_stops_at_once() -> Result<()> {
    let ward = Ward::default();
    let runtime = MockRuntime::builder().start();
    let _patient = runtime.run(Patient::bind(ward.clone()).num_replicas(4)).await?;
    let began = Instant::now();
    runtime.delete("default").await?;
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!(ward.shut_down().len(), 4);
    assert_eq!(ward.dropped.lock().len(), 4);
    Ok(())
}

/// Takes its time to shut down.
#[deployment(graceful_shutdown_timeout = "10s")]
struct Lingering {
    ward: Ward,
    lingers_s: u64,
}

#[handle]
impl Lingering {
    fn new(ward: Ward, lingers_s: u64) -> Self {
        Self { ward, lingers_s }
    }

    #[shutdown]
    async fn linger(&self) {
        self.ward.shut_down.lock().push("began".to_owned());
        sleep(Duration::from_secs(self.lingers_s)).await;
        self.ward.shut_down.lock().push("done".to_owned());
    }

    pub async fn rest(&self, ms: u64) {
        sleep(Duration::from_millis(ms)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn calls_and_shutdown_share_the_grace_period() -> Result<()> {
    // How long the call and the hook would take, how long the end does, and how far the
    // hook gets.
    let rows: [(u64, u64, u64, &[&str]); 5] = [
        (0, 0, 0, &["began", "done"]),
        (4, 5, 9, &["began", "done"]),
        (4, 60, 10, &["began"]),
        (60, 0, 10, &[]),
        (0, 60, 10, &["began"]),
    ];
    for (call_s, lingers_s, took_s, hook) in rows {
        let row = (call_s, lingers_s);
        let ward = Ward::default();
        let runtime = MockRuntime::builder().start();
        let lingering = runtime.run(Lingering::bind(ward.clone(), lingers_s)).await?;
        let call = lingering.rest(call_s * 1_000);
        sleep(Duration::from_millis(1)).await;
        let began = Instant::now();
        runtime.delete("default").await?;
        let took = began.elapsed().as_secs_f64().round();
        assert_eq!(took, took_s as f64, "{row:?}");
        assert_eq!(ward.shut_down.lock().clone(), hook, "{row:?}");
        let ended = call.await;
        if call_s < 10 {
            ended?;
        } else {
            let ended = ended.expect_err("it was dropped");
            assert!(matches!(ended, CallError::Unavailable { started: true, .. }), "{ended:?}");
        }
    }
    Ok(())
}

/// One call at a time, and slow ones.
#[deployment(health_check_period = "10s", health_check_timeout = "5s")]
#[derive(Default)]
struct Actor {
    calls: u32,
    ill: bool,
}

#[handle]
impl Actor {
    pub async fn think(&mut self, seconds: u64) -> u32 {
        sleep(Duration::from_secs(seconds)).await;
        self.calls += 1;
        self.calls
    }

    pub async fn infect(&mut self) {
        self.ill = true;
    }

    #[check_health]
    async fn check(&self) -> Result<()> {
        if self.ill { std::future::pending().await } else { Ok(()) }
    }
}

#[tokio::test(start_paused = true)]
async fn a_busy_actor_is_healthy() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let actor = runtime.run(Actor::bind()).await?;
    // Each takes longer than three checks may.
    let calls: Vec<_> = (0..5).map(|_| actor.think(100)).collect();
    let mut counts = Vec::new();
    for call in calls {
        counts.push(call.await?);
    }
    assert_eq!(counts, [1, 2, 3, 4, 5], "by one instance");
    assert!(deployment(&runtime, "Actor").recent_dead_replicas.is_empty());
    // While a check that hangs by itself is ill.
    actor.infect().await?;
    sleep(Duration::from_secs(60)).await;
    assert_eq!(deployment(&runtime, "Actor").recent_dead_replicas.len(), 1);
    assert_eq!(actor.think(1).await?, 1);
    Ok(())
}

/// A destructor that panics must not leave the runtime waiting.
#[deployment]
#[derive(Default)]
struct Brittle;

#[handle]
impl Brittle {
    pub async fn work(&self) -> u32 {
        1
    }
}

impl Drop for Brittle {
    fn drop(&mut self) {
        panic!("it breaks");
    }
}

#[tokio::test(start_paused = true)]
async fn an_instance_whose_drop_panics_is_gone() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let brittle = runtime.run(Brittle::bind().num_replicas(2)).await?;
    assert_eq!(brittle.work().await?, 1);
    runtime.run(Brittle::bind().num_replicas(1)).await?;
    sleep(Duration::from_secs(1)).await;
    assert_eq!(deployment(&runtime, "Brittle").replicas.len(), 1);
    runtime.delete("default").await?;
    assert!(runtime.status().applications.is_empty());
    Ok(())
}
