//! `#[blocking]` methods that return an iterator: streams made on a compute thread.

use crate::support::clocks::until;
use crate::support::events::Events;
use crate::support::gates::{Gate, gate};
use crate::support::runtimes;
use crate::support::status::load;

use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use serve_core::prelude::*;
use tokio::time::{Instant, advance, sleep};

/// Items that a producer makes before it waits: 16 places, and the one that it holds.
const AHEAD: usize = 17;

/// A model that notes its steps, and continues when the test says so.
#[deployment(max_ongoing_requests = 1)]
struct Model {
    events: Events,
    gate: Gate,
    suffix: String,
}

impl Drop for Model {
    fn drop(&mut self) {
        self.events.note("instance dropped");
    }
}

#[handle]
impl Model {
    fn new(events: Events, gate: Gate) -> Self {
        Self { events, gate, suffix: "!".to_owned() }
    }

    /// Borrows the instance, and is not `Send`.
    #[blocking]
    pub fn words(&self, text: String) -> impl Iterator<Item = String> {
        let suffix = Rc::new(self.suffix.as_str());
        let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        words.into_iter().map(move |word| format!("{word}{suffix}"))
    }

    /// Waits at the gate before each item.
    #[blocking]
    pub fn steps(&self, to: u32) -> impl Iterator<Item = u32> + '_ {
        self.events.note("began");
        let noted = self.events.note_on_drop("iterator dropped");
        (0..to).inspect(move |step| {
            let _ = &noted;
            self.events.note(format!("step {step}"));
            self.gate.pass();
        })
    }

    #[blocking]
    pub fn fallible(&self, fails_at: u32) -> impl Iterator<Item = Result<u32, String>> + use<> {
        (0..3).map(move |item| if item == fails_at { Err("no".to_owned()) } else { Ok(item) })
    }

    #[blocking]
    pub fn refused(&self, why: Option<String>) -> Result<impl Iterator<Item = u32> + '_, String> {
        let noted = self.events.note_on_drop("iterator dropped");
        match why {
            Some(why) => Err(why),
            None => Ok((0..2).inspect(move |_| {
                let _ = &noted;
            })),
        }
    }

    #[blocking]
    pub fn both(&self, refused: bool) -> Result<impl Iterator<Item = Result<String>>> {
        if refused {
            return Err(Error::msg("not today").with_status(409));
        }
        Ok([Ok(self.suffix.clone()), Err(Error::msg("later"))].into_iter())
    }

    #[blocking]
    pub fn panics(&self, after: u32) -> impl Iterator<Item = u32> {
        let noted = self.events.note_on_drop("iterator dropped");
        (0..).inspect(move |item| {
            let _ = &noted;
            assert!(*item < after, "told to");
        })
    }

    #[blocking]
    pub fn whereabouts(&self) -> impl Iterator<Item = String> {
        let name = || std::thread::current().name().unwrap_or_default().to_owned();
        let id = context().request_id().to_owned();
        let replica = replica_context().expect("it runs on a replica");
        [name(), id, replica.deployment().to_owned()]
            .into_iter()
            .chain(std::iter::once_with(move || context().request_id().to_owned()))
            .chain(std::iter::once_with(name))
    }

    pub async fn idle(&self) -> bool {
        true
    }
}

struct Told {
    events: Events,
    go: mpsc::Sender<()>,
}

impl Told {
    async fn next(&self) -> String {
        self.events.next().await
    }

    fn go(&self) {
        self.go.send(()).expect("the model listens");
    }
}

fn model() -> (Bound<Model>, Told) {
    let events = Events::default();
    let (gate, go) = gate();
    (Model::bind(Arc::clone(&events), gate), Told { events, go })
}

