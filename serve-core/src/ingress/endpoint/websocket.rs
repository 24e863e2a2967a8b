//! `SocketEndpoint`: a method marked `#[websocket]` of a running deployment.

use std::marker::PhantomData;
use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use futures::future::BoxFuture;
use http::Response;

use super::method_endpoint::Endpoint;
use crate::application::HttpSettings;
use crate::call::callee::Callee as _;
use crate::call::{Arguments, CallError, Response as CallResponse, in_place};
use crate::deployment::{Anywhere, Deployment, Link};
use crate::dispatch::{Head, Plain, Serving, start};
use crate::ingress::endpoint_info::EndpointInfo;
use crate::ingress::request::incoming::Incoming;
use crate::ingress::request::parameters::{BodyContent, BodyUse, Input};
use crate::ingress::response::http_error::HttpError;
use crate::ingress::websocket::handshake::Handshake;
use crate::ingress::websocket::{NAME, Opening, WebSocket, no_room, not_here};
use crate::method::{Handlers, InstanceCell as _, MethodInfo, Shared};
use crate::replica::{Scope, SocketSeat};
use crate::router::{Called, NoSeat, RouteRequest, Router};

/// The number of times that a request looks for a replica, each time after one has begun to run.
const TRIES: usize = 3;

/// A method marked `#[websocket]`, as `#[handle]` declares it.
pub trait SocketMethod: Sized + 'static {
    /// The deployment whose method this is.
    type Deployment: Deployment;
    /// The parameters except for the socket.
    type Args: Send + 'static;
    /// The type that the socket receives.
    type In: 'static;
    /// The type that the socket sends.
    type Out: 'static;
    /// The description of the method.
    const INFO: MethodInfo;
    /// Runs the method. The error is the text of its own error.
    fn run(
        instance: Arc<Self::Deployment>,
        args: Self::Args,
        socket: WebSocket<Self::In, Self::Out>,
    ) -> impl Future<Output = Result<(), String>> + Send;
}

/// The endpoint of the WebSocket method `M` of a running deployment.
pub(crate) struct SocketEndpoint<M> {
    info: Arc<EndpointInfo>,
    router: Arc<Router>,
    settings: Arc<HttpSettings>,
    method: PhantomData<fn() -> M>,
}

impl<M: SocketMethod> SocketEndpoint<M> {
    pub(crate) fn new(info: Arc<EndpointInfo>, link: Link, settings: Arc<HttpSettings>) -> Self {
        let router = link.open().expect("a link leads to a router");
        Self { info, router, settings, method: PhantomData }
    }

    /// Takes a seat on a replica. If no replica runs, waits for one as calls do, so that a deployment
    /// without replicas gets one.
    async fn seat(&self, incoming: &Incoming) -> Result<SocketSeat, Response<Body>> {
        let limit = self.settings.max_websockets;
        for _ in 0..TRIES {
            match self.router.seat_socket(&incoming.request, limit) {
                Ok(seat) => return Ok(seat),
                Err(NoSeat::Full) => return Err(no_room(limit)),
                Err(NoSeat::NoReplica) => {
                    self.replica_runs(incoming).await.map_err(|error| {
                        HttpError::of_call(&error, M::INFO.name, &incoming.id).into_response()
                    })?;
                }
            }
        }
        Err(HttpError::not_yet("the replicas end before the WebSocket opens").into_response())
    }

    /// Waits until a replica runs, by a call that does nothing.
    async fn replica_runs(&self, incoming: &Incoming) -> Result<(), CallError> {
        let router = &self.router;
        let outside = Scope::outside(incoming.request.clone(), incoming.deadline.clone());
        let head = outside.enter(|| Head::here(None, None, router.request_timeout()));
        let (pending, task) =
            start(router, NAME, Called::UNCOUNTED, head, Ok(()), wanted, |acquire, head, _| {
                let begin = |_: &mut Option<Scope>, ()| {
                    Plain::<_, ()>::new(std::future::ready(Ok::<(), CallError>(())))
                };
                in_place::call_spawned();
                router.runtime().tokio.spawn(Serving::new(acquire, head, begin))
            });
        CallResponse::<()>::started(pending, task).await
    }
}

impl<M> Endpoint for SocketEndpoint<M>
where
    M: SocketMethod<Args: Arguments<Anywhere>>,
    M::Deployment: Handlers<Cell = Shared<M::Deployment>> + Sync,
{
    fn serve(self: Arc<Self>, incoming: Incoming, _: Body) -> BoxFuture<'static, Response<Body>> {
        Box::pin(async move {
            let mut incoming = incoming;
            let handshake = match Handshake::of(&mut incoming.head) {
                Ok(handshake) => handshake,
                Err(refused) => return *refused,
            };
            let input = Input {
                info: &self.info,
                body_use: BodyUse::None,
                head: &incoming.head,
                path: &incoming.path,
                body: &BodyContent { bytes: Bytes::new(), parts: Vec::new() },
            };
            let args = match input.arguments::<M::Args>() {
                Ok(args) => args,
                Err(rejection) => return rejection.into_response(),
            };
            let seat = match self.seat(&incoming).await {
                Ok(seat) => seat,
                Err(response) => return response,
            };
            let instance = seat.replica().target.instance();
            let cell = instance.and_then(|cell| Shared::<M::Deployment>::of(&cell));
            let Some(cell) = cell else {
                let error: CallError = not_here(seat.replica(), "WebSockets");
                return HttpError::of_call(&error, M::INFO.name, &incoming.id).into_response();
            };
            let opening = Opening {
                handshake,
                seat,
                request: incoming.request,
                request_id: incoming.id,
                settings: Arc::clone(&self.settings),
                name: M::INFO.name,
            };
            opening.start(move |socket| M::run(cell.instance(), args, socket))
        })
    }
}

/// Returns what a request router sees of the call that waits for a replica.
fn wanted((): &()) -> RouteRequest<'_> {
    RouteRequest::opaque(NAME)
}
