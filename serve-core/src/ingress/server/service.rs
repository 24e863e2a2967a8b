//! `HttpService`: the way of every HTTP request, whether it comes from a socket or from a test: its
//! id, its application, and its line in the access log.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::{ArcSwap, ArcSwapOption};
use axum::body::{Body, HttpBody as _};
use futures::FutureExt;
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderName};
use http::request::Parts;
use http::{HeaderValue, Method, Response, Version};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::application::{HttpOptions, HttpSettings};
use crate::call::deadline::Deadline;
use crate::call::pending::panic_message;
use crate::call::request::{Request, RequestDetails};
use crate::call::request_ids::RequestIds;
use crate::call::wire::echo::{shown, shown_log};
use crate::ingress::connection::{Connection, Ongoing};
use crate::ingress::filters::Filters;
use crate::ingress::request::forwarded::{Forwarded, TrustedProxies};
use crate::ingress::request::host::{check_allowed, check_host, check_origin};
use crate::ingress::request::incoming::Incoming;
use crate::ingress::request::metadata::Metadata;
use crate::ingress::response::error_format::ErrorFormat;
use crate::ingress::response::grpc;
use crate::ingress::response::http_error::HttpError;
use crate::ingress::routing::mounted_app::MountedApp;
use crate::ingress::routing::route_table::RouteTable;
use crate::ingress::server::access_log::{self, AccessRecord};
use crate::ingress::server::stalled_body::StalledBody;
use crate::node::Routes;
use crate::time;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The answer of Ray Serve's proxy before it knows any application.
const NOT_POPULATED: &str = "Route table is not populated yet.";
/// The answer of Ray Serve's proxy while it drains.
const DRAINING: &str = "This node is being drained.";

/// Routes each request to the application that its path belongs to.
pub(crate) struct HttpService {
    /// The reachable applications by route prefix; `None` until the route table is populated.
    apps: ArcSwapOption<RouteTable<Arc<MountedApp>>>,
    /// The names of the applications that will be reachable once they run.
    starting: ArcSwap<RouteTable<String>>,
    /// True once an application is reachable, or none that is starting will be.
    populated: watch::Sender<bool>,
    draining: AtomicBool,
    /// The ids of requests that belong to no application.
    ids: Arc<RequestIds>,
    /// The options of the port, which are also the defaults of the applications.
    options: HttpOptions,
    settings: Arc<HttpSettings>,
    trusted: TrustedProxies,
    root_path: Option<Arc<str>>,
    /// The format of errors that belong to no application.
    error_format: ErrorFormat,
}

impl HttpService {
    /// Creates a service without applications. The options have been checked.
    pub(crate) fn new(options: HttpOptions) -> Self {
        let settings = HttpSettings::of(&options);
        Self {
            trusted: TrustedProxies::new(&settings.trusted_proxies),
            root_path: settings.root_path.as_deref().map(Arc::from),
            apps: ArcSwapOption::empty(),
            starting: ArcSwap::from_pointee(RouteTable::new([])),
            populated: watch::Sender::new(false),
            draining: AtomicBool::new(false),
            ids: Arc::new(RequestIds::new(rand::random())),
            error_format: ErrorFormat::of(&settings),
            settings: Arc::new(settings),
            options,
        }
    }

    /// Replaces the applications that are reachable.
    pub(crate) fn publish(&self, Routes { open, starting }: Routes) {
        // An application that is still starting does not make the process ready.
        let populated = self.apps.load().is_some() || !open.is_empty() || starting.is_empty();
        let apps = open.into_iter().filter_map(|route| {
            let (application, prefix) = (route.application.clone(), route.prefix.clone());
            let options = self.options.overridden_by(&route.http_options);
            let settings = Arc::new(HttpSettings::of(&options));
            let filters = self.filters(&application, &settings);
            match MountedApp::new(route, settings, filters) {
                Ok(app) => Some((prefix, Arc::new(app))),
                Err(error) => {
                    tracing::error!(application, "not reachable over HTTP: {error}");
                    None
                }
            }
        });
        if populated {
            self.populated.send_if_modified(|known| !std::mem::replace(known, true));
            self.apps.store(Some(Arc::new(RouteTable::new(apps))));
        }
        self.starting.store(Arc::new(RouteTable::new(starting)));
    }

