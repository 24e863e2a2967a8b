//! How a handle's method becomes a running task: the shims under every generated stub.

use std::sync::{Arc, OnceLock};

use futures::future::BoxFuture;
use tokio::sync::mpsc;

use super::handle::Handle;
use super::router::{Place as Admission, Router};
use crate::call::context::Request;
use crate::call::deadline::Deadline;
use crate::call::pending::{Callee, PendingCall, Place, Ticket};
use crate::call::stream::STREAM_CAPACITY;
use crate::call::{ArgTuple, CallError, Response, ResponseStream, UpstreamError};
use crate::replica::{
    Method, Slot, Streaming, Unary, WaitThenRun, Within, serve_one, serve_stream,
};

/// Starts a call that gives one value.
///
/// With its arguments at hand, its place is decided before this returns. With arguments
/// still to come, it is decided when the last of them has.
#[doc(hidden)]
pub fn call<M: Unary>(
    handle: &Handle<M::Deployment>,
    args: impl ArgTuple<Values = M::Args>,
) -> Response<M::Ok, M::Err> {
    let (request, deadline) = handle.begin();
    let router = handle.router();
    let mut pending = pending::<M>(router, &request, deadline.as_ref());
    let tokio = &router.spawner().tokio;
    let task = match args.split() {
        Ok(args) => {
            let admission = match router.admit() {
                Ok(admission) => admission,
                Err(error) => return Response::refused(pending, error.widen()),
            };
            pending.place = place(admission.ticket());
            let inherited = deadline.clone();
            let begin = move |slot| serve_one::<M>(slot, request, inherited, args);
            let call = match admission {
                Admission::Now(slot) => WaitThenRun::Running { call: begin(slot) },
                Admission::Queued(slot) => WaitThenRun::Waiting { slot, begin: Some(begin) },
            };
            tokio.spawn(Within::new(deadline, call))
        }
        Err(args) => {
            let (arrival, place) = Arrival::of::<M>(router, args);
            pending.place = place;
            let inherited = deadline.clone();
            tokio.spawn(Within::new(deadline, async move {
                let (slot, args) = arrival.slot().await.map_err(CallError::widen)?;
                serve_one::<M>(slot, request, inherited, args).await
            }))
        }
    };
    Response::running(pending, task)
}

/// Starts a call that gives many values. As [`call`] otherwise.
#[doc(hidden)]
pub fn stream<M: Streaming>(
    handle: &Handle<M::Deployment>,
    args: impl ArgTuple<Values = M::Args>,
) -> ResponseStream<M::Ok, M::Err> {
    let (request, deadline) = handle.begin();
    let router = handle.router();
    let mut pending = pending::<M>(router, &request, deadline.as_ref());
    let tokio = &router.spawner().tokio;
    let (sender, items) = mpsc::channel(STREAM_CAPACITY);
    let task = match args.split() {
        Ok(args) => {
            let admission = match router.admit() {
                Ok(admission) => admission,
                Err(error) => return ResponseStream::refused(pending, error.widen()),
            };
            pending.place = place(admission.ticket());
            let inherited = deadline.clone();
            tokio.spawn(Within::new(deadline, async move {
                let slot = admission.slot().await.map_err(CallError::widen)?;
                serve_stream::<M>(slot, request, inherited, args, sender).await
            }))
        }
        Err(args) => {
            let (arrival, place) = Arrival::of::<M>(router, args);
            pending.place = place;
            let inherited = deadline.clone();
            tokio.spawn(Within::new(deadline, async move {
                let (slot, args) = arrival.slot().await.map_err(CallError::widen)?;
                serve_stream::<M>(slot, request, inherited, args, sender).await
            }))
        }
    };
    ResponseStream::running(pending, items, task)
}

fn pending<M: Method>(
    router: &Arc<Router>,
    request: &Request,
    deadline: Option<&Arc<Deadline>>,
) -> PendingCall {
    PendingCall {
        callee: Arc::clone(router) as Arc<dyn Callee>,
        method: M::INFO.name,
        request: request.clone(),
        deadline: deadline.cloned(),
        place: Place::Started,
    }
}

fn place(ticket: Option<Ticket>) -> Place {
    ticket.map_or(Place::Started, Place::Queued)
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
