//! [`Handshake`]: the request that opens a WebSocket (RFC 6455, section 4.2).

use axum::body::Body;
use http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Version};
use hyper::upgrade::OnUpgrade;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::ingress::response::http_error::HttpError;

/// A request that opens a WebSocket.
pub(crate) struct Handshake {
    /// The connection, once the response has been sent.
    pub(super) upgrade: OnUpgrade,
    accept: HeaderValue,
    /// The subprotocols that the client offers, in the order of its preference.
    pub(super) offered: Vec<HeaderValue>,
    pub(super) chosen: Option<HeaderValue>,
}

impl Handshake {
    /// Takes the handshake out of a request. Returns a response with status 426 if the request opens
    /// no WebSocket.
    pub(crate) fn of(head: &mut Parts) -> Result<Self, Box<Response<Body>>> {
        let refused = |message: &str| Err(Box::new(refusal(head.version, message)));
        if head.version > Version::HTTP_11 {
            return refused("a WebSocket needs HTTP/1.1, and this request came with HTTP/2");
        }
        if head.method != Method::GET {
            return refused("a WebSocket is opened by a GET request");
        }
        if !has_token(&head.headers, &CONNECTION, "upgrade")
            || !has_token(&head.headers, &UPGRADE, "websocket")
        {
            return refused(
                "this endpoint is a WebSocket: expected `Connection: upgrade` and `Upgrade: websocket`",
            );
        }
        if head.headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
            return refused("expected `Sec-WebSocket-Version: 13`");
        }
        let Some(key) = head.headers.get(SEC_WEBSOCKET_KEY) else {
            return refused("the header `Sec-WebSocket-Key` is missing");
        };
        let accept = HeaderValue::try_from(derive_accept_key(key.as_bytes()))
            .expect("base64 is visible ASCII");
        let offered = tokens(&head.headers, &SEC_WEBSOCKET_PROTOCOL)
            .filter_map(|protocol| HeaderValue::from_str(protocol).ok())
            .collect();
        let Some(upgrade) = head.extensions.remove::<OnUpgrade>() else {
            return refused(
                "a WebSocket needs a connection of its own; in a test, open it with \
                 `runtime.http().websocket(..)`",
            );
        };
        Ok(Self { upgrade, accept, offered, chosen: None })
    }

    /// Returns the response that opens the WebSocket, and the connection that it is opened on.
    pub(super) fn accepted(self) -> (Response<Body>, OnUpgrade) {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_ACCEPT, self.accept);
        if let Some(protocol) = self.chosen {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, protocol);
        }
        (response, self.upgrade)
    }
}

/// A response with status 426, which says what was expected.
fn refusal(version: Version, message: &str) -> Response<Body> {
    let error = HttpError::of_status(StatusCode::UPGRADE_REQUIRED, message.to_owned());
    let mut response = error.with_code("upgrade_required").into_response();
    let headers = response.headers_mut();
    headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    // HTTP/2 has no such headers.
    if version <= Version::HTTP_11 {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    }
    response
}

fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    tokens(headers, name).any(|one| one.eq_ignore_ascii_case(token))
}
