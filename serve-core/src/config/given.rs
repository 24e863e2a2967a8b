//! [`Given`]: an option that a section of a configuration gives, under whatever spelling; and
//! [`Reader`], which collects faults and notes.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::environment;
use super::fault::{ConfigFault, ConfigNote};
use super::keys::{APPLICATION, ROOT, Section};
use super::node::{Content, Entry, Node, Place, below};
use crate::application::HTTP_OPTIONS;
use crate::deployment::OPTIONS;
use crate::deployment::OptionFault;
use crate::deployment::table::{Spelling, nearest};

/// Collects the faults and the notes of a configuration.
#[derive(Debug)]
pub(super) struct Reader<'f> {
    pub(super) file: &'f str,
    pub(super) faults: Vec<ConfigFault>,
    pub(super) notes: Vec<ConfigNote>,
    /// The variables that secrets were taken from, by the keys that lead to the secrets.
    pub(super) variables: BTreeMap<String, String>,
}

/// An option that a section gives.
#[derive(Debug)]
pub(super) struct Given<'n> {
    /// The option's own name.
    pub(super) name: &'static str,
    /// The name under which the value is read: `name`, with `_s` for a number of seconds.
    pub(super) read_as: String,
    /// The place of the key.
    pub(super) at: Place,
    /// The keys that lead to the value.
    pub(super) path: String,
    pub(super) node: &'n Node,
    /// The options within the value, if it is a section itself.
    pub(super) children: Option<Vec<Given<'n>>>,
}

impl Given<'_> {
    fn value(&self) -> Value {
        match &self.children {
            Some(children) => Value::Object(values(children, &[])),
            None => self.node.value(),
        }
    }

    /// Returns the place of the value, or of the key if the value is missing.
    pub(super) fn value_at(&self) -> Place {
        if self.node.at == Place::default() { self.at } else { self.node.at }
    }
}

/// Returns the values of the options that are not `broken`, by the names under which they are read.
fn values(given: &[Given<'_>], broken: &[String]) -> Map<String, Value> {
    let sound = |one: &&Given<'_>| !one.node.is_broken() && !broken.contains(&one.read_as);
    given.iter().filter(sound).map(|one| (one.read_as.clone(), one.value())).collect()
}

/// Finds the value that the keys of a fault lead to: its node, its place and the keys in the file.
fn find<'n>(given: &[Given<'n>], path: &str) -> Option<(&'n Node, Place, String)> {
    let (first, rest) = path.split_once('.').unwrap_or((path, ""));
    let exact = given.iter().find(|one| one.read_as == first);
    let one = exact.or_else(|| given.iter().find(|one| one.name == first))?;
    let here = (one.node, one.value_at(), one.path.clone());
    if rest.is_empty() {
        return Some(here);
    }
    if let Some(children) = &one.children {
        return find(children, rest).or(Some(here));
    }
    let Content::Map(entries) = &one.node.content else { return Some(here) };
    match entries.iter().find(|entry| entry.key == rest) {
        Some(entry) => Some((&entry.node, entry.node.at, below(&one.path, rest))),
        None => Some(here),
    }
}

impl<'f> Reader<'f> {
    pub(super) fn new(file: &'f str) -> Self {
        Self { file, faults: Vec::new(), notes: Vec::new(), variables: BTreeMap::new() }
    }

    pub(super) fn fault(&mut self, at: Place, path: &str, message: &str) {
        self.faults.push(ConfigFault::new(self.file, at, path, message));
    }

    pub(super) fn note(&mut self, path: &str, message: &str) {
        self.notes.push(ConfigNote { path: path.to_owned(), message: message.to_owned() });
    }

    /// Reports a value of the wrong type.
    pub(super) fn expected(&mut self, node: &Node, path: &str, expected: &str) {
        if node.is_broken() {
            return;
        }
        let mut message = format!("expected {expected}, found {}", node.described());
        append_variable(&mut message, node);
        self.fault(node.at, path, &message);
    }

