//! [`SourceMap`]: the places of the values of a configuration in its text.

use std::collections::BTreeMap;

use super::fault::ConfigFault;
use super::node::{Content, Node, Place, below};

/// The places of the values of a configuration, by the keys that lead to them.
#[derive(Clone, Debug, Default)]
pub(super) struct SourceMap {
    file: String,
    at: BTreeMap<String, Place>,
}

impl SourceMap {
    pub(super) fn of(file: &str, root: &Node) -> Self {
        let mut map = Self { file: file.to_owned(), at: BTreeMap::new() };
        map.add("", root.at, root);
        map
    }

    fn add(&mut self, path: &str, at: Place, node: &Node) {
        self.at.insert(path.to_owned(), at);
        match &node.content {
            Content::List(nodes) => {
                for (place, node) in nodes.iter().enumerate() {
                    self.add(&format!("{path}[{place}]"), node.at, node);
                }
            }
            Content::Map(entries) => {
                for entry in entries {
                    self.add(&below(path, &entry.key), entry.at, &entry.node);
                }
            }
            _ => {}
        }
    }

    /// Returns `true` if the configuration has the value to which these keys lead.
    pub(super) fn has(&self, path: &str) -> bool {
        self.at.contains_key(path)
    }

    /// Returns a fault of the value to which these keys lead. If there is no such value, the fault
    /// has the place of the nearest value around it.
    pub(super) fn fault(&self, path: &str, message: &str) -> ConfigFault {
        let mut around = path;
        let place = loop {
            if let Some(place) = self.at.get(around) {
                break *place;
            }
            around = match around.rfind(['.', '[']) {
                Some(end) => &around[..end],
                None => "",
            };
            if around.is_empty() {
                break self.at.get("").copied().unwrap_or_default();
            }
        };
        ConfigFault::new(&self.file, place, path, message)
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn a_fault_stands_at_its_value_or_at_the_nearest_around_it() {
        let text = "applications:\n  - import_path: a:a\n    args:\n      n: 1\n";
        let config = Config::parse(text, "serve.yaml", &|_| None).expect("valid");
        let at = |path| {
            let fault = config.fault(path, "wrong");
            (fault.line(), fault.column())
        };
        assert_eq!(at("applications[0].args.n"), (Some(4), Some(7)));
        assert_eq!(at("applications[0].args.missing"), (Some(3), Some(5)));
        assert_eq!(at("applications[0].route_prefix"), (Some(2), Some(5)));
        assert_eq!(at("nothing"), (Some(1), Some(1)));
        assert!(config.has("applications[0].args") && !config.has("applications[1]"));
    }
}
