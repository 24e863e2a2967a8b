//! `MountedApp`: one application in HTTP: its endpoints, its routes, its pages.

use std::sync::Arc;

use axum::body::{Body, HttpBody as _};
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Response, StatusCode};
use percent_encoding::percent_decode_str;

use crate::application::{EndpointError, HttpSettings};
use crate::call::callee::Callee;
use crate::call::request::Request;
use crate::call::request_ids::RequestIds;
use crate::call::wire::echo::shown;
use crate::ingress::endpoint::interface::{Declared, HttpInterface};
use crate::ingress::endpoint::method_endpoint::Endpoint;
use crate::ingress::endpoint::routed::{self, MakeRoutes};
use crate::ingress::endpoint_info::EndpointInfo;
use crate::ingress::filters::Filters;
use crate::ingress::openapi::about::{self, About};
use crate::ingress::openapi::pages::{self, Page};
use crate::ingress::prefix::{below, joined};
use crate::ingress::request::body::{Patience, hurried};
use crate::ingress::request::incoming::Incoming;
use crate::ingress::response::error_format::ErrorFormat;
use crate::ingress::response::http_error::HttpError;
use crate::ingress::routing::path_router::{Declaration, Entry, PathRouter};
use crate::node::Route;
use crate::replica::AnyDeployment;
use crate::router::Router;

/// One application that has a route prefix.
pub(crate) struct MountedApp {
    pub(crate) application: Arc<str>,
    prefix: Arc<str>,
    router: Arc<Router>,
    paths: PathRouter,
    endpoints: Vec<MountedEndpoint>,
    /// The index in `endpoints` of the first built-in page.
    first_page: usize,
    routes: Option<Arc<dyn MakeRoutes>>,
    pub(crate) settings: Arc<HttpSettings>,
    pub(crate) error_format: ErrorFormat,
    /// `None` if all filters are off.
    pub(crate) filters: Option<Arc<Filters>>,
}

/// An endpoint and its route, including the prefix.
struct MountedEndpoint {
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
pub(crate) fn check(ingress: &dyn AnyDeployment) -> Result<(), EndpointError> {
    let Some(interface) = ingress.http() else { return Ok(()) };
    let interface = HttpInterface::from_any(interface);
    PathRouter::of(interface.endpoints.iter().map(declaration)).map(drop)
}

fn declaration(declared: &Declared) -> Declaration<'_> {
    let EndpointInfo { verb, path, method, .. } = &*declared.info;
    Declaration { verb, path, name: method.name }
}

