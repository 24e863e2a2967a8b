//! [`start`]: how every call starts; and [`Head`], on whose behalf and until when.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::acquire::Acquire;
use super::entrance::{Decided, Entrance};
use crate::call::deadline::Deadline;
use crate::call::pending::{Callee, PendingCall, QueuePosition, Ticket};
use crate::call::request::{Request, RequestDetails};
use crate::call::{CallError, UpstreamError};
use crate::clock;
use crate::observe;
use crate::replica::{Scope, Seat};
use crate::router::Wanted;

/// On whose behalf a call is made, and until when.
#[derive(Clone)]
pub(crate) struct Head {
    pub(crate) request: Request,
    pub(crate) deadline: Option<Arc<Deadline>>,
}

impl Head {
    /// The head of a call that is made now, here: part of the request that the running code
    /// serves, within that code's deadline. `said` and `timeout` are what the call's options say
    /// of its request and its deadline; `default_timeout` holds for a call that brings no
    /// deadline. The request has not begun if nothing is known of it.
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
        // A request from outside brings its deadline with it, for this very call.
        let brings_one = || {
            Scope::current(|scope| {
                scope.is_some_and(|scope| scope.is_outside() && scope.deadline().is_some())
            })
        };
        let timeout = timeout.or_else(|| default_timeout.filter(|_| !brings_one()));
        let own = timeout.and_then(|timeout| clock::after(Instant::now(), timeout));
        Self { request, deadline: Deadline::for_call(own, caller.as_ref()) }
    }
}

/// The arguments of a call, or what must be awaited for them.
pub(crate) type Split<A> = Result<A, BoxFuture<'static, Result<A, UpstreamError>>>;

/// Starts a call: decides its place, if its arguments are here, and spawns it; or says why
/// it is refused. With arguments still to come, the place is decided when the last of them
/// has.
///
/// `spawn` makes a task of the call. Most calls get their seat at once. Their way leaves
/// first and apart from the others, so that what it found stays in registers until it is in
/// the task.
#[inline]
pub(crate) fn start<E: Entrance, A: Send + 'static, T>(
    entrance: &Arc<E>,
    method: &'static str,
    mut head: Head,
    args: Split<A>,
    wanted: impl for<'a> Fn(&'a A) -> Wanted<'a> + Send + 'static,
    spawn: impl FnOnce(Acquire<E, A>, Head, &QueuePosition) -> T,
) -> (PendingCall, Result<T, CallError>) {
    if entrance.is_remote() && head.deadline.is_none() {
        head.deadline = Some(Deadline::new(None, None));
    }
    let (acquire, position) = match args {
        Ok(args) => match entrance.seat_now(&mut head.request) {
            Ok(seat) => {
                if observe::traces_calls() {
                    trace_seat(&**entrance, method, &seat);
                }
                let position = QueuePosition::Started;
                let task = spawn(Acquire::ready(seat, args), head.clone(), &position);
                return (pending(entrance, method, head, position), Ok(task));
            }
            Err(undecided) => match entrance.decide(undecided, &head.request, wanted(&args)) {
                Ok(Decided::Now(seat)) => {
                    trace_seat(&**entrance, method, &seat);
                    (Acquire::ready(seat, args), QueuePosition::Started)
                }
                Ok(Decided::Queued(queued, ticket)) => {
                    tracing::trace!(parent: entrance.span(), method, ?ticket, "queued");
                    let position = ticket.map_or(QueuePosition::Started, QueuePosition::Queued);
                    (Acquire::queued(queued, args), position)
                }
                Err(error) => {
                    tracing::trace!(parent: entrance.span(), method, %error, "refused");
                    return (pending(entrance, method, head, QueuePosition::Started), Err(error));
                }
            },
        },
        Err(args) => {
            // The response may be asked for the request's id before the place is decided.
            let ticket = Arc::<Mutex<Option<Ticket>>>::default();
            let position = QueuePosition::Moving(Arc::clone(&ticket));
            entrance.begin_request(&mut head.request);
            let (entrance, request) = (Arc::clone(entrance), head.request.clone());
            let arrival = Arrival { entrance, method, request, args, ticket };
            (Acquire::Arriving(Box::pin(arrival.place(wanted))), position)
        }
    };
    let task = spawn(acquire, head.clone(), &position);
    (pending(entrance, method, head, position), Ok(task))
}

/// Apart from the path of a call, which it would make longer though nobody listens.
#[cold]
#[inline(never)]
fn trace_seat<E: Entrance>(entrance: &E, method: &str, seat: &E::Seat) {
    tracing::trace!(parent: entrance.span(), method, seat = seat.name(), "has its seat");
}

#[inline]
fn pending<E: Entrance>(
    entrance: &Arc<E>,
    method: &'static str,
    head: Head,
    position: QueuePosition,
) -> PendingCall {
    let callee = Arc::clone(entrance) as Arc<dyn Callee>;
    PendingCall { callee, method, request: head.request, deadline: head.deadline, position }
}

/// A call whose arguments are still to come: neither queued nor ongoing until they have.
struct Arrival<E, A> {
    entrance: Arc<E>,
    method: &'static str,
    request: Request,
    args: BoxFuture<'static, Result<A, UpstreamError>>,
    /// Where the call waits, for its response to give the place back.
    ticket: Arc<Mutex<Option<Ticket>>>,
}

impl<E: Entrance, A> Arrival<E, A> {
    async fn place(
        mut self,
        wanted: impl for<'a> Fn(&'a A) -> Wanted<'a>,
    ) -> Result<Acquire<E, A>, CallError> {
        let args = self.args.await.map_err(|error| {
            let consumer = PendingCall::name_of(&*self.entrance, self.method);
            CallError::Upstream(error.for_consumer(consumer))
        })?;
        let undecided = match self.entrance.seat_now(&mut self.request) {
            Ok(seat) => return Ok(Acquire::ready(seat, args)),
            Err(undecided) => undecided,
        };
        Ok(match self.entrance.decide(undecided, &self.request, wanted(&args))? {
            Decided::Now(seat) => Acquire::ready(seat, args),
            Decided::Queued(queued, ticket) => {
                *self.ticket.lock() = ticket;
                Acquire::queued(queued, args)
            }
        })
    }
}
