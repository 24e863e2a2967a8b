//! Reads an endpoint's arguments from a request: from its path, its query, its headers and its body.
//!
//! The common case, an object whose keys are the parameters, is one pass of the JSON parser into
//! the arguments. Only a body that this pass rejects is read again, more slowly, to find the error
//! message.

use std::borrow::Cow;
use std::fmt;

use axum::body::HttpBody as _;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use percent_encoding::percent_decode;
use serde::de::{DeserializeOwned, DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::error::Category;
use serde_json::value::RawValue;

use crate::application::HttpSettings;
use crate::call::wire::arguments::{Missing, Names};
use crate::call::wire::echo::shown;
use crate::call::wire::finite::Finite;
use crate::call::wire::text::{Text, TextFault, without_position};
use crate::call::{Arguments, ParamSource};
use crate::deployment::Anywhere;
use crate::ingress::endpoint_info::{BodyFormat, EndpointInfo, ParamPlace};
use crate::ingress::request::body::{self, Patience};
use crate::ingress::request::decoding::Coding;
use crate::ingress::request::form::{self, Part, PartsOf};
use crate::ingress::request::head_values;
use crate::ingress::request::schema_words::{alternatives, expected};
use crate::ingress::response::http_error::HttpError;

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
    /// `application/x-www-form-urlencoded`, whose fields are parameters.
    Form,
    /// `multipart/form-data`, whose parts are parameters.
    Multipart,
}

impl BodyUse {
    pub(crate) fn of(info: &EndpointInfo) -> Self {
        let fields = info.places.iter().filter(|place| **place == ParamPlace::Field).count();
        match info.body {
            BodyFormat::Form => return Self::Form,
            BodyFormat::Multipart => return Self::Multipart,
            BodyFormat::Json => {}
        }
        match info.body_param() {
            Some((_, true)) => Self::Raw,
            Some((_, false)) => Self::Whole,
            None if fields == 0 => Self::None,
            None if fields == info.places.len() => Self::AllFields,
            None => Self::SomeFields,
        }
    }
}

/// The message for a body that is declared as JSON, and is empty.
const EMPTY: &str = "the body is empty, expected JSON";

/// The parts of one request that its arguments are read from.
pub(crate) struct Input<'a> {
    pub(crate) info: &'a EndpointInfo,
    pub(crate) body_use: BodyUse,
    pub(crate) head: &'a Parts,
    /// The values of the path's parameters, in order.
    pub(crate) path: &'a [String],
    pub(crate) body: &'a BodyContent,
}

/// The body of a request, as far as the endpoint uses it.
#[derive(Debug, Default)]
pub(crate) struct BodyContent {
    pub(crate) bytes: Bytes,
    /// The parts, if the endpoint reads `multipart/form-data`.
    pub(crate) parts: Vec<Part>,
}

/// Reads the body of a request, as far as the endpoint uses it.
pub(crate) async fn read_body(
    info: &EndpointInfo,
    body_use: BodyUse,
    head: &Parts,
    body: axum::body::Body,
    settings: &HttpSettings,
) -> Result<BodyContent, HttpError> {
    let mut boundary = None;
    match body_use {
        BodyUse::None => return Ok(BodyContent::default()),
        BodyUse::Raw => {}
        BodyUse::AllFields | BodyUse::SomeFields | BodyUse::Whole => {
            body::check_json(&head.headers)?;
        }
        BodyUse::Form => body::check_form(&head.headers, body.is_end_stream())?,
        BodyUse::Multipart if body.is_end_stream() => {}
        BodyUse::Multipart => boundary = Some(form::boundary(&head.headers)?),
    }
    let coding = Coding::of(&head.headers)?;
    let limit = info.max_body.unwrap_or_else(|| settings.max_body());
    let mut bytes = body::collect(body, limit, Patience::new(settings)).await?;
    if let Some(coding) = coding {
        // Boxed, because few bodies are compressed, and every request would have room for it.
        bytes = Box::pin(coding.decode(bytes, limit)).await?;
    }
    let Some(boundary) = boundary else { return Ok(BodyContent { bytes, parts: Vec::new() }) };
    let parts = Box::pin(form::parts(bytes, boundary)).await?;
    Ok(BodyContent { bytes: Bytes::new(), parts })
}

