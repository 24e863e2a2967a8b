//! [`Bound`]: a deployment with its constructor's arguments, ready to run.

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use serde::Serialize;

use super::{
    AutoscalingConfig, AutoscalingPolicy, BoundId, Content, Deployment, DeploymentOptions,
    RequestRouting, SharedPolicy, Wiring,
};
use crate::error::Error;

/// A function that creates the instance of one replica.
pub type Constructor<D> =
    Arc<dyn Fn(&Wiring) -> BoxFuture<'static, Result<D, Error>> + Send + Sync>;

/// A deployment with its constructor's arguments, as returned by `X::bind(...)`.
///
/// A `Bound` is cheap to clone; the same `Bound` given to two parents is one deployment. The
/// methods here override options of `#[deployment(...)]`. Changing an option of a `Bound` that is
/// shared creates a second deployment and leaves the first unchanged.
///
/// Nothing runs until a runtime is given the application. Dropping a `Bound` costs nothing.
pub struct Bound<D> {
    recipe: Arc<Recipe>,
    deployment: PhantomData<fn() -> D>,
}

/// A [`Bound`] without its type, as graphs store it.
#[derive(Clone, Debug)]
pub struct AnyBound {
    recipe: Arc<Recipe>,
}

#[derive(Clone)]
struct Recipe {
    id: BoundId,
    options: DeploymentOptions,
    needs: Vec<AnyBound>,
    /// The content of each argument.
    content: Vec<Content>,
    /// The error of an option that could not be set.
    fault: Option<String>,
    /// A `Constructor<D>`.
    constructor: Arc<dyn Any + Send + Sync>,
    /// The `ValueKind` of `D` without its type; opened by `replica`.
    kind: Arc<dyn Any + Send + Sync>,
    /// True if the name was set on the `Bound`.
    renamed: bool,
}

