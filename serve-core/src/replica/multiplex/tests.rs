use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use futures::future::{join, join_all};
use tokio::time::{Instant, sleep};

use super::*;

/// A model that is listed in `alive` until it is dropped.
#[derive(Debug)]
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

/// A source of models that take a second to load. Models whose id says so fail or panic.
#[derive(Clone, Default)]
struct Shelf {
    alive: Arc<Mutex<Vec<String>>>,
    started: Arc<AtomicUsize>,
    finished: Arc<AtomicUsize>,
}

impl Shelf {
    fn multiplexed(&self, max_models: usize) -> Multiplexed<Model> {
        let shelf = self.clone();
        Multiplexed::new(max_models, move |id: String| {
            let shelf = shelf.clone();
            async move {
                shelf.started.fetch_add(1, Ordering::SeqCst);
                sleep(Duration::from_secs(1)).await;
                shelf.finished.fetch_add(1, Ordering::SeqCst);
                match id.as_str() {
                    "missing" => return Err(Error::msg("no such model").with_status(404)),
                    "broken" => panic!("out of order"),
                    _ => {}
                }
                shelf.alive.lock().push(id.clone());
                Ok(Model { id, alive: Arc::clone(&shelf.alive) })
            }
        })
    }

    fn alive(&self) -> Vec<String> {
        let mut alive = self.alive.lock().clone();
        alive.sort();
        alive
    }

    fn started(&self) -> usize {
        self.started.load(Ordering::SeqCst)
    }
}

fn sorted<M: Send + Sync + 'static>(models: &Multiplexed<M>) -> Vec<String> {
    let mut loaded = models.loaded();
    loaded.sort();
    loaded
}

