//! [`Multiplexed`]: many models on one replica, loaded on demand.
//!
//! The cache decides under a lock; loads, drops of models and the listener run outside it.

mod cache;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::convert::Infallible;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{self, Poll};

use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};

use self::cache::{Cache, Entry, Found, Listener, Load, State};
use super::scope::Scope;
use crate::call::CallError;
use crate::call::blocking::{self, Noted};
use crate::call::pending::panic_message;
use crate::error::Error;

type Loader<M> = Arc<dyn Fn(String) -> BoxFuture<'static, Result<M, Error>> + Send + Sync>;

/// Models of a deployment that serves many models, such as a fine-tuned model for each customer. A
/// field of the deployment's struct; each replica has its own.
///
/// [`current`](Self::current) returns the model that the request names, in the HTTP header
/// `serve_multiplexed_model_id` or in
/// [`CallOptions::multiplexed_model_id`](crate::CallOptions::multiplexed_model_id), and loads the
/// model if the replica does not have it. Calls go to replicas that have the model, if there are
/// any.
///
/// * **Loads.** Calls that want the same model while it loads share the load; different models
///   load at the same time, up to `max_models` of them, or as many as
///   [`max_concurrent_loads`](Self::max_concurrent_loads) says. Further loads wait, in the order in
///   which they were asked for. A load goes on while any of its callers waits, free of their
///   deadlines, and is dropped with the last of them.
/// * **Eviction.** When a load has succeeded and there are more than `max_models` models, the
///   least recently used model is evicted. A failed load evicts nothing, and is not remembered:
///   the next call tries again.
/// * **Models in use.** An evicted model is dropped with the last [`Arc`] of it, so a call never
///   loses the model that it works with. If the model is asked for again before that, it comes
///   back without a load. So there may be more than `max_models` models in memory: models that
///   are loading, and models that are evicted but still in use. If no call uses a model, there are
///   at most `max_models` models and the running loads.
///
/// Dropping a `Multiplexed` drops its models, each with the last [`Arc`] of it.
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
    /// The right to load, of which each running load has one permit.
    loads: Arc<Semaphore>,
}

