//! [`Cors`]: the rules for pages of other origins (Cross-Origin Resource Sharing, in the Fetch
//! standard), as headers that are prepared once.

use axum::body::Body;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ALLOW, COOKIE, ORIGIN, VARY,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};

use crate::application::HttpSettings;

/// The rules of an application.
pub(crate) struct Cors {
    /// The origins; `None` means every origin.
    origins: Option<Vec<HeaderValue>>,
    /// The methods; `None` means those of the endpoint.
    methods: Option<HeaderValue>,
    /// The request headers; `None` means those that the page asks for.
    headers: Option<HeaderValue>,
    exposed: HeaderValue,
    credentials: bool,
    max_age: HeaderValue,
}

/// The value of `Access-Control-Allow-Origin` for a page that is allowed.
pub(crate) struct Origin(HeaderValue);

impl Cors {
    /// Returns the rules, or `None` if no origin is allowed.
    pub(crate) fn of(settings: &HttpSettings) -> Option<Self> {
        let origins = &settings.cors_origins;
        if origins.is_empty() {
            return None;
        }
        let list = |names: &[String]| {
            let joined = HeaderValue::try_from(names.join(", "));
            (!names.is_empty()).then(|| joined.expect("names are checked with the options"))
        };
        let exposed = list(&settings.cors_expose_headers);
        let any = origins.iter().any(|origin| origin == "*");
        let each = origins.iter().filter_map(|origin| HeaderValue::try_from(origin).ok());
        Some(Self {
            origins: (!any).then(|| each.collect()),
            methods: list(&settings.cors_methods),
            headers: list(&settings.cors_headers),
            exposed: exposed.unwrap_or(HeaderValue::from_static("x-request-id")),
            credentials: settings.cors_credentials,
            max_age: HeaderValue::from(settings.cors_max_age.as_secs()),
        })
    }

    /// True for the question of a browser whether a page may send a request.
    pub(crate) fn is_preflight(head: &Parts) -> bool {
        head.method == Method::OPTIONS
            && head.headers.contains_key(ORIGIN)
            && head.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
    }

    /// Returns the origin of a request, if its pages are allowed.
    pub(crate) fn origin(&self, headers: &HeaderMap) -> Option<Origin> {
        let origin = headers.get(ORIGIN)?;
        match &self.origins {
            None => Some(Origin(HeaderValue::from_static("*"))),
            Some(origins) => origins.contains(origin).then(|| Origin(origin.clone())),
        }
    }

    /// True if pages of this origin may send what browsers send without asking first: forms, and
    /// WebSocket upgrades. Where every origin is allowed, such a request must not carry cookies, which
    /// a browser adds without the user's knowledge.
    pub(crate) fn trusts(&self, origin: &HeaderValue, headers: &HeaderMap) -> bool {
        match &self.origins {
            None => !headers.contains_key(COOKIE),
            Some(origins) => origins.contains(origin),
        }
    }

    /// Answers a preflight. `methods` returns the methods of the path, if they are known.
    pub(crate) fn preflight(
        &self,
        head: &Parts,
        methods: impl FnOnce() -> Option<HeaderValue>,
    ) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let headers = response.headers_mut();
        let known = methods();
        if let Some(known) = &known {
            headers.insert(ALLOW, known.clone());
        }
        headers.append(VARY, HeaderValue::from_name(ACCESS_CONTROL_REQUEST_METHOD));
        headers.append(VARY, HeaderValue::from_name(ACCESS_CONTROL_REQUEST_HEADERS));
        if self.origin(&head.headers).is_none() {
            return response;
        }
        let asked = || head.headers.get(ACCESS_CONTROL_REQUEST_METHOD).cloned();
        let methods = self.methods.clone().or(known).or_else(asked);
        let asked = || head.headers.get(ACCESS_CONTROL_REQUEST_HEADERS).cloned();
        let allowed = self.headers.clone().or_else(asked);
        let answers = [
            (ACCESS_CONTROL_ALLOW_METHODS, methods),
            (ACCESS_CONTROL_ALLOW_HEADERS, allowed),
            (ACCESS_CONTROL_MAX_AGE, Some(self.max_age.clone())),
        ];
        for (name, value) in answers {
            if let Some(value) = value {
                headers.insert(name, value);
            }
        }
        response
    }

    /// Adds the headers by which a browser lets the page read the answer, unless the answer has such
    /// headers of its own.
    pub(crate) fn allow(&self, origin: Option<&Origin>, headers: &mut HeaderMap) {
        if headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN) {
            return;
        }
        if self.origins.is_some() {
            add_vary(headers, HeaderValue::from_name(ORIGIN));
        }
        let Some(Origin(origin)) = origin else { return };
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        if self.credentials {
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        if !headers.contains_key(ACCESS_CONTROL_ALLOW_METHODS) {
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, self.exposed.clone());
        }
    }
}

/// Adds a name to `Vary`, unless the header has it.
pub(super) fn add_vary(headers: &mut HeaderMap, name: HeaderValue) {
    let wanted = name.to_str().unwrap_or_default();
    let has = headers.get_all(VARY).iter().filter_map(|value| value.to_str().ok()).any(|value| {
        value.split(',').any(|one| one.trim().eq_ignore_ascii_case(wanted) || one.trim() == "*")
    });
    if !has {
        headers.append(VARY, name);
    }
}
