//! [`Entrance`]: the callee that a call is started on, which decides the call's place.

use std::sync::Arc;

use parking_lot::MutexGuard;

use crate::call::callee::{Callee, Ticket};
use crate::call::pending::Outcome;
use crate::call::request::Request;
use crate::replica::{Seat, Slot};
use crate::router::{Called, Placement, QueuedCall, RouteRequest, Router, RouterState};

/// The callee as `start` sees it: a deployment's router, or the runtime alone for a task.
pub(crate) trait Entrance: Callee + Sized + 'static {
    /// The right to run one call: a slot, or for a task the runtime.
    type Seat: Seat;
    /// A place in the queue: the future of a seat.
    type Queued: Future<Output = Outcome<Self::Seat>> + Send + Unpin;
    /// The value that [`seat_now`](Self::seat_now) passes on to [`decide`](Self::decide): the
    /// router's lock, so that nothing changes between the two.
    type Undecided<'a>;

    /// Numbers a request that has no id.
    fn begin_request(&self, request: &mut Request);

    /// Takes a seat if a seat is free, as for most calls. Numbers a request that has no id.
    fn seat_now(
        &self,
        request: &mut Request,
        called: Called,
    ) -> Result<Self::Seat, Self::Undecided<'_>>;

    /// Decides the place of a call for which `seat_now` found no seat.
    fn decide(
        self: &Arc<Self>,
        undecided: Self::Undecided<'_>,
        request: &Request,
        call: RouteRequest<'_>,
        called: Called,
    ) -> Outcome<Decided<Self>>;

    /// True if calls may be served by another task or process, which has to hear when a call
    /// is cancelled or detached.
    fn is_remote(&self) -> bool {
        false
    }
}

/// The place of a call, once it is decided.
pub(crate) enum Decided<E: Entrance> {
    Now(E::Seat),
    Queued(E::Queued, Option<Ticket>),
}

impl Entrance for Router {
    type Seat = Slot;
    type Queued = QueuedCall;
    type Undecided<'a> = MutexGuard<'a, RouterState>;

    fn begin_request(&self, request: &mut Request) {
        if !request.has_begun() {
            request.begin(self.next_request_number());
        }
    }

    #[inline(always)]
    fn seat_now(
        &self,
        request: &mut Request,
        called: Called,
    ) -> Result<Slot, MutexGuard<'_, RouterState>> {
        self.slot_now(request, called)
    }

    fn decide(
        self: &Arc<Self>,
        state: MutexGuard<'_, RouterState>,
        request: &Request,
        call: RouteRequest<'_>,
        called: Called,
    ) -> Outcome<Decided<Self>> {
        Ok(match self.place(state, request, call, called)? {
            Placement::Now(slot) => Decided::Now(slot),
            Placement::Queued(queued) => {
                let ticket = queued.ticket();
                Decided::Queued(queued, ticket)
            }
        })
    }

    fn is_remote(&self) -> bool {
        Router::is_remote(self)
    }
}
