//! [`Context`] and [`ReplicaContext`]: the context of the call that a method serves.

use std::any::TypeId;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::deadline::Deadline;
use super::request::Request;
use super::request_ids::RequestIds;
use crate::deployment::Link;

/// The context of the request that a method serves. See [`context()`](crate::context()).
#[derive(Clone)]
pub struct Context {
    id: Arc<str>,
    request: Request,
    deadline: Option<Arc<Deadline>>,
    replica: Option<Arc<ReplicaContext>>,
}

impl Context {
    pub(crate) fn new(
        request: Request,
        deadline: Option<Arc<Deadline>>,
        replica: Option<Arc<ReplicaContext>>,
        ids: Option<&RequestIds>,
    ) -> Self {
        Self { id: request.id(ids), request, deadline, replica }
    }

    /// The id of the request: from `X-Request-ID`, from [`CallOptions`](crate::CallOptions), or
    /// generated. All calls that belong to one request share its id.
    #[must_use]
    pub fn request_id(&self) -> &str {
        &self.id
    }

    /// The deadline of the call, on tokio's clock; none if the call has no deadline.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline.as_ref().and_then(|deadline| deadline.at())
    }

    /// The time that remains until the deadline, or zero once the deadline has passed; none if the
    /// call has no deadline.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        self.deadline().map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// The name of the running replica's application; empty outside of any replica.
    #[must_use]
    pub fn application(&self) -> &str {
        self.replica.as_ref().map_or("", |replica| replica.application())
    }

    /// The route that the HTTP request took, as it was declared, such as `/papers/{id}`.
    #[must_use]
    pub fn route(&self) -> Option<&str> {
        self.request.route().map(|route| &**route)
    }

    /// The model that the request names.
    #[must_use]
    pub fn multiplexed_model_id(&self) -> Option<&str> {
        self.request.multiplexed_model_id().map(|id| &**id)
    }

    /// The session that the request names.
    #[must_use]
    pub fn session_id(&self) -> Option<&str> {
        self.request.session_id().map(|id| &**id)
    }

    /// The W3C `traceparent` that the HTTP request brought.
    #[must_use]
    pub fn trace(&self) -> Option<&str> {
        self.request.trace()
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("request_id", &self.id)
            .field("deadline", &self.deadline())
            .field("application", &self.application())
            .field("route", &self.route())
            .field("multiplexed_model_id", &self.multiplexed_model_id())
            .field("session_id", &self.session_id())
            .field("trace", &self.trace())
            .finish()
    }
}

/// The context of the replica that a method runs in. See
/// [`replica_context()`](crate::replica_context()). Cheap to clone.
#[derive(Clone)]
pub struct ReplicaContext {
    pub(crate) id: Arc<str>,
    /// Shared, because the rank may change when replicas of lower rank are removed.
    pub(crate) rank: Arc<AtomicUsize>,
    pub(crate) deployment: Arc<str>,
    pub(crate) application: Arc<str>,
    pub(crate) node: Arc<str>,
    pub(crate) gpu_ids: Arc<[String]>,
    pub(crate) directory: Arc<dyn Directory>,
}

impl ReplicaContext {
    /// The replica's id, unique in its runtime.
    #[must_use]
    pub fn replica_id(&self) -> &str {
        &self.id
    }

    /// The replica's rank among the replicas of its deployment, from 0. The rank may change when
    /// replicas of lower rank are removed, so that no rank is left out.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.rank.load(Ordering::Relaxed)
    }

    /// The deployment's name in its application.
    #[must_use]
    pub fn deployment(&self) -> &str {
        &self.deployment
    }

    /// The application's name.
    #[must_use]
    pub fn application(&self) -> &str {
        &self.application
    }

    /// The node that the replica runs on.
    #[must_use]
    pub fn node(&self) -> &str {
        &self.node
    }

    /// The ids of the GPUs that `num_gpus` reserves for the replica: one id for each whole GPU, or
    /// the id of the GPU of which the replica has a fraction. Already known in the constructor.
    #[must_use]
    pub fn gpu_ids(&self) -> &[String] {
        &self.gpu_ids
    }
}

impl fmt::Debug for ReplicaContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplicaContext")
            .field("replica_id", &self.id)
            .field("rank", &self.rank())
            .field("deployment", &self.deployment)
            .field("application", &self.application)
            .field("node", &self.node)
            .field("gpu_ids", &self.gpu_ids)
            .finish_non_exhaustive()
    }
}

/// A directory of running deployments by name. A handle that arrives in a payload finds its
/// deployment in a directory.
pub trait Directory: Send + Sync {
    /// The link of a deployment; none if no deployment of this type runs under this name.
    fn find(&self, application: &str, deployment: &str, type_id: TypeId) -> Option<Link>;
}
