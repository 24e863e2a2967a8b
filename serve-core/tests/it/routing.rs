//! The choice of a replica for a call.

use crate::support::runtimes;
use crate::support::status::{application, deployment};

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::{join_all, pending};
use parking_lot::Mutex;
use serve_core::DeployError;
use serve_core::prelude::*;
use serve_core::routing::{Candidate, Candidates, RequestRouter, RequestRouting, RoutedCall};
use serve_core::status::{ApplicationStatus, ReplicaState};
use tokio::time::sleep;

#[deployment]
#[derive(Default)]
struct Worker;

#[handle]
impl Worker {
    /// The rank and the id of the replica that served it.
    pub async fn work(&self, ms: u64) -> (usize, String) {
        let replica = replica_context().expect("a method runs in a replica");
        sleep(Duration::from_millis(ms)).await;
        (replica.rank(), replica.replica_id().to_owned())
    }

    /// Ten times slower on the first replica.
    pub async fn uneven(&self, ms: u64) -> usize {
        let rank = replica_context().expect("a method runs in a replica").rank();
        sleep(Duration::from_millis(if rank == 0 { 10 * ms } else { ms })).await;
        rank
    }

    pub async fn hold(&self) {
        pending::<()>().await;
    }
}

fn worker(routing: RequestRouting, replicas: usize, slots: usize) -> Bound<Worker> {
    Worker::bind().num_replicas(replicas).max_ongoing_requests(slots).request_router(routing)
}

fn session(id: impl Into<String>) -> CallOptions {
    CallOptions::new().session_id(id)
}

/// How many calls each rank got.
fn by_rank(ranks: impl IntoIterator<Item = usize>) -> BTreeMap<usize, usize> {
    let mut counts = BTreeMap::new();
    ranks.into_iter().for_each(|rank| *counts.entry(rank).or_default() += 1);
    counts
}

#[tokio::test(start_paused = true)]
async fn two_choices_spread_calls_and_spare_slow_replicas() -> Result<()> {
    async fn counts(seed: u64, slow: bool) -> Result<BTreeMap<usize, usize>> {
        let runtime = MockRuntime::builder().seed(seed).start();
        let worker = runtime.run(worker(RequestRouting::PowerOfTwoChoices, 4, 100)).await?;
        let mut calls = Vec::new();
        for number in 0..400_u64 {
            // Durations as uneven as prompts are.
            let ms = 5 + number * number % 37;
            let worker = worker.clone();
            calls.push(tokio::spawn(async move {
                if slow { worker.uneven(ms).await } else { Ok(worker.work(ms).await?.0) }
            }));
            sleep(Duration::from_millis(1)).await;
        }
        let ranks = join_all(calls).await.into_iter().map(|call| call.expect("it runs to its end"));
        Ok(by_rank(ranks.collect::<Result<Vec<_>, _>>()?))
    }
    for seed in 0..5 {
        let even = counts(seed, false).await?;
        assert!(even.len() == 4 && even.values().all(|n| (80..=120).contains(n)), "{even:?}");
        let slow = counts(seed, true).await?;
        assert!(slow[&0] * 3 < slow[&1].min(slow[&2]).min(slow[&3]) * 2, "{slow:?}");
    }
    assert_eq!(counts(7, false).await?, counts(7, false).await?, "the seed decides");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn round_robin_is_exact_and_skips_full_replicas() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let worker = runtime.run(worker(RequestRouting::RoundRobin, 3, 4)).await?;
    let mut ranks = Vec::new();
    for _ in 0..9 {
        ranks.push(worker.work(1).await?.0);
    }
    assert_eq!(ranks, [0, 1, 2, 0, 1, 2, 0, 1, 2], "one at a time");
    let calls: Vec<_> = (0..12).map(|_| worker.work(1)).collect();
    let ranks: Result<Vec<_>, _> = join_all(calls).await.into_iter().collect();
    let counts = by_rank(ranks?.into_iter().map(|(rank, _)| rank));
    assert_eq!(counts, BTreeMap::from([(0, 4), (1, 4), (2, 4)]), "all at once");

    // Of two that are full, neither is waited for.
    let full: Vec<_> = (0..12).map(|_| worker.hold()).collect();
    sleep(Duration::from_millis(1)).await;
    let mut kept = full.into_iter().enumerate();
    let kept: Vec<_> = kept.by_ref().filter(|(place, _)| place % 3 != 2).collect();
    sleep(Duration::from_millis(1)).await;
    for _ in 0..5 {
        assert_eq!(worker.work(1).await?.0, 2);
    }
    drop(kept);
    Ok(())
}