#[tokio::test]
async fn iterators_run_on_the_replicas_own_thread() -> Result<()> {
    let (bound, _told) = model();
    let runtime = runtimes::by_environment().await?;
    let model = runtime.run(bound).await?;
    let words: Vec<String> = model.words("a b c").try_collect().await?;
    assert_eq!(words, ["a!", "b!", "c!"]);
    assert!(model.words("").next().await.is_none());

    let stream = model.whereabouts();
    let id = stream.request_id();
    let seen: Vec<String> = stream.try_collect().await?;
    let [began, id_there, deployment, id_later, ended] = &seen[..] else { panic!("{seen:?}") };
    assert!(began.starts_with("serve default#Model#"), "{began}");
    assert_eq!((began, id_there, id_later), (ended, &id, &id));
    assert_eq!(deployment, "Model");

    let (done, items) = tokio::sync::oneshot::channel();
    let handle = model.clone();
    std::thread::spawn(move || {
        let items: Result<Vec<_>, _> = handle.words("x y").blocking_iter().collect();
        let _ = done.send(items);
    });
    assert_eq!(items.await??, ["x!", "y!"]);
    assert!(model.idle().await?, "the slot is free");
    Ok(())
}

/// Over the long path too, with and without a wire.
#[tokio::test(start_paused = true)]
async fn errors_are_stream_items() -> Result<()> {
    let (bound, told) = model();
    let runtime = MockRuntime::builder().start();
    let model = runtime.run(bound).await?;
    let words: Vec<String> = model.words("a b c").try_collect().await?;
    assert_eq!(words, ["a!", "b!", "c!"]);

    let items: Vec<_> = model.fallible(1_u32).collect().await;
    assert_eq!(items, [Ok(0), Err(CallError::App("no".to_owned())), Ok(2)]);
    let items: Vec<_> = model.refused(Some("no".to_owned())).collect().await;
    assert_eq!(items, [Err(CallError::App("no".to_owned()))]);
    let items: Vec<_> = model.refused(None).collect().await;
    assert_eq!(items, [Ok(0), Ok(1)]);
    let items: Vec<_> = model.both(true).collect().await;
    let [Err(CallError::App(error))] = &items[..] else { panic!("{items:?}") };
    assert_eq!((error.to_string(), error.status()), ("not today".to_owned(), Some(409)));
    let items: Vec<_> = model.both(false).collect().await;
    assert!(matches!(&items[..], [Ok(_), Err(CallError::App(_))]), "{items:?}");

    let items: Vec<_> = model.panics(2_u32).collect().await;
    assert_eq!(items, [Ok(0), Ok(1), Err(CallError::Panicked("told to".to_owned()))]);
    for _ in 0..3 {
        assert_eq!(told.next().await, "iterator dropped");
    }
    assert_eq!(load(&runtime, "Model"), (0, 0));
    assert!(model.idle().await?);
    Ok(())
}

