//! The compression of answers, as the client accepts.

use axum::body::{Body, HttpBody as _};
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE,
    ETAG,
};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};

use super::coding::Coding;
use super::cors::add_vary;
#[cfg(feature = "compression")]
use super::encoded_body::encoded;

/// The size up to which a body is sent as it is: it would hardly become smaller than one packet.
const SMALLEST: u64 = 1024;

/// Compresses an answer if the client accepts it and the answer is fit for it.
pub(crate) fn compressed(mut response: Response<Body>, coding: Option<Coding>) -> Response<Body> {
    if !is_fit(&response) {
        return response;
    }
    // Caches keep the answers apart, also the one that is sent as it is.
    add_vary(response.headers_mut(), HeaderValue::from_name(ACCEPT_ENCODING));
    let Some(coding) = coding else { return response };
    // The answer to `HEAD` has no body here.
    if is_small(&response) || response.body().is_end_stream() {
        return response;
    }
    let headers = response.headers_mut();
    headers.remove(CONTENT_LENGTH);
    headers.remove(HeaderName::from_static("accept-ranges"));
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
    weaken(headers);
    #[cfg(feature = "compression")]
    let response = response.map(|body| encoded(body, coding));
    response
}

fn is_small(response: &Response<Body>) -> bool {
    let length = response.body().size_hint().exact();
    length.is_some_and(|length| length <= SMALLEST)
}

fn is_fit(response: &Response<Body>) -> bool {
    let headers = response.headers();
    let bodiless = [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED, StatusCode::PARTIAL_CONTENT];
    let no_transform = headers.get_all(CACHE_CONTROL).iter().any(|value| {
        value.to_str().is_ok_and(|value| value.to_ascii_lowercase().contains("no-transform"))
    });
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    !bodiless.contains(&response.status())
        && !headers.contains_key(CONTENT_ENCODING)
        && !headers.contains_key(CONTENT_RANGE)
        && !no_transform
        && content_type.is_some_and(is_compressible)
}

/// True for text in a wide sense. Events of a server are not compressed: proxies and clients pass them
/// on one by one.
fn is_compressible(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let known = [
        "application/json",
        "application/x-ndjson",
        "application/javascript",
        "application/xml",
        "application/wasm",
        "application/yaml",
        "image/svg+xml",
    ];
    (essence.starts_with("text/") && essence != "text/event-stream")
        || essence.ends_with("+json")
        || essence.ends_with("+xml")
        || known.contains(&&*essence)
}

/// Makes a strong `ETag` a weak one: the compressed answer has other bytes.
fn weaken(headers: &mut HeaderMap) {
    let Some(tag) = headers.get(ETAG).filter(|tag| !tag.as_bytes().starts_with(b"W/")) else {
        return;
    };
    if let Ok(weak) = HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat()) {
        headers.insert(ETAG, weak);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_compressible_and_events_are_not() {
        for fit in ["text/plain; charset=utf-8", "application/json", "application/problem+json"] {
            assert!(is_compressible(fit), "{fit}");
        }
        for unfit in
            ["text/event-stream", "image/png", "application/grpc", "application/octet-stream"]
        {
            assert!(!is_compressible(unfit), "{unfit}");
        }
    }
}
