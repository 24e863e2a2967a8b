//! The banner of a running application: its graph and its addresses.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use serve_core::dynamic::Graph;

use super::graph::{Diagram, route, tree};
use crate::output::{FAINT, LITERAL};

/// The note for an application without endpoints, or without a route to them.
const NOT_REACHED: &str = "No HTTP endpoints. Call the application with `cargo serve call`.";

/// The banner, which `run` prints through `Display`.
#[derive(Debug)]
pub(super) struct Banner {
    applications: Vec<Part>,
    /// The address that is listened on.
    address: SocketAddr,
    /// `http` or `https`.
    scheme: &'static str,
    /// The address of the admin port, if it is open.
    admin: Option<SocketAddr>,
}

/// The part of a banner that shows one application.
#[derive(Debug)]
struct Part {
    tree: String,
    /// The endpoints; empty if the application is not reachable over HTTP.
    endpoints: Vec<Endpoint>,
    /// The path of the page that describes the endpoints.
    docs: String,
}

#[derive(Debug)]
struct Endpoint {
    /// The HTTP method, such as `GET`, or `ANY` for `#[routes]`.
    verb: &'static str,
    path: String,
    /// The deployment and its method, such as `LanguageClassifier.greet`.
    method: String,
    /// True if a request needs no parameters.
    plain: bool,
}

impl Banner {
    pub(super) fn new(
        graphs: &[(String, Graph)],
        address: SocketAddr,
        has_tls: bool,
        admin: Option<SocketAddr>,
    ) -> Self {
        let scheme = if has_tls { "https" } else { "http" };
        let applications = graphs.iter().map(|(name, graph)| Part::new(name, graph)).collect();
        Self { applications, address, scheme, admin }
    }

    /// Returns the URL of the page to open: the first `GET` endpoint that needs no parameters,
    /// or the root of `#[routes]`, or else `/docs`. `None` if the application has no endpoints.
    pub(super) fn front_page(&self) -> Option<String> {
        let opens =
            |endpoint: &&Endpoint| endpoint.plain && ["GET", "ANY"].contains(&endpoint.verb);
        let page = self.endpoints().find(opens).map(|endpoint| endpoint.path.as_str());
        page.or_else(|| self.docs().next()).map(|page| self.url(page))
    }

    /// Returns true if the application is not reachable over HTTP. It then has no `/docs` either.
    fn is_silent(&self) -> bool {
        self.endpoints().next().is_none()
    }

    /// Returns the paths of the pages that describe endpoints.
    fn docs(&self) -> impl Iterator<Item = &str> {
        let reached = self.applications.iter().filter(|it| !it.endpoints.is_empty());
        reached.map(|application| application.docs.as_str())
    }

    fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        self.applications.iter().flat_map(|application| &application.endpoints)
    }

    /// Returns true if other machines may reach the application.
    fn is_open(&self) -> bool {
        !self.address.ip().to_canonical().is_loopback()
    }

    fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, reachable(self.address))
    }
}

impl Part {
    fn new(name: &str, graph: &Graph) -> Self {
        let diagram = Diagram { endpoints: Vec::new(), ..Diagram::of(name, graph) };
        let ingress = graph.deployments.iter().filter(|node| node.ingress);
        let endpoints = ingress.flat_map(|node| {
            let typed = node.methods.iter().filter_map(|method| {
                Some((method.endpoint?, method.name, method.param_names.is_empty()))
            });
            let routes = node.routes.map(|name| (("ANY", "/"), name, true));
            typed.chain(routes).filter_map(|((verb, path), method, plain)| {
                Some(Endpoint {
                    verb,
                    path: route(Some(graph.route_prefix.as_deref()?), path),
                    method: format!("{}.{method}", node.name),
                    plain,
                })
            })
        });
        let docs = route(Some(graph.route_prefix.as_deref().unwrap_or("/")), "/docs");
        Self { tree: tree(&diagram), endpoints: endpoints.collect(), docs }
    }
}

impl fmt::Display for Banner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for application in &self.applications {
            writeln!(f)?;
            for line in application.tree.lines() {
                writeln!(f, "  {line}")?;
            }
        }
        writeln!(f)?;
        if self.is_silent() {
            writeln!(f, "  {NOT_REACHED}\n")?;
        }
        let docs = self.docs().map(|docs| ("docs", self.url(docs), ""));
        let admin = self.admin.map(|admin| ("admin", format!("http://{}", reachable(admin)), ""));
        let rows: Vec<(&str, String, &str)> = self
            .endpoints()
            .map(|endpoint| (endpoint.verb, self.url(&endpoint.path), endpoint.method.as_str()))
            .chain(docs)
            .chain([("health", self.url("/-/healthz"), "")])
            .chain(admin)
            .collect();
        let widest = rows.iter().map(|(_, url, _)| url.chars().count()).max().unwrap_or_default();
        for (what, url, about) in rows {
            write!(f, "  {what:<8}{LITERAL}{url}{LITERAL:#}")?;
            if !about.is_empty() {
                let padding = " ".repeat(widest - url.chars().count());
                write!(f, "{padding}  {FAINT}{about}{FAINT:#}")?;
            }
            writeln!(f)?;
        }
        let address = self.address;
        let listening = match self.is_open() {
            true => format!("Listening on {address}, open to everyone who can reach this machine."),
            false => format!("{FAINT}Listening on {address}, for this machine only.{FAINT:#}"),
        };
        write!(f, "\n  {listening}\n  {FAINT}Press Ctrl-C to stop.{FAINT:#}\n")
    }
}

