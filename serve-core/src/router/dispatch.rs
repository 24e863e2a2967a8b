//! How a handle's method becomes a running task: the shims under every generated stub.

use std::sync::{Arc, OnceLock};

use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

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
    let (request, mut pending) = pending::<M>(handle);
    let begin = |replica: &Arc<Replica>, args| serve_one::<M>(replica, args);
    match start::<M, _, _>(handle.router(), request, &mut pending, args, begin) {
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
    let (request, mut pending) = pending::<M>(handle);
    let (sender, items) = mpsc::channel(STREAM_CAPACITY);
    let begin = |replica: &Arc<Replica>, args| serve_stream::<M>(replica, args, sender);
    match start::<M, _, _>(handle.router(), request, &mut pending, args.split(), begin) {
        Ok(task) => ResponseStream::running(pending, items, task),
        Err(error) => ResponseStream::refused(pending, error.widen()),
    }
}

/// What is known of a call that is made now, here, and the request that it is part of if
/// it does not begin one.
fn pending<M: Method>(handle: &Handle<M::Deployment>) -> (Option<Request>, PendingCall) {
    let (request, deadline) = handle.begin();
    let pending = PendingCall {
        callee: Arc::clone(handle.router()) as Arc<dyn Callee>,
        method: M::INFO.name,
        request: Request::default(),
        deadline,
        place: Place::Started,
    };
    (request, pending)
}

type Split<A> = Result<A, BoxFuture<'static, Result<A, UpstreamError>>>;

/// Starts a call's task. An error is what `begin` was not called for.
fn start<M: Method, T: Send + 'static, F>(
    router: &Arc<Router>,
    request: Option<Request>,
    pending: &mut PendingCall,
    args: Split<M::Args>,
    begin: impl FnOnce(&Arc<Replica>, M::Args) -> F + Send + 'static,
) -> Result<JoinHandle<Outcome<T, M::Err>>, CallError>
where
    F: Future<Output = Result<T, CallError<M::Err>>> + Send + 'static,
{
    let (request, way) = way::<M>(router, request, pending, args)?;
    let deadline = pending.deadline.clone();
    Ok(router.spawner().tokio.spawn(Serving::new(way, request, deadline, begin)))
}

/// Decides a call's place, if its arguments are here.
fn way<M: Method>(
    router: &Arc<Router>,
    request: Option<Request>,
    pending: &mut PendingCall,
    args: Split<M::Args>,
) -> Result<(Request, Way<M::Args>), CallError> {
    match args {
        Ok(args) => {
            let (request, admission) = router.admit(request, wanted::<M>(&args));
            pending.request = request.clone();
            let admission = admission?;
            pending.place = admission.ticket().map_or(Place::Started, Place::Queued);
            Ok((request, Way::from(admission, args)))
        }
        Err(args) => {
            let request = request.unwrap_or_else(|| router.new_request());
            pending.request = request.clone();
            let (arrival, place) = Arrival::<M>::of(router, request.clone(), args);
            pending.place = place;
            Ok((request, Way::Arriving(Box::pin(arrival.slot()))))
        }
    }
}

fn wanted<M: Method>(args: &M::Args) -> Wanted<'_> {
    Wanted { method: M::INFO.name, names: M::INFO.param_names, args }
}

/// Starts a call that may run again if its replica dies.
fn retrying<M: Unary>(
    handle: &Handle<M::Deployment>,
    args: Split<M::Args>,
) -> Response<M::Ok, M::Err> {
    let (request, mut pending) = pending::<M>(handle);
    let router = Arc::clone(handle.router());
    let way = match args {
        Ok(args) => {
            let kept = M::copy_args(&args);
            let way = way::<M>(&router, request, &mut pending, Ok(args));
            way.map(|(request, way)| (request, way, kept))
        }
        Err(args) => {
            let request = request.unwrap_or_else(|| router.new_request());
            pending.request = request.clone();
            let (arrival, place) = Arrival::<M>::of(&router, request.clone(), args);
            pending.place = place;
            Ok((request, Way::Arriving(Box::pin(arrival.slot())), None))
        }
    };
    let (request, way, kept) = match way {
        Ok(way) => way,
        Err(error) => return Response::refused(pending, error.widen()),
    };
    router.earn_retry();
    let deadline = pending.deadline.clone();
    let tokio = router.spawner().tokio.clone();
    let task = tokio.spawn(run_with_retries::<M>(router, request, deadline, way, kept));
    Response::running(pending, task)
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
    fn of(
        router: &Arc<Router>,
        request: Request,
        args: BoxFuture<'static, Result<M::Args, UpstreamError>>,
    ) -> (Self, Place) {
        let ticket = Arc::new(OnceLock::new());
        let place = Place::AfterArguments(Arc::clone(&ticket));
        (Self { router: Arc::clone(router), request, args, ticket }, place)
    }

    async fn slot(self) -> Result<(Slot, M::Args), CallError> {
        let args = self.args.await.map_err(|error| {
            CallError::Upstream(error.for_consumer(self.router.name(), M::INFO.name))
        })?;
        let (_, admission) = self.router.admit(Some(self.request), wanted::<M>(&args));
        let admission = admission?;
        if let Some(ticket) = admission.ticket() {
            // Set once, here; the response reads it when it is dropped.
            let _ = self.ticket.set(ticket);
        }
        Ok((admission.slot().await?, args))
    }
}
