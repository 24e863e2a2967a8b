//! Reading: from a text or a value to a [`Config`], with all faults.

mod application;
mod deployment;
mod http;
mod prepare;

use std::sync::Arc;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::data::{AdminConfig, Config, LoggingConfig};
use super::environment::Variables;
use super::fault::{ConfigFault, ConfigFaults};
use super::given::{Given, Reader};
use super::keys::{ADMIN, LOGGING, ROOT, Section};
use super::node::{Content, Node, Place, below};
use super::secrets::ADMIN_KEY;
use super::source_map::SourceMap;
use super::{json, ray, yaml};
use crate::deployment::table::{self, Spelling, spellings};

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
                // In YAML, a carriage return ends a line, too.
                let valid = valid.replace("\r\n", "\n").replace('\r', "\n");
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
    let mut config = reader.config(&root);
    config.source_map = Arc::new(SourceMap::of(file, &root));
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
    fn config(&mut self, root: &Node) -> Config {
        let mut config = Config::default();
        if root.is_empty() {
            let start =
                if root.at == Place::default() { root.at } else { Place { line: 1, column: 1 } };
            self.fault(start, "", "the configuration is empty: write at least `applications: []`");
            return config;
        }
        let entries = self.section(root, "", "a map of sections, such as `applications:`");
        let known = section_spellings(&ROOT);
        let given =
            self.sift(entries, "", &known, &[], |reader, entry, _| ray::root_key(reader, entry));
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

    fn admin(&mut self, section: &Given<'_>) -> AdminConfig {
        let path = &section.path;
        let entries = self.section(section.node, path, "a map of options");
        let given = self.sift(entries, path, &spellings(&ADMIN), &[], |_, _, _| false);
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
        let given = self.sift(entries, path, &spellings(&LOGGING), &[], |reader, entry, path| {
            let handled = ray::logging_key(reader, entry, path);
            without_access |= handled == Some(true);
            handled.is_some()
        });
        let read = |map| table::read::<LoggingConfig>(&LOGGING, map);
        let (mut logging, _) = self.options(&given, section.node.at, path, read);
        if without_access {
            let level = logging.level.as_deref().unwrap_or("info");
            logging.level = Some(format!("{level},serve_core::access=off"));
        }
        logging
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