impl<M: Send + Sync + 'static> Multiplexed<M> {
    /// Creates a collection of up to `max_models` models, which `loader` makes from their ids.
    /// `usize::MAX` means no limit. `loader` may be an `async fn` or a closure that returns a
    /// future. Its error is the error of the calls that wait for the model, and so is a panic.
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
        let state = State::default();
        Self {
            cache: Arc::new(Cache {
                max_models,
                state: Mutex::new(state),
                listener: Mutex::new(None),
                attached: AtomicBool::new(false),
            }),
            loader: Arc::new(move |id| loader(id).map(|made| made.map_err(Into::into)).boxed()),
            loads: permits(max_models),
        }
    }

    /// Sets the number of models that may load at the same time; default `max_models`.
    ///
    /// A model that loads takes memory, in addition to the models that are loaded. With room for
    /// just one more model, set 1. `usize::MAX` means no limit. Loads that wait begin in the order
    /// in which their models were asked for.
    ///
    /// If a loader gets another model of the same collection, that model loads at once, in addition to
    /// these, because the loader keeps its own place until then.
    ///
    /// # Panics
    /// If `max_concurrent_loads` is 0.
    #[must_use]
    #[track_caller]
    pub fn max_concurrent_loads(mut self, max_concurrent_loads: usize) -> Self {
        assert!(
            max_concurrent_loads > 0,
            "`Multiplexed::max_concurrent_loads` was given 0, with which no model could ever load: \
             give at least 1, or `usize::MAX` for no limit"
        );
        self.loads = permits(max_concurrent_loads);
        self
    }

    /// Returns the model that the request names, and loads the model if the replica does not have
    /// it.
    ///
    /// # Errors
    /// An error with HTTP status 400 if the request names no model, or else the loader's error.
    pub async fn current(&self) -> Result<Arc<M>, Error> {
        // Not through `context`, which makes the request's id.
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

    /// Returns the model that the request names, for synchronous code such as a `#[blocking]`
    /// method. Blocks the thread until the model is there. See [`current`](Self::current).
    ///
    /// # Errors
    /// The errors of [`current`](Self::current), and [`CallError::BlockingInAsync`] if blocking
    /// would stop async code.
    pub fn blocking_current(&self) -> Result<Arc<M>, Error> {
        if !blocking::may_block() {
            return Err(CallError::<Infallible>::BlockingInAsync.into());
        }
        blocking::wait(self.current())
    }

    /// Returns the model `id`, whatever model the request names, and loads it if the replica does
    /// not have it.
    ///
    /// # Errors
    /// The loader's error.
    pub async fn get(&self, id: &str) -> Result<Arc<M>, Error> {
        self.attach();
        // The load that is polled just now has its permit until this one is done.
        let number = Arc::as_ptr(&self.cache).addr();
        let urgent = LOADING.with_borrow(|loading| loading.contains(&number));
        let load = |urgent| self.load(id, urgent);
        let found = self.cache.state.lock().find(id, self.cache.max_models, urgent, load);
        match found {
            Found::Model(model) => Ok(model),
            Found::Revived(model, evicted) => {
                drop(evicted);
                self.cache.announce();
                Ok(model)
            }
            Found::Loading(load) => {
                // Announced before the model is loaded, so that more calls for the model come here,
                // and wait.
                self.cache.announce();
                Noted::new(load).await
            }
        }
    }

    /// Reports the models that this replica holds to the router, from the first call on.
    fn attach(&self) {
        if self.cache.attached.load(Ordering::Relaxed) {
            return;
        }
        let replica = Scope::current(|scope| Some(Arc::downgrade(scope?.replica()?)));
        let Some(replica) = replica else { return };
        if self.cache.attached.swap(true, Ordering::Relaxed) {
            return;
        }
        // Distinguishes this collection from others of the replica.
        let collection = Arc::as_ptr(&self.cache).addr();
        self.on_change(move |ids| {
            if let Some(replica) = replica.upgrade() {
                replica.owner.hold_models(&replica, collection, ids);
            }
        });
    }

    /// Returns the ids of the loaded models, the most recently used model last.
    #[must_use]
    pub fn loaded(&self) -> Vec<String> {
        self.cache.loaded()
    }

    /// Calls `listener` with the ids of the models that are loaded or being loaded, once now and
    /// whenever these ids change. Replaces the previous listener. `listener` must not call
    /// `on_change`.
    pub(crate) fn on_change(&self, listener: impl Fn(&[String]) + Send + Sync + 'static) {
        *self.cache.listener.lock() = Some(Listener { told: None, tell: Box::new(listener) });
        self.cache.announce();
    }

    /// Returns a load of `id` that puts its model into the cache. The load waits for a permit, or
    /// until it is `urgent`. The user's code does not run before the load is polled.
    fn load(&self, id: &str, urgent: Arc<Notify>) -> Load<M> {
        let (cache, loader) = (Arc::clone(&self.cache), Arc::clone(&self.loader));
        let (number, loads) = (Arc::as_ptr(&self.cache).addr(), Arc::clone(&self.loads));
        let asked = id.to_owned();
        let entry = Entry { cache, id: id.to_owned() };
        // The loader itself may panic before it returns a future.
        let made = async move { loader(asked).await }.boxed();
        let scope = Scope::current(|scope| scope.map(Scope::for_shared_work));
        async move {
            let permit = tokio::select! {
                permit = loads.acquire_owned() => permit.ok(),
                () = urgent.notified() => None,
            };
            let made = InSharedScope { scope, number, future: made };
            let made = AssertUnwindSafe(made).catch_unwind().await;
            let Entry { cache, id } = &entry;
            let made = made.unwrap_or_else(|panic| {
                let message = panic_message(&*panic);
                Err(Error::msg(format!("loading model `{id}` panicked: {message}")))
            });
            let made = made.map(Arc::new);
            let evicted = {
                let mut state = cache.state.lock();
                // The entry is this load's: no other load of the model starts before this one is
                // gone.
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
            // After the lock, because a model may take long to drop, or call back.
            drop(evicted);
            cache.announce();
            // Only now, so that the next load does not begin while evicted models are still there.
            drop(permit);
            made
        }
        .boxed()
    }
}

thread_local! {
    /// The collections whose loads are being polled on this thread, within one another.
    static LOADING: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

/// Returns the permits for so many loads at a time.
fn permits(loads: usize) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(loads.min(Semaphore::MAX_PERMITS)))
}

/// A future that runs in the scope of the call that started it, except for the parts that belong to
/// that call alone. A call that polls the future lends its thread and nothing else.
struct InSharedScope<F> {
    scope: Option<Scope>,
    /// The number of the collection that loads.
    number: usize,
    future: F,
}

impl<F: Future + Unpin> Future for InSharedScope<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<F::Output> {
        /// Ends the entry in [`LOADING`], also if the loader panics.
        struct Loading;
        impl Drop for Loading {
            fn drop(&mut self) {
                LOADING.with_borrow_mut(Vec::pop);
            }
        }
        let Self { scope, number, future } = &mut *self;
        LOADING.with_borrow_mut(|loading| loading.push(*number));
        let _loading = Loading;
        Scope::enter_for_now(scope, || future.poll_unpin(cx))
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
