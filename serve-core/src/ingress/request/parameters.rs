//! Reads an endpoint's arguments from a request: from its path, its query and its body.
//!
//! The common case, an object whose keys are the parameters, is one pass of the JSON parser into
//! the arguments. Only a body that this pass rejects is read again, more slowly, to find the error
//! message.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use serde::de::{DeserializeOwned, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::error::Category;
use serde_json::value::RawValue;

use crate::call::wire::arguments::{Missing, Names};
use crate::call::wire::text::{Text, TextFault};
use crate::call::{Arguments, ParamSource};
use crate::deployment::Anywhere;
use crate::ingress::endpoint_info::{EndpointInfo, ParamPlace};
use crate::ingress::request::body;
use crate::ingress::request::schema_words::{alternatives, expected};
use crate::ingress::response::rejection::Rejection;

/// The part of a request's body that an endpoint reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyUse {
    /// Nothing: no parameter is in the body.
    None,
    /// A JSON object, whose keys are all of the parameters.
    AllFields,
    /// A JSON object, whose keys are some of the parameters.
    SomeFields,
    /// JSON, as one parameter.
    Whole,
    /// Bytes of any type, as one parameter.
    Raw,
}

impl BodyUse {
    pub(crate) fn of(info: &EndpointInfo) -> Self {
        let fields = info.places.iter().filter(|place| **place == ParamPlace::Field).count();
        match info.body_param() {
            Some((_, true)) => Self::Raw,
            Some((_, false)) => Self::Whole,
            None if fields == 0 => Self::None,
            None if fields == info.places.len() => Self::AllFields,
            None => Self::SomeFields,
        }
    }
}

/// The parts of one request that its arguments are read from.
pub(crate) struct Input<'a> {
    pub(crate) info: &'a EndpointInfo,
    pub(crate) body_use: BodyUse,
    pub(crate) head: &'a Parts,
    /// The values of the path's parameters, in order.
    pub(crate) path: &'a [String],
    pub(crate) body: &'a Bytes,
}

/// Reads the body of a request, as far as the endpoint uses it.
pub(crate) async fn read_body(
    info: &EndpointInfo,
    body_use: BodyUse,
    head: &Parts,
    body: axum::body::Body,
) -> Result<Bytes, Rejection> {
    match body_use {
        BodyUse::None => return Ok(Bytes::new()),
        BodyUse::Raw => {}
        BodyUse::AllFields | BodyUse::SomeFields | BodyUse::Whole => {
            body::check_json(&head.headers)?;
        }
    }
    body::collect(body, info.max_body).await
}

impl Input<'_> {
    /// Returns the arguments, or a rejection that says what is wrong with them.
    pub(crate) fn arguments<A: Arguments<Anywhere>>(&self) -> Result<A, Rejection> {
        if self.body_use == BodyUse::AllFields {
            let mut json = serde_json::Deserializer::from_slice(self.body);
            let names = Names { known: self.info.method.param_names, refuse_unknown: true };
            if let Ok(arguments) = A::decode(names, &mut json)
                && json.end().is_ok()
            {
                return Ok(arguments);
            }
        }
        A::read(&mut Source::new(self)?)
    }

    /// True if the request sends no body, and therefore no fields: a missing parameter is then
    /// reported by name. A request that declares its body as JSON has to send JSON.
    fn has_no_body(&self) -> bool {
        self.body.is_empty() && !self.head.headers.contains_key(CONTENT_TYPE)
    }
}

/// The source of the parameters of one request.
struct Source<'a> {
    input: &'a Input<'a>,
    query: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    fields: Vec<(Cow<'a, str>, &'a RawValue)>,
}

impl<'a> Source<'a> {
    fn new(input: &'a Input<'a>) -> Result<Self, Rejection> {
        let in_query = input.info.places.contains(&ParamPlace::Query);
        let query = match input.head.uri.query() {
            Some(query) if in_query => form_urlencoded::parse(query.as_bytes()).collect(),
            _ => Vec::new(),
        };
        let has_fields = matches!(input.body_use, BodyUse::AllFields | BodyUse::SomeFields);
        let fields = if has_fields && !input.has_no_body() {
            fields(input.info, input.body)?
        } else {
            Vec::new()
        };
        Ok(Self { input, query, fields })
    }

    fn missing<T: DeserializeOwned>(&self, index: usize) -> Result<T, Rejection> {
        let info = self.input.info;
        let name = info.method.param_names[index];
        T::deserialize(Missing::<TextFault>::new(name)).map_err(|TextFault(mut message)| {
            if let Some(expected) = expected(info, index) {
                message.push_str(", expected ");
                message.push_str(&expected);
            }
            Rejection::unfit(info.places[index].word(), name.to_owned(), message)
        })
    }

    fn text<T: DeserializeOwned>(&self, index: usize, values: &[String]) -> Result<T, Rejection> {
        let info = self.input.info;
        T::deserialize(Text::new(values)).map_err(|TextFault(message)| {
            let name = info.method.param_names[index];
            Rejection::unfit(info.places[index].word(), name.to_owned(), message)
        })
    }
}

