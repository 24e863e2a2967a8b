//! The list `applications`.

use std::collections::BTreeMap;

use super::super::data::{ApplicationConfig, RoutePrefix};
use super::super::given::{Given, Reader};
use super::super::keys::APPLICATION;
use super::super::node::{Content, Node, Place, below, map};
use super::super::ray;
use super::super::secrets::args_key;
use super::{is_misspelt, section_spellings};

impl Reader<'_> {
    pub(super) fn applications(&mut self, node: &Node) -> Vec<ApplicationConfig> {
        let Content::List(nodes) = &node.content else {
            self.expected(node, "applications", "a list of applications (`[]` for none)");
            return Vec::new();
        };
        let mut names: BTreeMap<String, usize> = BTreeMap::new();
        let mut prefixes: BTreeMap<String, usize> = BTreeMap::new();
        let mut applications = Vec::new();
        for (n, node) in nodes.iter().enumerate() {
            let path = format!("applications[{n}]");
            if !matches!(node.content, Content::Map(_)) {
                self.expected(node, &path, "a map with `name` and `import_path`");
                continue;
            }
            let (application, places) = self.application(node, &path);
            if let Some(at) = places.name
                && let Some(other) = names.insert(application.name.clone(), n)
            {
                let message = format!(
                    "`applications[{other}]` has the name {:?} too: give each application a name of \
                     its own",
                    application.name
                );
                self.fault(at, &below(&path, "name"), &message);
            }
            if let (RoutePrefix::Path(prefix), Some(at)) =
                (&application.route_prefix, places.prefix)
                && let Some(other) = prefixes.insert(prefix.clone(), n)
            {
                let message = format!(
                    "`applications[{other}]` has the route prefix {prefix:?} too: give each \
                     application one of its own, or null for no route"
                );
                self.fault(at, &below(&path, "route_prefix"), &message);
            }
            applications.push(application);
        }
        applications
    }

    fn application(&mut self, node: &Node, path: &str) -> (ApplicationConfig, Places) {
        let entries = self.section(node, path, "a map");
        let known = section_spellings(&APPLICATION);
        let mut given = self.sift(entries, path, &known, &[], ray::application_key);
        // Secrets in `args` are remembered by the name of the application.
        given.sort_by_key(|one| one.name != "name");
        let mut application =
            ApplicationConfig { name: "default".to_owned(), ..ApplicationConfig::default() };
        let mut places = Places { name: Some(node.at), prefix: None };
        let mut deployments = None;
        for one in &given {
            match one.name {
                "name" => {
                    places.name = None;
                    if let Some(name) = self.application_name(one) {
                        places.name = Some(one.value_at());
                        application.name = name;
                    }
                }
                "import_path" => {
                    if let Some(import_path) = self.import_path(one) {
                        application.import_path = import_path;
                    }
                }
                "route_prefix" => {
                    places.prefix = Some(one.value_at());
                    application.route_prefix = self.route_prefix(one);
                }
                "args" => {
                    let entries = self.section(one.node, &one.path, "a map of arguments");
                    self.remember(one.node, &args_key(&application.name));
                    application.args = map(entries);
                }
                "http" => application.http = self.application_http(one, &application.name),
                "external_scaler_enabled" => {
                    application.external_scaler_enabled = self.flag(one);
                }
                _ => deployments = Some(one),
            }
        }
        if !given.iter().any(|one| one.name == "import_path") && !is_misspelt(node, "import_path") {
            let message = "is missing: name the registered application, `package:function`";
            self.fault(node.at, &below(path, "import_path"), message);
        }
        if let Some(one) = deployments {
            application.deployments =
                self.deployments(one, &application.name, application.external_scaler_enabled);
        }
        (application, places)
    }

    fn text<'n>(&mut self, one: &Given<'n>, expected: &str) -> Option<&'n str> {
        match &one.node.content {
            Content::Text(text) => Some(text),
            _ => {
                self.expected(one.node, &one.path, expected);
                None
            }
        }
    }

    fn flag(&mut self, one: &Given<'_>) -> bool {
        match one.node.content {
            Content::Bool(value) => value,
            Content::Null => false,
            _ => {
                self.expected(one.node, &one.path, "`true` or `false`");
                false
            }
        }
    }

    fn application_name(&mut self, one: &Given<'_>) -> Option<String> {
        let name = self.text(one, "the name of the application, a text")?;
        let message = if name.is_empty() {
            "is empty: give the application a name, or leave the key out for `default`"
        } else if name.contains(char::is_control) || name.trim() != name {
            "has spaces at an end or control characters: leave them out"
        } else {
            return Some(name.to_owned());
        };
        self.fault(one.value_at(), &one.path, message);
        None
    }

    fn import_path(&mut self, one: &Given<'_>) -> Option<String> {
        let text = self.text(one, "a text, `package:function`")?;
        match import_path_fault(text) {
            None => Some(text.to_owned()),
            Some(message) => {
                self.fault(one.value_at(), &one.path, &message);
                None
            }
        }
    }

    fn route_prefix(&mut self, one: &Given<'_>) -> RoutePrefix {
        if one.node.is_null() {
            return RoutePrefix::None;
        }
        let Some(prefix) = self.text(one, "a path such as `/ocr`, or null for no route") else {
            return RoutePrefix::default();
        };
        let fault = if !prefix.starts_with('/') {
            "must begin with a slash"
        } else if prefix.len() > 1 && prefix.ends_with('/') {
            "must not end with a slash"
        } else if prefix.contains(['{', '}']) {
            "must not contain `{` or `}`: a prefix has no parameters"
        } else if prefix
            .contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '?' | '#'))
        {
            "must be a path, without spaces, `?` and `#`"
        } else {
            return RoutePrefix::Path(prefix.to_owned());
        };
        self.fault(one.value_at(), &one.path, &format!("{prefix:?} {fault}"));
        RoutePrefix::default()
    }
}

/// The places that faults between applications are reported at.
struct Places {
    name: Option<Place>,
    prefix: Option<Place>,
}

/// Returns what is wrong with the name of a registered application.
fn import_path_fault(text: &str) -> Option<String> {
    let is_package = |name: &str| {
        name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
    };
    let is_function = |name: &str| is_package(name) && !name.contains('-');
    if let Some((package, function)) = text.split_once(':')
        && is_package(package)
        && is_function(function)
    {
        return None;
    }
    let remedy = if text.contains("::") {
        "; write one colon, not two"
    } else if text.contains('.') {
        "; a Python path such as `package.module:attr` names nothing here: name the Cargo package and \
         the function marked `#[application]` in it"
    } else {
        ""
    };
    Some(format!(
        "{text:?} is not an import path: write `package:function`, such as `ocr:ocr`{remedy}"
    ))
}
