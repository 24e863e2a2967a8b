//! The parts of a `multipart/form-data` body, and the parameters that are read from them.

use bytes::Bytes;
use futures::stream;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde::Deserializer;
use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{IntoDeserializer, Visitor};

use crate::call::wire::text::{Text, TextFault};
use crate::ingress::file_part::{FILE_PART, FilePart};
use crate::ingress::response::http_error::HttpError;

/// One part of a body.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) name: String,
    file: FilePart,
}

/// Returns the boundary of a body that is sent as `multipart/form-data`.
pub(crate) fn boundary(headers: &HeaderMap) -> Result<String, HttpError> {
    let content_type = headers.get(CONTENT_TYPE);
    let wrong = || HttpError::wrong_content_type(content_type, "multipart/form-data");
    let text = content_type.and_then(|it| it.to_str().ok()).ok_or_else(wrong)?;
    match multer::parse_boundary(text) {
        Ok(boundary) => Ok(boundary),
        Err(multer::Error::NoBoundary) => {
            Err(HttpError::bad_body("the content type `multipart/form-data` has no `boundary`"))
        }
        Err(_) => Err(wrong()),
    }
}

/// Splits a body into its parts. A file input that was left empty is no part.
pub(crate) async fn parts(body: Bytes, boundary: String) -> Result<Vec<Part>, HttpError> {
    let invalid = |error: multer::Error| {
        HttpError::bad_body(format!("the body is not multipart/form-data: {error}"))
    };
    let whole = stream::iter([Ok::<_, std::convert::Infallible>(body)]);
    let mut multipart = multer::Multipart::new(whole, boundary);
    let mut parts = Vec::new();
    while let Some(field) = multipart.next_field().await.map_err(invalid)? {
        let Some(name) = field.name().map(str::to_owned) else {
            return Err(HttpError::bad_body("a part of the body has no name"));
        };
        let file_name = field.file_name().map(str::to_owned);
        let content_type = field.content_type().map(ToString::to_string);
        let data = field.bytes().await.map_err(invalid)?;
        if file_name.as_deref() == Some("") && data.is_empty() {
            continue;
        }
        parts.push(Part { name, file: FilePart { file_name, content_type, data } });
    }
    Ok(parts)
}

impl Part {
    /// True for a text field that was left empty.
    pub(crate) fn is_empty(&self) -> bool {
        self.file.file_name.is_none() && self.file.data.is_empty()
    }

    fn text(&self) -> Result<String, TextFault> {
        let text = String::from_utf8(self.file.data.to_vec());
        text.map_err(|_| TextFault("invalid value, expected UTF-8".to_owned()))
    }

    fn is_json(&self) -> bool {
        let content_type = self.file.content_type.as_deref().unwrap_or_default();
        content_type.split(';').next().is_some_and(|it| it.trim() == "application/json")
    }
}

/// The parts of one parameter, at least one: a deserializer.
#[derive(Clone, Copy)]
pub(crate) struct PartsOf<'a>(pub(crate) &'a [&'a Part]);

impl<'a> PartsOf<'a> {
    fn single(self) -> Result<&'a Part, TextFault> {
        match self.0 {
            [part] => Ok(part),
            parts => Err(TextFault(format!("given {} times, expected once", parts.len()))),
        }
    }
}

macro_rules! as_text {
    ($($method:ident ($($arg:ident: $type:ty),*);)*) => {$(
        fn $method<V: Visitor<'de>>(self, $($arg: $type,)* visitor: V) -> Result<V::Value, TextFault> {
            let text = self.single()?.text()?;
            Text::new(std::slice::from_ref(&text)).$method($($arg,)* visitor)
        }
    )*};
}

