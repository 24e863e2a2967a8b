//! The loads of a `Multiplexed` that run at the same time.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use parking_lot::Mutex;
use serve_core::prelude::*;
use tokio::time::{Instant, sleep};

/// The models that take memory: those that load, and those that are there.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Counts>>);

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    loading: usize,
    loaded: usize,
    most_loading: usize,
    most: usize,
}

impl Memory {
    fn change(&self, change: impl FnOnce(&mut Counts)) {
        let counts = &mut *self.0.lock();
        change(counts);
        counts.most_loading = counts.most_loading.max(counts.loading);
        counts.most = counts.most.max(counts.loading + counts.loaded);
    }

    fn counts(&self) -> Counts {
        *self.0.lock()
    }
}

struct Loading(Memory);

impl Loading {
    fn new(memory: &Memory) -> Self {
        memory.change(|counts| counts.loading += 1);
        Self(memory.clone())
    }
}

impl Drop for Loading {
    fn drop(&mut self) {
        self.0.change(|counts| counts.loading -= 1);
    }
}

struct Model(String, Memory);

impl Model {
    fn new(id: String, memory: &Memory) -> Self {
        memory.change(|counts| counts.loaded += 1);
        Self(id, memory.clone())
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        self.1.change(|counts| counts.loaded -= 1);
    }
}

/// A model takes a second to load. Some fail then, or panic.
async fn load(id: String, memory: Memory) -> Result<Model> {
    let loading = Loading::new(&memory);
    sleep(Duration::from_secs(1)).await;
    drop(loading);
    match id.split('-').next() {
        Some("missing") => Err(Error::msg("no such model")),
        Some("broken") => panic!("out of order"),
        _ => Ok(Model::new(id, &memory)),
    }
}

#[deployment(max_ongoing_requests = 200)]
struct Zoo(Multiplexed<Model>);

#[handle]
impl Zoo {
    fn new(memory: Memory, max_models: usize, at_once: Option<usize>) -> Self {
        let models = Multiplexed::new(max_models, move |id| load(id, memory.clone()));
        Self(match at_once {
            Some(at_once) => models.max_concurrent_loads(at_once),
            None => models,
        })
    }

    /// Works with a model for so many seconds.
    pub async fn work(&self, seconds: u64) -> Result<String> {
        let model = self.0.current().await?;
        sleep(Duration::from_secs(seconds)).await;
        Ok(model.0.clone())
    }

    #[blocking]
    pub fn compute(&self) -> Result<String> {
        Ok(self.0.blocking_current()?.0.clone())
    }

    pub async fn loaded(&self) -> Vec<String> {
        self.0.loaded()
    }
}

impl ZooHandle {
    fn of(&self, model: impl Into<String>) -> Self {
        self.options(CallOptions::new().multiplexed_model_id(model))
    }
}

async fn zoo(
    max_models: usize,
    at_once: Option<usize>,
) -> Result<(MockRuntime, ZooHandle, Memory)> {
    let (runtime, memory) = (MockRuntime::builder().start(), Memory::default());
    let zoo = runtime.run(Zoo::bind(memory.clone(), max_models, at_once)).await?;
    Ok((runtime, zoo, memory))
}

