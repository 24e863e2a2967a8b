//! Reading: from a text or a value to a [`Config`], with all faults.

use std::collections::BTreeMap;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::data::{
    AdminConfig, ApplicationConfig, Config, DeploymentConfig, HttpConfig, LoggingConfig, RoutePrefix,
};
use super::environment::{self, Variables};
use super::fault::{ConfigFault, ConfigFaults};
use super::given::{Given, Reader};
use super::keys::{ADMIN, APPLICATION, LISTENER, LOGGING, ROOT, Section};
use super::node::{Content, Entry, Node, Place, below, map};
use super::{json, ray, redact, yaml};
use crate::application::{GROUPS, HTTP_OPTIONS, HttpOptions, LIMITS};
use crate::deployment::table::{self, Spelling, spellings};
use crate::deployment::{AUTOSCALING, DeploymentOptions, OPTIONS, OptionFault, OptionsError};

impl Config {
    /// Reads a YAML file. `file` is the name of the file for faults, and `env` looks up the
    /// variables of `${NAME}` in its texts.
    ///
    /// ```
    /// use serde_json::json;
    /// use serve_core::config::Config;
    ///
    /// let text = "
    /// http:
    ///   port: ${PORT:-8000}
    /// applications:
    ///   - import_path: ocr:ocr
    ///     args: { language: \"${OCR_LANGUAGE}\" }
    /// ";
    /// let env = |name: &str| (name == "OCR_LANGUAGE").then(|| "fr".to_owned());
    /// let config = Config::parse(text, "serve.yaml", &env)?;
    /// assert_eq!(config.http.port, Some(8000));
    /// assert_eq!(config.applications[0].args["language"], "fr");
    /// # Ok::<(), serve_core::config::ConfigFaults>(())
    /// ```
    ///
    /// # Errors
    /// Returns every fault of the file.
    pub fn parse(
        text: &str,
        file: &str,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigFaults> {
        read(yaml::read(text, file)?, file, Some(env))
    }

    /// Reads a YAML file from bytes, which must be UTF-8. See [`parse`](Self::parse).
    ///
    /// # Errors
    /// Returns every fault of the file.
    pub fn parse_bytes(
        bytes: &[u8],
        file: &str,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigFaults> {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::parse(text, file, env),
            Err(error) => {
                let valid = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
                let place = Place::of_byte(&valid, valid.len());
                let message = "not UTF-8: save the file in that encoding";
                Err(ConfigFaults::of(ConfigFault::new(file, place, "", message)))
            }
        }
    }

    /// Reads a JSON body. `${NAME}` has no meaning in it.
    ///
    /// # Errors
    /// Returns every fault of the body.
    pub fn parse_json(body: &[u8]) -> Result<Self, ConfigFaults> {
        const FILE: &str = "body";
        read(json::read(body, FILE)?, FILE, None)
    }

    /// Reads a JSON value. `${NAME}` has no meaning in it.
    ///
    /// # Errors
    /// Returns every fault of the value, without lines and columns.
    pub fn from_value(value: &Value) -> Result<Self, ConfigFaults> {
        read(Node::of_value(value), "configuration", None)
    }
}

impl<'de> Deserialize<'de> for Config {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(from)?;
        Self::from_value(&value).map_err(D::Error::custom)
    }
}

fn read(mut root: Node, file: &str, env: Option<Variables<'_>>) -> Result<Config, ConfigFaults> {
    let mut reader = Reader::new(file);
    reader.prepare(&mut root, "", env);
    let config = reader.config(&root);
    if reader.faults.is_empty() { Ok(config) } else { Err(ConfigFaults::new(reader.faults)) }
}

/// Returns the spellings of the keys of a section.
fn section_spellings(section: &'static [Section]) -> Vec<Spelling> {
    let mut all = Vec::new();
    for key in section {
        for name in std::iter::once(&key.name).chain(key.aliases) {
            all.push(Spelling { spelled: (*name).to_owned(), name: key.name, in_seconds: false });
        }
    }
    all
}