impl<'de> Deserializer<'de> for PartsOf<'_> {
    type Error = TextFault;

    as_text! {
        deserialize_any(); deserialize_bool(); deserialize_i8(); deserialize_i16();
        deserialize_i32(); deserialize_i64(); deserialize_i128(); deserialize_u8();
        deserialize_u16(); deserialize_u32(); deserialize_u64(); deserialize_u128();
        deserialize_f32(); deserialize_f64(); deserialize_char(); deserialize_str();
        deserialize_string(); deserialize_unit(); deserialize_unit_struct(name: &'static str);
        deserialize_map(); deserialize_identifier(); deserialize_ignored_any();
        deserialize_enum(name: &'static str, variants: &'static [&'static str]);
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TextFault> {
        visitor.visit_bytes(&self.single()?.file.data)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TextFault> {
        visitor.visit_byte_buf(self.single()?.file.data.to_vec())
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TextFault> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, TextFault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, TextFault> {
        let part = self.single()?;
        if name != FILE_PART {
            let text = part.text()?;
            return Text::new(std::slice::from_ref(&text))
                .deserialize_struct(name, fields, visitor);
        }
        let FilePart { file_name, content_type, data } = part.file.clone();
        let members = [
            ("file_name", Member::Text(file_name)),
            ("content_type", Member::Text(content_type)),
            ("data", Member::Data(data)),
        ];
        visitor.visit_map(MapDeserializer::new(members.into_iter()))
    }

    /// Reads a list: from a repeated field, or from a part that is JSON.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TextFault> {
        if let [part] = self.0
            && part.is_json()
        {
            let text = part.text()?;
            return Text::new(std::slice::from_ref(&text)).deserialize_seq(visitor);
        }
        let items = self.0.iter().map(|part| Item(part));
        visitor.visit_seq(SeqDeserializer::new(items))
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, TextFault> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, TextFault> {
        self.deserialize_seq(visitor)
    }
}

/// One part of a repeated field.
struct Item<'a>(&'a Part);

impl<'de, 'a> IntoDeserializer<'de, TextFault> for Item<'a> {
    type Deserializer = OnePart<'a>;

    fn into_deserializer(self) -> OnePart<'a> {
        OnePart([self.0])
    }
}

/// A deserializer of a single part, which holds the list of one that [`PartsOf`] borrows.
struct OnePart<'a>([&'a Part; 1]);

macro_rules! as_parts {
    ($($method:ident ($($arg:ident: $type:ty),*);)*) => {$(
        fn $method<V: Visitor<'de>>(self, $($arg: $type,)* visitor: V) -> Result<V::Value, TextFault> {
            PartsOf(&self.0).$method($($arg,)* visitor)
        }
    )*};
}

impl<'de> Deserializer<'de> for OnePart<'_> {
    type Error = TextFault;

    as_parts! {
        deserialize_any(); deserialize_bool(); deserialize_i8(); deserialize_i16();
        deserialize_i32(); deserialize_i64(); deserialize_i128(); deserialize_u8();
        deserialize_u16(); deserialize_u32(); deserialize_u64(); deserialize_u128();
        deserialize_f32(); deserialize_f64(); deserialize_char(); deserialize_str();
        deserialize_string(); deserialize_bytes(); deserialize_byte_buf(); deserialize_option();
        deserialize_unit(); deserialize_unit_struct(name: &'static str);
        deserialize_newtype_struct(name: &'static str); deserialize_seq();
        deserialize_tuple(len: usize);
        deserialize_tuple_struct(name: &'static str, len: usize); deserialize_map();
        deserialize_struct(name: &'static str, fields: &'static [&'static str]);
        deserialize_enum(name: &'static str, variants: &'static [&'static str]);
        deserialize_identifier(); deserialize_ignored_any();
    }
}

/// A member of a [`FilePart`].
enum Member {
    Text(Option<String>),
    Data(Bytes),
}

impl<'de> IntoDeserializer<'de, TextFault> for Member {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Member {
    type Error = TextFault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TextFault> {
        match self {
            Self::Text(None) => visitor.visit_none(),
            Self::Text(Some(text)) => {
                visitor.visit_some(IntoDeserializer::<TextFault>::into_deserializer(text))
            }
            Self::Data(data) => visitor.visit_byte_buf(data.into()),
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}