#[tokio::test]
async fn a_panic_is_the_last_item() -> Result<()> {
    let (bound, told) = model();
    let runtime = runtimes::by_environment().await?;
    let model = runtime.run(bound).await?;
    let items: Vec<_> = model.panics(2_u32).collect().await;
    assert_eq!(items, [Ok(0), Ok(1), Err(CallError::Panicked("told to".to_owned()))]);
    assert_eq!(told.next().await, "iterator dropped");
    assert!(model.idle().await?);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn three_panics_in_a_row_replace_the_replica() -> Result<()> {
    let (bound, told) = model();
    let runtime = MockRuntime::builder().start();
    let model = runtime.run(bound).await?;
    for _ in 0..3 {
        assert_eq!(model.panics(1_u32).collect::<Vec<_>>().await.len(), 2);
        assert_eq!(told.next().await, "iterator dropped");
    }
    assert_eq!(told.next().await, "instance dropped");
    assert!(model.idle().await?, "another took its place");
    Ok(())
}

#[tokio::test]
async fn dropping_a_stream_stops_it_and_frees_its_slot() -> Result<()> {
    let (bound, told) = model();
    let runtime = runtimes::by_environment().await?;
    let model = runtime.run(bound).await?;
    let mut steps = model.steps(1000_u32);
    told.go();
    assert_eq!(steps.next().await, Some(Ok(0)));
    for event in ["began", "step 0", "step 1"] {
        assert_eq!(told.next().await, event);
    }
    drop(steps);
    let second = model.steps(1_u32);
    tokio::task::yield_now().await;
    assert_eq!(load(&runtime, "Model"), (1, 1), "the thread still computes");
    told.go();
    assert_eq!(told.next().await, "iterator dropped", "and not a second step");
    assert_eq!((told.next().await, told.next().await), ("began".into(), "step 0".into()));
    told.go();
    assert_eq!(second.try_collect::<Vec<_>>().await?, [0]);
    Ok(())
}

/// On the real runtime: from a `MockRuntime`, an item may be on its way, and is cancelled with it.
#[tokio::test]
async fn a_cancelled_stream_yields_finished_items() -> Result<()> {
    let (bound, told) = model();
    let runtime = Runtime::builder().start().await?;
    let model = runtime.run(bound).await?;
    let steps = model.steps(1000_u32);
    told.go();
    told.go();
    for event in ["began", "step 0", "step 1", "step 2"] {
        assert_eq!(told.next().await, event);
    }
    steps.cancel();
    let items: Vec<_> = steps.collect().await;
    assert_eq!(items, [Ok(0), Ok(1), Err(CallError::Cancelled)]);
    told.go();
    assert_eq!(told.next().await, "iterator dropped");
    Ok(())
}

#[tokio::test]
async fn a_detached_stream_runs_to_its_end() -> Result<()> {
    let (bound, told) = model();
    let runtime = runtimes::by_environment().await?;
    let model = runtime.run(bound).await?;
    model.steps(40_u32).detach();
    (0..40).for_each(|_| told.go());
    assert_eq!(told.next().await, "began");
    for step in 0..40 {
        assert_eq!(told.next().await, format!("step {step}"));
    }
    assert_eq!(told.next().await, "iterator dropped");
    Ok(())
}

/// On the real runtime: a `MockRuntime` has a thread for each job, so no job waits.
#[tokio::test]
async fn an_abandoned_stream_never_begins() -> Result<()> {
    let (bound, told) = model();
    let runtime = Runtime::builder().start().await?;
    // Two slots and one thread.
    let model = runtime.run(bound.max_ongoing_requests(2)).await?;
    let first = model.steps(1_u32);
    assert_eq!((told.next().await, told.next().await), ("began".into(), "step 0".into()));
    let second = model.steps(1_u32);
    until("the second call has a slot", || load(&runtime, "Model") == (2, 0)).await;
    // Its job waits for the thread by now.
    tokio::task::yield_now().await;
    drop(second);
    // Its slot is free with its job, though the thread is busy.
    until("its slot is free", || load(&runtime, "Model") == (1, 0)).await;
    told.go();
    assert_eq!(first.try_collect::<Vec<_>>().await?, [0]);
    assert_eq!(told.next().await, "iterator dropped");
    assert_eq!(model.words("a").try_collect::<Vec<_>>().await?, ["a!"], "on the same thread");
    assert_eq!(told.events.take(), [""; 0], "the second has not begun");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_deadline_fails_the_stream_at_once() -> Result<()> {
    let (bound, told) = model();
    let runtime = MockRuntime::builder().start();
    let model = runtime.run(bound.request_timeout(Duration::from_secs(5))).await?;
    let mut steps = model.steps(1000_u32);
    told.go();
    assert_eq!(steps.next().await, Some(Ok(0)));
    for event in ["began", "step 0", "step 1"] {
        assert_eq!(told.next().await, event);
    }
    advance(Duration::from_secs(6)).await;
    assert_eq!(steps.next().await, Some(Err(CallError::DeadlineExceeded)));
    assert_eq!(steps.next().await, None);
    assert_eq!(load(&runtime, "Model"), (1, 0), "the thread still computes");
    told.go();
    assert_eq!(told.next().await, "iterator dropped");
    assert!(model.idle().await?);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn instance_outlives_the_iterator_when_killed() -> Result<()> {
    let (bound, told) = model();
    let runtime = MockRuntime::builder().start();
    let model = runtime.run(bound).await?;
    let mut steps = model.steps(1000_u32);
    told.go();
    assert_eq!(steps.next().await, Some(Ok(0)));
    for event in ["began", "step 0", "step 1"] {
        assert_eq!(told.next().await, event);
    }
    assert!(runtime.kill_replica::<Model>(0));
    let ended = steps.next().await;
    assert!(matches!(ended, Some(Err(CallError::Unavailable { started: true, .. }))), "{ended:?}");
    told.go();
    assert_eq!(told.next().await, "iterator dropped");
    assert_eq!(told.next().await, "instance dropped");
    assert!(model.idle().await?, "another took its place");
    Ok(())
}

/// How far producers are ahead of their consumers, at most.
#[deployment]
#[derive(Default)]
struct Ahead {
    read: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    made: Arc<AtomicUsize>,
}

#[handle]
impl Ahead {
    fn new(read: Arc<AtomicUsize>, most: Arc<AtomicUsize>, made: Arc<AtomicUsize>) -> Self {
        Self { read, most, made }
    }

    #[blocking]
    pub fn count(&self, to: usize) -> impl Iterator<Item = usize> {
        (0..to).inspect(|item| {
            self.made.store(item + 1, Ordering::SeqCst);
            let ahead = (item + 1).saturating_sub(self.read.load(Ordering::SeqCst));
            self.most.fetch_max(ahead, Ordering::SeqCst);
        })
    }
}

/// On the real runtime: a `MockRuntime` holds one item more, on its way to the consumer.
#[tokio::test]
async fn a_producer_stays_within_the_buffer() -> Result<()> {
    let [read, most, made] = <[Arc<AtomicUsize>; 3]>::default();
    let runtime = Runtime::builder().start().await?;
    let ahead = runtime.run(Ahead::bind(read.clone(), most.clone(), made)).await?;
    let mut items = ahead.count(2_000_usize);
    for expected in 0..2_000 {
        // Noted before it is read, so that it is never behind what was read.
        read.store(expected + 1, Ordering::SeqCst);
        assert_eq!(items.next().await, Some(Ok(expected)));
    }
    assert_eq!(items.next().await, None);
    let most = most.load(Ordering::SeqCst);
    assert!((1..=AHEAD).contains(&most), "{most} ahead of its consumer");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn paused_clock_waits_for_computing_producers() -> Result<()> {
    let [read, most, made] = <[Arc<AtomicUsize>; 3]>::default();
    let runtime = MockRuntime::builder().start();
    let bound = Ahead::bind(read, most, made.clone());
    let ahead = runtime.run(bound.request_timeout(Duration::from_secs(3600))).await?;

    let began = Instant::now();
    assert_eq!(ahead.count(5_000_usize).try_collect::<Vec<_>>().await?.len(), 5_000);
    assert_eq!(began.elapsed(), Duration::ZERO);

    // A slow consumer stops its producer, the same each time.
    let mut slow = ahead.count(1_000_000_usize);
    let mut counts = Vec::new();
    for item in 0..100 {
        assert_eq!(slow.next().await, Some(Ok(item)));
        sleep(Duration::from_secs(1)).await;
        counts.push(made.load(Ordering::SeqCst) - item);
    }
    assert_eq!(began.elapsed(), Duration::from_secs(100));
    assert!(counts.iter().all(|ahead| *ahead == counts[0]), "{counts:?}");
    assert!((AHEAD..=AHEAD + 4).contains(&counts[0]), "{counts:?}");

    // So does one that no longer reads, until the deadline.
    sleep(Duration::from_secs(3600)).await;
    let rest: Vec<_> = slow.collect().await;
    assert!(rest.len() < AHEAD + 4, "{rest:?}");
    assert_eq!(rest.last(), Some(&Err(CallError::DeadlineExceeded)));
    assert_eq!(load(&runtime, "Ahead"), (0, 0));
    Ok(())
}

#[deployment]
struct Counter(u64);

#[handle]
impl Counter {
    fn new(start: u64) -> Self {
        Self(start)
    }

    #[blocking]
    pub fn up(&mut self, times: u64) -> impl Iterator<Item = u64> {
        (0..times).map(|_| {
            self.0 += 1;
            self.0
        })
    }

    pub fn get(&self) -> u64 {
        self.0
    }
}

#[tokio::test]
async fn iterators_may_borrow_the_instance_mutably() -> Result<()> {
    let runtime = runtimes::by_environment().await?;
    let counter = runtime.run(Counter::bind(0_u64)).await?;
    let (up, get, more) = (counter.up(50), counter.get(), counter.up(2));
    let all: Vec<u64> = up.try_collect().await?;
    assert_eq!(all, (1..=50).collect::<Vec<_>>());
    assert_eq!(get.await?, 50, "in order");
    assert_eq!(more.try_collect::<Vec<_>>().await?, [51, 52]);
    Ok(())
}

#[deployment]
struct Reader(ModelHandle);

#[handle]
impl Reader {
    fn new(model: ModelHandle) -> Self {
        Self(model)
    }

    /// One compute thread reads what another makes.
    #[blocking]
    pub fn shout(&self, text: String) -> impl Iterator<Item = Result<String>> {
        self.0.words(text).blocking_iter().map(|word| Ok(word?.to_uppercase()))
    }
}

#[tokio::test(start_paused = true)]
async fn mocks_answer_with_streams() -> Result<()> {
    let (bound, _told) = model();
    let mock = ModelMock::new().words(|text| futures::stream::iter([format!("mocked {text}")]));
    let runtime = MockRuntime::builder().mock(mock).start();
    let reader = runtime.run(Reader::bind(bound)).await?;
    assert_eq!(reader.shout("a b").try_collect::<Vec<_>>().await?, ["MOCKED A B"]);
    assert_eq!(runtime.calls::<Model>(), ["words"]);
    Ok(())
}

#[tokio::test]
async fn compute_threads_may_read_each_others_streams() -> Result<()> {
    let (bound, _told) = model();
    let runtime = runtimes::by_environment().await?;
    let reader = runtime.run(Reader::bind(bound)).await?;
    let text = vec!["word"; 100].join(" ");
    assert_eq!(reader.shout(text).try_collect::<Vec<_>>().await?, vec!["WORD!"; 100]);
    Ok(())
}

#[cfg(feature = "http")]
mod http {
    use std::collections::HashMap;

    use super::*;
    use crate::support::clocks::settle;

    #[deployment(max_ongoing_requests = 1)]
    struct Generator(Events, Gate);

    #[handle]
    impl Generator {
        fn new(events: Events, gate: Gate) -> Self {
            Self(events, gate)
        }

        #[post("/generate")]
        #[blocking]
        pub fn generate(&self, prompt: String) -> Result<impl Iterator<Item = Result<String>>> {
            if prompt.is_empty() {
                return Err(Error::msg("no prompt").with_status(422));
            }
            let words: Vec<_> = prompt.split(' ').map(str::to_owned).collect();
            Ok(words.into_iter().map(|word| match word.as_str() {
                "bad" => Err(Error::msg("bad word").with_status(400)),
                _ => Ok(format!("{word} ")),
            }))
        }

        #[get("/steps")]
        #[blocking]
        pub fn steps(&self) -> impl Iterator<Item = HashMap<String, u32>> {
            let noted = self.0.note_on_drop("iterator dropped");
            (0..).map(move |step| {
                let _ = &noted;
                self.0.note(format!("step {step}"));
                self.1.pass();
                HashMap::from([("step".to_owned(), step)])
            })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn endpoints_send_iterators_as_streams() -> Result<()> {
        let noted = Events::default();
        let (gate, go) = gate();
        let runtime = MockRuntime::builder().start();
        let generator = Generator::bind(Arc::clone(&noted), gate);
        runtime.run(generator).await?;
        let http = runtime.http();
        let ask =
            |prompt: &str| http.post("/generate").json(serde_json::json!({ "prompt": prompt }));
        assert_eq!(ask("Hola Dora").await?.text().await?, "Hola Dora ");
        let events = ask("Hola Dora").header("accept", "text/event-stream").await?;
        assert_eq!(events.text().await?, "data: Hola \n\ndata: Dora \n\n");
        assert_eq!(ask("").await?.status(), 422);
        assert_eq!(ask("bad").await?.status(), 400);

        go.send(())?;
        let mut chunks = http.get("/steps").await?.chunks();
        assert_eq!(chunks.next().await.unwrap()?, "{\"step\":0}\n");
        assert_eq!(noted.next().await, "step 0");
        assert_eq!(noted.next().await, "step 1");
        drop(chunks);
        // What tells the method passes through a few tasks.
        settle().await;
        go.send(())?;
        assert_eq!(noted.next().await, "iterator dropped");
        assert_eq!(ask("Hola").await?.text().await?, "Hola ", "its slot is free");
        Ok(())
    }
}
