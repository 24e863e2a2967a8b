//! [`Bound`]: a deployment with its constructor's arguments, ready to run.

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;

use super::{Deployment, DeploymentOptions, Wiring};
use crate::error::Error;

/// Makes the instance of one replica.
pub type Constructor<D> =
    Arc<dyn Fn(&Wiring) -> BoxFuture<'static, Result<D, Error>> + Send + Sync>;

/// Tells bound deployments apart: two `bind` calls are two deployments, one `Bound`
/// given to two parents is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BoundId(u64);

impl BoundId {
    fn fresh() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// A deployment with its constructor's arguments: what `X::bind(...)` returns.
///
/// Cheap to clone; the same `Bound` given to two parents is one deployment. The
/// methods here override options of `#[deployment(...)]`. Changing an option of a
/// `Bound` that is shared makes a second deployment and leaves the first alone.
///
/// Nothing runs until a runtime is given the application; dropping it costs nothing.
pub struct Bound<D> {
    recipe: Arc<Recipe>,
    deployment: PhantomData<fn() -> D>,
}

/// [`Bound`] without its type, as graphs hold it.
#[derive(Clone, Debug)]
pub struct AnyBound {
    recipe: Arc<Recipe>,
}

#[derive(Clone)]
struct Recipe {
    id: BoundId,
    options: DeploymentOptions,
    needs: Vec<AnyBound>,
    /// A `Constructor<D>`.
    constructor: Arc<dyn Any + Send + Sync>,
    /// What `call` knows about `D`; opened by `application`.
    kind: Arc<dyn Any + Send + Sync>,
    /// Whether its name was set on the `Bound`.
    renamed: bool,
}

impl<D: Deployment> Bound<D> {
    /// For `bind`, which `#[handle]` writes.
    #[doc(hidden)]
    pub fn new(
        needs: Vec<AnyBound>,
        kind: Arc<dyn Any + Send + Sync>,
        constructor: Constructor<D>,
    ) -> Self {
        let recipe = Recipe {
            id: BoundId::fresh(),
            options: D::options(),
            needs,
            constructor: Arc::new(constructor),
            kind,
            renamed: false,
        };
        Self { recipe: Arc::new(recipe), deployment: PhantomData }
    }

    pub(crate) fn erase(self) -> AnyBound {
        AnyBound { recipe: self.recipe }
    }

    fn with(self, change: impl FnOnce(&mut DeploymentOptions)) -> Self {
        self.change(|recipe| change(&mut recipe.options))
    }

    fn change(mut self, change: impl FnOnce(&mut Recipe)) -> Self {
        if Arc::get_mut(&mut self.recipe).is_none() {
            let mut recipe = Recipe::clone(&self.recipe);
            recipe.id = BoundId::fresh();
            self.recipe = Arc::new(recipe);
        }
        let recipe = Arc::get_mut(&mut self.recipe).expect("just made, so not shared");
        change(recipe);
        self
    }

    /// Its name in its application. No `#`, not empty.
    #[must_use]
    pub fn name(self, name: impl Into<String>) -> Self {
        self.change(|recipe| {
            recipe.options.name = Some(name.into());
            recipe.renamed = true;
        })
    }

    /// How many replicas; at least 1.
    #[must_use]
    pub fn num_replicas(self, num_replicas: usize) -> Self {
        self.with(|options| options.num_replicas = Some(num_replicas))
    }

    /// Concurrent calls on each replica; at least 1. Never exceeded.
    #[must_use]
    pub fn max_ongoing_requests(self, limit: usize) -> Self {
        self.with(|options| options.max_ongoing_requests = Some(limit))
    }

    /// Calls that may wait for a replica, over the whole deployment. Beyond it a call
    /// fails with `Overloaded`. 0 means that none waits.
    #[must_use]
    pub fn max_queued_requests(self, limit: usize) -> Self {
        self.with(|options| options.max_queued_requests = Some(limit))
    }

    /// The deadline of a call that brings none.
    #[must_use]
    pub fn request_timeout(self, timeout: Duration) -> Self {
        self.with(|options| options.request_timeout = Some(timeout))
    }

    /// CPUs of each replica: rounded up, the number of its threads for `#[blocking]`
    /// methods.
    #[must_use]
    pub fn num_cpus(self, num_cpus: f64) -> Self {
        self.with(|options| options.num_cpus = Some(num_cpus))
    }

    /// How long running calls may go on when a replica is stopped.
    #[must_use]
    pub fn graceful_shutdown_timeout(self, timeout: Duration) -> Self {
        self.with(|options| options.graceful_shutdown_timeout = Some(timeout))
    }
}

impl<D> Bound<D> {
    pub(crate) fn id(&self) -> BoundId {
        self.recipe.id
    }
}

impl AnyBound {
    pub(crate) fn id(&self) -> BoundId {
        self.recipe.id
    }

    pub(crate) fn options(&self) -> &DeploymentOptions {
        &self.recipe.options
    }

    /// The name that was given by hand, rather than by the type.
    pub(crate) fn given_name(&self) -> Option<&str> {
        self.recipe.options.name.as_deref().filter(|_| self.recipe.renamed)
    }

    pub(crate) fn needs(&self) -> &[AnyBound] {
        &self.recipe.needs
    }

    pub(crate) fn kind(&self) -> &(dyn Any + Send + Sync) {
        &*self.recipe.kind
    }

    pub(crate) fn constructor<D: Deployment>(&self) -> Constructor<D> {
        self.recipe
            .constructor
            .downcast_ref::<Constructor<D>>()
            .cloned()
            .expect("a recipe's constructor makes its own deployment")
    }
}

impl<D> Clone for Bound<D> {
    fn clone(&self) -> Self {
        Self { recipe: Arc::clone(&self.recipe), deployment: PhantomData }
    }
}

impl<D: Deployment> fmt::Debug for Bound<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bound")
            .field("deployment", &D::NAME)
            .field("options", &self.recipe.options)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recipe")
            .field("id", &self.id)
            .field("options", &self.options)
            .field("needs", &self.needs.len())
            .finish_non_exhaustive()
    }
}
