//! How a handle's method becomes a running task: the shims under every generated stub.

use std::sync::Arc;

use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::handle::Handle;
use super::router::Router;
use super::way::{Wanted, Way};
use crate::call::context::Request;
use crate::call::deadline::Deadline;
use crate::call::pending::{Callee, Outcome, PendingCall, Place, Ticket};
use crate::call::stream::STREAM_CAPACITY;
use crate::call::{ArgTuple, CallError, Response, ResponseStream, UpstreamError};
use crate::replica::{Method, Replica, Serving, Slot, Streaming, Unary, serve_one, serve_stream};

/// Starts a call that gives one value.
///
/// With its arguments at hand, its place is decided before this returns. With arguments
/// still to come, it is decided when the last of them has.
#[doc(hidden)]
pub fn call<M: Unary>(
    handle: &Handle<M::Deployment>,
    args: impl ArgTuple<Values = M::Args>,
) -> Response<M::Ok, M::Err> {
    let args = args.split();
    if M::RETRIES > 0 {
        return retrying::<M>(handle, args);
    }
    let tokio = &handle.router().spawner().tokio;
    let (pending, task) = start::<M, _>(handle, args, |way, request, deadline, _| {
        let begin = |replica: &Arc<Replica>, args| serve_one::<M>(replica, args);
        tokio.spawn(Serving::new(way, request, deadline, begin))
    });
    match task {
        Ok(task) => Response::running(pending, task),
        Err(error) => Response::refused(pending, error.widen()),
    }
}

/// Starts a call that gives many values. As [`call`] otherwise.
#[doc(hidden)]
pub fn stream<M: Streaming>(
    handle: &Handle<M::Deployment>,
    args: impl ArgTuple<Values = M::Args>,
) -> ResponseStream<M::Ok, M::Err> {
    let (sender, items) = mpsc::channel(STREAM_CAPACITY);
    let tokio = &handle.router().spawner().tokio;
    let (pending, task) = start::<M, _>(handle, args.split(), |way, request, deadline, _| {
        let begin = |replica: &Arc<Replica>, args| serve_stream::<M>(replica, args, sender);
        tokio.spawn(Serving::new(way, request, deadline, begin))
    });
    match task {
        Ok(task) => ResponseStream::running(pending, items, task),
        Err(error) => ResponseStream::refused(pending, error.widen()),
    }
}

type Split<A> = Result<A, BoxFuture<'static, Result<A, UpstreamError>>>;
type ItsDeadline = Option<Arc<Deadline>>;

/// Decides a call's place, if its arguments are here, and spawns it; or says why it is
/// refused.
///
/// The most common way by far, a free slot, leaves first and apart from the others, so that
/// what it found stays in registers until it is in the task.
#[inline]
fn start<M: Method, T>(
    handle: &Handle<M::Deployment>,
    args: Split<M::Args>,
    spawn: impl FnOnce(Way<M::Args>, Request, ItsDeadline, &Place) -> T,
) -> (PendingCall, Result<T, CallError>) {
    let (mut request, deadline) = (handle.request(), handle.deadline());
    let router = handle.router();
    let (way, place) = match args {
        Ok(args) => {
            let mut state = router.lock();
            if !request.has_begun() {
                request.begin(state.next_request_number());
            }
            if let Some(slot) = router.free_slot(&mut state, &request) {
                drop(state);
                let way = Way::Here(Some((slot, args)));
                let started = Place::Started;
                let task = spawn(way, request.clone(), deadline.clone(), &started);
                return (pending::<M>(router, request, deadline, started), Ok(task));
            }
            match router.place(state, &request, wanted::<M>(&args)) {
                Ok(admission) => {
                    let place = admission.ticket().map_or(Place::Started, Place::Queued);
                    (Way::from(admission, args), place)
                }
                Err(error) => {
                    let pending = pending::<M>(router, request, deadline, Place::Started);
                    return (pending, Err(error));
                }
            }
        }
        Err(args) => {
            if !request.has_begun() {
                request.begin(router.next_request_number());
            }
            let ticket = Arc::<Mutex<Option<Ticket>>>::default();
            let place = Place::Moving(Arc::clone(&ticket));
            let (router, request) = (Arc::clone(router), request.clone());
            let arrival = Arrival::<M> { router, request, args, ticket };
            (Way::Arriving(Box::pin(arrival.slot())), place)
        }
    };
    let task = spawn(way, request.clone(), deadline.clone(), &place);
    (pending::<M>(router, request, deadline, place), Ok(task))
}

#[inline]
fn pending<M: Method>(
    router: &Arc<Router>,
    request: Request,
    deadline: ItsDeadline,
    place: Place,
) -> PendingCall {
    let callee = Arc::clone(router) as Arc<dyn Callee>;
    PendingCall { callee, method: M::INFO.name, request, deadline, place }
}