/// Returns the address to connect to for an address that is listened on: an unspecified IP
/// address becomes localhost.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn banner(address: &str) -> Banner {
        let endpoint = |verb, path: &str, method: &str| Endpoint {
            verb,
            path: path.to_owned(),
            method: format!("Ingress.{method}"),
            plain: ["results", "routes"].contains(&method),
        };
        let address: SocketAddr = address.parse().expect("an address");
        Banner {
            applications: vec![Part {
                tree: "Ingress      1 replica\n└─ Adder     3 replicas\n".to_owned(),
                endpoints: vec![
                    endpoint("POST", "/math", "add"),
                    endpoint("GET", "/math/{id}", "result"),
                    endpoint("GET", "/math/all", "results"),
                    endpoint("ANY", "/math", "routes"),
                ],
                docs: "/math/docs".to_owned(),
            }],
            admin: "127.0.0.1:8265".parse().ok(),
            address,
            scheme: "http",
        }
    }

    #[test]
    fn graph_routes_and_addresses() {
        let banner = banner("0.0.0.0:8000").to_string();
        insta::assert_snapshot!(anstream::adapter::strip_str(&banner), @"

        Ingress      1 replica
        └─ Adder     3 replicas

        POST    http://127.0.0.1:8000/math       Ingress.add
        GET     http://127.0.0.1:8000/math/{id}  Ingress.result
        GET     http://127.0.0.1:8000/math/all   Ingress.results
        ANY     http://127.0.0.1:8000/math       Ingress.routes
        docs    http://127.0.0.1:8000/math/docs
        health  http://127.0.0.1:8000/-/healthz
        admin   http://127.0.0.1:8265

        Listening on 0.0.0.0:8000, open to everyone who can reach this machine.
        Press Ctrl-C to stop.
        ");
    }

    #[test]
    fn an_address_that_others_reach_says_so() {
        let open = ["0.0.0.0:80", "[::]:80", "192.168.1.5:80", "[2001:db8::1]:80"];
        let closed = ["127.0.0.1:80", "127.8.8.8:80", "[::1]:80", "[::ffff:127.0.0.1]:80"];
        for address in open.iter().chain(&closed) {
            let shown = banner(address).to_string();
            assert!(shown.contains(&format!("Listening on {address}, ")), "{shown}");
            assert_eq!(shown.contains("open to everyone"), open.contains(address), "{address}");
        }
    }

    #[test]
    fn a_port_with_tls_has_https_addresses() {
        let banner = Banner { scheme: "https", admin: None, ..banner("0.0.0.0:8443") };
        let shown = banner.to_string();
        assert!(
            shown.contains("https://127.0.0.1:8443/math/docs") && !shown.contains("http://"),
            "{shown}"
        );
    }

    #[test]
    fn the_page_to_open_is_one_a_browser_can_get() {
        let page = |banner: &Banner| banner.front_page().expect("there are pages");
        assert_eq!(page(&banner("127.0.0.1:80")), "http://127.0.0.1:80/math/all");
        let mut banner = banner("127.0.0.1:80");
        banner.applications[0].endpoints.retain(|endpoint| endpoint.verb != "GET");
        assert_eq!(page(&banner), "http://127.0.0.1:80/math");
        let mut banner = self::banner("[::]:8000");
        banner.applications[0].endpoints.retain(|endpoint| endpoint.verb == "POST");
        assert_eq!(page(&banner), "http://[::1]:8000/math/docs");
    }

    #[test]
    fn without_endpoints_no_page_is_named_that_is_not_there() {
        let mut silent = banner("127.0.0.1:8000");
        silent.applications[0].endpoints.clear();
        assert_eq!(silent.front_page(), None);
        let silent = silent.to_string();
        insta::assert_snapshot!(anstream::adapter::strip_str(&silent), @"

        Ingress      1 replica
        └─ Adder     3 replicas

        No HTTP endpoints. Call the application with `cargo serve call`.

        health  http://127.0.0.1:8000/-/healthz
        admin   http://127.0.0.1:8265

        Listening on 127.0.0.1:8000, for this machine only.
        Press Ctrl-C to stop.
        ");
    }
}
