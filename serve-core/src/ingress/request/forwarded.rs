//! The statements of proxies about a request: the address of the client, the host and the path.

use std::borrow::Cow;
use std::net::IpAddr;

use http::HeaderMap;
use http::header::{FORWARDED, HeaderName};
use ipnet::IpNet;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");

/// The proxies whose headers are believed.
#[derive(Debug, Default)]
pub(crate) struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// Creates the set from addresses and networks that have been checked.
    pub(crate) fn new(networks: &[String]) -> Self {
        Self(networks.iter().filter_map(|text| network(text)).collect())
    }

    fn contains(&self, address: IpAddr) -> bool {
        // A socket for both families shows an IPv4 peer as an IPv6 address.
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// Parses an address, or a network such as `10.0.0.0/8`.
fn network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse().ok().map(|address: IpAddr| IpNet::from(address)))
}

/// A request as its sender has made it, before proxies passed it on.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Forwarded<'h> {
    /// The address of the client; `None` if the request came without a socket.
    pub(crate) client: Option<IpAddr>,
    /// The host that the client has named to the first proxy.
    pub(crate) host: Option<Cow<'h, str>>,
    /// The path under which the proxy publishes the port, without a slash at the end.
    pub(crate) prefix: Option<&'h str>,
}

impl<'h> Forwarded<'h> {
    /// Reads the headers of a request that came from `peer`. A header counts only if a trusted proxy
    /// sent it. `Forwarded` (RFC 7239) wins over its older relatives.
    pub(crate) fn of(
        headers: &'h HeaderMap,
        peer: Option<IpAddr>,
        trusted: &TrustedProxies,
    ) -> Self {
        let Some(peer) = peer.filter(|peer| trusted.contains(*peer)) else {
            return Self { client: peer, ..Self::default() };
        };
        let prefix = last(headers, &X_FORWARDED_PREFIX)
            .map(|prefix| prefix.trim_end_matches('/'))
            .filter(|prefix| is_path(prefix));
        let mut steps: Vec<Step<'_>> = Vec::new();
        for header in headers.get_all(FORWARDED) {
            steps.extend(header.to_str().ok().into_iter().flat_map(elements).map(Step::parse));
        }
        if !steps.is_empty() {
            let (client, step) = sender(peer, &steps, trusted);
            return Self {
                client: Some(client),
                host: step.and_then(|it| it.host.clone()),
                prefix,
            };
        }
        for header in headers.get_all(X_FORWARDED_FOR) {
            let addresses = header.to_str().ok().into_iter().flat_map(|text| text.split(','));
            steps.extend(addresses.map(|node| Step { from: address(node.trim()), host: None }));
        }
        let (client, _) = sender(peer, &steps, trusted);
        let host = last(headers, &X_FORWARDED_HOST).map(Cow::Borrowed);
        Self { client: Some(client), host, prefix }
    }
}

/// One element of `Forwarded`: what one proxy knew about its own peer.
struct Step<'h> {
    from: Option<IpAddr>,
    host: Option<Cow<'h, str>>,
}

impl<'h> Step<'h> {
    fn parse(element: &'h str) -> Self {
        let mut step = Self { from: None, host: None };
        for pair in parts(element, ';') {
            let Some((name, value)) = pair.split_once('=') else { continue };
            let value = unquoted(value.trim());
            match name.trim() {
                name if name.eq_ignore_ascii_case("for") => step.from = address(&value),
                name if name.eq_ignore_ascii_case("host") => step.host = Some(value),
                _ => {}
            }
        }
        step
    }
}

/// Returns the last peer in the chain of proxies that is not a trusted proxy itself, and the step
/// that names it. Everything before that peer may be invented.
fn sender<'s, 'h>(
    peer: IpAddr,
    steps: &'s [Step<'h>],
    trusted: &TrustedProxies,
) -> (IpAddr, Option<&'s Step<'h>>) {
    let mut known = (peer, None);
    for step in steps.iter().rev() {
        // A proxy may hide its peer (`for=unknown`): then the proxy is all that is known.
        let Some(from) = step.from else { return (known.0, Some(step)) };
        known = (from, Some(step));
        if !trusted.contains(from) {
            break;
        }
    }
    known
}

/// Parses the address of a node: `192.0.2.1`, `192.0.2.1:80`, `[2001:db8::1]:80` or `2001:db8::1`.
fn address(node: &str) -> Option<IpAddr> {
    if let Ok(address) = node.parse() {
        return Some(address);
    }
    if let Some(rest) = node.strip_prefix('[') {
        return rest.split_once(']')?.0.parse().ok();
    }
    node.split_once(':')?.0.parse().ok()
}