fn wanted<M: Method>(args: &M::Args) -> Wanted<'_> {
    Wanted { method: M::INFO.name, names: M::INFO.param_names, args }
}

/// Starts a call that may run again if its replica dies.
fn retrying<M: Unary>(
    handle: &Handle<M::Deployment>,
    args: Split<M::Args>,
) -> Response<M::Ok, M::Err> {
    let kept = args.as_ref().ok().and_then(M::copy_args);
    let router = Arc::clone(handle.router());
    let (mut pending, task) = start::<M, _>(handle, args, |way, request, deadline, place| {
        router.earn_retry();
        // Where it waits changes from try to try.
        let ticket = match place {
            Place::Started => Arc::default(),
            Place::Queued(ticket) => Arc::new(Mutex::new(Some(*ticket))),
            Place::Moving(ticket) => Arc::clone(ticket),
        };
        let place = Place::Moving(Arc::clone(&ticket));
        let tokio = router.spawner().tokio.clone();
        let kept = Arc::new(Mutex::new(kept));
        let tries = Tries::<M> { router, request, deadline, ticket, kept };
        (tokio.spawn(tries.run(way)), place)
    });
    match task {
        Ok((task, place)) => {
            pending.place = place;
            Response::running(pending, task)
        }
        Err(error) => Response::refused(pending, error.widen()),
    }
}

/// A call that may run again.
struct Tries<M: Method> {
    router: Arc<Router>,
    request: Request,
    deadline: Option<Arc<Deadline>>,
    /// Where it waits, for its response to leave.
    ticket: Arc<Mutex<Option<Ticket>>>,
    /// What the next try is to run with.
    kept: Arc<Mutex<Option<M::Args>>>,
}

impl<M: Unary> Tries<M> {
    /// Runs the call, and again while its replicas die under it and there is a retry left.
    async fn run(self, mut way: Way<M::Args>) -> Outcome<M::Ok, M::Err> {
        for retry in 0..M::RETRIES {
            let kept = Arc::clone(&self.kept);
            let begin = move |replica: &Arc<Replica>, args: M::Args| {
                let mut kept = kept.lock();
                // What arrived only now is copied where it is first seen.
                if kept.is_none() {
                    *kept = M::copy_args(&args);
                }
                drop(kept);
                serve_one::<M>(replica, args)
            };
            let outcome = self.serve(way, begin).await;
            let died =
                matches!(outcome.as_ref().map_err(|error| &**error), Err(error) if died(error));
            let again =
                if died && self.router.spend_retry() { self.kept.lock().take() } else { None };
            let Some(args) = again else {
                return if retry > 0 { outcome.map_err(it_had_run) } else { outcome };
            };
            let place =
                self.router.admit_again().map_err(|error| it_had_run(Box::new(error.widen())))?;
            *self.ticket.lock() = place.ticket();
            way = Way::from(place, args);
        }
        let begin = |replica: &Arc<Replica>, args| serve_one::<M>(replica, args);
        self.serve(way, begin).await.map_err(it_had_run)
    }

    fn serve<B, F>(&self, way: Way<M::Args>, begin: B) -> Serving<Way<M::Args>, B, F>
    where
        B: FnOnce(&Arc<Replica>, M::Args) -> F + Clone,
    {
        Serving::new(way, self.request.clone(), self.deadline.clone(), begin)
    }
}

/// True if the replica that ran the call is gone, as far as one can know.
fn died<E>(error: &CallError<E>) -> bool {
    matches!(error, CallError::Unavailable { started: true, .. } | CallError::Transport(_))
}

/// The failure of a call that began on a replica before: whatever became of its last try, it
/// may have run.
fn it_had_run<E>(mut error: Box<CallError<E>>) -> Box<CallError<E>> {
    if let CallError::Unavailable { started, .. } = &mut *error {
        *started = true;
    }
    error
}

/// A call whose arguments are still to come: neither queued nor ongoing until they have.
struct Arrival<M: Method> {
    router: Arc<Router>,
    request: Request,
    args: BoxFuture<'static, Result<M::Args, UpstreamError>>,
    ticket: Arc<Mutex<Option<Ticket>>>,
}

impl<M: Method> Arrival<M> {
    async fn slot(self) -> Result<(Slot, M::Args), CallError> {
        let args = self.args.await.map_err(|error| {
            CallError::Upstream(error.for_consumer(self.router.name(), M::INFO.name))
        })?;
        let admission = self.router.admit(&self.request, wanted::<M>(&args))?;
        // For the response, when it is dropped.
        *self.ticket.lock() = admission.ticket();
        Ok((admission.slot().await?, args))
    }
}
