//! [`Node`]: a value of a configuration, with its place in the text.

use serde_json::{Map, Number, Value};

/// A place in a text, or none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// From 1; 0 if the place is unknown.
    pub(super) line: usize,
    pub(super) column: usize,
}

impl Place {
    pub(super) fn line_and_column(self) -> Option<(usize, usize)> {
        (self.line > 0).then_some((self.line, self.column))
    }

    /// Returns the place of a byte of a text.
    pub(super) fn of_byte(text: &str, byte: usize) -> Self {
        let before = text.get(..byte.min(text.len())).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

/// A value, with its place.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) at: Place,
    pub(super) content: Content,
    /// The variable of the environment that the whole value was taken from.
    pub(super) variable: Option<String>,
    /// True for a scalar of YAML without quotes.
    pub(super) plain: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Content {
    Null,
    Bool(bool),
    Number(Number),
    /// A number that JSON cannot hold.
    NotFinite(f64),
    /// A value with a fault that has been reported.
    Broken,
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key and its value.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    /// The place of the key.
    pub(super) at: Place,
    pub(super) node: Node,
}

impl Node {
    pub(super) fn new(at: Place, content: Content) -> Self {
        Self { at, content, variable: None, plain: false }
    }

    /// Converts a value without a place.
    pub(super) fn of_value(value: &Value) -> Self {
        let content = match value {
            Value::Null => Content::Null,
            Value::Bool(value) => Content::Bool(*value),
            Value::Number(number) => Content::Number(number.clone()),
            Value::String(text) => Content::Text(text.clone()),
            Value::Array(values) => Content::List(values.iter().map(Self::of_value).collect()),
            Value::Object(map) => Content::Map(
                map.iter()
                    .map(|(key, value)| Entry {
                        key: key.clone(),
                        at: Place::default(),
                        node: Self::of_value(value),
                    })
                    .collect(),
            ),
        };
        Self::new(Place::default(), content)
    }

    /// Returns the value without its places.
    pub(super) fn value(&self) -> Value {
        match &self.content {
            Content::Null | Content::NotFinite(_) | Content::Broken => Value::Null,
            Content::Bool(value) => Value::from(*value),
            Content::Number(number) => Value::Number(number.clone()),
            Content::Text(text) => Value::from(text.as_str()),
            Content::List(nodes) => nodes.iter().map(Self::value).collect(),
            Content::Map(entries) => Value::Object(map(entries)),
        }
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self.content, Content::Null)
    }

    /// True for a value with a fault that has been reported.
    pub(super) fn is_broken(&self) -> bool {
        matches!(self.content, Content::Broken)
    }

    /// True for null, an empty map and an empty list.
    pub(super) fn is_empty(&self) -> bool {
        match &self.content {
            Content::Null => true,
            Content::List(nodes) => nodes.is_empty(),
            Content::Map(entries) => entries.is_empty(),
            _ => false,
        }
    }

    /// Describes the value for the end of a sentence, without repeating long values.
    pub(super) fn described(&self) -> String {
        match &self.content {
            Content::Null | Content::Broken => "nothing".to_owned(),
            Content::Bool(value) => format!("`{value}`"),
            Content::Number(number) => format!("the number {number}"),
            Content::NotFinite(number) => format!("the number {number}"),
            Content::Text(text) if text.chars().count() <= 60 => format!("the text {text:?}"),
            Content::Text(_) => "a text".to_owned(),
            Content::List(_) => "a list".to_owned(),
            Content::Map(_) => "a map".to_owned(),
        }
    }
}

/// Returns the values of a map without their places.
pub(super) fn map(entries: &[Entry]) -> Map<String, Value> {
    entries.iter().map(|entry| (entry.key.clone(), entry.node.value())).collect()
}

/// Appends a key to the keys that lead to its map.
pub(super) fn below(path: &str, key: &str) -> String {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    match (path, !key.is_empty() && key.bytes().all(is_word)) {
        ("", true) => key.to_owned(),
        (_, true) => format!("{path}.{key}"),
        (_, false) => format!("{path}[{key:?}]"),
    }
}
