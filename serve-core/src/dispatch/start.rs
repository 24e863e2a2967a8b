//! [`start`]: the start of every call; and [`Head`], the request and deadline of a call.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::acquire::Acquire;
use super::entrance::{Decided, Entrance};
use crate::call::callee::Ticket;
use crate::call::deadline::Deadline;
use crate::call::in_place;
use crate::call::pending::{Outcome, PendingCall, QueuePosition};
use crate::call::request::{Request, RequestDetails};
use crate::call::{CallError, UpstreamError};
use crate::observe;
use crate::replica::{Scope, Seat};
use crate::router::{Called, RouteRequest};
use crate::time;

/// The request that a call belongs to, and the call's deadline.
#[derive(Clone)]
pub(crate) struct Head {
    pub(crate) request: Request,
    pub(crate) deadline: Option<Arc<Deadline>>,
}

impl Head {
    /// The head of a call that the running code makes now: the request that the code serves,
    /// and a deadline within that code's own. `said` and `timeout` come from the call's options;
    /// `default_timeout` holds for a call without a timeout. Code that serves no request starts
    /// one, which `start` numbers.
    #[inline]
    pub(crate) fn here(
        said: Option<&Arc<RequestDetails>>,
        timeout: Option<Duration>,
        default_timeout: Option<Duration>,
    ) -> Self {
        let request = Scope::current_request();
        let request = match said {
            Some(said) => request.with_options(said),
            None => request,
        };
        let caller = Scope::current_deadline();
        if caller.is_none() && timeout.is_none() && default_timeout.is_none() {
            return Self { request, deadline: None };
        }
        // The deadline of a request from outside was set for this very call, so it takes the place
        // of the default timeout, and is the call's own: nobody else waits for it.
        let brings_one =
            || caller.is_some() && Scope::current(|it| it.is_some_and(Scope::is_outside));
        let own = match (timeout, default_timeout) {
            (Some(timeout), _) => time::after(Instant::now(), timeout),
            (None, _) if brings_one() => caller.as_ref().and_then(|caller| caller.at()),
            (None, Some(timeout)) => time::after(Instant::now(), timeout),
            (None, None) => None,
        };
        Self { request, deadline: Deadline::for_call(own, caller.as_ref()) }
    }
}

/// The arguments of a call, or the future of arguments that come from other calls.
pub(crate) type Split<A> = Result<A, BoxFuture<'static, Result<A, UpstreamError>>>;

/// Starts a call: decides its place and spawns its task, or returns why the call is refused.
/// The place of a call that waits for arguments is decided in the task, when the last argument
/// has arrived.
///
/// `spawn` makes a task of the call, or defers the call if `called` says that it may. Most calls
/// get their seat at once. They have a `return` of their own, so that the seat stays in registers
/// until it is in the task.
#[inline]
pub(crate) fn start<E: Entrance, A: Send + 'static, T>(
    entrance: &Arc<E>,
    method: &'static str,
    called: Called,
    mut head: Head,
    args: Split<A>,
    wanted: impl for<'a> Fn(&'a A) -> RouteRequest<'a> + Send + 'static,
    spawn: impl FnOnce(Acquire<E, A>, Head, &QueuePosition) -> T,
) -> (PendingCall, Outcome<T>) {
    in_place::another_call();
    if entrance.is_remote() && head.deadline.is_none() {
        head.deadline = Some(Deadline::new(None, None));
    }
    let (acquire, position) = match args {
        Ok(args) => match entrance.seat_now(&mut head.request, called) {
            Ok(seat) => {
                if observe::traces_calls() {
                    trace_seat(&**entrance, method, &seat);
                }
                let position = QueuePosition::Started;
                let task = spawn(Acquire::ready(seat, args), head.clone(), &position);
                return (pending(entrance, method, head, position), Ok(task));
            }
            Err(undecided) => {
                let call = wanted(&args);
                match decide(entrance, method, called, undecided, &head.request, call) {
                    Ok(Decided::Now(seat)) => (Acquire::ready(seat, args), QueuePosition::Started),
                    Ok(Decided::Queued(queued, ticket)) => {
                        (Acquire::queued(queued, args), position_of(ticket))
                    }
                    Err(error) => {
                        let position = QueuePosition::Started;
                        return (pending(entrance, method, head, position), Err(error));
                    }
                }
            }
        },
        Err(args) => {
            // Numbered now, because the caller may ask the response for the request's id before
            // the place is decided.
            let ticket = Arc::<Mutex<Option<Ticket>>>::default();
            let position = QueuePosition::Moving(Arc::clone(&ticket));
            entrance.begin_request(&mut head.request);
            let (entrance, request) = (Arc::clone(entrance), head.request.clone());
            let called = called.not_deferred();
            let arrival = Arrival { entrance, method, called, request, args, ticket };
            (Acquire::Arriving(Box::pin(arrival.place(wanted))), position)
        }
    };
    let task = spawn(acquire, head.clone(), &position);
    (pending(entrance, method, head, position), Ok(task))
}

