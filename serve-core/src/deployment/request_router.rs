//! [`RequestRouting`]: the strategy that chooses a replica for a call; and [`RequestRouter`], a
//! custom strategy.

use std::any::{Any, TypeId};
use std::fmt;
use std::sync::Arc;

use super::{Candidate, Candidates};

/// The strategy that chooses a replica for a call, among the replicas with a free slot.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum RequestRouting {
    /// Chooses the replica with fewer ongoing calls out of two random replicas. A call that names a
    /// model goes to a replica that holds the model; a call that names a session goes to the
    /// session's own replica.
    #[default]
    PowerOfTwoChoices,
    /// Chooses the replicas one after the other.
    RoundRobin,
    /// Chooses by the session id. Calls of one session go to one replica as long as the replica has
    /// a free slot, and few sessions move when replicas are added or removed. Calls without a
    /// session are routed by power of two choices.
    ConsistentHash,
    /// Chooses by a custom [`RequestRouter`].
    Custom(CustomRouting),
}

impl RequestRouting {
    /// Chooses by a custom router of type `R`.
    ///
    /// A deployment has one `R`, created when the deployment is first deployed with `R`. If
    /// creating `R` panics, the deploy is rejected and changes nothing.
    #[must_use]
    pub fn custom<R: RequestRouter + Default>() -> Self {
        Self::Custom(CustomRouting {
            type_id: TypeId::of::<R>(),
            type_name: std::any::type_name::<R>(),
            make: || Arc::new(R::default()),
        })
    }
}

impl fmt::Display for RequestRouting {
    /// Writes the name that `#[deployment(request_router = ..)]` uses.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PowerOfTwoChoices => "power_of_two_choices",
            Self::RoundRobin => "round_robin",
            Self::ConsistentHash => "consistent_hash",
            Self::Custom(custom) => custom.type_name,
        })
    }
}

/// The type of a [`RequestRouter`]. See [`RequestRouting::custom`].
#[derive(Clone, Copy)]
pub struct CustomRouting {
    type_id: TypeId,
    type_name: &'static str,
    make: fn() -> Arc<dyn RequestRouter>,
}

impl CustomRouting {
    /// Creates the router, which runs user code.
    pub(crate) fn make(&self) -> MadeRouter {
        MadeRouter { routing: *self, made: (self.make)() }
    }

    pub(crate) fn type_name(&self) -> &'static str {
        self.type_name
    }
}

/// A [`RequestRouter`] that was created for one deployment.
#[derive(Clone)]
pub(crate) struct MadeRouter {
    routing: CustomRouting,
    pub(crate) made: Arc<dyn RequestRouter>,
}

impl MadeRouter {
    /// True if the router was created from `routing`.
    pub(crate) fn is_of(&self, routing: &CustomRouting) -> bool {
        self.routing == *routing
    }
}

impl fmt::Debug for MadeRouter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MadeRouter").field(&self.routing).finish()
    }
}

impl PartialEq for CustomRouting {
    fn eq(&self, other: &Self) -> bool {
        self.type_id == other.type_id
    }
}

impl fmt::Debug for CustomRouting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.type_name)
    }
}

/// Chooses the replica for a call: `#[deployment(request_router = MyRouter)]`.
///
/// A router is called with the deployment's lock held, for each call that finds a free slot, and
/// all other calls of the deployment wait meanwhile. A router therefore decides at once, from its
/// arguments and its own state. Neither `choose` nor `on_removed` may
/// - make a call, or drop or cancel a response, of any deployment: doing so panics;
/// - ask the runtime for anything, including `status()`;
/// - wait for input or output, or for a lock that is held elsewhere while calls are made.
///
/// If a router panics, power of two choices decides instead, and the panic is logged. The router of
/// an earlier version is dropped without the lock.
///
/// ```
/// use serve_core::prelude::*;
/// use serve_core::routing::{Candidate, Candidates, RequestRouter, RoutedCall};
///
/// /// Long texts go to the first replica, short ones to the others.
/// #[derive(Debug, Default)]
/// struct ByLength;
///
/// impl RequestRouter for ByLength {
///     fn choose<'a>(
///         &self,
///         call: &RoutedCall<'_>,
///         candidates: &Candidates<'a>,
///     ) -> Option<Candidate<'a>> {
///         let long = call.argument::<String>("text").is_some_and(|text| text.len() > 1000);
///         candidates.iter().find(|candidate| (candidate.rank == 0) == long)
///     }
/// }
///
/// #[deployment(num_replicas = 3, request_router = ByLength)]
/// #[derive(Default)]
/// struct Summarizer;
/// # #[handle]
/// # impl Summarizer {
/// #     pub async fn summarize(&self, text: String) -> String { text }
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a request router",
    label = "this type does not implement `RequestRouter`",
    note = "`request_router` takes `power_of_two_choices`, `round_robin`, `consistent_hash`, or a \
            type that implements `serve_core::routing::RequestRouter` and `Default`"
)]
pub trait RequestRouter: Send + Sync + 'static {
    /// Returns the candidate that gets the call, or `None` to leave the choice to power of
    /// two choices. There is at least one candidate.
    ///
    /// The lifetime ensures that the returned candidate belongs to this call: a router cannot keep
    /// a candidate for another call.
    fn choose<'a>(
        &self,
        call: &RoutedCall<'_>,
        candidates: &Candidates<'a>,
    ) -> Option<Candidate<'a>>;

    /// Called when a replica takes no more calls.
    fn on_removed(&self, replica_id: &str) {
        let _ = replica_id;
    }
}

/// A call that is looking for a replica.
#[derive(Clone, Copy)]
pub struct RoutedCall<'a> {
    pub(crate) method: &'static str,
    pub(crate) names: &'static [&'static str],
    pub(crate) session_id: Option<&'a str>,
    pub(crate) multiplexed_model_id: Option<&'a str>,
    pub(crate) arguments: &'a dyn ArgumentsByPlace,
}

/// The arguments of a call, without their types.
pub trait ArgumentsByPlace {
    /// Returns the argument at this place in the method's signature.
    fn at(&self, place: usize) -> Option<&dyn Any>;
}

impl<'a> RoutedCall<'a> {
    /// Returns the name of the method that is called.
    #[must_use]
    pub fn method(&self) -> &'static str {
        self.method
    }

    /// Returns the id of the session that the request names.
    #[must_use]
    pub fn session_id(&self) -> Option<&'a str> {
        self.session_id
    }

    /// Returns the id of the model that the request names.
    #[must_use]
    pub fn multiplexed_model_id(&self) -> Option<&'a str> {
        self.multiplexed_model_id
    }

    /// Returns an argument by its name, if the method has an argument of that name and type.
    #[must_use]
    pub fn argument<T: 'static>(&self, name: &str) -> Option<&'a T> {
        let place = self.names.iter().position(|known| *known == name)?;
        self.arguments.at(place)?.downcast_ref()
    }
}

impl fmt::Debug for RoutedCall<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoutedCall")
            .field("method", &self.method)
            .field("session_id", &self.session_id)
            .field("multiplexed_model_id", &self.multiplexed_model_id)
            .finish_non_exhaustive()
    }
}
