//! Calls that share a run of a method: when a batch closes, which calls are in it, and what each
//! call receives.

use crate::support::cases::cases;
use crate::support::clocks::{ms, settle, until};
use crate::support::events::Events;
use crate::support::gates::{Gate, gate};
use crate::support::log::Log;
use crate::support::runtimes::{self, mock_runtime, paused};
use crate::support::status::{deployment, total_load};

use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use futures::future::{join, join_all};
use futures::stream;
use proptest::prelude::*;
use serve_core::prelude::*;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, timeout};
use tracing::Level;

/// The batches that ran, in order, each with its items.
type Batches = Events<Vec<u64>>;

/// Most of its batches take 100 ms.
#[deployment]
struct Embedder(Batches);

#[handle]
impl Embedder {
    fn new(batches: Batches) -> Self {
        Self(batches)
    }

    #[batch(max_batch_size = 64)]
    pub async fn embed(&self, items: Vec<u64>) -> Vec<u64> {
        self.0.note(items.clone());
        sleep(ms(100)).await;
        items.into_iter().map(|item| item * 10).collect()
    }

    #[batch(max_batch_size = 2, max_concurrent_batches = 2)]
    pub async fn by_twos(&self, items: Vec<u64>) -> Vec<u64> {
        self.0.note(items.clone());
        sleep(ms(100)).await;
        items
    }

    #[batch]
    pub async fn by_default(&self, items: Vec<u64>) -> Vec<u64> {
        self.0.note(items.clone());
        sleep(ms(100)).await;
        items
    }

    #[batch(max_batch_size = 10, batch_size_fn = weigh)]
    pub async fn weighed(&self, names: Vec<String>, weights: Vec<u64>) -> Vec<String> {
        self.0.note(weights);
        sleep(ms(100)).await;
        names
    }

    #[batch(max_batch_size = 3, batch_wait_timeout = "1h")]
    pub async fn patient(&self, items: Vec<u64>) -> Vec<u64> {
        self.0.note(items.clone());
        items
    }
}

fn weigh(_: &String, weight: &u64) -> usize {
    assert!(*weight != 13, "nothing weighs 13");
    usize::try_from(*weight).unwrap()
}

/// Ray Serve 2.60 makes 41 batches of this and takes 4.16 s.
#[tokio::test(start_paused = true)]
async fn steady_calls_form_few_batches_in_order() -> Result<()> {
    let batches = Batches::default();
    let runtime = MockRuntime::builder().start();
    let embedder = runtime.run(Embedder::bind(Arc::clone(&batches))).await?;
    let began = Instant::now();
    let mut calls = Vec::new();
    for item in 0..200 {
        calls.push(embedder.embed(item));
        sleep(ms(2)).await;
    }
    for (item, call) in (0..).zip(calls) {
        assert_eq!(call.await?, item * 10);
    }
    let (took, batches) = (began.elapsed(), batches.take());
    let sizes: Vec<usize> = batches.iter().map(Vec::len).collect();
    println!("{} batches in {took:?}: {sizes:?}", sizes.len());
    assert!(sizes.len() <= 8 && took <= ms(800), "{took:?}: {sizes:?}");
    assert!(sizes.iter().all(|size| *size <= 64));
    assert_eq!(batches.concat(), Vec::from_iter(0..200));
    Ok(())
}

