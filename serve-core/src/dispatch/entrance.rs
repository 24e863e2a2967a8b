//! [`Entrance`]: what a call is started on, and how it gets its place there.

use std::sync::Arc;

use parking_lot::MutexGuard;

use crate::call::CallError;
use crate::call::pending::{Callee, Ticket};
use crate::call::request::Request;
use crate::replica::{Seat, Slot};
use crate::router::{Place, QueuedCall, Router, State, Wanted};

/// What a call is started on: a deployment's router, or the runtime alone, for a task.
pub(crate) trait Entrance: Callee + Sized + 'static {
    /// What a call runs on.
    type Seat: Seat;
    /// A place in the queue, as a future of the seat.
    type Queued: Future<Output = Result<Self::Seat, CallError>> + Send + Unpin;
    /// What a place is decided under, where there is no seat at once.
    type Undecided<'a>;

    /// Numbers a request that has no number.
    fn begin_request(&self, request: &mut Request);

    /// A seat at once, for most calls by far. A request that has no number gets one.
    fn seat_now(&self, request: &mut Request) -> Result<Self::Seat, Self::Undecided<'_>>;

    /// The place of a call that got no seat at once.
    fn decide(
        self: &Arc<Self>,
        undecided: Self::Undecided<'_>,
        request: &Request,
        call: Wanted<'_>,
    ) -> Result<Decided<Self>, CallError>;

    /// True if calls may be served by another task or process. They have to be told when
    /// they are detached.
    fn is_remote(&self) -> bool {
        false
    }
}

/// The place of a call.
pub(crate) enum Decided<E: Entrance> {
    Now(E::Seat),
    Queued(E::Queued, Option<Ticket>),
}

impl Entrance for Router {
    type Seat = Slot;
    type Queued = QueuedCall;
    type Undecided<'a> = MutexGuard<'a, State>;

    fn begin_request(&self, request: &mut Request) {
        if !request.has_begun() {
            request.begin(self.next_request_number());
        }
    }

    #[inline]
    fn seat_now(&self, request: &mut Request) -> Result<Slot, MutexGuard<'_, State>> {
        self.slot_now(request)
    }

    fn decide(
        self: &Arc<Self>,
        state: MutexGuard<'_, State>,
        request: &Request,
        call: Wanted<'_>,
    ) -> Result<Decided<Self>, CallError> {
        Ok(match self.place(state, request, call)? {
            Place::Now(slot) => Decided::Now(slot),
            Place::Queued(queued) => {
                let ticket = queued.ticket();
                Decided::Queued(queued, ticket)
            }
        })
    }

    fn is_remote(&self) -> bool {
        Router::is_remote(self)
    }
}
