//! [`Access`]: who may use the admin port.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use http::header::{AUTHORIZATION, HOST, ORIGIN};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, HeaderName, Uri};
use thiserror::Error;

use super::operations::Refusal;
use crate::ingress::ApiKeys;

/// The header in which Ray's clients repeat the token for proxies that use `Authorization` themselves.
const X_RAY_AUTHORIZATION: HeaderName = HeaderName::from_static("x-ray-authorization");

/// The rules of who may use the admin port.
pub(crate) struct Access {
    token: Option<ApiKeys>,
    /// True if only this machine can reach the port.
    is_local: bool,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("token", &self.token.is_some())
            .field("is_local", &self.is_local)
            .finish()
    }
}

/// The error of an admin port that anyone could use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "the admin port would be open on {0} to everyone who can reach this machine: set a token \
     (`admin.token`, or `SERVE_TOKEN`), or listen on 127.0.0.1"
)]
pub(crate) struct AccessError(SocketAddr);

impl Access {
    /// Creates the rules of a port at an address.
    ///
    /// # Errors
    /// If the port can be reached from other machines and has no token.
    pub(crate) fn new(address: SocketAddr, token: Option<&str>) -> Result<Self, AccessError> {
        let token = token.filter(|token| !token.is_empty());
        let is_local = address.ip().to_canonical().is_loopback();
        if token.is_none() && !is_local {
            return Err(AccessError(address));
        }
        let token = token.and_then(|token| ApiKeys::of(&[token.to_owned()]));
        Ok(Self { token, is_local })
    }

    /// Checks a request. Returns a name for the one who sent it.
    ///
    /// # Errors
    /// 400 or 403 if a page of another site may have sent the request, and 401 without the token.
    pub(super) fn check(&self, head: &Parts, peer: SocketAddr) -> Result<String, Refusal> {
        let host = self.check_host(head)?;
        check_origin(&head.headers, &host)?;
        let Some(token) = &self.token else { return Ok(format!("{peer}")) };
        let mut headers = head.headers.clone();
        if let Some(repeated) = head.headers.get(X_RAY_AUTHORIZATION) {
            headers.append(AUTHORIZATION, repeated.clone());
        }
        match token.check(&headers) {
            Ok(_) => Ok(format!("{peer}, with the token")),
            Err(_) => Err(Refusal::new(
                401,
                "unauthorized",
                "the admin port needs its token: send it as `Authorization: Bearer TOKEN` \
                 (`SERVE_TOKEN` for `cargo serve`)",
            )),
        }
    }

    /// Checks the host that the request names. A page of another site can make a browser send
    /// requests to this machine under a name of its own (DNS rebinding), but not under an IP address.
    fn check_host(&self, head: &Parts) -> Result<Authority, Refusal> {
        let named = match head.uri.authority() {
            Some(authority) => Some(authority.clone()),
            None => {
                let mut hosts = head.headers.get_all(HOST).iter();
                let host = hosts.next().and_then(|host| host.to_str().ok()?.parse().ok());
                host.filter(|_| hosts.next().is_none())
            }
        };
        let bad = |message: &str| Refusal::new(400, "bad_host", message);
        let host: Authority =
            named.ok_or_else(|| bad("the request does not name one host in its `Host` header"))?;
        let name = host.host().trim_start_matches('[').trim_end_matches(']');
        let is_known = name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok();
        if self.is_local && !is_known {
            return Err(Refusal::new(
                403,
                "foreign_host",
                "the admin port of this machine is reached as `localhost` or by an IP address only",
            ));
        }
        Ok(host)
    }
}

/// Refuses requests that pages of other sites send.
fn check_origin(headers: &HeaderMap, host: &Authority) -> Result<(), Refusal> {
    for origin in headers.get_all(ORIGIN) {
        let origin = origin.to_str().ok().and_then(|origin| origin.parse::<Uri>().ok());
        let authority = origin.as_ref().and_then(Uri::authority);
        let default = match origin.as_ref().and_then(Uri::scheme_str) {
            Some("https") => 443,
            _ => 80,
        };
        let port = |authority: &Authority| authority.port_u16().unwrap_or(default);
        let is_same = |authority: &Authority| {
            authority.host().eq_ignore_ascii_case(host.host()) && port(authority) == port(host)
        };
        if !authority.is_some_and(is_same) {
            return Err(Refusal::new(
                403,
                "foreign_origin",
                "pages of other sites may not use the admin port",
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    const PEER: &str = "10.0.0.7:1234";

    fn answer(listens: &str, token: Option<&str>, headers: &[(&str, &str)]) -> u16 {
        let access = Access::new(listens.parse().expect("an address"), token).expect("allowed");
        let mut request = Request::get("/api/v1/config");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).expect("a request").into_parts();
        access.check(&head, PEER.parse().expect("an address")).map_or_else(|it| it.status, |_| 200)
    }

    #[test]
    fn beyond_this_machine_there_is_a_token() {
        let open: SocketAddr = "0.0.0.0:8265".parse().expect("an address");
        assert_eq!(Access::new(open, None).err(), Some(AccessError(open)));
        assert_eq!(Access::new(open, Some("")).err(), Some(AccessError(open)));
        assert!(Access::new(open, Some("t")).is_ok());
        for local in ["127.0.0.1:8265", "[::1]:8265", "[::ffff:127.0.0.1]:8265"] {
            assert!(Access::new(local.parse().expect("an address"), None).is_ok(), "{local}");
        }
    }

    #[test]
    fn a_request_brings_the_token() {
        let host = ("host", "10.0.0.1:8265");
        let with = |name, value| answer("0.0.0.0:8265", Some("secret"), &[host, (name, value)]);
        assert_eq!(with("accept", "*/*"), 401);
        assert_eq!(with("authorization", "Bearer wrong"), 401);
        assert_eq!(with("authorization", "Bearer secret"), 200);
        assert_eq!(with("x-ray-authorization", "Bearer secret"), 200);
    }

    #[test]
    fn pages_of_other_sites_are_refused() {
        let with = |headers: &[(&str, &str)]| answer("127.0.0.1:8265", None, headers);
        for host in ["localhost:8265", "127.0.0.1:8265", "[::1]:8265", "LOCALHOST"] {
            assert_eq!(with(&[("host", host)]), 200, "{host}");
        }
        assert_eq!(with(&[]), 400);
        assert_eq!(with(&[("host", "localhost"), ("host", "localhost")]), 400);
        assert_eq!(with(&[("host", "evil.example:8265")]), 403, "rebound to this machine");
        let origin = |origin| with(&[("host", "localhost:8265"), ("origin", origin)]);
        assert_eq!(origin("http://localhost:8265"), 200);
        for foreign in
            ["http://localhost:3000", "https://evil.example", "null", "http://127.0.0.1:8265"]
        {
            assert_eq!(origin(foreign), 403, "{foreign}");
        }
    }
}
