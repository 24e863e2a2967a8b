//! `#[routes]`: a custom axum router, served inside a replica.
//!
//! A routed request is a call like any other. It takes a slot through the deployment's
//! router, waits in its queue, runs in a task of its own with context and deadline, and
//! is cancelled by dropping its response. The slot is held until the response's body
//! ends. After an upgrade to a WebSocket, the socket has a seat on the same replica instead.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use axum::body::{Body, HttpBody};
use axum::extract::{ConnectInfo, MatchedPath, OriginalUri};
use bytes::Bytes;
use futures::{FutureExt, Stream, StreamExt};
use http::uri::{PathAndQuery, Uri};
use http::{Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::{Frame, SizeHint};
use tokio::sync::mpsc;
use tower::ServiceExt;
use tower::util::MapRequestLayer;

use crate::application::HttpSettings;
use crate::call::callee::Callee as _;
use crate::call::in_place;
use crate::call::pending::Outcome;
use crate::call::request::Request;
use crate::call::stream::STREAM_CAPACITY;
use crate::call::{CallError, ResponseStream};
use crate::dispatch::{Head, Plain, Serving, start};
use crate::ingress::connection::Connection;
use crate::ingress::prefix::{below, joined};
use crate::ingress::request::incoming::Incoming;
use crate::ingress::response::grpc;
use crate::ingress::response::http_error::HttpError;
use crate::ingress::response::into_response::InPieces;
use crate::ingress::websocket::{Opened, RoutedSocket, no_room, not_here};
use crate::method::{Handlers, InstanceCell, Shared};
use crate::replica::{Replica, Scope, SocketSeat};
use crate::router::{Called, RouteRequest, Router};

/// The name of a routed call in errors and logs.
const NAME: &str = "routes";

/// Creates the axum router of a replica.
pub(crate) trait MakeRoutes: Send + Sync {
    /// Returns the replica's own router, created when it is first asked for, or `None` if the
    /// replica's instance is not in this process.
    fn of(&self, replica: &Replica) -> Option<axum::Router>;
}

/// The method of `D` that is marked `#[routes]`.
pub(crate) struct RoutesMethod<D> {
    make: fn(Arc<D>) -> axum::Router,
}

impl<D> RoutesMethod<D> {
    pub(crate) fn new(make: fn(Arc<D>) -> axum::Router) -> Self {
        Self { make }
    }
}

impl<D> MakeRoutes for RoutesMethod<D>
where
    D: Handlers<Cell = Shared<D>> + Sync,
{
    fn of(&self, replica: &Replica) -> Option<axum::Router> {
        let cell = Shared::<D>::of(&replica.target.instance()?)?;
        let kept = replica.extensions.get_or_make(Made::default);
        let made = kept.0.get_or_init(|| {
            let routes = (self.make)(cell.instance());
            if routes.has_routes() {
                routes.route_layer(MapRequestLayer::new(note_route))
            } else {
                routes
            }
        });
        Some(made.clone())
    }
}

/// The router that `#[routes]` returned for a replica's instance, once a request has asked for it.
#[derive(Default)]
struct Made(OnceLock<axum::Router>);

/// The request whose route is recorded once it is known.
#[derive(Clone)]
struct RouteNote {
    prefix: Arc<str>,
    request: Request,
}

/// Records the route of a request. Runs inside the user's router, once a path has matched.
fn note_route(request: http::Request<Body>) -> http::Request<Body> {
    let extensions = request.extensions();
    if let (Some(note), Some(path)) =
        (extensions.get::<RouteNote>(), extensions.get::<MatchedPath>())
    {
        note.request.set_route(joined(&note.prefix, path.as_str()));
    }
    request
}

/// A part of the response to a routed request.
enum Part {
    /// A response whose body is complete.
    Whole(Response<Body>),
    /// A response whose frames follow.
    Head(http::response::Parts, SizeHint),
    Frame(Frame<Bytes>),
}

/// Serves a request by the routes of some replica.
pub(crate) async fn serve(
    router: &Arc<Router>,
    routes: &Arc<dyn MakeRoutes>,
    (prefix, settings): (&Arc<str>, &Arc<HttpSettings>),
    incoming: Incoming,
    body: Body,
) -> Response<Body> {
    let id = Arc::clone(&incoming.id);
    let is_grpc = grpc::content_type(&incoming.head.headers).is_some();
    let mut parts = start_routed(router, routes, (prefix, settings), incoming, body);
    match parts.next().await {
        Some(Ok(Part::Whole(response))) => response,
        Some(Ok(Part::Head(head, size))) => {
            let grpc = is_grpc.then_some(id);
            let body = RoutedBody { parts, size, grpc };
            let mut response = Response::from_parts(head, Body::new(body));
            response.extensions_mut().insert(InPieces);
            response
        }
        Some(Ok(Part::Frame(_))) | None => HttpError::internal().into_response(),
        Some(Err(error)) => HttpError::of_call(&error, NAME, &id).into_response(),
    }
}

/// Starts the request as a call of the deployment. Its place is decided before this
/// returns.
fn start_routed(
    router: &Arc<Router>,
    routes: &Arc<dyn MakeRoutes>,
    (prefix, settings): (&Arc<str>, &Arc<HttpSettings>),
    incoming: Incoming,
    body: Body,
) -> ResponseStream<Part> {
    let (request, deadline) = (incoming.request.clone(), incoming.deadline.clone());
    let outside = Scope::outside(request, deadline);
    let head = outside.enter(|| Head::here(None, None, router.request_timeout()));
    let (sender, parts) = mpsc::channel(STREAM_CAPACITY);
    let (pending, task) = start(
        router,
        NAME,
        Called::UNCOUNTED,
        head,
        Ok((incoming, body)),
        wanted,
        |acquire, head, _| {
            let (routes, prefix) = (Arc::clone(routes), Arc::clone(prefix));
            let settings = Arc::clone(settings);
            let begin = |scope: &mut Option<Scope>, (incoming, body)| {
                let replica = scope.as_ref().and_then(Scope::replica).map(Arc::clone);
                let replica = replica.expect("a call that begins has a slot");
                Plain::<_, (Incoming, Body)>::new(serve_on(
                    replica,
                    routes,
                    (prefix, settings),
                    (incoming, body),
                    sender,
                ))
            };
            in_place::call_spawned();
            router.runtime().tokio.spawn(Serving::new(acquire, head, begin))
        },
    );
    ResponseStream::started(pending, parts, task)
}

/// Returns what a request router sees of a routed request, which shows no arguments.
fn wanted(_: &(Incoming, Body)) -> RouteRequest<'_> {
    RouteRequest::opaque(NAME)
}

