//! YAML as a tree of [`Node`]s.
//!
//! The tree is read with `serde-saphyr`, which bounds the depth, the aliases and the size of what it
//! reads. Duplicate keys stay in the tree, so that all of them can be reported.

use std::fmt;

use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Number;
use serde_saphyr::options::{DuplicateKeyPolicy, MergeKeyPolicy, NonFiniteFloatPolicy};
use serde_saphyr::{
    DefaultMessageFormatter, Error, Location, MessageFormatter, Options, Spanned, alias_limits,
    budget, options,
};

use super::fault::{ConfigFault, ConfigFaults};
use super::node::{Content, Entry, Node, Place};

/// The largest file, in bytes.
const LARGEST: usize = 8 << 20;
/// The deepest nesting of lists and maps.
///
/// Reading a level takes up to 40 KiB of the stack without optimization, of the 2 MiB that a thread
/// has.
const DEEPEST: usize = 32;

/// Reads a document. An empty one is null.
pub(super) fn read(text: &str, file: &str) -> Result<Node, ConfigFaults> {
    let fault = |place, message: &str| ConfigFaults::of(ConfigFault::new(file, place, "", message));
    let start = Place { line: 1, column: 1 };
    if text.len() > LARGEST {
        return Err(fault(start, "the file is larger than 8 MiB"));
    }
    match serde_saphyr::from_str_with_options::<Spanned<Raw>>(text, limits()) {
        Ok(root) => Ok(node(root, text)),
        Err(error) => {
            let mut error = error.without_snippet();
            while let Error::AliasError { error: within, .. } = error {
                error = within.without_snippet();
            }
            let place = error.location().map_or(start, place);
            match error {
                Error::Eof { .. } if text.lines().all(is_blank) => {
                    Ok(Node::new(start, Content::Null))
                }
                _ => Err(fault(place, &message(error, place, text))),
            }
        }
    }
}

/// True for a line without content.
fn is_blank(line: &str) -> bool {
    let line = line.trim_start_matches('\u{feff}').trim();
    line.is_empty() || line.starts_with('#')
}

fn limits() -> Options {
    options! {
        budget: budget! {
            max_depth: DEEPEST,
            max_documents: 2,
            max_nodes: 200_000,
            max_aliases: 1_000,
            max_total_scalar_bytes: LARGEST,
        },
        alias_limits: alias_limits! {
            max_total_replayed_events: 50_000,
            max_replay_stack_depth: 16,
        },
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        merge_keys: MergeKeyPolicy::Merge,
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        with_snippet: false,
    }
}

/// Describes an error of the text, with the remedy for common mistakes.
fn message(error: &Error, place: Place, text: &str) -> String {
    let line = text.lines().nth(place.line.saturating_sub(1)).unwrap_or_default();
    match error {
        Error::MultipleDocuments { .. } => {
            "the file has several documents: leave out the `---` between them, and put everything \
             into one"
                .to_owned()
        }
        Error::Budget { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => format!(
            "too deep, too large, or too many aliases: a file has at most {DEEPEST} levels, 200000 \
             values, and 50000 values by aliases"
        ),
        _ => {
            let message = DefaultMessageFormatter.format_message(error);
            let remedy = remedy(line, &message);
            format!("not YAML: {message}{remedy}")
        }
    }
}

/// Returns the remedy for the mistake that such a line with a syntax error usually has.
fn remedy(line: &str, message: &str) -> &'static str {
    let indent = &line[..line.len() - line.trim_start().len()];
    if indent.contains('\t') {
        return "; the line is indented with a tab: YAML takes spaces only";
    }
    let opened = line.find('{');
    let variable = line.find("${");
    match (opened, variable) {
        (Some(opened), Some(variable)) if opened < variable => {
            "; within `{ }` and `[ ]`, put `${..}` in quotes: `\"${NAME}\"`"
        }
        _ if message.starts_with("mapping values are not allowed") => {
            "; is a `:` missing in the line above, or are there quotes missing around a text with `: `?"
        }
        _ if message.contains("did not find expected key") => {
            "; is the line indented as the other lines of its map?"
        }
        _ => "",
    }
}

fn place(location: Location) -> Place {
    let number = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    Place { line: number(location.line()), column: number(location.column()) }
}

/// A value as it is read, before the style of its scalars is looked up in the text.
enum Raw {
    Null,
    Bool(bool),
    Number(Number),
    NotFinite(f64),
    Text(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

fn node(raw: Spanned<Raw>, text: &str) -> Node {
    let plain = matches!(raw.value, Raw::Text(_)) && is_plain(raw.defined, text);
    let content = match raw.value {
        Raw::Null => Content::Null,
        Raw::Bool(value) => Content::Bool(value),
        Raw::Number(number) => Content::Number(number),
        Raw::NotFinite(number) => Content::NotFinite(number),
        Raw::Text(value) => Content::Text(value),
        Raw::List(values) => {
            Content::List(values.into_iter().map(|value| node(value, text)).collect())
        }
        Raw::Map(entries) => Content::Map(
            entries
                .into_iter()
                .map(|(key, value)| Entry {
                    at: place(key.referenced),
                    key: key.value,
                    node: node(value, text),
                })
                .collect(),
        ),
    };
    Node { plain, ..Node::new(place(raw.referenced), content) }
}

/// True if the scalar that starts there has neither quotes nor a tag, and is no block.
fn is_plain(location: Location, text: &str) -> bool {
    let start = location.span().byte_offset().and_then(|start| usize::try_from(start).ok());
    let rest = start.and_then(|start| text.get(start..));
    rest.is_some_and(|rest| !rest.starts_with(['"', '\'', '|', '>', '!', '&']))
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Raw, D::Error> {
        Raw::deserialize(from)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Number::from_f64(value).map_or(Raw::NotFinite(value), Raw::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Raw, E> {
        Ok(Raw::Text(value))
    }

    fn visit_bytes<E: serde::de::Error>(self, _: &[u8]) -> Result<Raw, E> {
        Err(E::custom("binary data has no meaning here"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Raw, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element()? {
            values.push(value);
        }
        Ok(Raw::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Raw::Map(entries))
    }
}
