//! Redeploys: what restarts and what stays, how versions replace each other under load, and the user
//! config.

use crate::support::clocks::each_ms_during;
use crate::support::events::Events;
use crate::support::status::{application, deployment, ids};

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::json;
use serve_core::autoscaling::AutoscalingConfig;
use serve_core::prelude::*;
use serve_core::status::{ApplicationStatus, DeploymentStatus, ReplicaState, StatusTrigger};
use tokio::time::{Instant, sleep};

/// Takes a second to start.
#[deployment]
struct Worker {
    version: u32,
}

#[handle]
impl Worker {
    async fn new(version: u32) -> Self {
        sleep(Duration::from_secs(1)).await;
        Self { version }
    }

    pub async fn work(&self, ms: u64) -> u32 {
        sleep(Duration::from_millis(ms)).await;
        self.version
    }
}

/// Makes a call each 5 ms, and looks at the replicas each millisecond, while `change` runs.
async fn under_load<T>(
    runtime: &MockRuntime,
    worker: &WorkerHandle,
    change: impl Future<Output = T>,
    mut look: impl FnMut(usize, usize),
) -> (T, Vec<Response<u32>>) {
    let mut calls = Vec::new();
    let changed = each_ms_during(change, |ms| {
        if ms % 5 == 0 {
            calls.push(worker.work(30));
        }
        let replicas = deployment(runtime, "Worker").replicas;
        let of = |state| replicas.iter().filter(|replica| replica.state == state).count();
        let running = of(ReplicaState::Running);
        look(running, running + of(ReplicaState::Starting));
    })
    .await;
    (changed, calls)
}