/// Where each of a hundred sessions goes: the id of its replica.
async fn homes(worker: &WorkerHandle) -> Result<Vec<String>> {
    let mut homes = Vec::new();
    for id in 0..100 {
        homes.push(worker.options(session(format!("session {id}"))).work(0).await?.1);
    }
    Ok(homes)
}

#[tokio::test(start_paused = true)]
async fn sessions_stay_and_few_move() -> Result<()> {
    for routing in [RequestRouting::ConsistentHash, RequestRouting::PowerOfTwoChoices] {
        let runtime = MockRuntime::builder().start();
        let handle = runtime.run(worker(routing.clone(), 4, 10)).await?;
        let before = homes(&handle).await?;
        assert_eq!(homes(&handle).await?, before, "{routing:?}");
        let replicas: BTreeSet<_> = before.iter().cloned().collect();
        assert_eq!(replicas.len(), 4, "{routing:?}: all of them have sessions");

        // One is taken away, and its sessions alone move.
        runtime.run(worker(routing.clone(), 3, 10)).await?;
        sleep(Duration::from_secs(60)).await;
        let after = homes(&handle).await?;
        let left: BTreeSet<_> = after.iter().cloned().collect();
        assert_eq!(left.len(), 3, "{routing:?}");
        for (old, new) in before.iter().zip(&after) {
            assert!(new == old || !left.contains(old), "{routing:?}: from {old} to {new}");
        }

        // One dies, and another takes its place: sessions move there or stay.
        assert!(runtime.kill_replica::<Worker>(0));
        sleep(Duration::from_secs(60)).await;
        let last = homes(&handle).await?;
        let moved = after.iter().zip(&last).filter(|(old, new)| old != new);
        for (old, new) in moved {
            assert!(!left.contains(new) || !last.contains(old), "{routing:?}: from {old} to {new}");
        }
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_unknown_model_does_not_move_a_session() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let worker = runtime.run(worker(RequestRouting::PowerOfTwoChoices, 4, 10)).await?;
    let before = homes(&worker).await?;
    let with_model = worker.options(CallOptions::new().multiplexed_model_id("es"));
    assert_eq!(homes(&with_model).await?, before);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_session_leaves_a_full_replica_and_returns() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let worker = runtime.run(worker(RequestRouting::ConsistentHash, 3, 1)).await?;
    let mine = worker.options(session("dora"));
    let home = mine.work(0).await?.1;
    let first = mine.work(10);
    let second = mine.work(10);
    let (first, second) = (first.await?.1, second.await?.1);
    assert_eq!(first, home);
    assert_ne!(second, home, "it does not wait for its own");
    assert_eq!(mine.work(0).await?.1, home);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn consistent_hash_spreads_calls_without_a_session() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let worker = runtime.run(worker(RequestRouting::ConsistentHash, 3, 100)).await?;
    let calls: Vec<_> = (0..90).map(|_| worker.work(1)).collect();
    let ranks: Result<Vec<_>, _> = join_all(calls).await.into_iter().collect();
    let counts = by_rank(ranks?.into_iter().map(|(rank, _)| rank));
    assert!(counts.len() == 3 && counts.values().all(|n| (25..=35).contains(n)), "{counts:?}");
    Ok(())
}

/// The calls that a router saw.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    asked: usize,
    removed: Vec<String>,
}

/// Defines a router for one deployment, because tests run side by side.
macro_rules! router {
    ($router:ident, $seen:ident, |$call:ident, $candidates:ident| $choose:expr) => {
        static $seen: Mutex<Seen> = Mutex::new(Seen { asked: 0, removed: Vec::new() });

        #[derive(Default)]
        struct $router;

        impl RequestRouter for $router {
            fn choose<'a>(
                &self,
                $call: &RoutedCall<'_>,
                $candidates: &Candidates<'a>,
            ) -> Option<Candidate<'a>> {
                $seen.lock().asked += 1;
                $choose
            }

            fn on_removed(&self, replica_id: &str) {
                $seen.lock().removed.push(replica_id.to_owned());
                assert!(!replica_id.is_empty(), "what follows is a panic, for the runtime to bear");
                panic!("told to");
            }
        }
    };
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Job {
    rank: usize,
}

router!(ByJob, BY_JOB, |call, candidates| {
    assert!(call.argument::<String>("job").is_none(), "it is not a string");
    assert!(call.argument::<Job>("work").is_none(), "that is not its name");
    let ranks: Vec<_> = candidates.iter().map(|candidate| candidate.rank).collect();
    assert!(ranks.is_sorted(), "in the order of their ranks: {ranks:?}");
    assert!(candidates.iter().all(|one| one.ongoing < one.max_ongoing_requests));
    assert!(call.method() == "run" || call.method() == "run_many");
    let job = call.argument::<Job>("job")?;
    candidates.by_rank(job.rank)
});

