//! [`Multiplexed`]: many models on one replica, loaded when they are asked for.
//!
//! The cache decides under a lock; loads, drops of models and the listener run outside it.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::task::{self, Poll};

use futures::FutureExt;
use futures::future::{BoxFuture, Shared, WeakShared};
use parking_lot::Mutex;

use super::scope::Scope;
use crate::call::CallError;
use crate::call::blocking;
use crate::call::pending::panic_message;
use crate::error::Error;

type Loader<M> = Arc<dyn Fn(String) -> BoxFuture<'static, Result<M, Error>> + Send + Sync>;
type Load<M> = BoxFuture<'static, Result<Arc<M>, Error>>;

type Tell = Box<dyn Fn(&[String]) + Send + Sync>;

/// Who hears of what is held, and what it heard last.
struct Listener {
    told: Option<Vec<String>>,
    tell: Tell,
}

impl Listener {
    fn tell(&mut self, held: Vec<String>) {
        if self.told.as_ref() != Some(&held) {
            (self.tell)(&held);
            self.told = Some(held);
        }
    }
}

/// Models of a deployment that serves many, such as one fine-tuned model for each
/// customer. A field of the deployment's struct; each replica has its own.
///
/// [`current`](Self::current) gives the model that the request names, in the HTTP header
/// `serve_multiplexed_model_id` or in
/// [`CallOptions::multiplexed_model_id`](crate::CallOptions::multiplexed_model_id), and
/// loads it if the replica has not got it. Calls go to replicas that have the model, where
/// there are any.
///
/// * **Loads.** Calls that want one model while it loads share the load; different models
///   load at the same time. A load goes on while any of its callers waits, free of their
///   deadlines, and is dropped with the last of them.
/// * **Eviction.** When a load has succeeded, the model that was asked for the longest time
///   ago leaves, if there are more than `max_models`. A failed load evicts nothing, and is
///   not remembered: the next call tries again.
/// * **Models in use.** A model that leaves is dropped with the last [`Arc`] of it, so a
///   call never loses the model that it works with. Asked for again before that, it comes
///   back without a load. So there may be more than `max_models` in memory: those that are
///   loading, and those that have left but are still in use.
///
/// Dropping a `Multiplexed` drops its models, each with its last [`Arc`].
///
/// ```
/// use serve_core::prelude::*;
///
/// struct Model(String);
///
/// async fn load(id: String) -> Result<Model> {
///     Ok(Model(id))
/// }
///
/// #[deployment]
/// struct Translator {
///     models: Multiplexed<Model>,
/// }
///
/// #[handle]
/// impl Translator {
///     pub fn new() -> Self {
///         Self { models: Multiplexed::new(3, load) }
///     }
///
///     pub async fn translate(&self, text: String) -> Result<String> {
///         let model = self.models.current().await?;
///         Ok(format!("{}: {text}", model.0))
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<()> {
/// let runtime = Runtime::builder().start().await?;
/// let translator = runtime.run(Translator::bind()).await?;
/// let spanish = translator.options(CallOptions::new().multiplexed_model_id("es"));
/// assert_eq!(spanish.translate("hello").await?, "es: hello");
/// # Ok(())
/// # }
/// ```
pub struct Multiplexed<M> {
    cache: Arc<Cache<M>>,
    loader: Loader<M>,
}

struct Cache<M> {
    max_models: usize,
    state: Mutex<State<M>>,
    /// Held while it is called, so that it hears of changes in their order.
    listener: Mutex<Option<Listener>>,
    /// Whether the replica's router hears of changes.
    attached: AtomicBool,
}

struct State<M> {
    /// In the order in which they were last asked for, the oldest first. Short: it is
    /// what fits into memory.
    models: Vec<(String, Arc<M>)>,
    /// Evicted, but perhaps still in use.
    evicted: HashMap<String, Weak<M>>,
    /// Each is gone once nobody waits for it.
    loading: HashMap<String, WeakShared<Load<M>>>,
}

/// What a call for a model finds.
enum Found<M> {
    Model(Arc<M>),
    /// It came back from those that had left, and others left for it.
    Revived(Arc<M>, Vec<Arc<M>>),
    Loading(Shared<Load<M>>),
}

impl<M: Send + Sync + 'static> Multiplexed<M> {
    /// Holds up to `max_models` models, which `loader` makes of their ids;
    /// `usize::MAX` for no limit. `loader` may be an `async fn` or a closure that gives a
    /// future; its error is the error of the calls that wait for the model, and a panic is
    /// one too.
    ///
    /// # Panics
    /// If `max_models` is 0. In a deployment's constructor, that fails the deploy.
    #[must_use]
    #[track_caller]
    pub fn new<F, E>(
        max_models: usize,
        loader: impl Fn(String) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<M, E>> + Send + 'static,
        E: Into<Error>,
    {
        assert!(
            max_models > 0,
            "`Multiplexed::new` was given room for 0 models: give at least 1, or `usize::MAX` \
             for no limit"
        );
        let state = State { models: Vec::new(), evicted: HashMap::new(), loading: HashMap::new() };
        Self {
            cache: Arc::new(Cache {
                max_models,
                state: Mutex::new(state),
                listener: Mutex::new(None),
                attached: AtomicBool::new(false),
            }),
            loader: Arc::new(move |id| loader(id).map(|made| made.map_err(Into::into)).boxed()),
        }
    }

    /// The model that the request names.
    ///
    /// # Errors
    /// If the request names none, with HTTP status 400; else what the loader's error says.
    pub async fn current(&self) -> Result<Arc<M>, Error> {
        // Not by `context`, which makes the request's id.
        let id = Scope::current(|scope| scope?.request().multiplexed_model_id().cloned());
        match id {
            Some(id) if !id.is_empty() => self.get(&id).await,
            _ => Err(Error::msg(
                "the request names no model: give the header `serve_multiplexed_model_id`, or \
                 the call option `multiplexed_model_id`",
            )
            .with_status(400)),
        }
    }

    /// [`current`](Self::current) for synchronous code, such as a `#[blocking]` method:
    /// blocks the thread until the model is there.
    ///
    /// # Errors
    /// As [`current`](Self::current), and [`CallError::BlockingInAsync`] where that would
    /// stop async code.
    pub fn blocking_current(&self) -> Result<Arc<M>, Error> {
        if !blocking::may_block() {
            return Err(CallError::<Infallible>::BlockingInAsync.into());
        }
        blocking::wait(self.current())
    }

    /// The model `id`, whatever the request names.
    ///
    /// # Errors
    /// What the loader's error says.
    pub async fn get(&self, id: &str) -> Result<Arc<M>, Error> {
        self.attach();
        let found = self.cache.state.lock().find(id, self.cache.max_models, || self.load(id));
        match found {
            Found::Model(model) => Ok(model),
            Found::Revived(model, evicted) => {
                drop(evicted);
                self.cache.announce();
                Ok(model)
            }
            Found::Loading(load) => {
                // Before it is loaded, so that more calls for it come here, and wait.
                self.cache.announce();
                load.await
            }
        }
    }

    /// Lets the router know what this replica holds, from the first call on.
    fn attach(&self) {
        if self.cache.attached.load(Ordering::Relaxed) {
            return;
        }
        let replica = Scope::current(|scope| Some(Arc::downgrade(scope?.replica()?)));
        let Some(replica) = replica else { return };
        if self.cache.attached.swap(true, Ordering::Relaxed) {
            return;
        }
        // Tells this collection from others of the replica.
        let collection = Arc::as_ptr(&self.cache).addr();
        self.on_change(move |ids| {
            if let Some(replica) = replica.upgrade() {
                replica.owner.hold_models(&replica, collection, ids);
            }
        });
    }

    /// The ids of the models that are loaded, the one asked for last at the end.
    #[must_use]
    pub fn loaded(&self) -> Vec<String> {
        self.cache.loaded()
    }

    /// Calls `listener` with the ids of the models that are loaded or being loaded whenever
    /// these change, and once now; in the place of the listener before. It must not call
    /// `on_change`.
    pub(crate) fn on_change(&self, listener: impl Fn(&[String]) + Send + Sync + 'static) {
        *self.cache.listener.lock() = Some(Listener { told: None, tell: Box::new(listener) });
        self.cache.announce();
    }

    /// A load of `id` that puts its model into the cache. No code of the user's runs
    /// before it is polled.
    fn load(&self, id: &str) -> Load<M> {
        let (cache, loader) = (Arc::clone(&self.cache), Arc::clone(&self.loader));
        let asked = id.to_owned();
        let entry = Entry { cache, id: id.to_owned() };
        // The loader itself may panic before it gives a future.
        let made = async move { loader(asked).await }.boxed();
        let scope = Scope::current(|scope| scope.map(Scope::for_shared_work));
        async move {
            let made = AssertUnwindSafe(InSharedScope { scope, future: made }).catch_unwind().await;
            let Entry { cache, id } = &entry;
            let made = made.unwrap_or_else(|panic| {
                let message = panic_message(&*panic);
                Err(Error::msg(format!("loading model `{id}` panicked: {message}")))
            });
            let made = made.map(Arc::new);
            let evicted = {
                let mut state = cache.state.lock();
                // It is this load's: no other starts before this one is gone.
                state.loading.remove(id);
                let model = match &made {
                    Ok(model) => Arc::clone(model),
                    Err(_) => {
                        drop(state);
                        cache.announce();
                        return made;
                    }
                };
                state.insert(id.clone(), model, cache.max_models)
            };
            // A model may take long to drop, or call back.
            drop(evicted);
            cache.announce();
            made
        }
        .boxed()
    }
}

/// A load's entry in the cache. Dropping it, with a load that nobody waits for any more,
/// takes it out.
struct Entry<M> {
    cache: Arc<Cache<M>>,
    id: String,
}

impl<M> Drop for Entry<M> {
    fn drop(&mut self) {
        let mut state = self.cache.state.lock();
        let newer = state.loading.get(&self.id).and_then(WeakShared::upgrade);
        if newer.is_none() && state.loading.remove(&self.id).is_some() {
            drop(state);
            self.cache.announce();
        } else {
            drop(state);
        }
        // If this was the last of it, its own entry wants the lock.
        drop(newer);
    }
}

/// A future that runs in the scope of the call that started it, but for what is that
/// call's alone. Whichever call polls it lends its thread and nothing else.
struct InSharedScope<F> {
    scope: Option<Scope>,
    future: F,
}

impl<F: Future + Unpin> Future for InSharedScope<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<F::Output> {
        let Self { scope, future } = &mut *self;
        Scope::enter_for_now(scope, || future.poll_unpin(cx))
    }
}

