//! HTTP ingress: finds the application and the endpoint of a request, reads the arguments, and
//! sends the result.
//!
//! A file uses only files of its own room and of the rooms above it in this list:
//!
//! | room | owns |
//! |---|---|
//! | `prefix`, `connection` | route prefixes; the state that the requests on one socket share |
//! | `response/` | the answers: values, streams, failed calls, rejected requests |
//! | `endpoint_info` | an endpoint as data |
//! | `request/` | the head and the body of a request, and the arguments in both |
//! | `websocket/` | WebSockets: the handshake, the socket, and the task that drives it |
//! | `endpoint/` | what answers: typed endpoints, WebSockets and `#[routes]` |
//! | `openapi/` | the description of the endpoints, and the page that shows it |
//! | `routing/` | the choice of the application and the endpoint |
//! | `server/` | the port, the access log, and the way of every request |
//! | `client`, `client_socket` | HTTP and WebSockets without a port, for tests |
//!
//! A request passes `Proxy` (the socket), `HttpService` (the choice of the application),
//! [`MountedApp`](routing::mounted_app::MountedApp) (the choice of the endpoint) and an
//! [`Endpoint`](endpoint::method_endpoint::Endpoint), which reads the arguments, makes the call and sends the
//! result. `HttpClient` reaches everything except for the socket, too.
//!
//! # Error responses
//! The response to a rejected request (400, 403, 405, 413, 415, 422, 408 for a body that stops
//! coming, and 507 for a stream that is too long for one JSON array) has a JSON body that names the fault
//! and what was expected; see `response::rejection`. The response to a failed call (a method's own
//! status, 404, 408, 500, 503) is its message as text; see `response::call_failure`. In a stream
//! that has begun, both are `{"error": {"status": .., "message": ..}}`.

mod client;
mod client_socket;
mod connection;
mod endpoint;
mod endpoint_info;
mod openapi;
mod prefix;
mod request;
mod response;
mod routing;
mod server;
mod websocket;

pub use client::{HttpClient, HttpRequest, HttpResponse};
pub use client_socket::{WebSocketClient, WebSocketRequest};
pub use endpoint::interface::{EndpointType, HttpInterface};
pub use endpoint::websocket::SocketMethod;
pub use endpoint_info::{EndpointSpec, ParamPlace, SocketSpec};
pub(crate) use routing::mounted_app::check;
pub(crate) use server::proxy::Proxy;
pub(crate) use server::service::HttpService;
pub(crate) use server::tls::Tls;
pub use websocket::{
    CloseCode, Message, Received, Sent, SocketTypes, Talk, WebSocket, WebSocketError,
    WebSocketOutcome, WebSocketRejection, WebSocketSender, WebSocketUpgrade,
};