#[deployment(num_replicas = 4, max_ongoing_requests = 2, request_router = ByJob)]
#[derive(Default)]
struct Jobs;

#[handle]
impl Jobs {
    pub async fn job(&self, rank: usize) -> Job {
        Job { rank }
    }

    pub async fn run(&self, times: u32, job: Job) -> (usize, u32, usize) {
        (replica_context().expect("in a replica").rank(), times, job.rank)
    }

    pub fn run_many(&self, job: Job) -> impl Stream<Item = (usize, Job)> {
        let rank = replica_context().expect("in a replica").rank();
        futures::stream::iter([(rank, job)])
    }
}

#[deployment]
#[derive(Default)]
struct Maker;

#[handle]
impl Maker {
    pub async fn job(&self, rank: usize) -> Job {
        sleep(Duration::from_millis(5)).await;
        Job { rank }
    }
}

#[tokio::test(start_paused = true)]
async fn custom_routers_see_typed_arguments() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let jobs = runtime.run(Jobs::bind()).await?;
    let maker = runtime.run(Application::new(Maker::bind()).name("maker").route_prefix("/m"));
    let maker = maker.await?;
    for rank in [3, 0, 2, 1, 3] {
        assert_eq!(jobs.run(1, Job { rank }).await?, (rank, 1, rank));
        let many: Vec<_> = jobs.run_many(Job { rank }).try_collect().await?;
        assert_eq!(many, [(rank, Job { rank })]);
        // Also one that another call makes.
        assert_eq!(jobs.run(1, maker.job(rank)).await?, (rank, 1, rank));
    }
    assert!(BY_JOB.lock().asked >= 15);
    Ok(())
}

router!(Bad, BAD, |call, candidates| match *call.argument::<u32>("how")? {
    0 => candidates.by_rank(usize::MAX),
    1 => candidates.by_id("nobody"),
    2 => panic!("told to"),
    _ => None,
});

#[deployment(num_replicas = 2, max_ongoing_requests = 1, request_router = Bad)]
#[derive(Default)]
struct Badly;

#[handle]
impl Badly {
    pub async fn run(&self, how: u32) -> usize {
        sleep(Duration::from_millis(10)).await;
        how as usize + replica_context().expect("in a replica").rank()
    }
}

#[tokio::test(start_paused = true)]
async fn a_router_without_a_choice_uses_the_default() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let badly = runtime.run(Badly::bind()).await?;
    for how in 0..4 {
        let both = join_all([badly.run(how), badly.run(how)]).await;
        let mut ranks: Vec<_> = both.into_iter().collect::<Result<_, _>>()?;
        ranks.sort_unstable();
        assert_eq!(ranks, [how as usize, how as usize + 1], "both replicas serve");
    }
    // Nobody is free: the router is not asked, and the calls wait.
    let asked = BAD.lock().asked;
    let calls: Vec<_> = (0..6).map(|_| badly.run(9)).collect();
    assert_eq!(BAD.lock().asked, asked + 2);
    assert!(join_all(calls).await.into_iter().all(|call| call.is_ok()));
    assert_eq!(BAD.lock().asked, asked + 2, "who waits takes the slot that is free");

    // Nor while there is no replica at all.
    for rank in [0, 1] {
        assert!(runtime.kill_replica::<Badly>(rank));
    }
    let call = badly.run(9);
    assert_eq!(BAD.lock().asked, asked + 2);
    call.await?;
    Ok(())
}

router!(Told, TOLD, |_call, candidates| candidates.iter().next());

#[deployment(num_replicas = 3, request_router = Told)]
#[derive(Default)]
struct Telling;

#[handle]
impl Telling {
    pub async fn id(&self) -> String {
        replica_context().expect("in a replica").replica_id().to_owned()
    }
}