    /// Returns the entries of a section; none if it is null.
    pub(super) fn section<'n>(&mut self, node: &'n Node, path: &str, what: &str) -> &'n [Entry] {
        match &node.content {
            Content::Map(entries) => entries,
            Content::Null | Content::Broken => &[],
            _ => {
                self.expected(node, path, what);
                &[]
            }
        }
    }

    /// Reports an unknown key.
    pub(super) fn unknown<'k>(
        &mut self,
        entry: &Entry,
        path: &str,
        known: impl Iterator<Item = &'k str> + Clone,
    ) {
        let message = match nearest(known.clone(), &entry.key) {
            Some(near) => format!("unknown key; did you mean `{near}`?"),
            None => {
                let names: Vec<String> = known.map(|name| format!("`{name}`")).collect();
                match elsewhere(&entry.key) {
                    Some(place) => format!("unknown key here; {place}"),
                    None => format!("unknown key; the keys here are {}", names.join(", ")),
                }
            }
        };
        self.fault(entry.at, path, &message);
    }

    /// Adds an option to those that a section gives. Reports a second spelling of the same option.
    pub(super) fn add<'n>(
        &mut self,
        given: &mut Vec<Given<'n>>,
        spelling: &Spelling,
        entry: &'n Entry,
        path: &str,
    ) {
        if let Some(other) = given.iter().find(|other| other.name == spelling.name) {
            let message = format!("`{}` is the same option: give only one of them", other.path);
            self.fault(entry.at, path, &message);
            return;
        }
        let seconds = if spelling.in_seconds { "_s" } else { "" };
        given.push(Given {
            name: spelling.name,
            read_as: format!("{}{seconds}", spelling.name),
            at: entry.at,
            path: path.to_owned(),
            node: &entry.node,
            children: None,
        });
    }

    /// Sorts the entries of a section by the options that they give, except for the entries that
    /// `handled` returns true for. Reports unknown keys; `also` are keys that are known besides.
    pub(super) fn sift<'n>(
        &mut self,
        entries: &'n [Entry],
        path: &str,
        known: &[Spelling],
        also: &[&'static str],
        mut handled: impl FnMut(&mut Self, &'n Entry, &str) -> bool,
    ) -> Vec<Given<'n>> {
        let mut given = Vec::new();
        for entry in entries {
            let path = below(path, &entry.key);
            if handled(self, entry, &path) {
                continue;
            }
            match known.iter().find(|known| known.spelled == entry.key) {
                Some(spelling) => self.add(&mut given, spelling, entry, &path),
                None => self.unknown(entry, &path, names(known).chain(also.iter().copied())),
            }
        }
        given
    }

    /// Reads options with the reader of their table. Reports the faults, each at its value, and
    /// returns the options without those that have faults, and the names of these.
    pub(super) fn options<C: Default>(
        &mut self,
        given: &[Given<'_>],
        at: Place,
        path: &str,
        read: impl Fn(Map<String, Value>) -> Result<C, Vec<OptionFault>>,
    ) -> (C, Vec<String>) {
        let mut broken: Vec<String> = Vec::new();
        loop {
            let faults = match read(values(given, &broken)) {
                Ok(options) => return (options, broken),
                Err(faults) => faults,
            };
            let before = broken.len();
            for fault in faults {
                let first = fault.path.split('.').next().unwrap_or_default().to_owned();
                self.option_fault(given, at, path, fault);
                if !broken.contains(&first) {
                    broken.push(first);
                }
            }
            if broken.len() == before {
                return (C::default(), broken);
            }
        }
    }

    /// Reports a fault of an option at the value that the fault is about.
    pub(super) fn option_fault(
        &mut self,
        given: &[Given<'_>],
        at: Place,
        path: &str,
        fault: OptionFault,
    ) {
        match find(given, &fault.path) {
            Some((node, at, path)) => {
                let mut message = fault.message;
                match &node.content {
                    Content::Text(text)
                        if node.variable.is_none()
                            && !matches!(
                                environment::plain(text),
                                Content::Text(_) | Content::Null
                            ) =>
                    {
                        message.push_str("; write it without quotes");
                    }
                    _ => append_variable(&mut message, node),
                }
                self.fault(at, &path, &message);
            }
            None => self.fault(at, &below(path, &fault.path), &fault.message),
        }
    }
}

/// Says which variable a value comes from.
fn append_variable(message: &mut String, node: &Node) {
    let Some(variable) = &node.variable else { return };
    message.push_str(&format!("; the value comes from `${{{variable}}}`"));
    if matches!(node.content, Content::Text(_)) && !node.plain {
        message.push_str(", and is text because of its quotes");
    }
}

/// Returns the names of the options, without their other spellings.
pub(super) fn names(known: &[Spelling]) -> impl Iterator<Item = &'static str> + Clone {
    known.iter().filter(|known| known.spelled == known.name).map(|known| known.name)
}

/// Returns where a key belongs that is unknown where it was given.
fn elsewhere(key: &str) -> Option<&'static str> {
    let is_of = |section: &[Section]| section.iter().any(|known| known.name == key);
    if is_of(&APPLICATION) && key != "name" {
        return Some("it is a key of an application: put it below `applications:`");
    }
    if OPTIONS.iter().any(|option| option.name == key || option.aliases.contains(&key))
        && key != "name"
    {
        return Some(
            "it is an option of a deployment: put it below `deployments:` of an application",
        );
    }
    if is_of(&ROOT) {
        return Some("it is a key of the whole file: put it at the top level");
    }
    if HTTP_OPTIONS.iter().any(|option| option.name == key || option.aliases.contains(&key)) {
        return Some("it is an option of HTTP: put it below `http:`");
    }
    None
}
