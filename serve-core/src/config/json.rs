//! JSON as a tree of [`Node`]s.

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Number, Value};

use super::fault::{ConfigFault, ConfigFaults};
use super::node::{Content, Entry, Node, Place};

/// The largest body, in bytes.
const LARGEST: usize = 8 << 20;
/// The deepest nesting of arrays and objects.
const DEEPEST: usize = 32;

/// Reads a document. An empty one is null.
pub(super) fn read(body: &[u8], file: &str) -> Result<Node, ConfigFaults> {
    let fault = |place, message: &str| ConfigFaults::of(ConfigFault::new(file, place, "", message));
    let start = Place { line: 1, column: 1 };
    if body.len() > LARGEST {
        return Err(fault(start, "the body is larger than 8 MiB"));
    }
    let text = match std::str::from_utf8(body) {
        Ok(text) => text,
        Err(error) => {
            let valid = std::str::from_utf8(&body[..error.valid_up_to()]).unwrap_or_default();
            return Err(fault(Place::of_byte(valid, valid.len()), "not UTF-8"));
        }
    };
    if text.trim().is_empty() {
        return Ok(Node::new(start, Content::Null));
    }
    if let Err(error) = serde_json::from_str::<Value>(text) {
        let place = place_of(&error, text);
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or_default();
        return Err(fault(place, &format!("not JSON: {message}")));
    }
    let document = Document { text, lines: lines(text) };
    document.node(text, 0).map_err(|(place, message)| fault(place, &message))
}

/// Returns the place of a syntax error, whose column is counted in bytes.
fn place_of(error: &serde_json::Error, text: &str) -> Place {
    let line = text.split('\n').nth(error.line().saturating_sub(1)).unwrap_or_default();
    let bytes = line.char_indices().map(|(byte, _)| byte);
    let column = bytes.take_while(|byte| *byte < error.column()).count();
    Place { line: error.line().max(1), column: column.max(1) }
}

/// Returns the byte at which each line starts.
fn lines(text: &str) -> Vec<usize> {
    let newlines = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
    std::iter::once(0).chain(newlines.map(|(at, _)| at + 1)).collect()
}

struct Document<'t> {
    text: &'t str,
    lines: Vec<usize>,
}

impl<'t> Document<'t> {
    /// Returns the place of a part of the text.
    fn place(&self, part: &str) -> Place {
        // A raw value is a slice of the text, so that the difference of the addresses is its offset.
        let offset = (part.as_ptr() as usize).wrapping_sub(self.text.as_ptr() as usize);
        if offset > self.text.len() {
            return Place::default();
        }
        let line = self.lines.partition_point(|start| *start <= offset);
        let start = self.lines[line - 1];
        let column = self.text.get(start..offset).map_or(0, |before| before.chars().count()) + 1;
        Place { line, column }
    }

    fn node(&self, part: &'t str, depth: usize) -> Result<Node, (Place, String)> {
        let part = part.trim_start_matches([' ', '\t', '\r', '\n']);
        let at = self.place(part);
        if depth > DEEPEST {
            return Err((at, format!("too deep: a body has at most {DEEPEST} levels")));
        }
        let failed = |error: serde_json::Error| (at, format!("not JSON: {error}"));
        let content = match part.as_bytes().first() {
            Some(b'{') => {
                let Members(members) = serde_json::from_str(part).map_err(failed)?;
                let entry = |(key, value): (&'t RawValue, &'t RawValue)| {
                    Ok(Entry {
                        key: serde_json::from_str(key.get()).map_err(failed)?,
                        at: self.place(key.get()),
                        node: self.node(value.get(), depth + 1)?,
                    })
                };
                Content::Map(members.into_iter().map(entry).collect::<Result<_, _>>()?)
            }
            Some(b'[') => {
                let values: Vec<&'t RawValue> = serde_json::from_str(part).map_err(failed)?;
                let node = |value: &'t RawValue| self.node(value.get(), depth + 1);
                Content::List(values.into_iter().map(node).collect::<Result<_, _>>()?)
            }
            _ => match serde_json::from_str(part).map_err(failed)? {
                Value::Bool(value) => Content::Bool(value),
                Value::Number(number) => number_of(number),
                Value::String(text) => Content::Text(text),
                _ => Content::Null,
            },
        };
        Ok(Node::new(at, content))
    }
}

fn number_of(number: Number) -> Content {
    Content::Number(number)
}

/// The members of an object, also those whose key is repeated.
struct Members<'t>(Vec<(&'t RawValue, &'t RawValue)>);

impl<'t> Deserialize<'t> for Members<'t> {
    fn deserialize<D: Deserializer<'t>>(from: D) -> Result<Self, D::Error> {
        struct MembersVisitor;

        impl<'t> Visitor<'t> for MembersVisitor {
            type Value = Members<'t>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> Result<Members<'t>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        from.deserialize_map(MembersVisitor)
    }
}