async fn get_all(models: &Multiplexed<Model>, ids: &[&str]) {
    for id in ids {
        models.get(id).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn the_model_that_was_used_the_longest_ago_leaves() {
    let shelf = Shelf::default();
    let models = shelf.multiplexed(2);
    get_all(&models, &["1", "2", "3"]).await;
    assert_eq!(sorted(&models), ["2", "3"]);
    get_all(&models, &["2", "4"]).await;
    assert_eq!(sorted(&models), ["2", "4"]);
    assert_eq!(models.loaded().last().unwrap(), "4");
    assert_eq!(shelf.alive(), ["2", "4"]);
    assert_eq!(shelf.started(), 4);
    drop(models);
    assert!(shelf.alive().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_model_in_use_is_dropped_only_after_its_last_call() {
    let shelf = Shelf::default();
    let models = shelf.multiplexed(1);
    let first = models.get("1").await.unwrap();
    let again = models.get("1").await.unwrap();
    get_all(&models, &["2"]).await;
    assert_eq!(models.loaded(), ["2"]);
    assert_eq!(shelf.alive(), ["1", "2"]);
    drop(first);
    assert_eq!(shelf.alive(), ["1", "2"]);
    assert_eq!(again.id, "1");
    drop(again);
    assert_eq!(shelf.alive(), ["2"]);
}

#[tokio::test(start_paused = true)]
async fn a_model_that_left_but_is_in_use_comes_back_without_a_load() {
    let shelf = Shelf::default();
    let models = shelf.multiplexed(1);
    let held = models.get("1").await.unwrap();
    get_all(&models, &["2"]).await;
    let back = models.get("1").now_or_never().unwrap().unwrap();
    assert!(Arc::ptr_eq(&held, &back));
    assert_eq!((models.loaded(), shelf.started()), (vec!["1".to_owned()], 2));
    assert_eq!(shelf.alive(), ["1"]);
}

#[tokio::test(start_paused = true)]
async fn ten_first_calls_at_once_load_once() {
    let shelf = Shelf::default();
    let models = shelf.multiplexed(3);
    let got = join_all((0..10).map(|_| models.get("1"))).await;
    assert!(got.iter().all(|one| Arc::ptr_eq(one.as_ref().unwrap(), got[0].as_ref().unwrap())));
    assert_eq!(shelf.started(), 1);
}

#[tokio::test(start_paused = true)]
async fn different_models_load_at_the_same_time() {
    let models = Shelf::default().multiplexed(3);
    let before = Instant::now();
    let (first, second) = join(models.get("1"), models.get("2")).await;
    assert!(first.is_ok() && second.is_ok());
    assert_eq!(before.elapsed(), Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_failed_load_evicts_nothing_fails_all_who_wait_and_is_tried_again() {
    let shelf = Shelf::default();
    let models = shelf.multiplexed(2);
    get_all(&models, &["1", "2"]).await;
    let (first, second) = join(models.get("missing"), models.get("missing")).await;
    for failed in [first, second] {
        let error = failed.unwrap_err();
        assert_eq!((error.to_string().as_str(), error.status()), ("no such model", Some(404)));
    }
    assert_eq!(models.loaded(), ["1", "2"]);
    assert_eq!(shelf.started(), 3);
    assert!(models.get("missing").await.is_err());
    assert_eq!(shelf.started(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_loader_that_panics_fails_all_who_wait() {
    let models = Shelf::default().multiplexed(2);
    let (first, second) = join(models.get("broken"), models.get("broken")).await;
    assert_eq!(first.unwrap_err().to_string(), "loading model `broken` panicked: out of order");
    assert!(second.is_err());

    let at_once: Multiplexed<()> = Multiplexed::new(1, |id: String| {
        assert!(id != "x", "no x");
        async { Ok::<_, Error>(()) }
    });
    assert!(at_once.get("x").await.unwrap_err().to_string().ends_with("panicked: no x"));
    assert!(at_once.get("y").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_load_outlives_one_caller_that_goes_away_and_not_all_of_them() {
    let shelf = Shelf::default();
    let models = shelf.multiplexed(2);
    let mut first = Box::pin(models.get("1"));
    let mut second = Box::pin(models.get("1"));
    assert!((&mut first).now_or_never().is_none());
    assert!((&mut second).now_or_never().is_none());
    drop(first);
    assert_eq!(second.await.unwrap().id, "1");
    assert_eq!(shelf.started(), 1);

    let mut alone = Box::pin(models.get("2"));
    assert!((&mut alone).now_or_never().is_none());
    drop(alone);
    sleep(Duration::from_secs(9)).await;
    assert_eq!((shelf.started(), shelf.finished.load(Ordering::SeqCst)), (2, 1));
    assert_eq!(models.loaded(), ["1"]);
    assert!(models.cache.state.lock().loading.is_empty(), "nothing is left of it");
    // And the next call starts over.
    assert_eq!(models.get("2").await.unwrap().id, "2");
}

#[tokio::test(start_paused = true)]
async fn every_change_is_told_with_what_is_held_or_will_be_then() {
    let models = Shelf::default().multiplexed(1);
    let told = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&told);
    models.on_change(move |ids| log.lock().push(ids.join(" ")));
    get_all(&models, &["1", "1"]).await;
    let held = models.get("1").await.unwrap();
    get_all(&models, &["2"]).await;
    assert!(models.get("missing").await.is_err());
    get_all(&models, &["1"]).await;
    drop(held);
    drop(models);
    // Notified when a load begins, and when it ends; the last `1` came back without a load.
    assert_eq!(*told.lock(), ["", "1", "1 2", "2", "2 missing", "2", "1", ""]);
}

#[tokio::test(start_paused = true)]
async fn hundreds_of_calls_lose_no_model_and_hold_no_more_than_fit() {
    let shelf = Shelf::default();
    let models = Arc::new(shelf.multiplexed(3));
    let calls = (0..400_usize).map(|number| {
        let models = Arc::clone(&models);
        async move {
            sleep(Duration::from_millis((number * 37 % 900) as u64)).await;
            let id = (number * 7 % 11).to_string();
            let model = models.get(&id).await.unwrap();
            sleep(Duration::from_millis((number * 13 % 400) as u64)).await;
            assert_eq!(model.id, id);
        }
    });
    join_all(calls).await;
    assert_eq!(models.loaded().len(), 3);
    assert_eq!(shelf.alive(), sorted(&models));
    drop(models);
    assert!(shelf.alive().is_empty());
}

#[test]
#[should_panic(expected = "room for 0 models")]
fn room_for_no_model_is_refused() {
    Shelf::default().multiplexed(0);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_names_no_model_is_told_how_to() {
    let error = Shelf::default().multiplexed(1).current().await.unwrap_err();
    assert_eq!(error.status(), Some(400));
    assert!(error.to_string().contains("`serve_multiplexed_model_id`"), "{error}");
}

#[test]
fn it_is_a_field_of_a_deployment() {
    fn is<T: Send + Sync + fmt::Debug>(_: &T) {}
    let models = Shelf::default().multiplexed(2);
    is(&models);
    assert_eq!(format!("{models:?}"), "Multiplexed { max_models: 2, loaded: [], .. }");
}