impl ParamSource for Source<'_> {
    type Error = Rejection;

    fn param<T: DeserializeOwned>(&mut self, index: usize) -> Result<T, Rejection> {
        let input = self.input;
        let name = input.info.method.param_names[index];
        match input.info.places[index] {
            ParamPlace::Path => {
                let at = input.info.path_names.iter().position(|known| *known == name);
                match at.and_then(|at| input.path.get(at)) {
                    Some(value) => self.text(index, std::slice::from_ref(value)),
                    None => self.missing(index),
                }
            }
            ParamPlace::Query => {
                let values = self.query.iter().filter(|(key, _)| key == name);
                let values: Vec<String> = values.map(|(_, value)| value.to_string()).collect();
                if values.is_empty() { self.missing(index) } else { self.text(index, &values) }
            }
            ParamPlace::Field => match self.fields.iter().rev().find(|(key, _)| key == name) {
                Some((_, value)) => json(value.get().as_bytes(), name),
                None => self.missing(index),
            },
            ParamPlace::Body if input.body_use == BodyUse::Raw => {
                T::deserialize(RawBody(input.body.clone()))
                    .map_err(|error| Rejection::unfit("body", name.to_owned(), error.to_string()))
            }
            ParamPlace::Body if input.has_no_body() => self.missing(index),
            ParamPlace::Body => {
                check_encoding(input.body)?;
                // The value is read once if all is well. A value that cannot be read may not be
                // JSON at all.
                json(input.body, name).or_else(|unfit| {
                    check_syntax(input.body)?;
                    Err(unfit)
                })
            }
        }
    }
}

/// Returns the values of a JSON object by key, unparsed.
fn fields<'a>(
    info: &EndpointInfo,
    body: &'a Bytes,
) -> Result<Vec<(Cow<'a, str>, &'a RawValue)>, Rejection> {
    check_encoding(body)?;
    let known: Vec<&'static str> = info
        .places
        .iter()
        .zip(info.method.param_names)
        .filter(|(place, _)| **place == ParamPlace::Field)
        .map(|(_, name)| *name)
        .collect();
    let list = || {
        let names = known.iter().map(|name| format!("`{name}`")).collect();
        alternatives(names).unwrap_or_else(|| "nothing".to_owned())
    };
    let Fields(fields) = serde_json::from_slice(body).map_err(|error| {
        if error.classify() != Category::Data {
            return not_json(body, &error);
        }
        // The parser stops at the first value that is not an object: the rest may not be JSON.
        if let Err(rejection) = check_syntax(body) {
            return rejection;
        }
        let message = format!("{}, with {}", without_position(&error), list());
        Rejection::unfit("body", None, message)
    })?;
    match fields.iter().find(|(key, _)| !known.contains(&&**key)) {
        Some((unknown, _)) => {
            let message = format!("unknown field `{unknown}`, expected {}", list());
            Err(Rejection::unfit("body", unknown.to_string(), message))
        }
        None => Ok(fields),
    }
}

/// Returns a 400 if the body is not JSON at all.
fn check_syntax(body: &[u8]) -> Result<(), Rejection> {
    check_encoding(body)?;
    match serde_json::from_slice::<IgnoredAny>(body) {
        Ok(_) => Ok(()),
        Err(error) => Err(not_json(body, &error)),
    }
}

/// Returns a 400 if the body is not UTF-8: the parser does not look into strings that it skips.
fn check_encoding(body: &[u8]) -> Result<(), Rejection> {
    std::str::from_utf8(body).map(drop).map_err(|error| {
        let at = error.valid_up_to();
        Rejection::not_json(format!("the body is not JSON: byte {at} is not UTF-8"))
    })
}

fn not_json(body: &[u8], error: &serde_json::Error) -> Rejection {
    if body.is_empty() {
        return Rejection::not_json("the body is empty, expected JSON");
    }
    Rejection::not_json(format!("the body is not JSON: {error}"))
}

/// Parses a JSON value. The rejection has the path to the fault.
fn json<T: DeserializeOwned>(text: &[u8], name: &str) -> Result<T, Rejection> {
    if let Ok(value) = serde_json::from_slice(text) {
        return Ok(value);
    }
    // The value is read again, with the path tracked.
    let mut json = serde_json::Deserializer::from_slice(text);
    serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let mut field = match error.path().to_string() {
            path if path == "." => name.to_owned(),
            path if path.starts_with('[') => format!("{name}{path}"),
            path => format!("{name}.{path}"),
        };
        let message = without_position(error.inner());
        // The path leads to the object that lacks the field.
        if let Some(missing) =
            message.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`'))
        {
            field = format!("{field}.{missing}");
        }
        Rejection::unfit("body", field, message)
    })
}

/// Returns the message without "at line 1 column 13", which says less than the field's path.
fn without_position(error: &serde_json::Error) -> String {
    let mut message = error.to_string();
    let position = format!(" at line {} column {}", error.line(), error.column());
    if let Some(bare) = message.strip_suffix(&position) {
        message.truncate(bare.len());
    }
    message
}

/// A JSON object whose values stay as they are written.
struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut fields = Vec::new();
                while let Some(Key(key)) = map.next_key()? {
                    fields.push((key, map.next_value()?));
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(Entries)
    }
}

/// A key, borrowed if it has no escapes.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

/// The raw body, as a deserializer.
struct RawBody(Bytes);

impl<'de> Deserializer<'de> for RawBody {
    type Error = serde::de::value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_byte_buf(self.0.into())
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        if self.0.is_empty() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}
