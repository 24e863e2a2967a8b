//! Models on demand, inside running deployments.
#![cfg(feature = "http")]

use crate::support::runtimes::{self, mock_runtime};

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::panic::{self, Location};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::{join, join_all};
use parking_lot::Mutex;
use serve_core::prelude::*;
use tokio::time::{Instant, sleep};

/// Where models come from: takes a second for each.
#[deployment]
#[derive(Default)]
struct Store;

#[handle]
impl Store {
    pub async fn fetch(&self, id: String) -> String {
        sleep(Duration::from_secs(1)).await;
        format!("model {id}")
    }
}

#[deployment]
struct Models {
    models: Multiplexed<(String, usize)>,
}

#[handle]
impl Models {
    fn new(store: StoreHandle, loads: Arc<AtomicUsize>) -> Self {
        let load = move |id: String| {
            let (store, loads) = (store.clone(), Arc::clone(&loads));
            async move {
                loads.fetch_add(1, Ordering::SeqCst);
                let rank = replica_context().map_or(usize::MAX, |replica| replica.rank());
                assert_eq!(context().multiplexed_model_id(), Some(id.as_str()));
                assert_eq!(context().deadline(), None);
                Ok::<_, CallError>((store.fetch(id).await?, rank))
            }
        };
        Self { models: Multiplexed::new(2, load) }
    }

    pub async fn answer(&self) -> Result<String> {
        let model = self.models.current().await?;
        let (name, rank) = &*model;
        Ok(format!("{name} on {rank}"))
    }

    #[blocking]
    pub fn compute(&self) -> Result<String> {
        Ok(self.models.blocking_current()?.0.clone())
    }

    /// Where it would stop others.
    pub async fn stop(&self) -> Result<String> {
        Ok(self.models.blocking_current()?.0.clone())
    }
}

fn asking(id: &str) -> CallOptions {
    CallOptions::new().multiplexed_model_id(id)
}

