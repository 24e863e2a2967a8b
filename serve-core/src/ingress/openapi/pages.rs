//! The built-in pages of an application: `/openapi.json`, and `/docs`, a page to read and try the
//! API.

use std::sync::{Arc, OnceLock};

use axum::body::Body;
use bytes::Bytes;
use futures::future::BoxFuture;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use http::{HeaderValue, Response};
use serde_json::Value;

use crate::ingress::endpoint::method_endpoint::Endpoint;
use crate::ingress::endpoint_info::EndpointInfo;
use crate::ingress::openapi::about::About;
use crate::ingress::openapi::document::document;
use crate::ingress::request::incoming::Incoming;

/// The policy of the page, which is self-contained and may connect only to its own origin. The
/// WebSockets of the origin are a part of it.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; \
                      img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'";

/// The page that shows the description. It is self-contained, so that it works offline.
const DOCS: &str = concat!(
    "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n",
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n",
    "<title>API</title>\n<style>\n",
    include_str!("docs/style.css"),
    "</style>\n",
    include_str!("docs/page.html"),
    "<script>\n",
    include_str!("docs/script.js"),
    include_str!("docs/requests.js"),
    "</script>\n",
);

/// A built-in page.
pub(crate) enum Page {
    /// The description, written when it is first asked for.
    Description { about: About, endpoints: Vec<Arc<EndpointInfo>>, written: OnceLock<Bytes> },
    /// The page to read and try the API.
    Docs,
}

/// Returns the pages of an application, by path.
pub(crate) fn of(
    about: About,
    endpoints: impl Iterator<Item = Arc<EndpointInfo>>,
) -> Vec<(&'static str, Page)> {
    let description =
        Page::Description { about, endpoints: endpoints.collect(), written: OnceLock::new() };
    vec![("/openapi.json", description), ("/docs", Page::Docs)]
}

/// Returns a document whose server is below the path under which a proxy publishes the port.
fn published_under(root: &str, prefix: &str, document: &Bytes) -> Bytes {
    let mut document: Value = serde_json::from_slice(document).expect("a document is JSON");
    let url = match prefix {
        "/" => root.to_owned(),
        prefix => format!("{root}{prefix}"),
    };
    document["servers"][0]["url"] = url.into();
    serde_json::to_vec_pretty(&document).expect("a JSON value is JSON").into()
}

impl Endpoint for Page {
    fn serve(self: Arc<Self>, incoming: Incoming, _: Body) -> BoxFuture<'static, Response<Body>> {
        let (content_type, body) = match &*self {
            Self::Description { about, endpoints, written } => {
                let document = written.get_or_init(|| {
                    let document = document(about, endpoints);
                    serde_json::to_vec_pretty(&document).expect("a JSON value is JSON").into()
                });
                let document = match &incoming.root {
                    Some(root) => published_under(root, &about.prefix, document),
                    None => document.clone(),
                };
                ("application/json", Body::from(document))
            }
            Self::Docs => ("text/html; charset=utf-8", Body::from(DOCS)),
        };
        let mut response = Response::new(body);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        // A redeploy may change both pages.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        if matches!(*self, Self::Docs) {
            headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
        }
        Box::pin(std::future::ready(response))
    }
}
