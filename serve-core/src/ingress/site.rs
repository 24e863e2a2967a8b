//! `Site`: one application in HTTP: its endpoints, its routes, its pages.

use std::sync::Arc;

use axum::body::Body;
use http::header::ALLOW;
use http::{Method, Response, StatusCode};
use percent_encoding::percent_decode_str;

use super::endpoint::Endpoint;
use super::failure::Failure;
use super::interface::{Declared, Facts, HttpInterface};
use super::pages::{self, Page};
use super::paths::{Declaration, Entry, Paths};
use super::rejection::Rejection;
use super::route_table::below;
use super::routes::{self, Routes, joined};
use super::visit::Visit;
use crate::application::EndpointError;
use crate::call::pending::Callee;
use crate::call::request::Request;
use crate::call::spawner::RequestIds;
use crate::node::Route;
use crate::replica::Kind;
use crate::router::Router;

/// One application that has a route prefix.
pub(super) struct Site {
    pub(super) application: Arc<str>,
    prefix: Arc<str>,
    router: Arc<Router>,
    paths: Paths,
    endpoints: Vec<Served>,
    /// The index in `endpoints` of the first built-in page.
    first_page: usize,
    routes: Option<Arc<dyn Routes>>,
}

/// An endpoint and its route, including the prefix.
struct Served {
    endpoint: Arc<dyn Endpoint>,
    route: Arc<str>,
    /// The names of the path's parameters, in order.
    names: Vec<&'static str>,
}

/// The destination of a request.
enum Next {
    Endpoint(Arc<dyn Endpoint>),
    /// The user's routes, then this page if they do not know the request.
    RoutesThenPage(Arc<dyn Endpoint>),
    /// The user's routes, then this response if they do not know the request.
    RoutesThen(Response<Body>),
    Answer(Response<Body>),
}

/// Checks that no endpoints conflict, before anything is deployed.
pub(crate) fn check(ingress: &dyn Kind) -> Result<(), EndpointError> {
    let Some(interface) = ingress.http() else { return Ok(()) };
    let interface = HttpInterface::from_any(interface);
    Paths::of(interface.endpoints.iter().map(declaration)).map(drop)
}

fn declaration(declared: &Declared) -> Declaration<'_> {
    let Facts { verb, path, method, .. } = &*declared.facts;
    Declaration { verb, path, name: method.name }
}

impl Site {
    /// Connects the endpoints of an application to its running ingress.
    pub(super) fn new(route: Route) -> Result<Self, EndpointError> {
        let Route { application, prefix, ingress, link } = route;
        let router: Arc<Router> = link.clone().open().expect("a link leads to a router");
        let interface = ingress.http().map(HttpInterface::from_any);
        let HttpInterface { endpoints: declared, routes } =
            interface.unwrap_or(HttpInterface { endpoints: Vec::new(), routes: None });
        let typed = Paths::of(declared.iter().map(declaration))?;
        let pages: Vec<(&'static str, Page)> = pages::of(
            &application,
            &prefix,
            router.name(),
            declared.iter().map(|one| Arc::clone(&one.facts)),
        )
        .into_iter()
        .filter(|(path, _)| !typed.has(path))
        .collect();
        let page =
            |(path, _): &(&'static str, Page)| Declaration { verb: &Method::GET, path, name: path };
        let paths = Paths::of(declared.iter().map(declaration).chain(pages.iter().map(page)))?;
        let first_page = declared.len();
        let mut endpoints: Vec<Served> = declared
            .into_iter()
            .map(|Declared { facts, connect }| Served {
                endpoint: connect(link.clone()),
                route: joined(&prefix, facts.path),
                names: facts.path_names.clone(),
            })
            .collect();
        endpoints.extend(pages.into_iter().map(|(path, page)| Served {
            endpoint: Arc::new(page),
            route: joined(&prefix, path),
            names: Vec::new(),
        }));
        let (application, prefix) = (application.into(), prefix.into());
        Ok(Self { application, prefix, router, paths, endpoints, first_page, routes })
    }

    /// Creates a request of this application, which supplies the id of an HTTP request that brings
    /// none.
    pub(super) fn new_request(&self) -> Request {
        self.router.new_request()
    }

    pub(super) fn ids(&self) -> &RequestIds {
        &self.router.spawner().ids
    }

    /// Answers a request whose path has this application's prefix.
    pub(super) async fn serve(&self, mut visit: Visit, body: Body) -> Response<Body> {
        match self.next(&mut visit) {
            Next::Endpoint(endpoint) => endpoint.serve(visit, body).await,
            Next::Answer(response) => response,
            Next::RoutesThen(otherwise) => self.routed(visit, body).await.unwrap_or(otherwise),
            Next::RoutesThenPage(page) => {
                let again = Visit {
                    head: visit.head.clone(),
                    request: visit.request.clone(),
                    id: Arc::clone(&visit.id),
                    deadline: visit.deadline.clone(),
                    path: Vec::new(),
                    connection: None,
                };
                match self.routed(visit, body).await {
                    Some(response) => response,
                    None => page.serve(again, Body::empty()).await,
                }
            }
        }
    }

    fn next(&self, visit: &mut Visit) -> Next {
        let path = below(&self.prefix, visit.head.uri.path());
        let Some((entry, values)) = self.paths.find(path) else {
            return Next::RoutesThen(self.not_found(visit.head.uri.path()));
        };
        let Some(number) = entry.endpoint(&visit.head.method) else {
            return Next::RoutesThen(wrong_method(entry, &visit.head.method));
        };
        let Served { endpoint, route, names } = &self.endpoints[number];
        for (at, value) in values.enumerate() {
            match percent_decode_str(value).decode_utf8() {
                Ok(value) => visit.path.push(value.into_owned()),
                Err(_) => {
                    let field = names.get(at).map(|name| (*name).to_owned());
                    let rejection =
                        Rejection::unfit("path", field, "invalid value, expected UTF-8");
                    return Next::Answer(rejection.into_response());
                }
            }
        }
        if number >= self.first_page && self.routes.is_some() {
            return Next::RoutesThenPage(Arc::clone(endpoint));
        }
        visit.request.set_route(Arc::clone(route));
        Next::Endpoint(Arc::clone(endpoint))
    }

    /// Returns the response of the user's routes, unless there are none, or they do not know a path
    /// that the application itself has.
    async fn routed(&self, visit: Visit, body: Body) -> Option<Response<Body>> {
        let routes = self.routes.as_ref()?;
        let known = self.paths.find(below(&self.prefix, visit.head.uri.path())).is_some();
        let response = routes::serve(&self.router, routes, &self.prefix, visit, body).await;
        // If the application itself has the path, it answers what the routes do not know.
        let unknown =
            matches!(response.status(), StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED);
        (!(known && unknown)).then_some(response)
    }

    fn not_found(&self, path: &str) -> Response<Body> {
        let docs = joined(&self.prefix, "/docs");
        let message = format!(
            "path `{path}` not found: no endpoint of application `{}` (route prefix `{}`) has it; \
             {docs} lists them",
            self.application, self.prefix,
        );
        Failure::new(StatusCode::NOT_FOUND, message).into_response()
    }
}

fn wrong_method(entry: &Entry, method: &Method) -> Response<Body> {
    if method == Method::OPTIONS {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        response.headers_mut().insert(ALLOW, entry.allow.clone());
        return response;
    }
    Rejection::wrong_method(method, entry.allow.clone()).into_response()
}