impl Reader<'_> {
    /// Puts variables into the texts, and reports what no value may be: a duplicate key, a number
    /// that is not finite, and the placeholder of a secret.
    fn prepare(&mut self, node: &mut Node, path: &str, env: Option<Variables<'_>>) {
        match &mut node.content {
            Content::Text(text) => {
                if let Some(env) = env {
                    match environment::substitute(text, env) {
                        Ok(None) => {}
                        Ok(Some(done)) => {
                            node.content = match &done.variable {
                                Some(_) if node.plain => environment::plain(&done.text),
                                _ => Content::Text(done.text),
                            };
                            node.variable = done.variable;
                        }
                        Err(faults) => {
                            for fault in faults {
                                self.fault(node.at, path, &fault);
                            }
                            node.content = Content::Broken;
                        }
                    }
                }
                if matches!(&node.content, Content::Text(text) if text == redact::REDACTED) {
                    let message = format!(
                        "`{}` stands for a secret that was not shown: put in the secret, or `${{NAME}}`",
                        redact::REDACTED
                    );
                    self.fault(node.at, path, &message);
                    node.content = Content::Broken;
                }
            }
            Content::NotFinite(number) => {
                let message = format!("{number} is not a finite number");
                self.fault(node.at, path, &message);
                node.content = Content::Broken;
            }
            Content::List(nodes) => {
                for (n, node) in nodes.iter_mut().enumerate() {
                    self.prepare(node, &format!("{path}[{n}]"), env);
                }
            }
            Content::Map(entries) => {
                let mut first: BTreeMap<String, Place> = BTreeMap::new();
                entries.retain_mut(|entry| {
                    let path = below(path, &entry.key);
                    if let Some(place) = first.get(&entry.key) {
                        let place = place.line_and_column();
                        let place = place.map_or_else(String::new, |(line, _)| format!(", first in line {line}"));
                        self.fault(entry.at, &path, &format!("the key is given twice{place}: leave one out"));
                        return false;
                    }
                    first.insert(entry.key.clone(), entry.at);
                    self.prepare(&mut entry.node, &path, env);
                    true
                });
            }
            Content::Null | Content::Bool(_) | Content::Number(_) | Content::Broken => {}
        }
    }

    fn config(&mut self, root: &Node) -> Config {
        let mut config = Config::default();
        if root.is_empty() {
            let start = if root.at == Place::default() { root.at } else { Place { line: 1, column: 1 } };
            self.fault(start, "", "the configuration is empty: write at least `applications: []`");
            return config;
        }
        let entries = self.section(root, "", "a map of sections, such as `applications:`");
        let entries: Vec<&Entry> =
            entries.iter().filter(|entry| !ray::root_key(self, entry)).collect();
        let known = section_spellings(&ROOT);
        let mut given = Vec::new();
        for entry in entries {
            match known.iter().find(|known| known.spelled == entry.key) {
                Some(spelling) => self.add(&mut given, spelling, entry, &entry.key),
                None => self.unknown(entry, &entry.key, super::given::names(&known)),
            }
        }
        for one in &given {
            match one.name {
                "http" => config.http = self.http(one),
                "admin" => config.admin = self.admin(one),
                "logging" => config.logging = self.logging(one),
                "target_capacity" => config.target_capacity = self.target_capacity(one.node),
                _ => config.applications = self.applications(one.node),
            }
        }
        if matches!(root.content, Content::Map(_))
            && !given.iter().any(|one| one.name == "applications")
            && !is_misspelt(root, "applications")
        {
            let message = "is missing: list the applications, or write `applications: []` for none";
            self.fault(root.at, "applications", message);
        }
        config.notes = std::mem::take(&mut self.notes);
        config.variables = std::mem::take(&mut self.variables);
        config
    }

    fn target_capacity(&mut self, node: &Node) -> Option<f64> {
        let number = match &node.content {
            Content::Null => return None,
            Content::Number(number) => number.as_f64(),
            _ => None,
        };
        let capacity = number.filter(|number| (0.0..=100.0).contains(number));
        if capacity.is_none() {
            self.expected(node, "target_capacity", "a percentage from 0 to 100");
        }
        capacity
    }

    fn http(&mut self, section: &Given<'_>) -> HttpConfig {
        let path = &section.path;
        let entries = self.section(section.node, path, "a map of options");
        let known: Vec<Spelling> =
            spellings(&LISTENER).into_iter().chain(spellings(HTTP_OPTIONS)).collect();
        let mut given = Vec::new();
        self.sift_http(entries, path, &known, None, &mut given);
        let is_listener = |one: &Given<'_>| LISTENER.iter().any(|key| key.name == one.name);
        let (listener, options): (Vec<_>, Vec<_>) = given.into_iter().partition(is_listener);
        let at = section.node.at;
        let (mut http, _) =
            self.options(&listener, at, path, |map| table::read::<HttpConfig>(&LISTENER, map));
        http.options = self.http_options(&options, at, path, HTTP_KEY);
        http
    }

    /// Sorts the entries of a section of HTTP by the options that they give, in groups or not.
    fn sift_http<'n>(
        &mut self,
        entries: &'n [Entry],
        path: &str,
        known: &[Spelling],
        group: Option<&str>,
        given: &mut Vec<Given<'n>>,
    ) {
        for entry in entries {
            let path = below(path, &entry.key);
            if group.is_none() && (GROUPS.contains(&&*entry.key) || entry.key == LIMITS) {
                let entries = self.section(&entry.node, &path, "a map of options");
                self.sift_http(entries, &path, known, Some(&entry.key), given);
                continue;
            }
            if group.is_none() && ray::http_key(self, entry, &path) {
                continue;
            }
            let prefix = match group {
                None | Some(LIMITS) => String::new(),
                Some(group) => format!("{group}_"),
            };
            let full = format!("{prefix}{}", entry.key);
            match known.iter().find(|known| known.spelled == full) {
                Some(spelling) => {
                    self.add(given, spelling, entry, &path);
                }
                None => {
                    let names = super::given::names(known).filter_map(|name| name.strip_prefix(&*prefix));
                    let groups = GROUPS.into_iter().chain([LIMITS]).filter(|_| group.is_none());
                    self.unknown(entry, &path, names.chain(groups));
                }
            }
        }
    }

    /// Reads options of HTTP. The variables of secrets are remembered below `key`.
    fn http_options(
        &mut self,
        given: &[Given<'_>],
        at: Place,
        path: &str,
        key: &str,
    ) -> HttpOptions {
        for one in given.iter().filter(|one| redact::secret_options().any(|o| o.name == one.name)) {
            self.remember(one.node, &below(key, one.name));
        }
        let (options, broken) = self.options(given, at, path, HttpOptions::read_unchecked);
        // Options that seem to be missing because they have faults of their own.
        let spurious = |fault: &OptionFault| {
            broken.iter().any(|name| fault.message.contains(&format!("`{name}`")))
        };
        for fault in options.faults().into_iter().filter(|fault| !spurious(fault)) {
            self.option_fault(given, at, path, fault);
        }
        options
    }

    fn admin(&mut self, section: &Given<'_>) -> AdminConfig {
        let path = &section.path;
        let entries = self.section(section.node, path, "a map of options");
        let given = self.sift(entries, path, &spellings(&ADMIN));
        for one in given.iter().filter(|one| one.name == "token") {
            if let Some(variable) = &one.node.variable {
                self.variables.insert(below(ADMIN_KEY, one.name), variable.clone());
            }
        }
        self.options(&given, section.node.at, path, |map| table::read::<AdminConfig>(&ADMIN, map)).0
    }

    fn logging(&mut self, section: &Given<'_>) -> LoggingConfig {
        let path = &section.path;
        let entries = self.section(section.node, path, "a map of options");
        let mut without_access = false;
        let known = spellings(&LOGGING);
        let mut given = Vec::new();
        for entry in entries {
            let path = below(path, &entry.key);
            if let Some(off) = ray::logging_key(self, entry, &path) {
                without_access |= off;
                continue;
            }
            match known.iter().find(|known| known.spelled == entry.key) {
                Some(spelling) => self.add(&mut given, spelling, entry, &path),
                None => self.unknown(entry, &path, super::given::names(&known)),
            }
        }
        let read = |map| table::read::<LoggingConfig>(&LOGGING, map);
        let (mut logging, _) = self.options(&given, section.node.at, path, read);
        if without_access {
            let level = logging.level.as_deref().unwrap_or("info");
            logging.level = Some(format!("{level},serve_core::access=off"));
        }
        logging
    }

    fn applications(&mut self, node: &Node) -> Vec<ApplicationConfig> {
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
            if let Some(at) = places.name {
                if let Some(other) = names.insert(application.name.clone(), n) {
                    let message = format!(
                        "`applications[{other}]` has the name {:?} too: give each application a name \
                         of its own",
                        application.name
                    );
                    self.fault(at, &below(&path, "name"), &message);
                }
            }
            if let (RoutePrefix::Path(prefix), Some(at)) = (&application.route_prefix, places.prefix)
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
        let mut given = Vec::new();
        for entry in entries {
            let path = below(path, &entry.key);
            if ray::application_key(self, entry, &path) {
                continue;
            }
            match known.iter().find(|known| known.spelled == entry.key) {
                Some(spelling) => self.add(&mut given, spelling, entry, &path),
                None => self.unknown(entry, &path, super::given::names(&known)),
            }
        }
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
        } else if prefix.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '?' | '#')) {
            "must be a path, without spaces, `?` and `#`"
        } else {
            return RoutePrefix::Path(prefix.to_owned());
        };
        self.fault(one.value_at(), &one.path, &format!("{prefix:?} {fault}"));
        RoutePrefix::default()
    }

    fn application_http(&mut self, section: &Given<'_>, application: &str) -> HttpOptions {
        let path = &section.path;
        let entries = self.section(section.node, path, "a map of options");
        let known: Vec<Spelling> =
            spellings(&LISTENER).into_iter().chain(spellings(HTTP_OPTIONS)).collect();
        let mut given = Vec::new();
        self.sift_http(entries, path, &known, None, &mut given);
        given.retain(|one| {
            let is_of_the_port = LISTENER.iter().any(|key| key.name == one.name)
                || HttpOptions::is_of_the_port(one.name);
            if is_of_the_port {
                let message = "an option of the port, which all applications share: put it into the \
                               section `http` of the file";
                self.fault(one.at, &one.path, message);
            }
            !is_of_the_port
        });
        self.http_options(&given, section.node.at, path, &application_http_key(application))
    }

    fn deployments(
        &mut self,
        one: &Given<'_>,
        application: &str,
        external_scaler: bool,
    ) -> Vec<DeploymentConfig> {
        let Content::List(nodes) = &one.node.content else {
            if !one.node.is_null() {
                self.expected(one.node, &one.path, "a list of deployments");
            }
            return Vec::new();
        };
        let mut names: BTreeMap<String, usize> = BTreeMap::new();
        let mut deployments = Vec::new();
        for (n, node) in nodes.iter().enumerate() {
            let path = format!("{}[{n}]", one.path);
            if !matches!(node.content, Content::Map(_)) {
                self.expected(node, &path, "a map with `name` and options");
                continue;
            }
            let Some((deployment, at)) = self.deployment(node, &path, application, external_scaler)
            else {
                continue;
            };
            if let Some(other) = names.insert(deployment.name.clone(), n) {
                let message = format!(
                    "`{}[{other}]` has the name {:?} too: put the options of a deployment into one \
                     place",
                    one.path, deployment.name
                );
                self.fault(at, &below(&path, "name"), &message);
            }
            deployments.push(deployment);
        }
        deployments
    }

    /// Reads the options of a deployment. Returns the place of the name, too.
    fn deployment(
        &mut self,
        node: &Node,
        path: &str,
        application: &str,
        external_scaler: bool,
    ) -> Option<(DeploymentConfig, Place)> {
        let given = self.deployment_given(node, path);
        let (mut options, broken) = self.options(&given, node.at, path, DeploymentOptions::read);
        if let Some(router) = ray::request_router(self, node, path) {
            options.request_router = Some(router);
        }
        let spurious = |fault: &OptionFault| {
            broken.iter().any(|name| fault.message.contains(&format!("`{name}`")))
        };
        for error in options.errors() {
            // The layers below may have `autoscaling`.
            if error == OptionsError::PolicyWithoutAutoscaling {
                continue;
            }
            let fault = error.at_its_option();
            if !spurious(&fault) {
                self.option_fault(&given, node.at, path, fault);
            }
        }
        let autoscaled = given.iter().find(|one| match one.name {
            "autoscaling" => !one.node.is_null(),
            "num_replicas" => matches!(&one.node.content, Content::Text(text) if text == "auto"),
            _ => false,
        });
        if let (true, Some(one)) = (external_scaler, autoscaled) {
            let message = "the application has `external_scaler_enabled`: leave out either that or the \
                           autoscaling";
            self.fault(one.at, &one.path, message);
        }
        let Some(name) = given.iter().find(|one| one.name == "name") else {
            if !is_misspelt(node, "name") {
                let message = "is missing: name the deployment that the options are for";
                self.fault(node.at, &below(path, "name"), message);
            }
            return None;
        };
        if let Some(given) = given.iter().find(|one| one.name == "user_config") {
            let name = options.name.as_deref().unwrap_or_default();
            self.remember(given.node, &user_config_key(application, name));
        }
        match options.name.take() {
            Some(text) => Some((DeploymentConfig { name: text, options }, name.value_at())),
            None => {
                if name.node.is_null() {
                    self.expected(name.node, &name.path, "the name of a deployment");
                }
                None
            }
        }
    }

    /// Sorts the entries of a deployment by the options that they give.
    fn deployment_given<'n>(&mut self, node: &'n Node, path: &str) -> Vec<Given<'n>> {
        let known = spellings(&OPTIONS);
        let mut given = Vec::new();
        for entry in self.section(node, path, "a map") {
            let path = below(path, &entry.key);
            if entry.key == ray::ACTOR_OPTIONS {
                ray::actor_options(self, entry, &path, &known, &mut given);
                continue;
            }
            if ray::deployment_key(self, entry, &path) {
                continue;
            }
            match known.iter().find(|known| known.spelled == entry.key) {
                Some(spelling) => self.add(&mut given, spelling, entry, &path),
                None => {
                    let own = super::given::names(&known).chain([ray::ACTOR_OPTIONS]);
                    self.unknown(entry, &path, own);
                }
            }
        }
        for one in given.iter_mut().filter(|one| one.name == "autoscaling") {
            if one.node.is_null() || one.node.is_broken() {
                continue;
            }
            let entries = self.section(one.node, &one.path, "a map of options");
            one.children = Some(self.autoscaling_given(entries, &one.path));
        }
        given
    }

    fn autoscaling_given<'n>(&mut self, entries: &'n [Entry], path: &str) -> Vec<Given<'n>> {
        let known = spellings(&AUTOSCALING);
        let mut given = Vec::new();
        for entry in entries {
            let path = below(path, &entry.key);
            if ray::autoscaling_key(self, entry, &path) {
                continue;
            }
            match known.iter().find(|known| known.spelled == entry.key) {
                Some(spelling) => self.add(&mut given, spelling, entry, &path),
                None => self.unknown(entry, &path, super::given::names(&known)),
            }
        }
        given
    }

    /// Remembers the variables that the secrets in a value were taken from.
    fn remember(&mut self, node: &Node, key: &str) {
        match &node.content {
            Content::List(nodes) => {
                for (n, node) in nodes.iter().enumerate() {
                    self.remember(node, &format!("{key}[{n}]"));
                }
            }
            Content::Map(entries) => {
                for entry in entries {
                    self.remember(&entry.node, &below(key, &entry.key));
                }
            }
            _ => {
                if let Some(variable) = &node.variable {
                    self.variables.insert(key.to_owned(), variable.clone());
                }
            }
        }
    }
}

/// True if a map has a key that is close to `key`, which has been reported as unknown.
fn is_misspelt(node: &Node, key: &str) -> bool {
    let Content::Map(entries) = &node.content else { return false };
    entries.iter().any(|entry| table::nearest([key], &entry.key).is_some())
}

/// The places that faults between applications are reported at.
struct Places {
    name: Option<Place>,
    prefix: Option<Place>,
}

/// The keys that lead to the options of the port.
pub(super) const HTTP_KEY: &str = "http";
/// The keys that lead to the options of the admin port.
pub(super) const ADMIN_KEY: &str = "admin";

/// The keys that lead to the options of an application's requests, by its name.
pub(super) fn application_http_key(application: &str) -> String {
    format!("{application:?}.http")
}

/// The keys that lead to the arguments of an application, by its name.
pub(super) fn args_key(application: &str) -> String {
    format!("{application:?}.args")
}

/// The keys that lead to the user config of a deployment, by the names.
pub(super) fn user_config_key(application: &str, deployment: &str) -> String {
    format!("{application:?}.{deployment:?}.user_config")
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
    Some(format!("{text:?} is not an import path: write `package:function`, such as `ocr:ocr`{remedy}"))
}