#[tokio::test(start_paused = true)]
async fn routers_are_notified_of_removed_replicas() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let telling = runtime.run(Telling::bind()).await?;
    let ids = |runtime: &MockRuntime| -> BTreeSet<String> {
        let details = deployment(runtime, "Telling");
        details.replicas.iter().map(|replica| replica.replica_id.clone()).collect()
    };
    let told = || {
        let mut removed = TOLD.lock().removed.clone();
        removed.sort_unstable();
        removed
    };
    let mut gone = BTreeSet::new();
    // Its panics are the runtime's to bear: all of this works all the same.
    let first = telling.id().await?;
    assert!(runtime.kill_replica::<Telling>(0));
    gone.insert(first);
    assert_eq!(told(), Vec::from_iter(gone.clone()), "at once");
    sleep(Duration::from_secs(60)).await;
    let before = ids(&runtime);
    assert_eq!(before.len(), 3);
    runtime.run(Telling::bind().num_replicas(2)).await?;
    sleep(Duration::from_secs(60)).await;
    gone.extend(before.difference(&ids(&runtime)).cloned());
    assert_eq!((gone.len(), told()), (2, Vec::from_iter(gone.clone())));
    gone.extend(ids(&runtime));
    runtime.delete("default").await?;
    assert_eq!((gone.len(), told()), (4, Vec::from_iter(gone)));
    Ok(())
}

/// The ranks and ids of the candidates of the last call.
static SHOWN: Mutex<Vec<(usize, String)>> = Mutex::new(Vec::new());

#[derive(Default)]
struct Shows;

impl RequestRouter for Shows {
    fn choose<'a>(&self, _: &RoutedCall<'_>, all: &Candidates<'a>) -> Option<Candidate<'a>> {
        *SHOWN.lock() = all.iter().map(|one| (one.rank, one.replica_id.to_owned())).collect();
        for (rank, id) in &*SHOWN.lock() {
            assert_eq!(all.by_rank(*rank).map(|one| one.replica_id), Some(id.as_str()));
            assert_eq!(all.by_id(id).map(|one| one.rank), Some(*rank));
        }
        // Each call goes to the last one, to see that the choice is what counts.
        all.iter().next_back()
    }
}

#[deployment(max_surge_percent = 50.0, request_router = Shows)]
struct Versioned {
    version: u32,
}

#[handle]
impl Versioned {
    fn new(version: u32) -> Self {
        Self { version }
    }

    pub async fn rank(&self) -> (u32, usize) {
        (self.version, replica_context().expect("a method runs in a replica").rank())
    }
}

#[tokio::test(start_paused = true)]
async fn routers_see_current_replicas_and_ranks() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let running = |runtime: &MockRuntime| -> Vec<(usize, String)> {
        let details = deployment(runtime, "Versioned");
        let takes_calls = |state| matches!(state, ReplicaState::Running | ReplicaState::Updating);
        let replicas = details.replicas.iter().filter(|replica| takes_calls(replica.state));
        let mut all: Vec<_> =
            replicas.map(|replica| (replica.rank, replica.replica_id.clone())).collect();
        all.sort_unstable();
        all
    };
    let handle = runtime.run(Versioned::bind(0).num_replicas(3)).await?;
    assert_eq!(handle.rank().await?, (0, 2));
    assert_eq!(*SHOWN.lock(), running(&runtime));
    // One that dies is missing at once, and its place is another's after that.
    assert!(runtime.kill_replica::<Versioned>(1));
    handle.rank().await?;
    assert_eq!(SHOWN.lock().iter().map(|(rank, _)| *rank).collect::<Vec<_>>(), [0, 2]);
    sleep(Duration::from_secs(1)).await;
    handle.rank().await?;
    assert_eq!(*SHOWN.lock(), running(&runtime));
    assert_eq!(SHOWN.lock().len(), 3);
    // The ranks that each replica was seen with.
    let mut seen = BTreeMap::<String, BTreeSet<usize>>::new();
    let mut note = || {
        for (rank, id) in SHOWN.lock().iter() {
            seen.entry(id.clone()).or_default().insert(*rank);
        }
    };
    for (version, replicas) in [(0, 6), (1, 6), (2, 3), (3, 8), (3, 2)] {
        let redeploy = runtime.run(Versioned::bind(version).num_replicas(replicas));
        let mut redeploy = std::pin::pin!(redeploy);
        // Calls all through the rollout, so that the router sees each of its states.
        loop {
            tokio::select! {
                biased;
                done = &mut redeploy => {
                    done?;
                    break;
                }
                () = tokio::task::yield_now() => {
                    handle.rank().await?;
                    note();
                }
            }
        }
        assert_eq!(handle.rank().await?, (version, replicas - 1));
        assert_eq!(*SHOWN.lock(), running(&runtime));
        note();
    }
    assert!(seen.values().any(|ranks| ranks.len() > 1), "no rank changed: {seen:?}");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_redeploy_changes_the_policy() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let handle = runtime.run(worker(RequestRouting::ConsistentHash, 3, 10)).await?;
    let mine = handle.options(session("dora"));
    let ids = |count: usize| {
        let mine = mine.clone();
        async move {
            let mut ids = BTreeSet::new();
            for _ in 0..count {
                ids.insert(mine.work(0).await?.1);
            }
            Ok::<_, CallError>(ids)
        }
    };
    assert_eq!(ids(9).await?.len(), 1);
    runtime.run(worker(RequestRouting::RoundRobin, 3, 10)).await?;
    assert_eq!(ids(9).await?.len(), 3);
    Ok(())
}