impl MountedApp {
    /// Connects the endpoints of an application to its running ingress.
    pub(crate) fn new(
        route: Route,
        settings: Arc<HttpSettings>,
        filters: Option<Arc<Filters>>,
    ) -> Result<Self, EndpointError> {
        let Route { application, prefix, ingress, link, function, http_options: _ } = route;
        let router: Arc<Router> = link.clone().open().expect("a link leads to a router");
        let interface = ingress.http().map(HttpInterface::from_any);
        let HttpInterface { endpoints: declared, routes } =
            interface.unwrap_or(HttpInterface { endpoints: Vec::new(), routes: None });
        let typed = PathRouter::of(declared.iter().map(declaration))?;
        let pages: Vec<(&'static str, Page)> = pages::of(
            About {
                title: about::title(&application, function.as_deref(), router.name()),
                prefix: prefix.clone(),
                deployment: router.name().to_string(),
                max_body: settings.max_body(),
                error_format: ErrorFormat::of(&settings),
                needs_key: !settings.api_keys.is_empty(),
                has_rate_limit: settings.rate_limit.is_some(),
                has_routes: routes.is_some(),
            },
            declared.iter().map(|one| Arc::clone(&one.info)),
        )
        .into_iter()
        .filter(|(path, _)| !typed.has(path))
        .collect();
        let page =
            |(path, _): &(&'static str, Page)| Declaration { verb: &Method::GET, path, name: path };
        let paths = PathRouter::of(declared.iter().map(declaration).chain(pages.iter().map(page)))?;
        let first_page = declared.len();
        let mut endpoints: Vec<MountedEndpoint> = declared
            .into_iter()
            .map(|Declared { info, connect }| MountedEndpoint {
                endpoint: connect(link.clone(), Arc::clone(&settings)),
                route: joined(&prefix, info.path),
                names: info.path_names.clone(),
            })
            .collect();
        endpoints.extend(pages.into_iter().map(|(path, page)| MountedEndpoint {
            endpoint: Arc::new(page),
            route: joined(&prefix, path),
            names: Vec::new(),
        }));
        let (application, prefix) = (application.into(), prefix.into());
        let error_format = ErrorFormat::of(&settings);
        Ok(Self {
            application,
            prefix,
            router,
            paths,
            endpoints,
            first_page,
            routes,
            settings,
            error_format,
            filters,
        })
    }

    /// Creates a request of this application, which supplies the id of an HTTP request that brings
    /// none.
    pub(crate) fn new_request(&self) -> Request {
        self.router.new_request()
    }

    pub(crate) fn ids(&self) -> &RequestIds {
        &self.router.runtime().ids
    }

    /// Returns the methods that a path has, if only typed endpoints can have it.
    pub(crate) fn methods(&self, path: &str) -> Option<HeaderValue> {
        if self.routes.is_some() {
            return None;
        }
        self.paths.find(below(&self.prefix, path)).map(|(entry, _)| entry.allow.clone())
    }

    /// Answers a request whose path has this application's prefix.
    pub(crate) async fn serve(&self, mut incoming: Incoming, body: Body) -> Response<Body> {
        match self.next(&mut incoming) {
            Next::Endpoint(endpoint) => endpoint.serve(incoming, body).await,
            Next::Answer(response) => response,
            Next::RoutesThen(otherwise) => {
                let (request, method) = (incoming.request.clone(), incoming.head.method.clone());
                match self.routed(incoming, body).await {
                    None => otherwise,
                    Some(response) if is_bare(&response, request.route().is_some()) => {
                        explained(response, otherwise, &method)
                    }
                    Some(response) => response,
                }
            }
            Next::RoutesThenPage(page) => {
                let again = Incoming {
                    head: incoming.head.clone(),
                    request: incoming.request.clone(),
                    id: Arc::clone(&incoming.id),
                    deadline: incoming.deadline.clone(),
                    path: Vec::new(),
                    client: incoming.client,
                    root: incoming.root.clone(),
                    connection: None,
                };
                match self.routed(incoming, body).await {
                    Some(response) => response,
                    None => page.serve(again, Body::empty()).await,
                }
            }
        }
    }

    fn next(&self, incoming: &mut Incoming) -> Next {
        let path = below(&self.prefix, incoming.head.uri.path());
        let Some((entry, values)) = self.paths.find(path) else {
            return Next::RoutesThen(self.not_found(incoming.head.uri.path()));
        };
        let Some(number) = entry.endpoint(&incoming.head.method) else {
            return Next::RoutesThen(wrong_method(entry, &incoming.head.method));
        };
        let MountedEndpoint { endpoint, route, names } = &self.endpoints[number];
        for (at, value) in values.enumerate() {
            match percent_decode_str(value).decode_utf8() {
                Ok(value) => incoming.path.push(value.into_owned()),
                Err(_) => {
                    let field = names.get(at).map(|name| (*name).to_owned());
                    let error = HttpError::unfit("path", field, "invalid value, expected UTF-8");
                    return Next::Answer(error.into_response());
                }
            }
        }
        if number >= self.first_page && self.routes.is_some() {
            return Next::RoutesThenPage(Arc::clone(endpoint));
        }
        incoming.request.set_route(Arc::clone(route));
        Next::Endpoint(Arc::clone(endpoint))
    }

    /// Returns the response of the user's routes, unless there are none, or they do not know a path
    /// that the application itself has.
    async fn routed(&self, incoming: Incoming, body: Body) -> Option<Response<Body>> {
        let routes = self.routes.as_ref()?;
        let body = hurried(&incoming.head.headers, body, Patience::new(&self.settings));
        let known = self.paths.find(below(&self.prefix, incoming.head.uri.path())).is_some();
        let place = (&self.prefix, &self.settings);
        let response = routed::serve(&self.router, routes, place, incoming, body).await;
        // If the application itself has the path, it answers what the routes do not know.
        let unknown =
            matches!(response.status(), StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED);
        (!(known && unknown)).then_some(response)
    }

    fn not_found(&self, path: &str) -> Response<Body> {
        let docs = joined(&self.prefix, "/docs");
        let message = format!(
            "path `{}` not found: no endpoint of application `{}` (route prefix `{}`) has it; \
             {docs} lists them",
            shown(path),
            self.application,
            self.prefix,
        );
        HttpError::not_found(message).into_response()
    }
}

/// True for an answer such as axum's own to a path or a method that no route has. A handler may answer
/// 404 like that, too, but not without a route.
fn is_bare(response: &Response<Body>, has_route: bool) -> bool {
    let unknown = match response.status() {
        StatusCode::NOT_FOUND => !has_route,
        StatusCode::METHOD_NOT_ALLOWED => response.headers().contains_key(ALLOW),
        _ => false,
    };
    unknown
        && response.body().size_hint().exact() == Some(0)
        && !response.headers().contains_key(CONTENT_TYPE)
}

/// Makes an error of axum's own answer to what no route has: the error of the application itself, for a
/// path that nobody has. The headers stay, because layers may have added some.
#[cold]
fn explained(
    mut response: Response<Body>,
    mut otherwise: Response<Body>,
    method: &Method,
) -> Response<Body> {
    let error = match response.headers().get(ALLOW) {
        Some(allow) if response.status() == StatusCode::METHOD_NOT_ALLOWED => {
            Some(HttpError::wrong_method(method, allow.clone()))
        }
        _ if response.status() == otherwise.status() => otherwise.extensions_mut().remove(),
        _ => None,
    };
    if let Some(error) = error {
        response.extensions_mut().insert(error);
    }
    response
}

fn wrong_method(entry: &Entry, method: &Method) -> Response<Body> {
    if method == Method::OPTIONS {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        response.headers_mut().insert(ALLOW, entry.allow.clone());
        return response;
    }
    HttpError::wrong_method(method, entry.allow.clone()).into_response()
}