/// A batch that ends frees slots, and the calls that waited for them join the next batch.
#[tokio::test(start_paused = true)]
async fn batches_are_full_under_load() -> Result<()> {
    for slots in [64, 100, 1000] {
        let batches = Batches::default();
        let bound = Embedder::bind(Arc::clone(&batches)).max_ongoing_requests(slots);
        let (runtime, embedder) = mock_runtime(bound).await?;
        let began = Instant::now();
        let calls: Vec<_> = (0..640).map(|item| embedder.embed(item)).collect();
        join_all(calls).await.into_iter().collect::<Result<Vec<_>, _>>()?;
        let (took, batches) = (began.elapsed(), batches.take());
        let sizes: Vec<usize> = batches.iter().map(Vec::len).collect();
        assert_eq!(sizes, [64; 10], "{slots} slots");
        assert_eq!(batches.concat(), Vec::from_iter(0..640), "{slots} slots");
        assert_eq!(took, ms(1000), "{slots} slots");
        assert_eq!(total_load(&runtime), (0, 0));
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_batch_closes_when_full_or_timed_out() -> Result<()> {
    let batches = Batches::default();
    let (_runtime, embedder) = mock_runtime(Embedder::bind(Arc::clone(&batches))).await?;
    let began = Instant::now();
    assert_eq!(embedder.by_default(1).await?, 1);
    assert_eq!(began.elapsed(), ms(110), "10 ms of waiting, 100 ms of work");

    // Eight are enough, and wait for nobody.
    let began = Instant::now();
    join_all((0..8).map(|item| embedder.by_default(item))).await;
    assert_eq!(began.elapsed(), ms(100));
    assert_eq!(batches.take(), [vec![1], (0..8).collect()]);

    // What comes while a batch runs grows into one, and goes at once when that ends.
    let began = Instant::now();
    let first = embedder.by_default(1);
    sleep(ms(15)).await;
    let mut others = Vec::new();
    for item in 2..6 {
        others.push(embedder.by_default(item));
        sleep(ms(20)).await;
    }
    assert_eq!(batches.take(), [[1]]);
    first.await?;
    join_all(others).await;
    assert_eq!(began.elapsed(), ms(210));
    assert_eq!(batches.take(), [[2, 3, 4, 5]]);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn max_concurrent_batches_is_reached() -> Result<()> {
    let batches = Batches::default();
    let (_runtime, embedder) = mock_runtime(Embedder::bind(Arc::clone(&batches))).await?;
    let began = Instant::now();
    let calls: Vec<_> = (0..8).map(|item| embedder.by_twos(item)).collect();
    sleep(ms(50)).await;
    assert_eq!(batches.take(), [[0, 1], [2, 3]]);
    sleep(ms(100)).await;
    assert_eq!(batches.take(), [[4, 5], [6, 7]]);
    join_all(calls).await;
    assert_eq!(began.elapsed(), ms(200));
    Ok(())
}

/// Ray Serve 2.60 runs them as `[a] [c, d] [g, b] [e]`.
#[tokio::test(start_paused = true)]
async fn weights_fill_a_batch_without_overtaking() -> Result<()> {
    let batches = Batches::default();
    let (_runtime, embedder) = mock_runtime(Embedder::bind(Arc::clone(&batches))).await?;
    let calls = [("a", 6), ("b", 6), ("c", 3), ("d", 3), ("e", 9), ("g", 1)]
        .map(|(name, weight)| embedder.weighed(name, weight));
    let names: Vec<_> = join_all(calls).await.into_iter().collect::<Result<_, _>>()?;
    assert_eq!(names, ["a", "b", "c", "d", "e", "g"]);
    assert_eq!(batches.take(), [vec![6], vec![6, 3], vec![3], vec![9, 1]]);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_bad_batch_size_fn_fails_only_its_caller() -> Result<()> {
    let batches = Batches::default();
    let (runtime, embedder) = mock_runtime(Embedder::bind(Arc::clone(&batches))).await?;
    let replica = deployment(&runtime, "Embedder").replicas[0].replica_id.clone();
    // More in a row than a replica survives of a method's own.
    for _ in 0..5 {
        let (before, panics) = (embedder.weighed("a", 1), embedder.weighed("b", 13));
        let (heavy, after) = (embedder.weighed("c", 11), embedder.weighed("d", 1));
        let Err(CallError::Panicked(said)) = panics.await else { panic!("it weighs 13") };
        assert_eq!(said, "`batch_size_fn`: nothing weighs 13");
        let Err(CallError::Panicked(said)) = heavy.await else { panic!("it weighs 11") };
        assert!(said.contains("weighs 11") && said.contains("max_batch_size = 10"), "{said}");
        assert_eq!((before.await?.as_str(), after.await?.as_str()), ("a", "d"));
    }
    assert_eq!(batches.take(), vec![vec![1, 1]; 5]);
    let replicas = &deployment(&runtime, "Embedder").replicas;
    assert_eq!(replicas[0].replica_id, replica, "it is the same one");
    assert_eq!(total_load(&runtime), (0, 0));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_call_dropped_early_is_not_in_the_batch() -> Result<()> {
    let batches = Batches::default();
    let bound = Embedder::bind(Arc::clone(&batches)).max_ongoing_requests(3);
    let (runtime, embedder) = mock_runtime(bound).await?;
    let (first, second) = (embedder.patient(1), embedder.patient(2));
    sleep(ms(1)).await;
    assert_eq!(total_load(&runtime), (2, 0));
    drop(first);
    yield_now().await;
    assert_eq!(total_load(&runtime), (1, 0), "its slot is free");
    let third = embedder.patient(3);
    sleep(ms(1)).await;
    assert!(batches.take().is_empty(), "two are not enough");
    let fourth = embedder.patient(4);
    assert_eq!((second.await?, third.await?, fourth.await?), (2, 3, 4));
    assert_eq!(batches.take(), [[2, 3, 4]]);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_deadline_passes_while_a_batch_fills() -> Result<()> {
    let batches = Batches::default();
    let (runtime, embedder) = mock_runtime(Embedder::bind(Arc::clone(&batches))).await?;
    let began = Instant::now();
    let hasty = embedder.options(CallOptions::new().timeout(Duration::from_secs(60)));
    let (late, patient) = join(hasty.patient(1), embedder.patient(2)).await;
    assert!(matches!(late, Err(CallError::DeadlineExceeded)), "{late:?}");
    assert_eq!(patient?, 2);
    // Its own hour, not that of the first, which came a moment before.
    assert_eq!(began.elapsed(), Duration::from_secs(3600));
    assert_eq!(batches.take(), [[2]]);
    assert_eq!(total_load(&runtime), (0, 0));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_killed_replica_fails_only_its_running_batch() -> Result<()> {
    let batches = Batches::default();
    let bound = Embedder::bind(Arc::clone(&batches)).max_ongoing_requests(2);
    let (runtime, embedder) = mock_runtime(bound).await?;
    let calls: Vec<_> = (0..4).map(|item| embedder.by_twos(item)).collect();
    sleep(ms(50)).await;
    assert_eq!(total_load(&runtime), (2, 2));
    assert!(runtime.kill_replica::<Embedder>(0));
    let mut answers = join_all(calls).await.into_iter();
    for _ in 0..2 {
        let answer = answers.next().unwrap();
        assert!(matches!(answer, Err(CallError::Unavailable { started: true, .. })), "{answer:?}");
    }
    assert_eq!(answers.collect::<Result<Vec<_>, _>>()?, [2, 3]);
    assert_eq!(batches.take(), [[0, 1], [2, 3]]);
    assert_eq!(total_load(&runtime), (0, 0));
    Ok(())
}

/// The course of a batch.
#[derive(Clone, Debug, PartialEq)]
enum Event {
    Began(usize),
    Ended,
    Dropped,
}

/// Notes the end of a batch.
struct Watch(Events<Event>, bool);

impl Watch {
    fn end(mut self) {
        self.1 = true;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.note(if self.1 { Event::Ended } else { Event::Dropped });
    }
}

#[deployment]
struct Watched(Events<Event>, Gate);

#[handle]
impl Watched {
    fn new(events: Events<Event>, gate: Gate) -> Self {
        Self(events, gate)
    }

    fn begin(&self, n: usize) -> Watch {
        self.0.note(Event::Began(n));
        Watch(Arc::clone(&self.0), false)
    }

    #[batch(max_batch_size = 2)]
    pub async fn work(&self, items: Vec<u64>) -> Vec<u64> {
        let watch = self.begin(items.len());
        sleep(ms(100)).await;
        watch.end();
        items
    }

    #[batch(max_batch_size = 2)]
    pub fn items(&self, items: Vec<u64>) -> impl Stream<Item = Vec<Option<u64>>> {
        let watch = self.begin(items.len());
        stream::iter(1..).then(move |n| {
            let (step, _watch) = (vec![Some(n); items.len()], &watch);
            async move {
                sleep(ms(10)).await;
                step
            }
        })
    }

    #[batch(max_batch_size = 2)]
    #[blocking]
    pub fn compute(&self, items: Vec<u64>) -> Vec<u64> {
        let watch = self.begin(items.len());
        self.1.pass();
        watch.end();
        items
    }
}

struct Watching {
    runtime: MockRuntime,
    watched: WatchedHandle,
    events: Events<Event>,
    go: Sender<()>,
}

async fn watched() -> Result<Watching> {
    let events = Events::default();
    let (gate, go) = gate();
    let bound = Watched::bind(Arc::clone(&events), gate);
    let (runtime, watched) = mock_runtime(bound.max_ongoing_requests(4)).await?;
    Ok(Watching { runtime, watched, events, go })
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_dropped_with_its_last_caller() -> Result<()> {
    let Watching { runtime, watched, events, .. } = watched().await?;
    let (first, second) = (watched.work(1), watched.work(2));
    assert_eq!(events.next().await, Event::Began(2));
    drop(first);
    assert_eq!(second.await?, 2);
    assert_eq!(events.next().await, Event::Ended);

    let began = Instant::now();
    let (first, second) = (watched.work(1), watched.work(2));
    assert_eq!(events.next().await, Event::Began(2));
    drop(first);
    let second = timeout(ms(50), second).await;
    assert!(second.is_err(), "it takes longer");
    assert_eq!(events.next().await, Event::Dropped);
    assert_eq!(began.elapsed(), ms(50));
    assert_eq!(total_load(&runtime), (0, 0));

    // And the next batch runs.
    assert_eq!(join_all([watched.work(3), watched.work(4)]).await, [Ok(3), Ok(4)]);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn the_last_dropped_stream_stops_its_batch() -> Result<()> {
    let Watching { runtime, watched, events, .. } = watched().await?;
    let (mut first, mut second) = (watched.items(1), watched.items(2));
    assert_eq!(first.next().await, Some(Ok(1)));
    drop(first);
    for n in 1..100 {
        assert_eq!(second.next().await, Some(Ok(n)), "the other one goes on");
    }
    drop(second);
    assert_eq!(events.next().await, Event::Began(2));
    assert_eq!(events.next().await, Event::Dropped);
    assert_eq!(total_load(&runtime), (0, 0));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_unread_stream_holds_up_its_batch() -> Result<()> {
    let Watching { watched, events, .. } = watched().await?;
    let (first, mut second) = (watched.items(1), watched.items(2));
    assert_eq!(events.next().await, Event::Began(2));
    let mut got = 0;
    while let Ok(item) = timeout(Duration::from_secs(5), second.next()).await {
        assert!(matches!(item, Some(Ok(_))));
        got += 1;
    }
    assert!(got < 64, "{got} items, though nobody reads the other stream");
    drop(first);
    for n in got + 1..200 {
        assert_eq!(second.next().await, Some(Ok(n)));
    }
    Ok(())
}

/// Compute work cannot be stopped, so it keeps its slots.
#[tokio::test(start_paused = true)]
async fn a_blocking_batch_keeps_its_slots() -> Result<()> {
    let Watching { runtime, watched, events, go } = watched().await?;
    let (first, second) = (watched.compute(1), watched.compute(2));
    assert_eq!(events.next().await, Event::Began(2));
    let waiting = watched.compute(3);
    until("the third call has a slot", || total_load(&runtime).0 == 3).await;
    drop((first, second, waiting));
    settle().await;
    assert_eq!(total_load(&runtime), (2, 0), "one had not begun");
    go.send(()).unwrap();
    assert_eq!(events.next().await, Event::Ended);
    until("the slots are free", || total_load(&runtime).0 == 0).await;
    go.send(()).unwrap();
    assert_eq!(join_all([watched.compute(4), watched.compute(5)]).await, [Ok(4), Ok(5)]);
    assert_eq!(total_load(&runtime), (0, 0), "a caller that has its result finds its slot free");
    Ok(())
}

#[derive(Clone, Copy, Serialize, Deserialize)]
struct Tuning {
    size: usize,
    wait_ms: u64,
}

/// A deployment whose user config sets the limits of its batches.
#[deployment]
struct Tuned(Batches);

#[handle]
impl Tuned {
    fn new(batches: Batches) -> Self {
        Self(batches)
    }

    #[reconfigure]
    fn tune(&self, tuning: Tuning) {
        let batching = serve_core::batching::Batching::of("work").expect("it runs on a replica");
        batching.set_max_batch_size(tuning.size);
        batching.set_batch_wait_timeout(ms(tuning.wait_ms));
    }

    #[batch(max_batch_size = 8, batch_wait_timeout = "1h")]
    pub async fn work(&self, items: Vec<u64>) -> Vec<u64> {
        self.0.note(items.clone());
        items
    }

    #[batch(max_batch_size = 8)]
    pub async fn other(&self, items: Vec<u64>) -> Vec<u64> {
        self.0.note(items.clone());
        items
    }
}

fn tuning(size: usize, wait_ms: u64) -> serde_json::Value {
    serde_json::json!({"size": size, "wait_ms": wait_ms})
}

#[tokio::test(start_paused = true)]
async fn user_config_tunes_batches_in_place() -> Result<()> {
    let batches = Batches::default();
    // The same one each time: nobody can tell whether two such arguments are alike.
    let bound = Tuned::bind(Arc::clone(&batches));
    let bound = || bound.clone();
    let runtime = MockRuntime::builder().start();
    let tuned = runtime.run(bound().user_config(tuning(2, 50))).await?;
    let replica = || {
        let deployments = runtime.status().applications.remove("default").unwrap().deployments;
        deployments["Tuned"].replicas[0].replica_id.clone()
    };
    let first = replica();
    let began = Instant::now();
    join_all((0..5).map(|item| tuned.work(item))).await;
    assert_eq!(began.elapsed(), ms(50));
    assert_eq!(batches.take(), [vec![0, 1], vec![2, 3], vec![4]]);

    runtime.run(bound().user_config(tuning(4, 70))).await?;
    let began = Instant::now();
    join_all((0..5).map(|item| tuned.work(item))).await;
    assert_eq!(began.elapsed(), ms(70));
    assert_eq!(batches.take(), [vec![0, 1, 2, 3], vec![4]]);
    assert_eq!(replica(), first);

    // 0 goes back to what the attribute says, and other methods are as they were.
    runtime.run(bound().user_config(tuning(0, 0))).await?;
    // The last batch is over, and its place free.
    sleep(ms(1)).await;
    join_all((0..9).map(|item| tuned.work(item))).await;
    join_all((0..9).map(|item| tuned.other(item))).await;
    assert_eq!(batches.take().iter().map(Vec::len).collect::<Vec<_>>(), [1, 8, 8, 1]);
    assert!(serve_core::batching::Batching::of("work").is_none(), "there is no replica here");
    Ok(())
}

/// One call at a time.
#[deployment]
#[derive(Default)]
struct Counter(u64);

#[handle]
impl Counter {
    pub fn count(&mut self) -> u64 {
        self.0 += 1;
        self.0
    }

    #[batch]
    pub async fn echo(&self, items: Vec<u64>) -> Vec<u64> {
        items
    }
}

#[tokio::test(start_paused = true)]
async fn deploy_warns_of_unfillable_batches() -> Result<()> {
    let bound = |slots| Embedder::bind(Batches::default()).max_ongoing_requests(slots);
    let warnings = Log::of(|metadata| *metadata.level() == Level::WARN);
    let take = || warnings.take_texts();
    let runtime = MockRuntime::builder().start();

    // 64 and 1, 2 and 2, 8 and 1, 3 and 1. How many items a weight is, nobody knows.
    runtime.run(bound(64)).await?;
    assert_eq!(take(), [""; 0]);
    runtime.run(bound(4)).await?;
    let said = take();
    assert_eq!(said.len(), 2, "{said:?}");
    for (said, expected) in said.iter().zip([
        "`embed` can never all be full: 1 at a time of 64 calls each is 64 calls, but a replica \
         takes `max_ongoing_requests` = 4: raise that to 64 or more, or lower `max_batch_size`",
        "`by_default` can never all be full",
    ]) {
        assert!(said.contains(expected), "{said}");
        assert!(said.contains("deployment=\"Embedder\" application=\"default\""), "{said}");
    }
    // Said once, and not of what has not changed.
    runtime.run(bound(4).request_timeout(ms(1))).await?;
    assert_eq!(take(), [""; 0]);

    let counter = runtime.run(Counter::bind()).await?;
    assert_eq!((counter.count().await?, counter.echo(7).await?), (1, 7));
    let said = take();
    assert!(said.len() == 1 && said[0].contains("a `&mut self` method"), "{said:?}");
    Ok(())
}

/// A model for each request.
#[deployment]
struct Models(Batches, Multiplexed<u64>);

#[handle]
impl Models {
    fn new(batches: Batches) -> Self {
        let load = async |id: String| id.parse::<u64>();
        Self(batches, Multiplexed::new(8, load))
    }

    #[batch(max_concurrent_batches = 8)]
    pub async fn times(&self, items: Vec<u64>) -> Result<Vec<u64>> {
        self.0.note(items.clone());
        let factor = self.1.current().await?;
        Ok(items.into_iter().map(|item| item * *factor).collect())
    }
}

#[tokio::test(start_paused = true)]
async fn models_do_not_share_batches() -> Result<()> {
    let batches = Batches::default();
    let runtime = MockRuntime::builder().start();
    let models = runtime.run(Models::bind(Arc::clone(&batches))).await?;
    let of = |model: u64| CallOptions::new().multiplexed_model_id(model.to_string());
    let calls = (1..7).map(|item| models.options(of(item % 2 + 2)).times(item));
    assert_eq!(
        join_all(calls).await.into_iter().collect::<Result<Vec<_>, _>>()?,
        [3, 4, 9, 8, 15, 12]
    );
    assert_eq!(batches.take(), [[1, 3, 5], [2, 4, 6]]);
    Ok(())
}

/// On the real clock, where threads race: calls are made, are dropped and end at the same time.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn threads_lose_no_batched_call() -> Result<()> {
    let runtime = runtimes::by_environment().await?;
    let mixed = runtime.run(Mixed::bind().max_queued_requests(100_000)).await?;
    let callers = (0..8_u64).map(|caller| {
        let mixed = mixed.clone();
        tokio::spawn(async move {
            for n in 0..200_u64 {
                let value = mixed.fast(n);
                let (dropped, items) = (mixed.fast(n), mixed.items(2_u64));
                if (n + caller).is_multiple_of(3) {
                    yield_now().await;
                }
                drop(dropped);
                assert_eq!(value.await, Ok(n));
                if n.is_multiple_of(50) {
                    assert_eq!(items.try_collect::<Vec<_>>().await, Ok(vec![2, 2]));
                }
            }
        })
    });
    let ended = timeout(Duration::from_secs(60), join_all(callers)).await.expect("no call hangs");
    for caller in ended {
        caller.unwrap();
    }
    // A dropped call gives its slot back when its task is next run.
    until("every slot is free", || total_load(&runtime) == (0, 0)).await;
    Ok(())
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Call { kind: Kind, deadline: Option<u64> },
    Drop(usize),
    Wait(u64),
    Kill,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Value,
    Items,
    Compute,
}

/// Batches of 5 ms, some of which panic.
#[deployment(max_ongoing_requests = 4, max_queued_requests = 3)]
#[derive(Default)]
struct Mixed;

#[handle]
impl Mixed {
    #[batch(max_batch_size = 3, batch_wait_timeout = "0s", max_concurrent_batches = 2)]
    pub async fn fast(&self, items: Vec<u64>) -> Vec<u64> {
        yield_now().await;
        items
    }

    #[batch(max_batch_size = 3, batch_wait_timeout = "3ms", batch_size_fn = heavy)]
    pub async fn value(&self, items: Vec<u64>) -> Vec<u64> {
        sleep(ms(5)).await;
        assert!(!items.contains(&7), "told to");
        items
    }

    #[batch(max_batch_size = 3, batch_wait_timeout = "3ms")]
    pub fn items(&self, items: Vec<u64>) -> impl Stream<Item = Vec<Option<u64>>> {
        stream::iter(0..3).then(move |step| {
            let row = items.iter().map(|item| (*item > step).then_some(*item)).collect();
            async move {
                sleep(ms(5)).await;
                row
            }
        })
    }

    #[batch(max_batch_size = 3, batch_wait_timeout = "3ms")]
    #[blocking]
    pub fn compute(&self, items: Vec<u64>) -> Vec<u64> {
        assert!(!items.contains(&7), "told to");
        items
    }
}

fn heavy(item: &u64) -> usize {
    assert!(*item != 8, "told to");
    if *item == 9 { 3 } else { 1 }
}

/// A call, which ends with its error if it fails.
type Made = std::pin::Pin<Box<dyn Future<Output = Option<CallError>>>>;

async fn run(steps: Vec<Step>) -> Result<()> {
    let runtime = MockRuntime::builder().seed(steps.len() as u64).start();
    let mixed = runtime.run(Mixed::bind().num_replicas(2)).await?;
    let mut made: Vec<Made> = Vec::new();
    let mut item = 0;
    for step in steps {
        match step {
            Step::Call { kind, deadline } => {
                let mut options = CallOptions::new();
                options.timeout = deadline.map(ms);
                let mixed = mixed.options(options);
                item = (item + 1) % 10;
                made.push(match kind {
                    Kind::Value => {
                        let call = mixed.value(item);
                        Box::pin(async { call.await.err() })
                    }
                    Kind::Compute => {
                        let call = mixed.compute(item);
                        Box::pin(async { call.await.err() })
                    }
                    Kind::Items => {
                        let call = mixed.items(item);
                        Box::pin(async { call.try_collect::<Vec<_>>().await.err() })
                    }
                });
            }
            Step::Drop(n) if !made.is_empty() => drop(made.swap_remove(n % made.len())),
            Step::Drop(_) => {}
            Step::Wait(n) => sleep(ms(n)).await,
            Step::Kill => drop(runtime.kill_replica::<Mixed>(0)),
        }
    }
    // Every one ends, with a result or with an error that is one of those it may be.
    let ends = timeout(Duration::from_secs(3600), join_all(made)).await;
    for error in ends.expect("no call hangs").into_iter().flatten() {
        let known = matches!(
            error,
            CallError::DeadlineExceeded
                | CallError::Overloaded { .. }
                | CallError::Unavailable { .. }
                | CallError::Panicked(_)
        );
        assert!(known, "{error:?}");
    }
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(total_load(&runtime), (0, 0));
    // All slots are there, and every batch closes.
    let calls: Vec<_> = (0..11).map(|_| mixed.value(1)).collect();
    assert_eq!(total_load(&runtime), (8, 3));
    for answer in join_all(calls).await {
        assert_eq!(answer?, 1);
    }
    runtime.shutdown().await;
    Ok(())
}

fn step() -> impl Strategy<Value = Step> {
    let kind = prop_oneof![Just(Kind::Value), Just(Kind::Items), Just(Kind::Compute)];
    let deadline = prop::option::weighted(0.3, 0..15_u64);
    prop_oneof![
        10 => (kind, deadline).prop_map(|(kind, deadline)| Step::Call { kind, deadline }),
        4 => any::<usize>().prop_map(Step::Drop),
        4 => (0..8_u64).prop_map(Step::Wait),
        1 => Just(Step::Kill),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(60)))]

    #[test]
    fn slots_are_freed_however_batched_calls_end(
        steps in prop::collection::vec(step(), 1..60),
    ) {
        paused().block_on(run(steps)).map_err(|error| TestCaseError::fail(format!("{error:#}")))?;
    }
}