static ASKED_BY_NAME: AtomicUsize = AtomicUsize::new(0);

#[derive(Default)]
struct CountingLong;

impl RequestRouter for CountingLong {
    fn choose<'a>(&self, call: &RoutedCall<'_>, _: &Candidates<'a>) -> Option<Candidate<'a>> {
        if call.argument::<String>("text").is_some_and(|text| text.len() > 3) {
            ASKED_BY_NAME.fetch_add(1, Ordering::SeqCst);
        }
        None
    }
}

#[deployment(num_replicas = 2, request_router = CountingLong)]
#[derive(Default)]
struct Named;

#[handle]
impl Named {
    pub async fn echo(&self, text: String) -> String {
        text
    }
}

#[tokio::test(start_paused = true)]
async fn calls_by_name_are_routed_alike() -> Result<()> {
    let runtime = runtimes::by_environment().await?;
    let application = Application::from(Named::bind()).into();
    let named = runtime.run_any(application).await?;
    let arguments = BTreeMap::from([("text".to_owned(), vec!["a long text".to_owned()])]);
    let answers = named.call("echo", &arguments).expect("there is such a method");
    let answers: Vec<_> = answers.collect().await;
    assert_eq!(answers, [Ok(serde_json::Value::from("a long text"))]);
    assert_eq!(ASKED_BY_NAME.load(Ordering::SeqCst), 1);
    Ok(())
}

struct Unmade;

impl Default for Unmade {
    fn default() -> Self {
        panic!("no table of shards")
    }
}

impl RequestRouter for Unmade {
    fn choose<'a>(&self, _: &RoutedCall<'_>, _: &Candidates<'a>) -> Option<Candidate<'a>> {
        None
    }
}

#[tokio::test(start_paused = true)]
async fn a_router_that_panics_in_new_is_refused() -> Result<()> {
    let runtime = runtimes::by_environment().await?;
    let plain = || worker(RequestRouting::PowerOfTwoChoices, 1, 10);
    let running = runtime.run(plain()).await?;
    let failed = runtime.run(plain().request_router(RequestRouting::custom::<Unmade>())).await;
    let failed = failed.expect_err("there is no such router");
    assert!(matches!(failed, DeployError::RequestRouter { .. }), "{failed:?}");
    let said = failed.to_string();
    for part in ["application `default`", "`Worker`", "Unmade`", "no table of shards"] {
        assert!(said.contains(part), "{said}");
    }
    assert_eq!(running.work(1).await?.0, 0);
    assert_eq!(application(&runtime).status, ApplicationStatus::Running);
    Ok(())
}

/// How often a router was made, and how often one made a call.
static MADE: AtomicUsize = AtomicUsize::new(0);
static ASKED_BY_ITSELF: AtomicUsize = AtomicUsize::new(0);
/// What its calls go through.
static BY_ITSELF: Mutex<Option<WorkerHandle>> = Mutex::new(None);

struct CallsItself;

impl Default for CallsItself {
    fn default() -> Self {
        MADE.fetch_add(1, Ordering::SeqCst);
        Self
    }
}

impl RequestRouter for CallsItself {
    fn choose<'a>(&self, _: &RoutedCall<'_>, _: &Candidates<'a>) -> Option<Candidate<'a>> {
        ASKED_BY_ITSELF.fetch_add(1, Ordering::SeqCst);
        if let Some(handle) = &*BY_ITSELF.lock() {
            handle.work(1).detach();
        }
        None
    }
}

#[tokio::test(start_paused = true)]
async fn a_router_calling_itself_does_not_deadlock() -> Result<()> {
    let runtime = runtimes::by_environment().await?;
    let bound = || worker(RequestRouting::custom::<CallsItself>(), 1, 10);
    let worker = runtime.run(bound()).await?;
    *BY_ITSELF.lock() = Some(worker.clone());
    assert_eq!(worker.work(1).await?.0, 0);
    assert_eq!(ASKED_BY_ITSELF.load(Ordering::SeqCst), 1);
    // One of a redeploy is the same.
    runtime.run(bound().max_queued_requests(7)).await?;
    assert_eq!(worker.work(1).await?.0, 0);
    assert_eq!(MADE.load(Ordering::SeqCst), 1);
    *BY_ITSELF.lock() = None;
    Ok(())
}
