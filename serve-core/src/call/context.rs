//! [`Context`] and [`ReplicaContext`]: what a method may know of the call it serves, and
//! the [`Request`] that a whole tree of calls shares.

use std::any::TypeId;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::Instant;

use super::deadline::Deadline;
use super::options::CallOptions;
use super::spawner::RequestIds;
use crate::deployment::Link;

/// What stays the same over a whole tree of calls.
///
/// Most requests bring nothing but themselves: such a one is a number, from which its id
/// follows, and costs no allocation.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    number: u64,
    details: Option<Arc<RequestDetails>>,
}

/// What a front door or a caller said of a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct RequestDetails {
    /// The id, where it does not follow from the number.
    pub(crate) id: Option<Arc<str>>,
    /// Set once it is known which one the request takes.
    pub(crate) route: OnceLock<Arc<str>>,
    pub(crate) multiplexed_model_id: Option<Arc<str>>,
    pub(crate) session_id: Option<Arc<str>>,
    pub(crate) trace: Option<Arc<str>>,
}

impl RequestDetails {
    /// What a handle's options say of a request; none if they say nothing.
    pub(crate) fn said_by(options: &CallOptions) -> Option<Self> {
        if !options.change_request() {
            return None;
        }
        let shared = |text: &Option<String>| text.as_deref().map(Arc::from);
        Some(Self {
            id: shared(&options.request_id),
            multiplexed_model_id: shared(&options.multiplexed_model_id),
            session_id: shared(&options.session_id),
            ..Self::default()
        })
    }

    /// The same, with what `newer` says put over it.
    fn overridden_by(&self, newer: &Self) -> Self {
        let either = |new: &Option<Arc<str>>, old: &Option<Arc<str>>| {
            new.as_ref().or(old.as_ref()).map(Arc::clone)
        };
        Self {
            id: either(&newer.id, &self.id),
            route: self.route.clone(),
            multiplexed_model_id: either(&newer.multiplexed_model_id, &self.multiplexed_model_id),
            session_id: either(&newer.session_id, &self.session_id),
            trace: self.trace.clone(),
        }
    }
}

impl Request {
    /// A new tree of calls. No two of a runtime have the same number, and none has 0.
    pub(crate) fn new(number: u64) -> Self {
        Self { number, details: None }
    }

    /// False for one without an id: its number is still to be given, by `begin`.
    pub(crate) fn has_begun(&self) -> bool {
        self.number != 0 || self.details().is_some_and(|details| details.id.is_some())
    }

    /// The request begins. No two of a runtime have the same number, and none has 0.
    pub(crate) fn begin(&mut self, number: u64) {
        self.number = number;
    }

    /// A new tree of calls of which something is known, its id at least.
    pub(crate) fn with_details(details: RequestDetails) -> Self {
        debug_assert!(details.id.is_some(), "without a number, the id must be given");
        Self { number: 0, details: Some(Arc::new(details)) }
    }

    /// The same request as seen through a handle with options, of which `said` is what they
    /// say of a request. Most often nothing else is known, and nothing is allocated.
    pub(crate) fn with_options(&self, said: &Arc<RequestDetails>) -> Self {
        let details = match &self.details {
            None => Arc::clone(said),
            Some(known) => Arc::new(known.overridden_by(said)),
        };
        Self { number: self.number, details: Some(details) }
    }

    /// The id, made by `ids` if the request brought none.
    pub(crate) fn id(&self, ids: Option<&RequestIds>) -> Arc<str> {
        match (self.details().and_then(|details| details.id.clone()), ids) {
            (Some(id), _) => id,
            (None, Some(ids)) => ids.of(self.number),
            (None, None) => Arc::from(""),
        }
    }

    /// The HTTP route that the request took, once that is known.
    pub(crate) fn route(&self) -> Option<&Arc<str>> {
        self.details()?.route.get()
    }

    /// Says which HTTP route the request takes. The first word counts.
    #[cfg_attr(not(feature = "http"), expect(dead_code, reason = "only a front door knows routes"))]
    pub(crate) fn set_route(&self, route: Arc<str>) {
        if let Some(details) = self.details() {
            let _ = details.route.set(route);
        }
    }

    /// True if nothing is known of it but its number.
    pub(crate) fn is_plain(&self) -> bool {
        self.details.is_none()
    }

    /// The model that the request names.
    pub(crate) fn multiplexed_model_id(&self) -> Option<&Arc<str>> {
        self.details()?.multiplexed_model_id.as_ref()
    }

    /// The session that the request names.
    pub(crate) fn session_id(&self) -> Option<&Arc<str>> {
        self.details()?.session_id.as_ref()
    }

    fn details(&self) -> Option<&RequestDetails> {
        self.details.as_deref()
    }
}

/// What a method may know of the request it serves. See [`context()`](crate::context()).
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

    /// The id of the request: from `X-Request-ID`, from [`CallOptions`], or made here.
    /// All calls that one request leads to share it.
    #[must_use]
    pub fn request_id(&self) -> &str {
        &self.id
    }

    /// When the call must be done, on tokio's clock.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline.as_ref().and_then(|deadline| deadline.at())
    }

    /// What is left of the deadline; zero when it has passed.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        self.deadline().map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// The application of the running replica; empty outside of any.
    #[must_use]
    pub fn application(&self) -> &str {
        self.replica.as_ref().map_or("", |replica| replica.application())
    }

    /// The route that the HTTP request took, as it is written (`/papers/{id}`).
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
        self.request.details()?.trace.as_deref()
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

/// Which replica a method runs in. See [`replica_context()`](crate::replica_context()).
/// Cheap to clone.
#[derive(Clone)]
pub struct ReplicaContext {
    pub(crate) id: Arc<str>,
    /// Shared, because it changes when replicas before it go.
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

    /// Its place among the replicas of its deployment, from 0. It changes when replicas
    /// before it are taken away, so that no place is left out.
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

    /// The node it runs on.
    #[must_use]
    pub fn node(&self) -> &str {
        &self.node
    }

    /// The GPUs that are reserved for it, by `num_gpus`: one id for each whole GPU, or that
    /// of the GPU it has a fraction of. Known in the constructor already.
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

/// Finds a running deployment by name: how a handle that travelled comes to life.
pub trait Directory: Send + Sync {
    /// Its link, if a deployment of that type runs under that name.
    fn find(&self, application: &str, deployment: &str, type_id: TypeId) -> Option<Link>;
}