/// True for a path that can be put before others.
fn is_path(path: &str) -> bool {
    path.starts_with('/')
        && !path.starts_with("//")
        && path.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"<>\\^`{|}?#".contains(&byte))
}

/// Returns the value that the nearest proxy has set.
fn last<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let value = headers.get_all(name).iter().next_back()?.to_str().ok()?;
    value.rsplit(',').next().map(str::trim).filter(|value| !value.is_empty())
}

fn elements(header: &str) -> impl Iterator<Item = &str> {
    parts(header, ',')
}

/// Splits a text where a separator stands outside of quotes.
fn parts(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |character| {
        let splits = character == separator && !quoted;
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
        splits
    })
}

fn unquoted(value: &str) -> Cow<'_, str> {
    let Some(inner) = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return Cow::Borrowed(value);
    };
    if !inner.contains('\\') {
        return Cow::Borrowed(inner);
    }
    let mut escaped = false;
    let text = inner.chars().filter(|character| {
        escaped = *character == '\\' && !escaped;
        !escaped
    });
    Cow::Owned(text.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn forwarded<'h>(headers: &'h HeaderMap, peer: &str) -> Forwarded<'h> {
        let trusted = TrustedProxies::new(&["10.0.0.0/8".into(), "::1".into()]);
        Forwarded::of(headers, Some(peer.parse().expect("an address")), &trusted)
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers
    }

    fn client(pairs: &[(&'static str, &'static str)], peer: &str) -> String {
        forwarded(&headers(pairs), peer).client.expect("a socket").to_string()
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        let said = [("x-forwarded-for", "192.0.2.1"), ("x-forwarded-host", "a.example")];
        assert_eq!(client(&said, "198.51.100.1"), "198.51.100.1");
        assert_eq!(forwarded(&headers(&said), "198.51.100.1").host, None);
        assert_eq!(client(&said, "10.1.2.3"), "192.0.2.1");
        assert_eq!(client(&said, "::ffff:10.1.2.3"), "192.0.2.1", "one socket for both families");
        assert_eq!(forwarded(&headers(&said), "10.1.2.3").host.as_deref(), Some("a.example"));
        assert_eq!(client(&[], "10.1.2.3"), "10.1.2.3");
    }

    #[test]
    fn the_client_is_the_last_peer_that_is_not_trusted() {
        let chain = [("x-forwarded-for", "1.1.1.1, 192.0.2.1, 10.0.0.9")];
        assert_eq!(client(&chain, "10.1.2.3"), "192.0.2.1", "the first address may be invented");
        let lines = [("x-forwarded-for", "192.0.2.1"), ("x-forwarded-for", "10.0.0.9")];
        assert_eq!(client(&lines, "10.1.2.3"), "192.0.2.1");
        assert_eq!(client(&[("x-forwarded-for", "10.0.0.1")], "10.1.2.3"), "10.0.0.1");
        assert_eq!(client(&[("x-forwarded-for", "unknown")], "10.1.2.3"), "10.1.2.3");
        assert_eq!(client(&[("x-forwarded-for", "")], "10.1.2.3"), "10.1.2.3");
    }

    #[test]
    fn the_standard_header_wins() {
        let both = [
            ("forwarded", "for=\"[2001:db8::1]:4711\";proto=https;Host=\"a, \\\"b\", for=10.0.0.9"),
            ("x-forwarded-for", "192.0.2.1"),
        ];
        let headers = headers(&both);
        let forwarded = forwarded(&headers, "::1");
        assert_eq!(forwarded.client, "2001:db8::1".parse().ok());
        assert_eq!(forwarded.host.as_deref(), Some("a, \"b"));
        assert_eq!(client(&[("forwarded", "for=192.0.2.1:80")], "::1"), "192.0.2.1");
        assert_eq!(client(&[("forwarded", "for=_hidden")], "::1"), "::1");
    }

    #[test]
    fn a_prefix_is_a_path() {
        let prefix = |value: &'static str| {
            let headers = headers(&[("x-forwarded-prefix", value)]);
            forwarded(&headers, "::1").prefix.map(str::to_owned)
        };
        assert_eq!(prefix("/api/"), Some("/api".to_owned()));
        for invalid in ["api", "//evil.example", "/<script>", "/a b", "/", ""] {
            assert_eq!(prefix(invalid), None, "{invalid}");
        }
    }
}