    /// Returns the filters of an application. Those that it has stay in use as long as its settings are
    /// the same, because they know how many requests each client has made.
    fn filters(&self, application: &str, settings: &HttpSettings) -> Option<Arc<Filters>> {
        let apps = self.apps.load();
        let known = apps.iter().flat_map(|apps| apps.sorted());
        let mut same = known
            .map(|(_, app)| app)
            .filter(|app| &*app.application == application && *app.settings == *settings);
        match same.next() {
            Some(app) => app.filters.clone(),
            None => Filters::of(settings).map(Arc::new),
        }
    }

    /// Returns the options of the port, which are also the defaults of the applications.
    pub(crate) fn options(&self) -> &HttpOptions {
        &self.options
    }

    /// The ids of requests that belong to no application.
    pub(crate) fn ids(&self) -> &Arc<RequestIds> {
        &self.ids
    }

    /// Waits until an application is reachable, or none that is starting will be.
    pub(crate) async fn is_populated(&self) {
        // The sender is part of `self`.
        let _ = self.populated.subscribe().wait_for(|populated| *populated).await;
    }

    /// The settings of the port.
    pub(crate) fn settings(&self) -> &Arc<HttpSettings> {
        &self.settings
    }

    /// Makes `/-/healthz` report that this process goes away. Requests are answered as before.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Answers a request that came without a socket.
    pub(crate) async fn respond(&self, request: http::Request<Body>) -> Response<Body> {
        self.respond_on(request, None).await
    }

    /// Answers a request. Dropping the future, or the body of the response, cancels the request.
    pub(crate) async fn respond_on(
        &self,
        request: http::Request<Body>,
        connection: Option<Arc<Connection>>,
    ) -> Response<Body> {
        let head_only = request.method() == Method::HEAD;
        let to_be_sent = |response| if head_only { without_body(response) } else { response };
        if request.uri().path().starts_with("/-/") {
            if let Some(connection) = &connection {
                connection.count();
            }
            return to_be_sent(self.operate(&request, connection.is_some()));
        }
        let began = AccessRecord::begin();
        let ongoing = connection.as_ref().map(Connection::begin);
        let (head, body) = request.into_parts();
        let app = self.apps.load().as_ref().and_then(|apps| apps.find(head.uri.path()).cloned());
        let metadata = Metadata::of(&head.headers);
        let id = self.id(&metadata, app.as_deref());
        let request = Request::with_details(RequestDetails {
            id: Some(Arc::clone(&id)),
            multiplexed_model_id: metadata.multiplexed_model_id.map(Arc::from),
            session_id: metadata.session_id.map(Arc::from),
            trace: metadata.trace.map(Arc::from),
            ..RequestDetails::default()
        });
        let peer = connection.as_ref().and_then(|connection| connection.peer());
        let forwarded = Forwarded::of(&head.headers, peer.map(|peer| peer.ip()), &self.trusted);
        let (client, root) = (forwarded.client, self.root(&forwarded));
        let filters = app.as_ref().and_then(|app| app.filters.clone());
        let checked = self.checked(&head, &forwarded, connection.is_some(), filters.as_deref());
        let access = AccessRecord::new(began, &head, &request, &id, client, connection.as_ref());
        let timeout = metadata.timeout.or_else(|| app.as_ref()?.settings.request_timeout);
        let by = timeout.and_then(|timeout| time::after(Instant::now(), timeout));
        let deadline = Deadline::for_call(by, None);
        let multiplexed = connection.is_some() && head.version == Version::HTTP_2;
        let (prefers_text, grpc) = (metadata.prefers_text, metadata.grpc.cloned());
        let error_format = app.as_ref().map_or(self.error_format, |app| app.error_format);
        let mut passage = None;
        let response = match (checked, app) {
            (Err(error), _) => error.into_response(),
            (Ok(()), _) if grpc.is_some() && self.turns_away(head.uri.path()) => {
                HttpError::unavailable(DRAINING).into_response()
            }
            (Ok(()), Some(app)) => {
                let answer = filters.as_ref().and_then(|filters| {
                    let methods = || app.methods(head.uri.path());
                    let (entered, answer) = filters.enter(&head, client, methods);
                    passage = Some(entered);
                    answer
                });
                match answer {
                    Some(answer) => answer,
                    None => {
                        let (id, path) = (Arc::clone(&id), Vec::new());
                        let incoming = Incoming {
                            head,
                            request,
                            id,
                            deadline,
                            path,
                            client,
                            root,
                            connection,
                        };
                        serve(&app, incoming, body).await
                    }
                }
            }
            (Ok(()), None) => self.no_app(head.uri.path()),
        };
        let response = match &grpc {
            Some(content_type) => grpc::complete(response, content_type),
            None => error_format.complete(response, |it| it.of_request(&id, prefers_text)),
        };
        let response = match (&filters, &passage) {
            (Some(filters), Some(passage)) => filters.leave(passage, response),
            _ => response,
        };
        let response = to_be_sent(with_id(response, &id));
        let response = match &ongoing {
            Some(ongoing) if !multiplexed => self.with_end(response, ongoing),
            _ => response,
        };
        let response = access_log::watch(response, access, ongoing, multiplexed);
        let may_stall = multiplexed && !self.settings.send_timeout.is_zero();
        if !may_stall || response.body().is_end_stream() {
            return response;
        }
        // Outermost: a client that takes nothing ends the request as one that has left does.
        let limit = self.settings.send_timeout;
        response.map(|body| Body::new(StalledBody::new(body, limit)))
    }

