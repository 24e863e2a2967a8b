//! How a handle's method becomes a running task: the shims under every generated stub.

use std::sync::{Arc, OnceLock};

use futures::future::BoxFuture;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::handle::Handle;
use super::router::{Place as Admission, Router};
use crate::call::context::Request;
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
    let (request, mut pending) = pending::<M>(handle);
    let begin = |replica: &Arc<Replica>, args| serve_one::<M>(replica, args);
    match start::<M, _, _>(handle.router(), request, &mut pending, args.split(), begin) {
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
    let deadline = pending.deadline.clone();
    let tokio = &router.spawner().tokio;
    match args {
        Ok(args) => {
            let (request, admission) = router.admit_as(request);
            pending.request = request.clone();
            Ok(tokio.spawn(match admission? {
                Admission::Now(slot) => Serving::now(slot, args, request, deadline, begin),
                Admission::Queued(queued) => {
                    pending.place = queued.ticket().map_or(Place::Started, Place::Queued);
                    Serving::later(queued.with(args), request, deadline, begin)
                }
            }))
        }
        Err(args) => {
            let request = request.unwrap_or_else(|| router.new_request());
            pending.request = request.clone();
            let (arrival, place) = Arrival::of::<M>(router, args);
            pending.place = place;
            Ok(tokio.spawn(Serving::later(arrival.slot(), request, deadline, begin)))
        }
    }
}

/// A call whose arguments are still to come: neither queued nor ongoing until they have.
struct Arrival<A> {
    router: Arc<Router>,
    method: &'static str,
    args: BoxFuture<'static, Result<A, UpstreamError>>,
    ticket: Arc<OnceLock<Ticket>>,
}

impl<A> Arrival<A> {
    fn of<M: Method<Args = A>>(
        router: &Arc<Router>,
        args: BoxFuture<'static, Result<A, UpstreamError>>,
    ) -> (Self, Place) {
        let ticket = Arc::new(OnceLock::new());
        let place = Place::AfterArguments(Arc::clone(&ticket));
        (Self { router: Arc::clone(router), method: M::INFO.name, args, ticket }, place)
    }

    async fn slot(self) -> Result<(Slot, A), CallError> {
        let args = self.args.await.map_err(|error| {
            CallError::Upstream(error.for_consumer(self.router.name(), self.method))
        })?;
        let admission = self.router.admit()?;
        if let Admission::Queued(_) = &admission
            && let Some(ticket) = admission.ticket()
        {
            // Set once, here; the response reads it when it is dropped.
            let _ = self.ticket.set(ticket);
        }
        Ok((admission.slot().await?, args))
    }
}