/// Takes a seat for a call that may be deferred, or decides where else the call goes.
#[inline]
pub(super) fn seat<E: Entrance, A>(
    entrance: &Arc<E>,
    method: &'static str,
    called: Called,
    head: &mut Head,
    args: A,
    wanted: impl for<'a> Fn(&'a A) -> RouteRequest<'a>,
) -> Result<(E::Seat, A), Elsewhere<E, A>> {
    match entrance.seat_now(&mut head.request, called) {
        Ok(seat) => {
            if observe::traces_calls() {
                trace_seat(&**entrance, method, &seat);
            }
            Ok((seat, args))
        }
        Err(undecided) => {
            let call = wanted(&args);
            match decide(entrance, method, called, undecided, &head.request, call) {
                Ok(Decided::Now(seat)) => Ok((seat, args)),
                Ok(Decided::Queued(queued, ticket)) => Err(Elsewhere::Queued(queued, ticket, args)),
                Err(error) => Err(Elsewhere::Refused(error)),
            }
        }
    }
}

/// The outcome for a call that finds no seat: a place in the queue, or an error.
pub(super) enum Elsewhere<E: Entrance, A> {
    Queued(E::Queued, Option<Ticket>, A),
    Refused(Box<CallError>),
}

impl<E: Entrance, A> Elsewhere<E, A> {
    pub(super) fn start<T>(
        self,
        entrance: &Arc<E>,
        method: &'static str,
        head: Head,
        spawn: impl FnOnce(Acquire<E, A>, Head, &QueuePosition) -> T,
    ) -> (PendingCall, Outcome<T>) {
        match self {
            Self::Queued(queued, ticket, args) => {
                let position = position_of(ticket);
                let task = spawn(Acquire::queued(queued, args), head.clone(), &position);
                (pending(entrance, method, head, position), Ok(task))
            }
            Self::Refused(error) => {
                (pending(entrance, method, head, QueuePosition::Started), Err(error))
            }
        }
    }
}

#[inline(always)]
fn position_of(ticket: Option<Ticket>) -> QueuePosition {
    ticket.map_or(QueuePosition::Started, QueuePosition::Queued)
}

/// Decides the place of a call for which no seat was found at once.
#[inline]
fn decide<E: Entrance>(
    entrance: &Arc<E>,
    method: &'static str,
    called: Called,
    undecided: E::Undecided<'_>,
    request: &Request,
    call: RouteRequest<'_>,
) -> Outcome<Decided<E>> {
    let decided = entrance.decide(undecided, request, call, called);
    if observe::traces_calls() {
        match &decided {
            Ok(Decided::Now(seat)) => trace_seat(&**entrance, method, seat),
            Ok(Decided::Queued(_, ticket)) => trace_queued(&**entrance, method, *ticket),
            Err(error) => trace_refused(&**entrance, method, error),
        }
    }
    decided
}

/// Records that a call has its seat. Out of line, because the code of the event would make
/// the common path longer.
#[cold]
#[inline(never)]
fn trace_seat<E: Entrance>(entrance: &E, method: &str, seat: &E::Seat) {
    tracing::trace!(parent: entrance.span(), method, seat = seat.name(), "has its seat");
}

#[cold]
#[inline(never)]
fn trace_queued<E: Entrance>(entrance: &E, method: &str, ticket: Option<Ticket>) {
    tracing::trace!(parent: entrance.span(), method, ?ticket, "queued");
}

#[cold]
#[inline(never)]
fn trace_refused<E: Entrance>(entrance: &E, method: &str, error: &CallError) {
    tracing::trace!(parent: entrance.span(), method, %error, "refused");
}

#[inline]
fn pending<E: Entrance>(
    entrance: &Arc<E>,
    method: &'static str,
    head: Head,
    position: QueuePosition,
) -> PendingCall {
    let (callee, seed) = (entrance.reference(), entrance.runtime().ids.seed());
    let Head { request, deadline } = head;
    PendingCall { callee, seed, method, request, deadline, position }
}

/// A call that waits for arguments from other calls. Until they arrive, the call is neither
/// queued nor ongoing.
struct Arrival<E, A> {
    entrance: Arc<E>,
    method: &'static str,
    called: Called,
    request: Request,
    args: BoxFuture<'static, Result<A, UpstreamError>>,
    /// The call's place in the queue, which a dropped response gives back.
    ticket: Arc<Mutex<Option<Ticket>>>,
}

impl<E: Entrance, A> Arrival<E, A> {
    async fn place(
        mut self,
        wanted: impl for<'a> Fn(&'a A) -> RouteRequest<'a>,
    ) -> Outcome<Acquire<E, A>> {
        let args = self.args.await.map_err(|error| {
            let consumer = PendingCall::name_of(&*self.entrance, self.method);
            Box::new(CallError::Upstream(error.for_consumer(consumer)))
        })?;
        let undecided = match self.entrance.seat_now(&mut self.request, self.called) {
            Ok(seat) => return Ok(Acquire::ready(seat, args)),
            Err(undecided) => undecided,
        };
        let wanted = wanted(&args);
        Ok(match self.entrance.decide(undecided, &self.request, wanted, self.called)? {
            Decided::Now(seat) => Acquire::ready(seat, args),
            Decided::Queued(queued, ticket) => {
                *self.ticket.lock() = ticket;
                Acquire::queued(queued, args)
            }
        })
    }
}
