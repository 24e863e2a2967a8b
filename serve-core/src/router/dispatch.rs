//! How a handle's method becomes a running task: the shims under every generated stub.

use std::sync::{Arc, OnceLock};

use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::handle::Handle;
use super::router::{Router, Wanted, Way};
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
    let (pending, task) = start::<M, _>(handle, args, |way, request, deadline| {
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
    let (pending, task) = start::<M, _>(handle, args.split(), |way, request, deadline| {
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
    spawn: impl FnOnce(Way<M::Args>, Request, ItsDeadline) -> T,
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
                let task = spawn(way, request.clone(), deadline.clone());
                return (pending::<M>(router, request, deadline, Place::Started), Ok(task));
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
            let ticket = Arc::new(OnceLock::new());
            let place = Place::AfterArguments(Arc::clone(&ticket));
            let (router, request) = (Arc::clone(router), request.clone());
            let arrival = Arrival::<M> { router, request, args, ticket };
            (Way::Arriving(Box::pin(arrival.slot())), place)
        }
    };
    let task = spawn(way, request.clone(), deadline.clone());
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
    let (pending, task) = start::<M, _>(handle, args, |way, request, deadline| {
        router.earn_retry();
        let tokio = router.spawner().tokio.clone();
        tokio.spawn(run_with_retries::<M>(router, request, deadline, way, kept))
    });
    match task {
        Ok(task) => Response::running(pending, task),
        Err(error) => Response::refused(pending, error.widen()),
    }
}

/// Runs a call, and again while its replicas die under it and there is a retry left.
async fn run_with_retries<M: Unary>(
    router: Arc<Router>,
    request: Request,
    deadline: Option<Arc<Deadline>>,
    mut way: Way<M::Args>,
    kept: Option<M::Args>,
) -> Outcome<M::Ok, M::Err> {
    // What arrived only now is copied where it is first seen.
    let kept = Arc::new(Mutex::new(kept));
    for _ in 0..M::RETRIES {
        let keep = Arc::clone(&kept);
        let begin = move |replica: &Arc<Replica>, args: M::Args| {
            let mut kept = keep.lock();
            if kept.is_none() {
                *kept = M::copy_args(&args);
            }
            serve_one::<M>(replica, args)
        };
        let outcome = Serving::new(way, request.clone(), deadline.clone(), begin).await;
        let died = matches!(
            outcome.as_ref().map_err(|error| &**error),
            Err(CallError::Unavailable { started: true, .. })
        );
        let again = if died && router.spend_retry() { kept.lock().take() } else { None };
        let Some(args) = again else { return outcome };
        way = router.way_again(args).map_err(|error| Box::new(error.widen()))?;
    }
    let begin = |replica: &Arc<Replica>, args| serve_one::<M>(replica, args);
    Serving::new(way, request, deadline, begin).await
}

/// A call whose arguments are still to come: neither queued nor ongoing until they have.
struct Arrival<M: Method> {
    router: Arc<Router>,
    request: Request,
    args: BoxFuture<'static, Result<M::Args, UpstreamError>>,
    ticket: Arc<OnceLock<Ticket>>,
}

impl<M: Method> Arrival<M> {
    async fn slot(self) -> Result<(Slot, M::Args), CallError> {
        let args = self.args.await.map_err(|error| {
            CallError::Upstream(error.for_consumer(self.router.name(), M::INFO.name))
        })?;
        let admission = self.router.admit(&self.request, wanted::<M>(&args))?;
        if let Some(ticket) = admission.ticket() {
            // Set once, here; the response reads it when it is dropped.
            let _ = self.ticket.set(ticket);
        }
        Ok((admission.slot().await?, args))
    }
}
