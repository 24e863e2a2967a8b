//! HTTP ingress: finds the application and the endpoint of a request, reads the arguments, and
//! sends the result.
//!
//! A request passes `Proxy` (the socket), `FrontDoor` (the choice of the application),
//! [`Site`](site::Site) (the choice of the endpoint) and an [`Endpoint`](endpoint::Endpoint), which
//! reads the arguments, makes the call and sends the result. `HttpClient` reaches everything except
//! for the socket, too.
//!
//! # Error responses
//! The response to a rejected request (400, 405, 413, 415, 422, 408 for a body that stops coming,
//! and 507 for a stream that is too long for one JSON array) has a JSON body that names the fault
//! and what was expected; see `rejection`. The response to a failed call (a method's own status,
//! 404, 408, 500, 503) is its message as text; see `failure`. In a stream that has begun, both are
//! `{"error": {"status": .., "message": ..}}`.

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
