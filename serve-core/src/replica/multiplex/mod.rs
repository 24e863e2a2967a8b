//! [`Multiplexed`]: many models on one replica, loaded on demand.
//!
//! The cache decides under a lock; loads, drops of models and the listener run outside it.

mod cache;
#[cfg(test)]
mod tests;

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

use self::cache::{Cache, Entry, Found, Listener, Load, State};
use super::scope::Scope;
use crate::call::CallError;
use crate::call::blocking;
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
///   load at the same time. A load goes on while any of its callers waits, free of their
///   deadlines, and is dropped with the last of them.
/// * **Eviction.** When a load has succeeded and there are more than `max_models` models, the
///   least recently used model is evicted. A failed load evicts nothing, and is not remembered:
///   the next call tries again.
/// * **Models in use.** An evicted model is dropped with the last [`Arc`] of it, so a call never
///   loses the model that it works with. If the model is asked for again before that, it comes
///   back without a load. So there may be more than `max_models` models in memory: models that
///   are loading, and models that are evicted but still in use.
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
        }
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
        let found = self.cache.state.lock().find(id, self.cache.max_models, || self.load(id));
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
                load.await
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

    /// Returns a load of `id` that puts its model into the cache. The user's code does not run
    /// before the load is polled.
    fn load(&self, id: &str) -> Load<M> {
        let (cache, loader) = (Arc::clone(&self.cache), Arc::clone(&self.loader));
        let asked = id.to_owned();
        let entry = Entry { cache, id: id.to_owned() };
        // The loader itself may panic before it returns a future.
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
            made
        }
        .boxed()
    }
}

/// A future that runs in the scope of the call that started it, except for the parts that belong to
/// that call alone. A call that polls the future lends its thread and nothing else.
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

impl<M> fmt::Debug for Multiplexed<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Multiplexed")
            .field("max_models", &self.cache.max_models)
            .field("loaded", &self.cache.loaded())
            .finish_non_exhaustive()
    }
}
