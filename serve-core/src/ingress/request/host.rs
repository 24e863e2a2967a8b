//! The host that a request names, and the page that it comes from.

use http::header::{HOST, ORIGIN, UPGRADE};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Method, Uri, Version};

use crate::ingress::request::body::is_sent_as_json;
use crate::ingress::request::forwarded::Forwarded;
use crate::ingress::response::http_error::HttpError;

/// Checks the `Host` header of a request from a socket (RFC 9112, section 3.2): HTTP/1.1 needs one,
/// no request may have two, and it has to be a host with an optional port.
pub(crate) fn check_host(headers: &HeaderMap, version: Version) -> Result<(), HttpError> {
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(_), Some(_)) => {
            Err(HttpError::bad_host("the request has several `Host` headers, expected one"))
        }
        (Some(host), None) if !is_host(host) => {
            Err(HttpError::bad_host("the `Host` header is not a host with an optional port"))
        }
        (None, _) if version == Version::HTTP_11 => {
            Err(HttpError::bad_host("the request has no `Host` header"))
        }
        _ => Ok(()),
    }
}

fn is_host(host: &HeaderValue) -> bool {
    let Ok(host) = host.to_str() else { return false };
    if is_plain(host) {
        return true;
    }
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host();
    let Some(port) = host.strip_prefix(name) else { return false };
    let has_port = match port.strip_prefix(':') {
        Some(port) => port.is_empty() || is_port(port),
        None => port.is_empty(),
    };
    !name.is_empty() && has_port && !host.contains('@')
}

/// True for a name and a port as most requests have them. Only an optimization.
fn is_plain(host: &str) -> bool {
    let (name, port) = host.split_once(':').unwrap_or((host, "80"));
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    !name.is_empty() && name.bytes().all(plain) && is_port(port)
}

fn is_port(port: &str) -> bool {
    // `parse` alone would take a sign.
    port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok()
}

/// Checks the `Origin` header, by which a browser names the page that a request comes from. Pages of
/// other hosts may not open WebSockets, and may not send what a browser sends for any page without
/// asking first: requests that change something, unless they are sent as JSON, or the application
/// trusts the origin.
pub(crate) fn check_origin(
    head: &Parts,
    forwarded: &Forwarded<'_>,
    trusts: impl Fn(&HeaderValue) -> bool,
) -> Result<(), HttpError> {
    if !head.headers.contains_key(ORIGIN) || !needs_same_origin(head) {
        return Ok(());
    }
    let host = named_host(head, forwarded);
    for origin in head.headers.get_all(ORIGIN) {
        if !host.is_some_and(|host| is_of_host(origin, host)) && !trusts(origin) {
            return Err(HttpError::foreign_origin(origin, host));
        }
    }
    Ok(())
}

/// Returns the host that the client has named, with its port.
fn named_host<'h>(head: &'h Parts, forwarded: &'h Forwarded<'_>) -> Option<&'h str> {
    match (&forwarded.host, head.uri.authority()) {
        (Some(host), _) => Some(host),
        (None, Some(authority)) => Some(authority.as_str()),
        (None, None) => head.headers.get(HOST).and_then(|host| host.to_str().ok()),
    }
}

/// Checks that the host which the client has named is one of those allowed, if any are listed.
pub(crate) fn check_allowed(
    head: &Parts,
    forwarded: &Forwarded<'_>,
    allowed: &[String],
) -> Result<(), HttpError> {
    if allowed.is_empty() {
        return Ok(());
    }
    let host = named_host(head, forwarded).unwrap_or_default();
    let name = host.parse::<Authority>();
    let name = name.as_ref().map_or("", |authority| authority.host());
    if !name.is_empty() && allowed.iter().any(|allowed| allows(allowed, name)) {
        return Ok(());
    }
    Err(HttpError::misdirected(host))
}