    /// True for a gRPC health check of a process that goes away. An application serves the checks itself,
    /// but does not know of the drain.
    fn turns_away(&self, path: &str) -> bool {
        self.draining.load(Ordering::Relaxed) && path.starts_with("/grpc.health.v1.Health/")
    }

    /// Checks the parts of a head that say where a request goes and where it comes from. A request
    /// without a socket needs no host.
    fn checked(
        &self,
        head: &Parts,
        forwarded: &Forwarded<'_>,
        has_socket: bool,
        filters: Option<&Filters>,
    ) -> Result<(), HttpError> {
        if has_socket {
            check_host(&head.headers, head.version)?;
            check_allowed(head, forwarded, &self.settings.allowed_hosts)?;
        }
        let cors = filters.and_then(Filters::cors);
        let trusts = |origin: &HeaderValue| cors.is_some_and(|it| it.trusts(origin, &head.headers));
        check_origin(head, forwarded, trusts)
    }

    /// Tells an HTTP/1 client that the connection ends with this answer: where its request was refused
    /// before the body had arrived, because the rest would have to arrive first; and where the
    /// process goes away, so that the next request goes elsewhere.
    fn with_end(&self, mut response: Response<Body>, ongoing: &Ongoing) -> Response<Body> {
        let status = response.status();
        let refused = status.is_client_error() || status.is_server_error();
        let upgrades = status.is_informational();
        let goes = self.draining.load(Ordering::Relaxed) && !upgrades;
        if goes || (refused && ongoing.has_unread_body()) {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    /// Returns the path under which a proxy publishes the port, if there is one.
    fn root(&self, forwarded: &Forwarded<'_>) -> Option<Arc<str>> {
        forwarded.prefix.map(Arc::from).or_else(|| self.root_path.clone())
    }

    fn id(&self, metadata: &Metadata<'_>, app: Option<&MountedApp>) -> Arc<str> {
        match (metadata.request_id, app) {
            (Some(id), _) => Arc::from(id),
            (None, Some(app)) => app.new_request().id(Some(app.ids())),
            (None, None) => self.ids.next(),
        }
    }

    fn no_app(&self, path: &str) -> Response<Body> {
        if let Some(application) = self.starting.load().find(path) {
            let message = format!("application `{application}` is starting; try again soon");
            return HttpError::not_yet(message).with_code("starting").into_response();
        }
        let apps = self.apps.load();
        let prefixes: Vec<String> = apps
            .iter()
            .flat_map(|apps| apps.sorted())
            .map(|(prefix, _)| format!("`{prefix}`"))
            .collect();
        let there_are = match prefixes.as_slice() {
            [] => "no application has a route".to_owned(),
            prefixes => format!("the route prefixes are {} (see /-/routes)", prefixes.join(", ")),
        };
        let message = format!("path `{}` not found: {there_are}", shown(path));
        HttpError::not_found(message).into_response()
    }

    /// Answers the paths for operators, which belong to no application.
    fn operate(&self, request: &http::Request<Body>, has_socket: bool) -> Response<Body> {
        let metadata = Metadata::of(request.headers());
        let id = self.id(&metadata, None);
        let complete = |response| {
            let complete = |error: HttpError| error.of_request(&id, metadata.prefers_text);
            with_id(self.error_format.complete(response, complete), &id)
        };
        if has_socket && let Err(error) = check_host(request.headers(), request.version()) {
            return complete(error.into_response());
        }
        let response = match request.uri().path() {
            "/-/healthz" => self.health().map(|()| Response::new(Body::from("success"))),
            "/-/routes" => self.health_of_routes().map(|apps| {
                let routes: BTreeMap<&str, &str> = apps
                    .sorted()
                    .into_iter()
                    .map(|(prefix, app)| (prefix, &*app.application))
                    .collect();
                let json = serde_json::to_vec(&routes).expect("a map of texts is JSON");
                let mut response = Response::new(Body::from(json));
                let content_type = HeaderValue::from_static("application/json");
                response.headers_mut().insert(CONTENT_TYPE, content_type);
                response
            }),
            path => Ok(self.no_app(path)),
        };
        let response =
            response.unwrap_or_else(|reason| HttpError::unavailable(reason).into_response());
        let mut response = complete(response);
        let content_type = HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().entry(CONTENT_TYPE).or_insert(content_type);
        response
    }

    fn health(&self) -> Result<(), &'static str> {
        if self.draining.load(Ordering::Relaxed) {
            return Err(DRAINING);
        }
        self.health_of_routes().map(drop)
    }

    fn health_of_routes(&self) -> Result<Arc<RouteTable<Arc<MountedApp>>>, &'static str> {
        self.apps.load_full().ok_or(NOT_POPULATED)
    }
}