/// Serves the request on a replica until the response's body ends.
async fn serve_on(
    replica: Arc<Replica>,
    routes: Arc<dyn MakeRoutes>,
    (prefix, settings): (Arc<str>, Arc<HttpSettings>),
    (incoming, body): (Incoming, Body),
    parts: mpsc::Sender<Outcome<Part, Infallible>>,
) -> Result<(), CallError> {
    let Incoming { head, request, client, connection, id, .. } = incoming;
    let note = RouteNote { prefix: Arc::clone(&prefix), request: request.clone() };
    // Inside the scope, because user code runs to create the routes.
    let Some(service) = routes.of(&replica) else {
        return Err(not_here(&replica, "`#[routes]`"));
    };
    let socket = RoutedSocket {
        replica: Arc::clone(&replica),
        request,
        request_id: id,
        settings: Arc::clone(&settings),
    };
    let mut request = http::Request::from_parts(head, body);
    strip(&prefix, &mut request);
    request.extensions_mut().insert(note);
    request.extensions_mut().insert(socket);
    if let Some(peer) = connection.as_ref().and_then(|connection| connection.peer()) {
        // A client behind a proxy has an address, but no port that anybody knows.
        let client = match client {
            Some(client) if client != peer.ip() => SocketAddr::new(client, 0),
            _ => peer,
        };
        request.extensions_mut().insert(ConnectInfo(client));
    }
    let Ok(response) = service.oneshot(request).await.map_err(|never: Infallible| match never {});
    let upgraded = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    let response = if upgraded && response.extensions().get::<Opened>().is_none() {
        seated(response, &replica, connection.as_deref(), settings.max_websockets)
    } else {
        response
    };
    forward(response, &parts).await;
    Ok(())
}