impl Input<'_> {
    /// Returns the arguments, or a rejection that says what is wrong with them.
    pub(crate) fn arguments<A: Arguments<Anywhere>>(&self) -> Result<A, HttpError> {
        if self.body_use == BodyUse::AllFields {
            let mut json = serde_json::Deserializer::from_slice(&self.body.bytes);
            let names = Names { known: self.info.method.param_names, refuse_unknown: true };
            if let Ok(arguments) = A::decode(names, Finite::new(&mut json))
                && json.end().is_ok()
            {
                return Ok(arguments);
            }
        }
        A::read(&mut Source::new(self)?)
    }

    /// True if the request sends no body, and therefore no fields.
    fn has_no_body(&self) -> bool {
        self.body.bytes.is_empty()
    }

    /// True if the request declares a body, but sends none.
    fn lacks_body(&self) -> bool {
        self.has_no_body() && self.head.headers.contains_key(CONTENT_TYPE)
    }
}

/// The source of the parameters of one request.
struct Source<'a> {
    input: &'a Input<'a>,
    /// The values in the query and in a form, in order, each with the index of its parameter.
    texts: Vec<(usize, String)>,
    /// The values in the body, by the index of the parameter.
    fields: Vec<Option<&'a RawValue>>,
}

impl<'a> Source<'a> {
    fn new(input: &'a Input<'a>) -> Result<Self, HttpError> {
        let query = input.head.uri.query().unwrap_or_default();
        let mut texts = text_values(input.info, query, ParamPlace::Query)?;
        match input.body_use {
            BodyUse::Form => texts.extend(form_values(input)?),
            BodyUse::Multipart => check_names(input)?,
            _ => {}
        }
        let has_fields = matches!(input.body_use, BodyUse::AllFields | BodyUse::SomeFields);
        let fields = if has_fields && !input.has_no_body() {
            fields(input.info, &input.body.bytes)?
        } else {
            Vec::new()
        };
        Ok(Self { input, texts, fields })
    }

    fn missing<T: DeserializeOwned>(&self, index: usize) -> Result<T, HttpError> {
        let info = self.input.info;
        let name = info.name_outside(index);
        T::deserialize(Missing::<TextFault>::new(name)).map_err(|TextFault(mut message)| {
            // A request that declares its body as JSON has to send JSON, if anything of it is
            // needed. Without a declaration, the missing parameter says more.
            let in_body = matches!(info.places[index], ParamPlace::Field | ParamPlace::Body);
            if in_body && info.body == BodyFormat::Json && self.input.lacks_body() {
                return HttpError::not_json(EMPTY);
            }
            let file = info.files(index).map(|_| "a file".to_owned());
            if let Some(expected) = file.or_else(|| expected(info, index)) {
                message.push_str(", expected ");
                message.push_str(&expected);
            }
            HttpError::unfit(info.places[index].word(), name.to_owned(), message)
        })
    }

    fn text<T: DeserializeOwned>(&self, index: usize, values: &[String]) -> Result<T, HttpError> {
        let info = self.input.info;
        T::deserialize(Text::new(values)).map_err(|TextFault(message)| {
            let name = info.name_outside(index);
            HttpError::unfit(info.places[index].word(), name.to_owned(), message)
        })
    }

    /// Reads a parameter from the values that it has in the query, in a form or in the head.
    fn texts<T: DeserializeOwned>(&self, index: usize, values: &[String]) -> Result<T, HttpError> {
        // A browser sends each field of a form, also if it is empty.
        let is_blank = self.input.body_use == BodyUse::Form
            && self.input.info.places[index] == ParamPlace::Field
            && self.input.info.traits[index].may_be_missing
            && values.iter().all(String::is_empty);
        if values.is_empty() || is_blank { self.missing(index) } else { self.text(index, values) }
    }

    fn parts<T: DeserializeOwned>(&self, index: usize) -> Result<T, HttpError> {
        let info = self.input.info;
        let name = info.method.param_names[index];
        let parts = self.input.body.parts.iter().filter(|part| part.name == name);
        let parts: Vec<&Part> = parts.collect();
        let is_blank = info.traits[index].may_be_missing && parts.iter().all(|it| it.is_empty());
        if parts.is_empty() || is_blank {
            return self.missing(index);
        }
        T::deserialize(PartsOf(&parts))
            .map_err(|TextFault(message)| HttpError::unfit("body", name.to_owned(), message))
    }
}