#[tokio::test(start_paused = true)]
async fn a_call_uses_the_model_it_names() -> Result<()> {
    let loads = Arc::new(AtomicUsize::new(0));
    let runtime = runtimes::by_environment().await?;
    let models = runtime.run(Models::bind(Store::bind(), Arc::clone(&loads))).await?;
    for id in ["a", "b", "a", "b"] {
        assert_eq!(models.options(asking(id)).answer().await?, format!("model {id} on 0"));
    }
    assert_eq!(loads.load(Ordering::SeqCst), 2);
    let error = models.answer().await.unwrap_err();
    assert!(error.to_string().contains("names no model"), "{error}");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_shared_load_outlives_its_first_caller() -> Result<()> {
    let loads = Arc::new(AtomicUsize::new(0));
    let runtime = runtimes::by_environment().await?;
    let models = runtime.run(Models::bind(Store::bind(), Arc::clone(&loads))).await?;
    let hurried = models.options(asking("a").timeout(Duration::from_millis(100)));
    let patient = models.options(asking("a"));
    let (late, answered) = join(hurried.answer(), patient.answer()).await;
    assert!(matches!(late, Err(CallError::DeadlineExceeded)), "{late:?}");
    assert_eq!(answered?, "model a on 0");
    assert_eq!(loads.load(Ordering::SeqCst), 1);
    Ok(())
}

/// What became of the models of all replicas.
#[derive(Clone, Default)]
struct Shelf {
    /// In the order in which their loads began.
    loads: Arc<Mutex<Vec<String>>>,
    /// Those in memory.
    alive: Arc<Mutex<Vec<String>>>,
}

impl Shelf {
    fn loads(&self) -> Vec<String> {
        std::mem::take(&mut *self.loads.lock())
    }

    fn alive(&self) -> Vec<String> {
        let mut alive = self.alive.lock().clone();
        alive.sort();
        alive
    }
}

struct Model {
    id: String,
    alive: Arc<Mutex<Vec<String>>>,
}

impl Drop for Model {
    fn drop(&mut self) {
        let mut alive = self.alive.lock();
        let place = alive.iter().position(|id| *id == self.id).unwrap();
        alive.remove(place);
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Answer {
    model: String,
    replica: usize,
    loaded: Vec<String>,
}

/// A model takes a second to load, and `missing` ones are not there.
#[deployment]
struct Translator(Multiplexed<Model>);

#[handle]
impl Translator {
    fn new(shelf: Shelf, max_models: usize) -> Self {
        let load = move |id: String| {
            let Shelf { loads, alive } = shelf.clone();
            async move {
                loads.lock().push(id.clone());
                sleep(Duration::from_secs(1)).await;
                if id.starts_with("missing") {
                    return Err(Error::msg(format!("no model {id}")).with_status(404));
                }
                alive.lock().push(id.clone());
                Ok(Model { id, alive })
            }
        };
        Self(Multiplexed::new(max_models, load))
    }

    /// Works with the model for so many seconds.
    #[post("/translate", body = seconds)]
    pub async fn translate(&self, seconds: u64) -> Result<Answer> {
        let model = self.0.current().await?;
        sleep(Duration::from_secs(seconds)).await;
        assert!(model.alive.lock().contains(&model.id), "it is there as long as it is used");
        let replica = replica_context().expect("a method runs on a replica").rank();
        Ok(Answer { model: model.id.clone(), replica, loaded: self.0.loaded() })
    }

    pub async fn loaded(&self) -> Vec<String> {
        let mut loaded = self.0.loaded();
        loaded.sort();
        loaded
    }
}

impl TranslatorHandle {
    fn of(&self, model: &str) -> Self {
        self.options(asking(model))
    }
}

#[tokio::test(start_paused = true)]
async fn the_least_recently_used_model_is_evicted() -> Result<()> {
    let shelf = Shelf::default();
    let (runtime, translator) = mock_runtime(Translator::bind(shelf.clone(), 2)).await?;
    for (models, left) in [(&["1", "2", "3"][..], ["2", "3"]), (&["2", "4"], ["2", "4"])] {
        for model in models {
            assert_eq!(translator.of(model).translate(0).await?.model, *model);
        }
        assert_eq!(translator.loaded().await?, left);
        assert_eq!(shelf.alive(), left, "nothing else is in memory");
    }
    assert_eq!(shelf.loads(), ["1", "2", "3", "4"]);
    runtime.shutdown().await;
    assert!(shelf.alive().is_empty(), "a replica takes its models with it");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_evicted_model_lives_until_its_last_call() -> Result<()> {
    let shelf = Shelf::default();
    let (_runtime, translator) = mock_runtime(Translator::bind(shelf.clone(), 1)).await?;
    let (short, long) = (translator.of("1").translate(10), translator.of("1").translate(20));
    sleep(Duration::from_secs(2)).await;
    translator.of("2").translate(0).await?;
    assert_eq!(translator.loaded().await?, ["2"]);
    assert_eq!(short.await?.model, "1");
    assert_eq!(shelf.alive(), ["1", "2"], "another call works with it");
    assert_eq!(long.await?.model, "1");
    assert_eq!(shelf.alive(), ["2"]);

    // One that is dropped uses it no more.
    let dropped = translator.of("3").translate(100);
    sleep(Duration::from_secs(2)).await;
    translator.of("4").translate(0).await?;
    assert_eq!(shelf.alive(), ["3", "4"]);
    drop(dropped);
    sleep(Duration::from_millis(1)).await;
    assert_eq!(shelf.alive(), ["4"]);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn concurrent_first_calls_load_a_model_once() -> Result<()> {
    let shelf = Shelf::default();
    let (_runtime, translator) = mock_runtime(Translator::bind(shelf.clone(), 3)).await?;
    let began = Instant::now();
    let mut calls: Vec<_> = (0..10).map(|_| translator.of("1").translate(0)).collect();
    calls.extend(["2", "3"].map(|model| translator.of(model).translate(0)));
    for answer in join_all(calls).await {
        answer?;
    }
    assert_eq!(shelf.loads(), ["1", "2", "3"]);
    assert_eq!(began.elapsed(), Duration::from_secs(1), "one after the other takes three");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_failed_load_evicts_nothing() -> Result<()> {
    let shelf = Shelf::default();
    let (_runtime, translator) = mock_runtime(Translator::bind(shelf.clone(), 2)).await?;
    for model in ["1", "2"] {
        translator.of(model).translate(0).await?;
    }
    let calls = (0..5).map(|_| translator.of("missing").translate(0));
    for answer in join_all(calls).await {
        let Err(CallError::App(error)) = answer else { panic!("{answer:?}") };
        assert_eq!(error.to_string(), "no model missing");
        assert_eq!(error.status(), Some(404));
    }
    assert_eq!(translator.loaded().await?, ["1", "2"]);
    assert_eq!(shelf.loads(), ["1", "2", "missing"]);
    // It is not remembered.
    assert!(translator.of("missing").translate(0).await.is_err());
    assert_eq!(shelf.loads(), ["missing"]);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_load_is_cancelled_with_its_last_caller() -> Result<()> {
    let shelf = Shelf::default();
    let (_runtime, translator) = mock_runtime(Translator::bind(shelf.clone(), 2)).await?;
    let first = translator.of("1").translate(0);
    sleep(Duration::from_millis(200)).await;
    let others: Vec<_> = (0..3).map(|_| translator.of("1").translate(0)).collect();
    sleep(Duration::from_millis(200)).await;
    drop(first);
    for answer in join_all(others).await {
        assert_eq!(answer?.model, "1");
    }
    assert_eq!(shelf.loads(), ["1"]);

    let alone = translator.of("2").translate(0);
    sleep(Duration::from_millis(200)).await;
    drop(alone);
    sleep(Duration::from_secs(10)).await;
    assert_eq!(shelf.alive(), ["1"], "nobody waited for it");
    assert_eq!(translator.of("2").translate(0).await?.model, "2");
    assert_eq!(shelf.loads(), ["2", "2"]);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn compute_work_shares_loads() -> Result<()> {
    let (runtime, loads) = (MockRuntime::builder().start(), Arc::default());
    let models = runtime.run(Models::bind(Store::bind(), Arc::clone(&loads))).await?;
    let (es, began) = (models.options(asking("es")), Instant::now());
    let (computed, answered) = join(es.compute(), es.answer()).await;
    assert_eq!((computed?.as_str(), answered?.as_str()), ("model es", "model es on 0"));
    assert_eq!((loads.load(Ordering::SeqCst), began.elapsed().as_secs()), (1, 1));
    let unnamed = models.compute().await.unwrap_err().to_string();
    assert!(unnamed.contains("names no model"), "{unnamed}");
    let refused = models.options(asking("es")).stop().await.unwrap_err().to_string();
    assert!(refused.contains("block"), "{refused}");
    Ok(())
}

#[cfg(feature = "http")]
#[tokio::test(start_paused = true)]
async fn a_header_names_the_model() -> Result<()> {
    let shelf = Shelf::default();
    let (runtime, _translator) = mock_runtime(Translator::bind(shelf.clone(), 2)).await?;
    let http = runtime.http();
    for header in ["serve_multiplexed_model_id", "Serve-Multiplexed-Model-Id"] {
        let request = http.post("/translate").header(header, "es").json(0);
        assert_eq!(request.await?.json::<Answer>().await?.model, "es");
    }
    assert_eq!(shelf.loads(), ["es"]);

    let missing = http.post("/translate").header("serve_multiplexed_model_id", "missing").json(0);
    let missing = missing.await?;
    assert_eq!(missing.status(), 404);
    assert!(missing.text().await?.contains("no model missing"));

    for unnamed in [None, Some("")] {
        let mut request = http.post("/translate").json(0);
        if let Some(id) = unnamed {
            request = request.header("serve_multiplexed_model_id", id);
        }
        let unnamed = request.await?;
        assert_eq!(unnamed.status(), 400);
        let said = unnamed.text().await?;
        assert!(said.contains("the request names no model"), "{said}");
        assert!(said.contains("`serve_multiplexed_model_id`"), "{said}");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn calls_go_to_replicas_with_the_model() -> Result<()> {
    let shelf = Shelf::default();
    let bound = Translator::bind(shelf.clone(), 4).num_replicas(4);
    let (_runtime, translator) = mock_runtime(bound).await?;
    let mut homes = BTreeSet::new();
    for model in ["1", "2", "3", "4"] {
        let home = translator.of(model).translate(0).await?.replica;
        homes.insert(home);
        for _ in 0..10 {
            assert_eq!(translator.of(model).translate(0).await?.replica, home);
        }
    }
    assert_eq!(shelf.loads(), ["1", "2", "3", "4"], "each was loaded once");
    assert_eq!(homes.len(), 4, "a new model goes to the replica that has the fewest");

    // Ten first calls at once share a load, though nobody holds the model yet; and so do
    // those that come while it loads.
    let calls: Vec<_> = (0..10).map(|_| translator.of("5").translate(0)).collect();
    sleep(Duration::from_millis(500)).await;
    let late = (0..10).map(|_| translator.of("5").translate(0));
    let replicas: BTreeSet<_> = join_all(calls.into_iter().chain(late))
        .await
        .into_iter()
        .map(|answer| answer.unwrap().replica)
        .collect();
    assert_eq!((replicas.len(), shelf.loads()), (1, vec!["5".to_owned()]));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn calls_do_not_wait_for_a_busy_replica() -> Result<()> {
    let shelf = Shelf::default();
    let bound = Translator::bind(shelf.clone(), 4).num_replicas(2).max_ongoing_requests(1);
    let (_runtime, translator) = mock_runtime(bound).await?;
    let home = translator.of("1").translate(0).await?.replica;
    let began = Instant::now();
    let busy = translator.of("1").translate(60);
    let other = translator.of("1").translate(0).await?;
    assert_ne!(other.replica, home);
    assert_eq!(began.elapsed(), Duration::from_secs(1), "it loads the model, and waits for nobody");
    assert_eq!(shelf.loads(), ["1", "1"]);
    assert_eq!(busy.await?.replica, home);
    // Of two that have it, the less busy one.
    let (one, two) = join(translator.of("1").translate(1), translator.of("1").translate(1)).await;
    assert_ne!(one?.replica, two?.replica);
    assert!(shelf.loads().is_empty());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_dead_replica_is_not_preferred() -> Result<()> {
    let shelf = Shelf::default();
    let bound = Translator::bind(shelf.clone(), 4).num_replicas(2);
    let (runtime, translator) = mock_runtime(bound).await?;
    let home = translator.of("1").translate(0).await?.replica;
    let running = translator.of("1").translate(60);
    sleep(Duration::from_millis(1)).await;
    assert!(runtime.kill_replica::<Translator>(home));
    let died = running.await;
    assert!(matches!(died, Err(CallError::Unavailable { started: true, .. })), "{died:?}");
    assert!(shelf.alive().is_empty());
    for _ in 0..10 {
        assert_eq!(translator.of("1").translate(0).await?.model, "1");
    }
    assert_eq!(shelf.loads(), ["1", "1"]);
    Ok(())
}

/// A load that ends on a replica that is on its way out says nothing of the one that comes
/// after it.
#[tokio::test(start_paused = true)]
async fn a_draining_replica_does_not_affect_routing() -> Result<()> {
    let shelf = Shelf::default();
    let (runtime, translator) = mock_runtime(Translator::bind(shelf.clone(), 4)).await?;
    let old = translator.of("1").translate(0);
    sleep(Duration::from_millis(100)).await;
    // Bound anew, so that the replica is another.
    let bound = Translator::bind(shelf.clone(), 4);
    let (old, redeployed) = join(old, runtime.run(bound.clone())).await;
    assert_eq!(old?.model, "1");
    redeployed?;
    translator.of("1").translate(0).await?;
    assert_eq!(shelf.loads(), ["1", "1"]);

    runtime.run(bound.num_replicas(2)).await?;
    let busy = translator.of("1").translate(60);
    sleep(Duration::from_secs(2)).await;
    for _ in 0..10 {
        translator.of("1").translate(0).await?;
    }
    assert_eq!(busy.await?.model, "1");
    assert!(shelf.loads().is_empty(), "the second replica does not hold it");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn zero_models_fail_the_deploy() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let refused = runtime.run(Translator::bind(Shelf::default(), 0)).await.unwrap_err();
    let said = format!("{refused:#}");
    assert!(said.contains("room for 0 models") && said.contains("usize::MAX"), "{said}");

    let shelf = Shelf::default();
    let (_runtime, translator) = mock_runtime(Translator::bind(shelf.clone(), usize::MAX)).await?;
    for model in 0..100 {
        translator.of(&model.to_string()).translate(0).await?;
    }
    assert_eq!((shelf.loads().len(), shelf.alive().len()), (100, 100));
    Ok(())
}

/// Passes its request on.
#[deployment]
struct Front(TranslatorHandle);

#[handle]
impl Front {
    fn new(translator: TranslatorHandle) -> Self {
        Self(translator)
    }

    pub async fn translate(&self) -> Result<Answer> {
        Ok(self.0.translate(0).await?)
    }

    pub async fn replica(&self) -> usize {
        sleep(Duration::from_secs(1)).await;
        replica_context().expect("a method runs on a replica").rank()
    }
}

#[tokio::test(start_paused = true)]
async fn the_model_id_travels_with_the_request() -> Result<()> {
    let shelf = Shelf::default();
    let runtime = MockRuntime::builder().start();
    let bound = Front::bind(Translator::bind(shelf.clone(), 2)).num_replicas(4);
    let front = runtime.run(bound).await?.options(asking("es"));
    assert_eq!(front.translate().await?.model, "es");
    assert_eq!(shelf.loads(), ["es"]);
    let calls = (0..40).map(|_| front.replica());
    let mut calls_of = [0; 4];
    for replica in join_all(calls).await {
        calls_of[replica?] += 1;
    }
    assert!(calls_of.iter().all(|calls| *calls >= 5), "{calls_of:?}");
    Ok(())
}

thread_local! {
    /// Where this thread panicked last.
    static PANICKED: RefCell<Option<(String, u32)>> = const { RefCell::new(None) };
}

#[test]
fn zero_models_panic_at_the_callers_line() {
    // It stays in place, because others may panic meanwhile; each thread has its own note.
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        let place = panic.location().map(|place| (place.file().to_owned(), place.line()));
        PANICKED.set(place);
        before(panic);
    }));
    let here = Location::caller();
    let made = panic::catch_unwind(|| Multiplexed::new(0, async |id: String| Ok::<_, Error>(id)));
    assert!(made.is_err());
    assert_eq!(PANICKED.take(), Some((here.file().to_owned(), here.line() + 1)));
}
