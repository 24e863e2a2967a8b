//! HTTP in: which application a request is for, which of its endpoints, what its
//! arguments are, and how the result is sent.
//!
//! A request passes `Proxy` (the socket), `FrontDoor` (which application),
//! [`Site`](site::Site) (which endpoint) and an [`Endpoint`](endpoint::Endpoint), which
//! reads the arguments, makes the call and sends what it gives. Everything but the socket
//! is reached by `HttpClient` too.
//!
//! # What an error looks like
//! What the client got wrong (400, 405, 413, 415, 422, and 408 for a body that stops coming)
//! has a JSON body that says where and what was expected; see `rejection`. A call that failed
//! (a method's own status, 404, 408, 500, 503) has its message as text; see `failure`. In a
//! stream that has begun, both are `{"error": {"status": .., "message": ..}}`.

mod accept;
mod access;
mod answer;
mod body;
mod client;
mod connection;
mod endpoint;
mod expected;
mod failure;
mod front_door;
mod interface;
mod metadata;
mod openapi;
mod pace;
mod pages;
mod parameters;
mod paths;
mod proxy;
mod rejection;
mod route_table;
mod routes;
mod site;
mod streaming;
mod visit;

pub use client::{HttpClient, HttpRequest, HttpResponse};
pub(crate) use front_door::FrontDoor;
pub use interface::{EndpointSpec, EndpointType, HttpInterface, ParamPlace};
pub(crate) use proxy::Proxy;
pub(crate) use site::check;
