//! HTTP ingress: finds the application and the endpoint of a request, reads the arguments, and
//! sends the result.
//!
//! A file uses only files of its own room and of the rooms above it in this list:
//!
//! | room | owns |
//! |---|---|
//! | `prefix`, `connection` | route prefixes; the state that the requests on one socket share |
//! | `response/` | the answers: values, streams, errors and their formats |
//! | `file_part`, `endpoint_info` | a file as a parameter; an endpoint as data |
//! | `request/` | the head and the body of a request, and the arguments in both |
//! | `filters/` | what an application asks of every request and adds to every answer: CORS, API keys, rate limit, compression |
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
//! Every error is an [`HttpError`]: of a rejected request (`response::rejection`), of a failed call
//! (`response::call_failure`), of a path that nobody has, and in a stream that has begun. It travels as
//! a response without a body, until `HttpService` knows the application and what the client accepts,
//! and lets the application's `ErrorFormat` (`response::error_format`) write the body.

mod client;
mod client_socket;
mod connection;
mod endpoint;
mod endpoint_info;
mod file_part;
mod filters;
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
pub use endpoint_info::{BodyFormat, EndpointSpec, ParamPlace, SocketSpec};
pub use file_part::FilePart;
pub(crate) use filters::ApiKeys;
pub use response::error_format::NamedErrorFormat;
pub use response::event::Event;
pub use response::http_error::HttpError;
pub use response::into_response::EndpointResult;
pub use response::reply::{Cookie, Reply, Unsendable};
pub(crate) use routing::mounted_app::check;
pub use server::certificate_error::CertificateError;
pub(crate) use server::proxy::Proxy;
pub(crate) use server::service::HttpService;
pub(crate) use server::tls::Tls;
pub use websocket::{
    CloseCode, Message, Received, Sent, SocketTypes, Talk, WebSocket, WebSocketError,
    WebSocketOutcome, WebSocketRejection, WebSocketSender, WebSocketUpgrade,
};
