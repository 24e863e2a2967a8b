//! What is drawn of a graph.

use serve_core::application::Graph;

/// Boxes and arrows, before they have a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Diagram {
    /// The application.
    pub(crate) title: String,
    /// The HTTP endpoints of the ingress: `POST /`.
    pub(crate) endpoints: Vec<String>,
    /// The ingress first, callers before callees.
    pub(crate) nodes: Vec<Node>,
}

/// One deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) replicas: usize,
    /// The nodes it calls, by their places in the diagram; all after its own.
    pub(crate) calls: Vec<usize>,
}

impl Diagram {
    /// The diagram of an application's graph.
    pub(crate) fn of(title: &str, graph: &Graph) -> Self {
        let place = |name: &String| graph.deployments.iter().position(|node| node.name == *name);
        let ingress = graph.deployments.iter().filter(|node| node.ingress);
        let endpoints = ingress.flat_map(|node| &node.methods).filter_map(|method| method.endpoint);
        Self {
            title: title.to_owned(),
            endpoints: endpoints
                .map(|(verb, path)| {
                    format!("{verb} {}", route(graph.route_prefix.as_deref(), path))
                })
                .collect(),
            nodes: graph
                .deployments
                .iter()
                .map(|node| Node {
                    name: node.name.clone(),
                    replicas: node.num_replicas,
                    calls: node.calls.iter().filter_map(place).collect(),
                })
                .collect(),
        }
    }
}

impl Node {
    /// `1 replica`, `3 replicas`.
    pub(crate) fn replicas(&self) -> String {
        match self.replicas {
            1 => "1 replica".to_owned(),
            several => format!("{several} replicas"),
        }
    }
}

/// The path of an endpoint under its application's prefix.
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
        Node { name: name.to_owned(), replicas, calls: calls.to_vec() }
    }

    /// One ingress, two responders.
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

    /// A shared deployment, a call that skips a tier, names that need care.
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

    /// A deployment on its own, without HTTP.
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
    fn a_path_is_found_under_the_prefix() {
        assert_eq!(route(Some("/"), "/"), "/");
        assert_eq!(route(Some("/"), "/search"), "/search");
        assert_eq!(route(Some("/math"), "/"), "/math");
        assert_eq!(route(Some("/math"), "/add/{n}"), "/math/add/{n}");
        assert_eq!(route(None, "/add"), "/add");
    }
}