#[tokio::test(start_paused = true)]
async fn first_calls_for_fifty_models_load_no_more_at_a_time_than_there_is_room_for() -> Result<()>
{
    for (at_once, most, seconds) in [(None, 3, 17), (Some(1), 1, 50), (Some(usize::MAX), 50, 1)] {
        let (_runtime, zoo, memory) = zoo(3, at_once).await?;
        let began = Instant::now();
        let calls = (0..50).map(|number| zoo.of(number.to_string()).work(0));
        for (number, model) in join_all(calls).await.into_iter().enumerate() {
            assert_eq!(model?, number.to_string());
        }
        assert_eq!(began.elapsed(), Duration::from_secs(seconds), "{at_once:?}");
        let counts = memory.counts();
        assert_eq!((counts.most_loading, counts.loaded), (most, 3));
        assert!(counts.most <= 3 + most + 1, "the room, the loads, and one in use: {counts:?}");
        assert_eq!(
            zoo.loaded().await?,
            ["47", "48", "49"],
            "in the order in which they were asked for"
        );
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn loads_that_fail_panic_or_are_given_up_make_room_for_the_next() -> Result<()> {
    let (_runtime, zoo, memory) = zoo(2, None).await?;
    let mut calls = Vec::new();
    for number in 0..40 {
        let kind = ["good", "missing", "broken", "given-up"][number % 4];
        let call = zoo.of(format!("{kind}-{number}"));
        let hasty = kind == "given-up";
        calls.push(async move {
            // Some leave while their model loads, others while it waits for that.
            let call = call.work(1_u64);
            if hasty {
                return tokio::time::timeout(Duration::from_millis(1_500), call).await.is_ok();
            }
            call.await.is_ok()
        });
    }
    let good = join_all(calls).await.into_iter().filter(|good| *good).count();
    assert_eq!(good, 10);
    sleep(Duration::from_secs(1)).await;
    let counts = memory.counts();
    assert_eq!((counts.loading, counts.most_loading, counts.loaded), (0, 2, 2));
    // And both places are free.
    let began = Instant::now();
    let (one, other) = (zoo.of("good-a").compute(), zoo.of("good-b").work(0));
    assert_eq!((one.await?, other.await?), ("good-a".to_owned(), "good-b".to_owned()));
    assert_eq!(began.elapsed(), Duration::from_secs(1));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn models_in_use_leave_and_come_back_while_others_wait_to_load() -> Result<()> {
    let (_runtime, zoo, memory) = zoo(1, None).await?;
    let long = zoo.of("used").work(20);
    sleep(Duration::from_secs(2)).await;
    let others = (0..5).map(|number| zoo.of(number.to_string()).work(0));
    let others = tokio::spawn(join_all(others));
    sleep(Duration::from_millis(2_500)).await;
    // It was evicted, and needs no load, though four others wait for theirs.
    let began = Instant::now();
    assert_eq!(zoo.of("used").work(0).await?, "used");
    assert_eq!(began.elapsed(), Duration::ZERO);
    for other in others.await.expect("it does not panic") {
        other?;
    }
    assert_eq!(long.await?, "used");
    let counts = memory.counts();
    assert!(counts.most_loading == 1 && counts.most <= 4, "{counts:?}");
    assert_eq!(counts.loaded, 1);
    Ok(())
}

/// Its models are made of other models of the same collection.
#[deployment]
struct Layers(Arc<Multiplexed<String>>);

#[handle]
impl Layers {
    fn new() -> Self {
        Self(Arc::new_cyclic(|own: &std::sync::Weak<Multiplexed<String>>| {
            let own = own.clone();
            Multiplexed::new(1, move |id: String| {
                let own = own.clone();
                async move {
                    sleep(Duration::from_secs(1)).await;
                    match id.split_once('/') {
                        Some((_, base)) => {
                            let own = own.upgrade().expect("it loads");
                            Ok::<_, Error>(format!("{id} on {}", own.get(base).await?))
                        }
                        None => Ok(id),
                    }
                }
            })
        }))
    }

    pub async fn get(&self, id: String) -> Result<String> {
        Ok(self.0.get(&id).await?.to_string())
    }
}

#[tokio::test(start_paused = true)]
async fn a_load_may_wait_for_another_of_its_collection() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let layers = runtime.run(Layers::bind()).await?;
    let calls = ["a/b/c", "x/y", "b/c"].map(|id| layers.get(id));
    let all: Vec<_> = join_all(calls).await.into_iter().collect::<Result<_, _>>()?;
    assert_eq!(all, ["a/b/c on b/c on c", "x/y on y", "b/c on c"]);
    Ok(())
}

#[test]
#[should_panic(expected = "`Multiplexed::max_concurrent_loads` was given 0")]
fn no_load_at_all_is_refused() {
    let models = Multiplexed::new(1, |id: String| async move { Ok::<_, Error>(id) });
    drop(models.max_concurrent_loads(0));
}