/// True if `allowed` is the host itself, `*`, or `*.` and a domain of the host.
fn allows(allowed: &str, host: &str) -> bool {
    let bare = |host: &str| host.trim_end_matches('.').to_ascii_lowercase();
    let (allowed, host) = (bare(allowed), bare(host));
    match allowed.strip_prefix('*') {
        Some("") => true,
        Some(domain) => {
            domain.starts_with('.') && host.len() > domain.len() && host.ends_with(domain)
        }
        None => allowed == host || format!("[{allowed}]") == host,
    }
}

fn needs_same_origin(head: &Parts) -> bool {
    let safe = [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE].contains(&head.method);
    opens_websocket(&head.headers) || !(safe || is_sent_as_json(&head.headers))
}

fn opens_websocket(headers: &HeaderMap) -> bool {
    let values = headers.get_all(UPGRADE).iter().filter_map(|value| value.to_str().ok());
    let mut protocols = values.flat_map(|value| value.split(',')).map(str::trim);
    protocols.any(|protocol| protocol.eq_ignore_ascii_case("websocket"))
}

/// True if a page of this origin was served by this host. A port that is left out is that of the
/// origin's scheme: behind a proxy with TLS, the connection itself does not say which port is meant.
fn is_of_host(origin: &HeaderValue, host: &str) -> bool {
    let Some(origin) = origin.to_str().ok().and_then(|origin| origin.parse::<Uri>().ok()) else {
        return false;
    };
    let default = match origin.scheme_str() {
        Some("http") => 80,
        Some("https") => 443,
        _ => return false,
    };
    let (Some(origin), Ok(host)) = (origin.authority(), host.parse::<Authority>()) else {
        return false;
    };
    let port = |authority: &Authority| authority.port_u16().unwrap_or(default);
    origin.host().eq_ignore_ascii_case(host.host()) && port(origin) == port(&host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_a_name_and_at_most_a_port() {
        for host in
            ["here", "here:80", "a.example:", "127.0.0.1:8000", "[::1]", "[::1]:8000", "a_b"]
        {
            assert!(is_host(&HeaderValue::from_str(host).unwrap()), "{host}");
        }
        let invalid = [
            "",
            " ",
            "a b",
            "a/b",
            "a?b",
            "a#b",
            "user@here",
            "a:b",
            "a:99999",
            "a:+80",
            "a:-1",
            ":80",
            "[::1",
            "a,b c",
        ];
        for host in invalid {
            assert!(!is_host(&HeaderValue::from_str(host).unwrap()), "{host}");
        }
        assert!(!is_host(&HeaderValue::from_bytes(b"h\xff").unwrap()));
    }

    #[test]
    fn hosts_are_allowed_by_name_or_by_domain() {
        for (allowed, host) in [
            ("a.example", "A.example"),
            ("a.example", "a.example."),
            ("*.example", "a.example"),
            ("*.example", "b.a.example"),
            ("*", "anything"),
            ("::1", "[::1]"),
            ("[::1]", "[::1]"),
            ("127.0.0.1", "127.0.0.1"),
        ] {
            assert!(allows(allowed, host), "{allowed} {host}");
        }
        for (allowed, host) in [
            ("a.example", "b.a.example"),
            ("*.example", "example"),
            ("*.example", ".example"),
            ("*.example", "badexample"),
            ("*example", "badexample"),
            ("", ""),
        ] {
            assert!(host.is_empty() || !allows(allowed, host), "{allowed} {host}");
        }
    }

    #[test]
    fn an_origin_is_compared_by_host_and_port() {
        let same = |origin, host| is_of_host(&HeaderValue::from_static(origin), host);
        assert!(same("http://here", "here"));
        assert!(same("https://Here", "here:443"));
        assert!(same("http://here:8000", "HERE:8000"));
        assert!(same("http://[::1]:8000", "[::1]:8000"));
        assert!(same("http://here:80", "here"));
        for (origin, host) in [
            ("null", "here"),
            ("http://there", "here"),
            ("http://here.there", "here"),
            ("http://here:3000", "here:8000"),
            ("http://here", "here:8000"),
            ("https://here", "here:80"),
            ("file://", "here"),
            ("here", "here"),
            ("", "here"),
            ("http://here", ""),
        ] {
            assert!(!same(origin, host), "{origin} of {host}");
        }
    }
}