impl<M> Cache<M> {
    fn loaded(&self) -> Vec<String> {
        self.state.lock().models.iter().map(|(id, _)| id.clone()).collect()
    }

    /// Those that are loaded, and those that will be.
    fn held(&self) -> Vec<String> {
        let state = self.state.lock();
        let loaded = state.models.iter().map(|(id, _)| id);
        let mut loading: Vec<&String> = state.loading.keys().collect();
        loading.sort_unstable();
        loaded.chain(loading).cloned().collect()
    }

    fn announce(&self) {
        if let Some(listener) = &mut *self.listener.lock() {
            listener.tell(self.held());
        }
    }
}

impl<M> Drop for Cache<M> {
    fn drop(&mut self) {
        // Calls for its models need not come to this replica any more.
        if let Some(listener) = self.listener.get_mut() {
            listener.tell(Vec::new());
        }
    }
}

impl<M> State<M> {
    /// Looks `id` up, which counts as its use. If there is no model and no load of it,
    /// `load` starts one.
    fn find(&mut self, id: &str, max_models: usize, load: impl FnOnce() -> Load<M>) -> Found<M> {
        if let Some(place) = self.models.iter().position(|(loaded, _)| loaded == id) {
            // Behind those that were asked for before.
            self.models[place..].rotate_left(1);
            let (_, model) = self.models.last().expect("one was found");
            return Found::Model(Arc::clone(model));
        }
        if let Some(model) = self.evicted.remove(id).and_then(|model| model.upgrade()) {
            let evicted = self.insert(id.to_owned(), Arc::clone(&model), max_models);
            return Found::Revived(model, evicted);
        }
        if let Some(running) = self.loading.get(id).and_then(WeakShared::upgrade) {
            return Found::Loading(running);
        }
        let load = load().shared();
        let weak = load.downgrade().expect("it was not polled yet");
        self.loading.insert(id.to_owned(), weak);
        Found::Loading(load)
    }

    /// Puts a model in. Returns those that left for it.
    #[must_use = "to be dropped outside the lock"]
    fn insert(&mut self, id: String, model: Arc<M>, max_models: usize) -> Vec<Arc<M>> {
        self.models.push((id, model));
        let too_many = self.models.len().saturating_sub(max_models);
        self.evicted.retain(|_, model| model.strong_count() > 0);
        let evict = |(id, model): (String, Arc<M>)| {
            self.evicted.insert(id, Arc::downgrade(&model));
            model
        };
        self.models.drain(..too_many).map(evict).collect()
    }
}

impl<M> fmt::Debug for Multiplexed<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Multiplexed")
            .field("max_models", &self.cache.max_models)
            .field("loaded", &self.cache.loaded())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;
    use std::time::Duration;

    use futures::future::{join, join_all};
    use tokio::time::{Instant, sleep};

    /// A model that counts itself.
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

    /// Models that take a second to load; those whose id says so fail or panic.
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
        // When a load begins, and when it ends; the last `1` came back without one.
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
}
