//! How a handle's method becomes a running task: the shims under every generated stub.

use std::sync::{Arc, OnceLock};

use futures::future::BoxFuture;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::handle::Handle;
use super::router::{Place as Admission, QueuedWith, Router};
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
    let begin = |replica: &Arc<Replica>, args| serve_one::<M>(replica, args);
    let (pending, task) = start::<M, _, _>(handle, args.split(), begin);
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
    let begin = |replica: &Arc<Replica>, args| serve_stream::<M>(replica, args, sender);
    let (pending, task) = start::<M, _, _>(handle, args.split(), begin);
    match task {
        Ok(task) => ResponseStream::running(pending, items, task),
        Err(error) => ResponseStream::refused(pending, error.widen()),
    }
}

type Split<A> = Result<A, BoxFuture<'static, Result<A, UpstreamError>>>;
type Task<T, E> = JoinHandle<Outcome<T, E>>;

/// Starts a call's task, or says why it is refused.
fn start<M: Method, T: Send + 'static, F>(
    handle: &Handle<M::Deployment>,
    args: Split<M::Args>,
    begin: impl FnOnce(&Arc<Replica>, M::Args) -> F + Send + 'static,
) -> (PendingCall, Result<Task<T, M::Err>, CallError>)
where
    F: Future<Output = Result<T, CallError<M::Err>>> + Send + 'static,
{
    let (mut request, deadline) = (handle.request(), handle.deadline());
    let router = handle.router();
    let tokio = &router.spawner().tokio;
    let mut place = Place::Started;
    let task = match args {
        Ok(args) => {
            let mut state = router.lock();
            if !request.has_begun() {
                request = state.new_request();
            }
            let (own, inherited) = (request.clone(), deadline.clone());
            if let Some(slot) = state.free_slot() {
                drop(state);
                Ok(tokio
                    .spawn(Serving::<QueuedWith<_>, _, _>::now(slot, args, own, inherited, begin)))
            } else {
                router.place(state).map(|admission| match admission {
                    Admission::Now(slot) => tokio.spawn(Serving::<QueuedWith<_>, _, _>::now(
                        slot, args, own, inherited, begin,
                    )),
                    Admission::Queued(queued) => {
                        place = queued.ticket().map_or(Place::Started, Place::Queued);
                        tokio.spawn(Serving::later(queued.with(args), own, inherited, begin))
                    }
                })
            }
        }
        Err(args) => {
            if !request.has_begun() {
                request = router.new_request();
            }
            let arrival = Arrival::of::<M>(router, args);
            place = Place::AfterArguments(Arc::clone(&arrival.ticket));
            let (own, inherited) = (request.clone(), deadline.clone());
            Ok(tokio.spawn(Serving::later(arrival.slot(), own, inherited, begin)))
        }
    };
    let callee = Arc::clone(router) as Arc<dyn Callee>;
    (PendingCall { callee, method: M::INFO.name, request, deadline, place }, task)
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
    ) -> Self {
        let ticket = Arc::new(OnceLock::new());
        Self { router: Arc::clone(router), method: M::INFO.name, args, ticket }
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