impl<D: Deployment> Bound<D> {
    /// Creates a `Bound`. Called by `bind`, which `#[handle]` generates.
    #[doc(hidden)]
    pub fn new(
        needs: Vec<AnyBound>,
        content: Vec<Content>,
        kind: Arc<dyn Any + Send + Sync>,
        constructor: Constructor<D>,
    ) -> Self {
        let recipe = Recipe {
            id: BoundId::fresh(),
            options: D::options(),
            needs,
            content,
            fault: None,
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

    /// Sets the name in the application. The name is not empty and has no `#`.
    #[must_use]
    pub fn name(self, name: impl Into<String>) -> Self {
        self.change(|recipe| {
            recipe.options.name = Some(name.into());
            recipe.renamed = true;
        })
    }

    /// Sets the number of replicas; at least 1. Turns off autoscaling, if the deployment had any.
    #[must_use]
    pub fn num_replicas(self, num_replicas: usize) -> Self {
        self.with(|options| {
            options.num_replicas = Some(num_replicas);
            options.autoscaling = None;
            options.autoscaling_policy = None;
        })
    }

    /// Makes the number of replicas follow the load. Removes a fixed `num_replicas`.
    #[must_use]
    pub fn autoscaling(self, autoscaling: AutoscalingConfig) -> Self {
        self.with(|options| {
            options.autoscaling = Some(autoscaling);
            options.num_replicas = None;
        })
    }

    /// Sets a custom rule for the number of replicas that a load asks for. Deploying the policy
    /// without autoscaling is an error.
    #[must_use]
    pub fn autoscaling_policy(self, policy: impl AutoscalingPolicy + 'static) -> Self {
        self.with(|options| options.autoscaling_policy = Some(SharedPolicy::new(policy)))
    }

    /// Sets the limit of concurrent calls on each replica; at least 1. The limit is never exceeded.
    #[must_use]
    pub fn max_ongoing_requests(self, limit: usize) -> Self {
        self.with(|options| options.max_ongoing_requests = Some(limit))
    }

    /// Sets the limit of calls that may wait for a replica, over the whole deployment.
    ///
    /// A call beyond the limit fails with `Overloaded`. With a limit of 0, no call waits.
    #[must_use]
    pub fn max_queued_requests(self, limit: usize) -> Self {
        self.with(|options| options.max_queued_requests = Some(limit))
    }

    /// Sets the deadline of a call that brings none, as a duration.
    #[must_use]
    pub fn request_timeout(self, timeout: Duration) -> Self {
        self.with(|options| options.request_timeout = Some(timeout))
    }

    /// Sets the CPUs reserved for each replica. Rounded up, and at least one, this is also the
    /// number of the replica's threads for `#[blocking]` methods.
    #[must_use]
    pub fn num_cpus(self, num_cpus: f64) -> Self {
        self.with(|options| options.num_cpus = Some(num_cpus))
    }

    /// Sets the GPUs reserved for each replica: a whole number, or a fraction of one.
    #[must_use]
    pub fn num_gpus(self, num_gpus: f64) -> Self {
        self.with(|options| options.num_gpus = Some(num_gpus))
    }

    /// Sets the memory reserved for each replica, in bytes.
    #[must_use]
    pub fn memory(self, bytes: u64) -> Self {
        self.with(|options| options.memory = Some(bytes))
    }

    /// Sets the amount of some other resource that is reserved for each replica.
    #[must_use]
    pub fn resource(self, name: impl Into<String>, amount: f64) -> Self {
        self.with(|options| {
            options.resources.insert(name.into(), amount);
        })
    }

    /// Sets the limit of replicas on one node; at least 1.
    #[must_use]
    pub fn max_replicas_per_node(self, limit: usize) -> Self {
        self.with(|options| options.max_replicas_per_node = Some(limit))
    }

    /// Sets the period at which `#[check_health]` is called.
    #[must_use]
    pub fn health_check_period(self, period: Duration) -> Self {
        self.with(|options| options.health_check_period = Some(period))
    }

    /// Sets the time limit of one `#[check_health]` call.
    #[must_use]
    pub fn health_check_timeout(self, timeout: Duration) -> Self {
        self.with(|options| options.health_check_timeout = Some(timeout))
    }

    /// Sets the time for which running calls may continue when a replica is stopped.
    #[must_use]
    pub fn graceful_shutdown_timeout(self, timeout: Duration) -> Self {
        self.with(|options| options.graceful_shutdown_timeout = Some(timeout))
    }

    /// Sets the number of failed starts before a deploy fails; at least 1. A deploy also fails
    /// after three failed starts for each replica.
    #[must_use]
    pub fn max_constructor_retry_count(self, count: usize) -> Self {
        self.with(|options| options.max_constructor_retry_count = Some(count))
    }

    /// Sets the part of the replicas that an update replaces at a time; above 0 and up to 1.
    #[must_use]
    pub fn rolling_update_percentage(self, part: f64) -> Self {
        self.with(|options| options.rolling_update_percentage = Some(part))
    }

    /// Sets the number of replicas beyond the wanted number that an update may run meanwhile, in
    /// percent of the wanted number, from 0 to 100.
    #[must_use]
    pub fn max_surge_percent(self, percent: f64) -> Self {
        self.with(|options| options.max_surge_percent = Some(percent))
    }

    /// Sets the request router, which chooses the replica for a call.
    #[must_use]
    pub fn request_router(self, routing: RequestRouting) -> Self {
        self.with(|options| options.request_router = Some(routing))
    }

    /// Sets the value that the deployment's `#[reconfigure]` method receives: before a replica
    /// takes its first call, and without a restart whenever a redeploy changes the value.
    ///
    /// The value is checked against the method's type before anything is deployed.
    #[must_use]
    pub fn user_config(self, config: impl Serialize) -> Self {
        self.change(|recipe| match serde_json::to_value(config) {
            Ok(config) => {
                recipe.options.user_config = Some(config);
                recipe.fault = None;
            }
            Err(error) => recipe.fault = Some(format!("`user_config` cannot be JSON: {error}")),
        })
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

    /// Returns the name that was set on the `Bound`, rather than by the type.
    pub(crate) fn given_name(&self) -> Option<&str> {
        self.recipe.options.name.as_deref().filter(|_| self.recipe.renamed)
    }

    pub(crate) fn needs(&self) -> &[AnyBound] {
        &self.recipe.needs
    }

    /// Returns the error of an option that could not be set, which prevents the deploy.
    pub(crate) fn fault(&self) -> Option<&str> {
        self.recipe.fault.as_deref()
    }

    /// Returns the content of each argument.
    pub(crate) fn content(&self) -> &[Content] {
        &self.recipe.content
    }

    /// True if both were created by the same call of `bind`, perhaps with different options.
    pub(crate) fn is_of_one_bind(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.recipe.constructor, &other.recipe.constructor)
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