#[tokio::test(start_paused = true)]
async fn updates_under_load_fail_no_call() -> Result<()> {
    // Replicas, the part that is replaced at a time, the surge in percent; then how many
    // serve at least, and how many there are at most.
    let settings = [
        (1, 0.2, 0.0, 1, 2),
        (1, 1.0, 100.0, 1, 2),
        (3, 1.0, 0.0, 1, 3),
        (4, 0.25, 0.0, 3, 4),
        (4, 0.5, 0.0, 2, 4),
        (4, 0.2, 50.0, 4, 6),
        (4, 1.0, 100.0, 4, 8),
        (7, 0.2, 10.0, 7, 8),
        (10, 0.2, 0.0, 8, 10),
    ];
    for (replicas, part, surge, at_least, at_most) in settings {
        let setting = (replicas, part, surge);
        let bound = |version: u32| {
            Worker::bind(version)
                .num_replicas(replicas)
                .rolling_update_percentage(part)
                .max_surge_percent(surge)
        };
        let runtime = MockRuntime::builder().start();
        let worker = runtime.run(bound(1)).await?;
        let (mut least, mut most) = (usize::MAX, 0);
        let look = |running: usize, all: usize| {
            least = least.min(running);
            most = most.max(all);
        };
        let before = worker.work(1_500);
        sleep(Duration::from_millis(1)).await;
        let update = runtime.run(bound(2));
        let (updated, calls) = under_load(&runtime, &worker, update, look).await;
        updated?;
        assert_eq!(worker.work(1).await?, 2, "{setting:?}");
        assert!(least >= at_least, "{setting:?}: {least} served");
        assert!(most <= at_most, "{setting:?}: there were {most}");
        assert!(most > at_most - 2 && least < at_least + 2, "{setting:?}: {least} to {most}");
        assert!(calls.len() >= 200, "{setting:?}: an update takes a second at least");
        let mut versions = Vec::new();
        for call in calls {
            versions.push(call.await?);
        }
        assert_eq!((versions[0], before.await?), (1, 1), "{setting:?}: calls end where they began");
        let replicas_now = deployment(&runtime, "Worker");
        assert_eq!(ids(&runtime, "Worker").len(), replicas, "{setting:?}");
        assert_eq!(replicas_now.status, DeploymentStatus::Healthy);
        assert_eq!(replicas_now.status_trigger, StatusTrigger::ConfigUpdateCompleted);
        let mut ranks: Vec<usize> = replicas_now
            .replicas
            .iter()
            .filter(|replica| replica.state == ReplicaState::Running)
            .map(|replica| replica.rank)
            .collect();
        ranks.sort_unstable();
        assert_eq!(ranks, (0..replicas).collect::<Vec<_>>(), "{setting:?}");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_update_may_also_change_the_replica_count() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let worker = runtime.run(Worker::bind(1u32).num_replicas(6)).await?;
    for (version, replicas) in [(2u32, 2), (3, 9), (4, 1)] {
        let update = runtime.run(Worker::bind(version).num_replicas(replicas));
        let (updated, calls) = under_load(&runtime, &worker, update, |_, _| {}).await;
        updated?;
        for call in calls {
            call.await?;
        }
        assert_eq!(ids(&runtime, "Worker").len(), replicas);
        assert_eq!(worker.work(1).await?, version);
    }
    Ok(())
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Tuning {
    factor: u32,
    labels: Vec<String>,
}

impl Tuning {
    fn by(factor: u32) -> Self {
        Self { factor, labels: vec!["plain".to_owned()] }
    }
}

#[deployment]
struct Leaf {
    number: u32,
    factor: Mutex<u32>,
}

#[handle]
impl Leaf {
    fn new(number: u32) -> Self {
        Self { number, factor: Mutex::new(1) }
    }

    #[reconfigure]
    async fn tune(&self, tuning: Tuning) {
        sleep(Duration::from_secs(1)).await;
        *self.factor.lock() = tuning.factor;
    }

    #[check_health]
    async fn check(&self) {}

    pub async fn number(&self) -> u32 {
        self.number * *self.factor.lock()
    }
}

#[deployment]
struct Other(BTreeMap<String, u32>);

#[handle]
impl Other {
    fn new(numbers: BTreeMap<String, u32>) -> Self {
        Self(numbers)
    }

    pub async fn sum(&self) -> u32 {
        self.0.values().sum()
    }
}

#[deployment]
struct Front {
    leaf: LeafHandle,
    other: OtherHandle,
}

#[handle]
impl Front {
    fn new(leaf: LeafHandle, other: OtherHandle) -> Self {
        Self { leaf, other }
    }

    pub async fn total(&self) -> Result<u32> {
        Ok(self.leaf.number().await? + self.other.sum().await?)
    }
}

fn leaf(number: u32) -> Bound<Leaf> {
    Leaf::bind(number).num_replicas(2)
}

fn front(leaf: Bound<Leaf>) -> Bound<Front> {
    Front::bind(leaf, Other::bind(BTreeMap::from([("a".to_owned(), 100)])))
}

#[tokio::test(start_paused = true)]
async fn only_changed_deployments_restart() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let handle = runtime.run(front(leaf(1))).await?;
    let all = || ["Front", "Leaf", "Other"].map(|deployment| ids(&runtime, deployment));
    let before = all();
    runtime.run(front(leaf(1))).await?;
    assert_eq!(all(), before, "nothing changed, and nothing restarts");

    runtime.run(front(leaf(2))).await?;
    let after = all();
    assert_eq!((&after[0], &after[2]), (&before[0], &before[2]));
    assert!(after[1].iter().all(|id| !before[1].contains(id)), "{after:?}");
    assert_eq!(handle.total().await?, 102, "the caller's handle leads to the new version");

    // What an instance holds of its node cannot change in place.
    let restarting: [(&str, Bound<Leaf>); 4] = [
        ("num_cpus", leaf(2).num_cpus(1.0)),
        ("memory", leaf(2).num_cpus(1.0).memory(1 << 20)),
        ("resources", leaf(2).resource("tpu", 1.0)),
        ("max_replicas_per_node", leaf(2).resource("tpu", 1.0).max_replicas_per_node(7)),
    ];
    for (option, changed) in restarting {
        let [front_before, leaf_before, other_before] = all();
        runtime.run(front(changed)).await?;
        let [front_after, leaf_after, other_after] = all();
        assert_eq!((front_before, other_before), (front_after, other_after), "{option}");
        assert!(leaf_after.iter().all(|id| !leaf_before.contains(id)), "{option}");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn in_place_options_do_not_restart() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let handle = runtime.run(front(leaf(1))).await?;
    let before = ids(&runtime, "Leaf");
    let seconds = Duration::from_secs;
    let round_robin = serve_core::routing::RequestRouting::RoundRobin;
    let autoscaling = AutoscalingConfig::new().min_replicas(2).max_replicas(5);
    let in_place: [(&str, Bound<Leaf>); 12] = [
        ("max_ongoing_requests", leaf(1).max_ongoing_requests(3)),
        ("max_queued_requests", leaf(1).max_queued_requests(9)),
        ("request_timeout", leaf(1).request_timeout(seconds(9))),
        ("health_check_period", leaf(1).health_check_period(seconds(3))),
        ("health_check_timeout", leaf(1).health_check_timeout(seconds(3))),
        ("graceful_shutdown_timeout", leaf(1).graceful_shutdown_timeout(seconds(3))),
        ("max_constructor_retry_count", leaf(1).max_constructor_retry_count(3)),
        ("rolling_update_percentage", leaf(1).rolling_update_percentage(0.5)),
        ("max_surge_percent", leaf(1).max_surge_percent(50.0)),
        ("request_router", leaf(1).request_router(round_robin)),
        ("user_config", leaf(1).user_config(Tuning::by(5))),
        ("autoscaling", leaf(1).user_config(Tuning::by(5)).autoscaling(autoscaling)),
    ];
    for (option, changed) in in_place {
        runtime.run(front(changed)).await?;
        assert_eq!(ids(&runtime, "Leaf"), before, "{option}");
        let leaf = deployment(&runtime, "Leaf");
        assert_eq!(leaf.status, DeploymentStatus::Healthy, "{option}");
    }
    assert_eq!(handle.total().await?, 105);
    runtime.run(front(leaf(1).user_config(Tuning::by(5)))).await?;
    runtime.run(front(leaf(1).user_config(Tuning::by(5)).num_replicas(4))).await?;
    let more = ids(&runtime, "Leaf");
    assert!(more.len() == 4 && before.iter().all(|id| more.contains(id)), "{more:?}");
    let trigger = |runtime: &MockRuntime| deployment(runtime, "Leaf").status_trigger;
    assert_eq!(trigger(&runtime), StatusTrigger::UpscaleCompleted);
    runtime.run(front(leaf(1).user_config(Tuning::by(5)).num_replicas(1))).await?;
    sleep(seconds(1)).await;
    assert_eq!(ids(&runtime, "Leaf"), before[..1], "the newest go first");
    assert_eq!(trigger(&runtime), StatusTrigger::DownscaleCompleted);
    // More replicas and something else is an update.
    runtime.run(front(leaf(1).user_config(Tuning::by(6)).num_replicas(2))).await?;
    assert_eq!(trigger(&runtime), StatusTrigger::ConfigUpdateCompleted);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn changed_limits_apply_at_once() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let worker = runtime.run(Worker::bind(1u32).max_ongoing_requests(1)).await?;
    let calls: Vec<_> = (0..6).map(|_| worker.work(1_000)).collect();
    sleep(Duration::from_millis(1)).await;
    assert_eq!(
        (deployment(&runtime, "Worker").ongoing, deployment(&runtime, "Worker").queued),
        (1, 5)
    );
    runtime.run(Worker::bind(1u32).max_ongoing_requests(4)).await?;
    sleep(Duration::from_millis(1)).await;
    assert_eq!(
        (deployment(&runtime, "Worker").ongoing, deployment(&runtime, "Worker").queued),
        (4, 2)
    );
    for call in calls {
        call.await?;
    }
    Ok(())
}

#[deployment]
struct Step {
    next: Option<LastHandle>,
    name: String,
    events: Events,
}

#[handle]
impl Step {
    fn new(next: Option<LastHandle>, name: String, events: Events) -> Self {
        Self { next, name, events }
    }

    /// Takes a second, then calls the next.
    pub async fn go(&self) -> Result<String> {
        sleep(Duration::from_secs(1)).await;
        match &self.next {
            Some(next) => Ok(format!("{}, {}", self.name, next.go().await?)),
            None => Ok(self.name.clone()),
        }
    }

    #[shutdown]
    fn stop(&self) {
        self.events.note(format!("{} stopped", self.name));
    }
}

#[deployment]
struct Last {
    events: Events,
}

#[handle]
impl Last {
    fn new(events: Events) -> Self {
        Self { events }
    }

    pub async fn go(&self) -> String {
        sleep(Duration::from_secs(1)).await;
        "last".to_owned()
    }

    #[shutdown]
    fn stop(&self) {
        self.events.note("last stopped");
    }
}

#[tokio::test(start_paused = true)]
async fn removed_deployments_stop_after_their_callers() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let events = Events::default();
    let bind = |next, name: &str| Step::bind(next, name, Arc::clone(&events)).name("Step");
    let step = runtime.run(bind(Some(Last::bind(Arc::clone(&events))), "old")).await?;
    let last = runtime.get_deployment_handle::<Last>("default", "Last")?;
    let running = step.go();
    sleep(Duration::from_millis(1)).await;
    let began = Instant::now();
    runtime.run(bind(None, "new")).await?;
    assert_eq!(began.elapsed(), Duration::ZERO, "nobody waits for what drains");
    let after = step.go();
    assert_eq!(running.await?, "old, last", "the old caller still has its callee");
    assert_eq!(after.await?, "new");
    sleep(Duration::from_secs(1)).await;
    assert_eq!(events.seen(), ["old stopped", "last stopped"]);
    let gone = last.go().await.expect_err("it was removed");
    assert!(matches!(gone, CallError::Unavailable { started: false, .. }), "{gone:?}");
    assert!(!application(&runtime).deployments.contains_key("Last"));
    Ok(())
}

/// Takes a step with each call, if it is made at all.
#[deployment]
struct Walker {
    step: StepHandle,
}

#[handle]
impl Walker {
    fn new(step: StepHandle, fails: bool) -> Result<Self> {
        if fails { Err(Error::msg("its shoes are lost")) } else { Ok(Self { step }) }
    }

    pub async fn go(&self) -> Result<String> {
        Ok(self.step.go().await?)
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_updates_additions_stop_after_callers() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let events = Events::default();
    let bind = |next, name: &str| Step::bind(next, name, Arc::clone(&events)).name("Step");
    let walker = runtime.run(Walker::bind(bind(None, "old"), false)).await?;
    let last = Last::bind(Arc::clone(&events));
    let update = runtime.run(Walker::bind(bind(Some(last), "new"), true));
    let meanwhile = async {
        // The callee has its new version, and the caller does not start.
        sleep(Duration::from_millis(100)).await;
        walker.go().await
    };
    let (updated, served) = futures::join!(update, meanwhile);
    assert!(updated.expect_err("the caller does not start").to_string().contains("shoes"));
    assert_eq!(served?, "new, last");
    assert_eq!(walker.go().await?, "old");
    sleep(Duration::from_secs(1)).await;
    assert_eq!(events.seen(), ["old stopped", "new stopped", "last stopped"]);
    assert!(!application(&runtime).deployments.contains_key("Last"));
    Ok(())
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct Orders {
    text: String,
    takes_s: u64,
    fails: bool,
}

fn orders(text: &str) -> Orders {
    Orders { text: text.to_owned(), takes_s: 1, fails: false }
}

#[deployment]
struct Clerk {
    orders: Mutex<String>,
    events: Events,
}

#[handle]
impl Clerk {
    fn new(events: Events) -> Self {
        events.note("made");
        Self { orders: Mutex::new("none".to_owned()), events }
    }

    #[reconfigure]
    async fn take(&self, orders: Orders) -> Result<()> {
        sleep(Duration::from_secs(orders.takes_s)).await;
        self.events.note(format!("told {}", orders.text));
        if orders.fails {
            return Err(Error::msg(format!("{} makes no sense", orders.text)));
        }
        *self.orders.lock() = orders.text;
        Ok(())
    }

    pub async fn orders(&self) -> String {
        self.events.note("asked");
        self.orders.lock().clone()
    }
}

#[tokio::test(start_paused = true)]
async fn user_config_precedes_calls_without_a_restart() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let events = Events::default();
    let bound = Clerk::bind(Arc::clone(&events));
    let clerk = runtime.run(bound.clone().user_config(orders("a"))).await?;
    assert_eq!(clerk.orders().await?, "a");
    assert_eq!(events.seen(), ["made", "told a", "asked"]);
    let before = ids(&runtime, "Clerk");

    let update = runtime.run(bound.clone().user_config(orders("b")));
    let meanwhile = async {
        sleep(Duration::from_millis(500)).await;
        assert_eq!(deployment(&runtime, "Clerk").replicas[0].state, ReplicaState::Updating);
        assert_eq!(deployment(&runtime, "Clerk").status, DeploymentStatus::Updating);
        clerk.orders().await
    };
    let (updated, served) = futures::join!(update, meanwhile);
    updated?;
    assert_eq!(served?, "a", "calls are served meanwhile");
    assert_eq!(clerk.orders().await?, "b");
    assert_eq!(ids(&runtime, "Clerk"), before);
    events.take();
    runtime.run(bound.clone().user_config(orders("b"))).await?;
    assert_eq!(events.seen(), [""; 0], "the same config is not given again");

    // What was given cannot be taken back.
    runtime.run(bound).await?;
    assert_eq!(clerk.orders().await?, "none");
    assert!(ids(&runtime, "Clerk").iter().all(|id| !before.contains(id)));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_mistyped_user_config_names_the_field() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let refused = |config: serde_json::Value| {
        let runtime = &runtime;
        async move {
            let error = runtime.run(front(leaf(1).user_config(config))).await;
            error.map(drop).expect_err("it does not fit").to_string()
        }
    };
    let error = refused(json!({ "factor": "two", "labels": [] })).await;
    for word in ["`Leaf`", "`user_config`", "`factor`", "\"two\"", "u32"] {
        assert!(error.contains(word), "{error}");
    }
    let error = refused(json!({ "factor": 2, "labels": ["a", 7] })).await;
    assert!(error.contains("`labels[1]`"), "{error}");
    let error = refused(json!({ "factor": 2 })).await;
    assert!(error.contains("`labels`"), "{error}");
    assert!(runtime.status().applications.is_empty(), "nothing was deployed");

    let handle = runtime.run(front(leaf(1))).await?;
    let before = ids(&runtime, "Leaf");
    refused(json!({ "factor": -1, "labels": [] })).await;
    assert_eq!(ids(&runtime, "Leaf"), before);
    assert_eq!(application(&runtime).status, ApplicationStatus::Running);
    assert_eq!(handle.total().await?, 101);

    let unasked = runtime.run(Worker::bind(1u32).user_config(1)).await;
    let unasked = unasked.map(drop).expect_err("it takes none").to_string();
    assert!(unasked.contains("`Worker`") && unasked.contains("#[reconfigure]"), "{unasked}");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_refused_user_config_leaves_the_old_one() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let events = Events::default();
    let bound = Clerk::bind(Arc::clone(&events)).num_replicas(2);
    let clerk = runtime.run(bound.clone().user_config(orders("a"))).await?;
    let before = ids(&runtime, "Clerk");
    let bad = Orders { fails: true, ..orders("nonsense") };
    let update = runtime.run(bound.clone().user_config(bad));
    let meanwhile = async {
        for _ in 0..40 {
            sleep(Duration::from_millis(100)).await;
            assert_eq!(clerk.orders().await?, "a");
        }
        Ok::<_, CallError>(())
    };
    let (updated, served) = futures::join!(update, meanwhile);
    served?;
    let error = updated.expect_err("it was refused").to_string();
    assert_eq!(
        error,
        "application `default`: `Clerk` refuses its user config: nonsense makes no sense"
    );
    assert_eq!(ids(&runtime, "Clerk"), before, "nothing restarts");
    let status = &application(&runtime);
    assert_eq!(status.status, ApplicationStatus::DeployFailed);
    assert!(status.message.contains("nonsense makes no sense"), "{}", status.message);
    let shown = &status.deployments["Clerk"];
    assert_eq!(shown.status, DeploymentStatus::DeployFailed);
    assert!(shown.message.contains("nonsense makes no sense"), "{}", shown.message);
    let told = events.seen().iter().filter(|event| *event == "told a").count();
    assert_eq!(told, 4, "each is given the config from before again");

    runtime.run(bound.user_config(orders("c"))).await?;
    assert_eq!(clerk.orders().await?, "c");
    assert_eq!(ids(&runtime, "Clerk"), before);
    assert_eq!(application(&runtime).status, ApplicationStatus::Running);
    assert_eq!(deployment(&runtime, "Clerk").status, DeploymentStatus::Healthy);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_refused_first_user_config_fails_the_deploy() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let events = Events::default();
    let bad = Orders { fails: true, ..orders("nonsense") };
    let failed = runtime.run(Clerk::bind(Arc::clone(&events)).user_config(bad)).await;
    let failed = failed.map(drop).expect_err("it is refused").to_string();
    assert!(failed.contains("user config") && failed.ends_with("makes no sense"), "{failed}");
    assert_eq!(events.seen().iter().filter(|event| *event == "made").count(), 3);
    Ok(())
}