impl ParamSource for Source<'_> {
    type Error = HttpError;

    fn param<T: DeserializeOwned>(&mut self, index: usize) -> Result<T, HttpError> {
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
            ParamPlace::Header(name) => {
                self.texts(index, &head_values::header(&input.head.headers, name)?)
            }
            ParamPlace::Cookie(name) => {
                self.texts(index, &head_values::cookie(&input.head.headers, name)?)
            }
            ParamPlace::Field if input.body_use == BodyUse::Multipart => self.parts(index),
            ParamPlace::Field if input.body_use != BodyUse::Form => match self.fields.get(index) {
                Some(Some(value)) => json(value.get().as_bytes(), name),
                _ => self.missing(index),
            },
            ParamPlace::Query | ParamPlace::Field => {
                let values = self.texts.iter().filter(|(of, _)| *of == index);
                let values: Vec<String> = values.map(|(_, value)| value.clone()).collect();
                self.texts(index, &values)
            }
            ParamPlace::Body if input.body_use == BodyUse::Raw => {
                T::deserialize(RawBody(input.body.bytes.clone()))
                    .map_err(|error| HttpError::unfit("body", name.to_owned(), error.to_string()))
            }
            ParamPlace::Body if input.has_no_body() => self.missing(index),
            ParamPlace::Body => {
                let body = &input.body.bytes;
                check_encoding(body)?;
                // The value is read once if all is well. A value that cannot be read may not be
                // JSON at all.
                json(body, name).or_else(|unfit| {
                    check_syntax(body)?;
                    Err(unfit)
                })
            }
        }
    }
}

/// Returns the values of the parameters that are in the query, or in a form. Other keys of a query are
/// ignored, but have to be text, because a key that is not text cannot be told apart from a parameter.
fn text_values(
    info: &EndpointInfo,
    text: &str,
    place: ParamPlace,
) -> Result<Vec<(usize, String)>, HttpError> {
    let mut values = Vec::new();
    let is_form = place == ParamPlace::Field;
    if !is_form && !info.places.contains(&place) {
        return Ok(values);
    }
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let Some(key) = decoded(key) else {
            let message = format!("invalid key `{}`, expected UTF-8", shown(key));
            return Err(HttpError::unfit(place.word(), None, message));
        };
        let Some(index) = info.index_of(place, &key) else {
            if is_form {
                return Err(unknown_field(info, &key));
            }
            continue;
        };
        let Some(value) = decoded(value) else {
            let field = key.into_owned();
            return Err(HttpError::unfit(place.word(), field, "invalid value, expected UTF-8"));
        };
        values.push((index, value.into_owned()));
    }
    Ok(values)
}

/// Returns the values of a form's fields.
fn form_values(input: &Input<'_>) -> Result<Vec<(usize, String)>, HttpError> {
    let body = std::str::from_utf8(&input.body.bytes);
    let body = body.map_err(|_| HttpError::bad_body("the body is not a form: it is not UTF-8"))?;
    text_values(input.info, body, ParamPlace::Field)
}

/// Checks that each part of a multipart form is a parameter.
fn check_names(input: &Input<'_>) -> Result<(), HttpError> {
    let known = |name: &str| input.info.index_of(ParamPlace::Field, name).is_some();
    match input.body.parts.iter().find(|part| !known(&part.name)) {
        Some(part) => Err(unknown_field(input.info, &part.name)),
        None => Ok(()),
    }
}

fn unknown_field(info: &EndpointInfo, name: &str) -> HttpError {
    let message = format!("unknown field `{}`, expected {}", shown(name), field_names(info));
    HttpError::unfit("body", name.to_owned(), message)
}

/// Returns the names of the fields of the body: `` `a`, `b` or `c` ``.
fn field_names(info: &EndpointInfo) -> String {
    let fields = info.places.iter().zip(info.method.param_names);
    let fields = fields.filter(|(place, _)| **place == ParamPlace::Field);
    let names = fields.map(|(_, name)| format!("`{name}`")).collect();
    alternatives(names).unwrap_or_else(|| "nothing".to_owned())
}

