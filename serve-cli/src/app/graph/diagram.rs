//! The parts of a graph that are drawn.

use std::ops::RangeInclusive;

use serve_core::dynamic::{Graph, GraphNode};
use serve_core::routing::RequestRouting;

/// The boxes and arrows of a drawing, before they are placed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Diagram {
    /// The name of the application.
    pub(crate) title: String,
    /// The HTTP endpoints of the ingress, such as `POST /`. With `#[routes]`, the last is `ANY /*`.
    pub(crate) endpoints: Vec<String>,
    /// The deployments: the ingress first, callers before callees.
    pub(crate) nodes: Vec<Node>,
}

/// One deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) name: String,
    /// The number of replicas: both bounds are equal unless the deployment is autoscaled.
    pub(crate) replicas: RangeInclusive<usize>,
    /// The request router, if it is not the default.
    pub(crate) routing: Option<String>,
    /// The indices of the nodes that this node calls, all of them greater than its own.
    pub(crate) calls: Vec<usize>,
}

impl Diagram {
    /// Creates the diagram of an application's graph.
    pub(crate) fn of(title: &str, graph: &Graph) -> Self {
        let place = |name: &String| graph.deployments.iter().position(|node| node.name == *name);
        let ingress = || graph.deployments.iter().filter(|node| node.ingress);
        let endpoints =
            ingress().flat_map(|node| &node.methods).filter_map(|method| method.endpoint);
        let routes = ingress().filter_map(|node| node.routes).map(|_| ("ANY", "/*"));
        Self {
            title: title.to_owned(),
            endpoints: endpoints
                .chain(routes)
                .map(|(verb, path)| {
                    format!("{verb} {}", route(graph.route_prefix.as_deref(), path))
                })
                .collect(),
            nodes: graph
                .deployments
                .iter()
                .map(|node| Node {
                    name: node.name.clone(),
                    replicas: replicas(node),
                    routing: routing(node),
                    calls: node.calls.iter().filter_map(place).collect(),
                })
                .collect(),
        }
    }
}

impl Node {
    /// Describes the replicas: `1 replica`, `3 replicas, round_robin`,
    /// `1..10 replicas (autoscaled)`.
    pub(crate) fn replicas(&self) -> String {
        let (least, most) = (self.replicas.start(), self.replicas.end());
        let replicas = match (least, most) {
            (1, 1) => "1 replica".to_owned(),
            (least, most) if least == most => format!("{most} replicas"),
            (least, most) => format!("{least}..{most} replicas (autoscaled)"),
        };
        match &self.routing {
            Some(routing) => format!("{replicas}, {routing}"),
            None => replicas,
        }
    }
}

fn replicas(node: &GraphNode) -> RangeInclusive<usize> {
    match &node.autoscaling {
        Some(autoscaling) => autoscaling.min_replicas..=autoscaling.max_replicas,
        None => node.num_replicas..=node.num_replicas,
    }
}

/// Returns the name of the request router, or `None` for the default. A custom router is named
/// by its type, without the path.
fn routing(node: &GraphNode) -> Option<String> {
    let routing = &node.request_router;
    let short = routing.rsplit("::").next().unwrap_or(routing);
    (*routing != RequestRouting::default().to_string()).then(|| short.to_owned())
}

/// Returns the path of an endpoint under its application's prefix.
pub(crate) fn route(prefix: Option<&str>, path: &str) -> String {
    let prefix = prefix.unwrap_or_default().trim_end_matches('/');
    match (prefix, path) {
        ("", path) => path.to_owned(),
        (prefix, "/") => prefix.to_owned(),
        (prefix, path) => format!("{prefix}{path}"),
    }
}

#[cfg(test)]
pub(crate) mod samples {
    use super::*;

    fn node(name: &str, replicas: usize, calls: &[usize]) -> Node {
        let (name, calls) = (name.to_owned(), calls.to_vec());
        Node { name, replicas: replicas..=replicas, routing: None, calls }
    }

    /// An ingress with two responders.
    pub(crate) fn greeter() -> Diagram {
        Diagram {
            title: "hello:language_classifier".to_owned(),
            endpoints: vec!["POST /".to_owned()],
            nodes: vec![
                node("LanguageClassifier", 1, &[1, 2]),
                node("SpanishResponder", 3, &[]),
                node("FrenchResponder", 1, &[]),
            ],
        }
    }

    /// A graph with a shared deployment, a call that skips a tier, and names that need escaping.
    pub(crate) fn search() -> Diagram {
        Diagram {
            title: "shop:search".to_owned(),
            endpoints: vec!["GET /search".to_owned(), "POST /feedback".to_owned()],
            nodes: vec![
                node("Search", 2, &[1, 2, 5]),
                node("Retriever", 4, &[3, 4]),
                node("Ranker<\"v2\"> & co", 2, &[3, 5]),
                node("Embedder", 8, &[5]),
                node("VectorIndex", 2, &[]),
                node("FeatureStore", 1, &[]),
            ],
        }
    }

    /// A single deployment without HTTP.
    pub(crate) fn alone() -> Diagram {
        Diagram {
            title: "math:adder".to_owned(),
            endpoints: Vec::new(),
            nodes: vec![node("Adder", 1, &[])],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_are_told_with_their_bounds_and_their_router() {
        let said = |replicas, routing: Option<&str>| {
            let name = "Adder".to_owned();
            let routing = routing.map(str::to_owned);
            Node { name, replicas, routing, calls: Vec::new() }.replicas()
        };
        assert_eq!(said(1..=1, None), "1 replica");
        assert_eq!(said(3..=3, Some("round_robin")), "3 replicas, round_robin");
        assert_eq!(said(0..=10, None), "0..10 replicas (autoscaled)");
        assert_eq!(said(1..=10, Some("Mine")), "1..10 replicas (autoscaled), Mine");
    }

    #[test]
    fn a_path_is_found_under_the_prefix() {
        assert_eq!(route(Some("/"), "/"), "/");
        assert_eq!(route(Some("/"), "/search"), "/search");
        assert_eq!(route(Some("/math"), "/"), "/math");
        assert_eq!(route(Some("/math"), "/add/{n}"), "/math/add/{n}");
        assert_eq!(route(None, "/add"), "/add");
    }
}