/// Takes a seat for a socket that the user's code has upgraded, or refuses the upgrade.
fn seated(
    response: Response<Body>,
    replica: &Arc<Replica>,
    connection: Option<&Connection>,
    limit: usize,
) -> Response<Body> {
    let Some(connection) = connection else { return response };
    match SocketSeat::take(replica, limit) {
        Some(seat) => {
            connection.hold(seat);
            response
        }
        // Without its response, the connection is not upgraded, and the user's code is told so.
        None => no_room(limit),
    }
}

/// Sends the response until it ends or nobody reads it any more.
async fn forward(response: Response<Body>, parts: &mpsc::Sender<Outcome<Part, Infallible>>) {
    let (head, mut body) = response.into_parts();
    let size = body.size_hint();
    if body.is_end_stream() {
        let _ = parts.send(Ok(Part::Whole(Response::from_parts(head, Body::empty())))).await;
        return;
    }
    // Most bodies are one piece, which is available at once.
    let mut frame = body.frame().now_or_never();
    if body.is_end_stream()
        && let Some(Some(Ok(only))) = frame
    {
        match only.into_data() {
            Ok(data) => {
                let whole = Response::from_parts(head, Body::from(data));
                let _ = parts.send(Ok(Part::Whole(whole))).await;
                return;
            }
            Err(trailers) => frame = Some(Some(Ok(trailers))),
        }
    }
    if parts.send(Ok(Part::Head(head, size))).await.is_err() {
        return;
    }
    loop {
        let next = match frame.take() {
            Some(next) => next,
            None => body.frame().await,
        };
        let part = match next {
            Some(Ok(frame)) => Ok(Part::Frame(frame)),
            Some(Err(error)) => Err(Box::new(CallError::Transport(error.to_string()))),
            None => return,
        };
        let broke = part.is_err();
        if parts.send(part).await.is_err() || broke {
            return;
        }
    }
}

/// The body of a routed response. Dropping it cancels the call.
struct RoutedBody {
    parts: ResponseStream<Part>,
    size: SizeHint,
    /// The id of a gRPC request, whose failure is sent as trailers.
    grpc: Option<Arc<str>>,
}

impl HttpBody for RoutedBody {
    type Data = Bytes;
    type Error = CallError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CallError>>> {
        Poll::Ready(match ready!(Pin::new(&mut self.parts).poll_next(cx)) {
            Some(Ok(Part::Frame(frame))) => Some(Ok(frame)),
            Some(Err(error)) => Some(match self.grpc.take() {
                Some(id) => Ok(Frame::trailers(grpc::trailers(&error, NAME, &id))),
                None => Err(error),
            }),
            Some(Ok(Part::Whole(_) | Part::Head(..))) | None => None,
        })
    }

    fn size_hint(&self) -> SizeHint {
        self.size
    }
}

/// Removes the prefix from the path, as axum's `nest` does.
fn strip(prefix: &str, request: &mut http::Request<Body>) {
    let uri = request.uri();
    let path = below(prefix, uri.path());
    if path.len() == uri.path().len() {
        return;
    }
    let path_and_query = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let Ok(path_and_query) = PathAndQuery::try_from(path_and_query) else { return };
    let mut moved = uri.clone().into_parts();
    moved.path_and_query = Some(path_and_query);
    if let Ok(moved) = Uri::from_parts(moved) {
        let original = std::mem::replace(request.uri_mut(), moved);
        request.extensions_mut().insert(OriginalUri(original));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_moves_off_the_path_and_the_original_stays_known() {
        let mut request = http::Request::get("/math/add?by=1").body(Body::empty()).unwrap();
        strip("/math", &mut request);
        assert_eq!(request.uri(), "/add?by=1");
        assert_eq!(request.extensions().get::<OriginalUri>().unwrap().0, "/math/add?by=1");
        let mut request = http::Request::get("/math?by=1").body(Body::empty()).unwrap();
        strip("/math", &mut request);
        assert_eq!(request.uri(), "/?by=1");
    }
}