/// Decodes a part of a query, as HTML forms encode it. Returns `None` if the part is not UTF-8.
fn decoded(part: &str) -> Option<Cow<'_, str>> {
    if !part.contains(['+', '%']) {
        return Some(Cow::Borrowed(part));
    }
    let spaced = part.replace('+', " ");
    String::from_utf8(percent_decode(spaced.as_bytes()).collect()).ok().map(Cow::Owned)
}

/// Returns the values of a JSON object, unparsed, by the index of their parameter.
fn fields<'a>(
    info: &EndpointInfo,
    body: &'a Bytes,
) -> Result<Vec<Option<&'a RawValue>>, HttpError> {
    check_encoding(body)?;
    let mut json = serde_json::Deserializer::from_slice(body);
    let read = FieldsSeed(info).deserialize(&mut json).and_then(|read| json.end().map(|()| read));
    let Fields { values, unknown, twice } = read.map_err(|error| {
        if error.classify() != Category::Data {
            return not_json(body, &error);
        }
        // The parser stops at the first value that is not an object: the rest may not be JSON.
        if let Err(rejection) = check_syntax(body) {
            return rejection;
        }
        let message = format!("{}, with {}", without_position(&error), field_names(info));
        HttpError::unfit("body", None, message)
    })?;
    if let Some(unknown) = unknown {
        return Err(unknown_field(info, &unknown));
    }
    match twice {
        Some(index) => {
            let name = info.method.param_names[index];
            let message = format!("duplicate field `{name}`");
            Err(HttpError::unfit("body", name.to_owned(), message))
        }
        None => Ok(values),
    }
}

/// Returns a 400 if the body is not JSON at all.
fn check_syntax(body: &[u8]) -> Result<(), HttpError> {
    check_encoding(body)?;
    match serde_json::from_slice::<IgnoredAny>(body) {
        Ok(_) => Ok(()),
        Err(error) => Err(not_json(body, &error)),
    }
}

/// Returns a 400 if the body is not UTF-8: the parser does not look into strings that it skips.
fn check_encoding(body: &[u8]) -> Result<(), HttpError> {
    std::str::from_utf8(body).map(drop).map_err(|error| {
        let at = error.valid_up_to();
        HttpError::not_json(format!("the body is not JSON: byte {at} is not UTF-8"))
    })
}

fn not_json(body: &[u8], error: &serde_json::Error) -> HttpError {
    if body.is_empty() {
        return HttpError::not_json(EMPTY);
    }
    HttpError::not_json(format!("the body is not JSON: {error}"))
}

/// Parses a JSON value. The rejection has the path to the fault.
fn json<T: DeserializeOwned>(text: &[u8], name: &str) -> Result<T, HttpError> {
    let mut json = serde_json::Deserializer::from_slice(text);
    if let Ok(value) = T::deserialize(Finite::new(&mut json))
        && json.end().is_ok()
    {
        return Ok(value);
    }
    // The value is read again, with the path tracked.
    let mut json = serde_json::Deserializer::from_slice(text);
    let value = serde_path_to_error::deserialize(Finite::new(&mut json)).map_err(|error| {
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
        HttpError::unfit("body", field, message)
    })?;
    // Something follows the value.
    json.end()
        .map_err(|error| HttpError::unfit("body", name.to_owned(), without_position(&error)))?;
    Ok(value)
}

/// The fields of a JSON object. Its size depends on the endpoint, not on the body.
struct Fields<'a> {
    /// The values as they are written, by the index of their parameter.
    values: Vec<Option<&'a RawValue>>,
    /// The first key that is not a parameter.
    unknown: Option<Cow<'a, str>>,
    /// The first parameter that has two values.
    twice: Option<usize>,
}

/// Reads [`Fields`] for an endpoint.
struct FieldsSeed<'a>(&'a EndpointInfo);

impl<'de> DeserializeSeed<'de> for FieldsSeed<'_> {
    type Value = Fields<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for FieldsSeed<'_> {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let Self(info) = self;
        let values = vec![None; info.places.len()];
        let mut fields = Fields { values, unknown: None, twice: None };
        // The object is read to its end even if it is at fault, because the rest may not be JSON.
        while let Some(Key(key)) = map.next_key()? {
            let Some(index) = info.index_of(ParamPlace::Field, &key) else {
                fields.unknown.get_or_insert(key);
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            if fields.values[index].replace(map.next_value()?).is_some() {
                fields.twice.get_or_insert(index);
            }
        }
        Ok(fields)
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