/// Answers a request, with a 500 if that panics. Calls run in tasks of their own, but user code
/// also runs here, where arguments are read and results are written.
async fn serve(app: &MountedApp, incoming: Incoming, body: Body) -> Response<Body> {
    let id = Arc::clone(&incoming.id);
    match AssertUnwindSafe(app.serve(incoming, body)).catch_unwind().await {
        Ok(response) => response,
        Err(panic) => {
            let panic = panic_message(&*panic);
            tracing::error!(request_id = &*id, "answering panicked: {}", shown_log(&panic));
            HttpError::internal().into_response()
        }
    }
}

/// Returns the response to a `HEAD` request: the same head, with the length of the body that is
/// left out.
fn without_body(response: Response<Body>) -> Response<Body> {
    // If a custom router has answered, the body is already gone and the length is set.
    if response.body().is_end_stream() {
        return response;
    }
    let (mut head, body) = response.into_parts();
    if let Some(length) = body.size_hint().exact() {
        head.headers.entry(CONTENT_LENGTH).or_insert_with(|| HeaderValue::from(length));
    }
    Response::from_parts(head, Body::empty())
}

fn with_id(mut response: Response<Body>, id: &str) -> Response<Body> {
    if let Ok(id) = HeaderValue::from_str(id) {
        response.headers_mut().insert(X_REQUEST_ID, id);
    }
    response
}
