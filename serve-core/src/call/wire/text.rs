//! Values that are written as text (in a query, a path, a command line) and read as their type
//! requires.
//!
//! `5` is read as a number for a number, and as text for a `String`; a list comes from a
//! repeated key or from JSON; a struct comes from JSON. Nothing is guessed: the type decides.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{DeserializeOwned, Error as _, IgnoredAny, IntoDeserializer, Visitor};
use serde::{Deserializer, forward_to_deserialize_any};

use super::arguments::{Missing, ParamSource};
use super::echo::{shown, shown_message};
use super::finite::{DEPTH, Finite, endless};

/// Parameters by name, each written as text once or several times.
#[derive(Debug)]
pub struct TextSource<'a> {
    names: &'static [&'static str],
    values: &'a BTreeMap<String, Vec<String>>,
}

/// The error of a parameter that is missing or cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{name}`: {message}")]
pub struct TextError {
    /// The parameter.
    pub name: &'static str,
    /// The reason, with what was expected.
    pub message: String,
}

impl<'a> TextSource<'a> {
    /// A source of the parameters `names`, which are looked up in `values`.
    #[must_use]
    pub fn new(names: &'static [&'static str], values: &'a BTreeMap<String, Vec<String>>) -> Self {
        Self { names, values }
    }
}

impl ParamSource for TextSource<'_> {
    type Error = TextError;

    fn param<T: DeserializeOwned>(&mut self, index: usize) -> Result<T, TextError> {
        let name = self.names[index];
        let read = match self.values.get(name).map(Vec::as_slice) {
            None | Some([]) => T::deserialize(Missing::<TextFault>::new(name)),
            Some(values) => T::deserialize(Text::new(values)),
        };
        read.map_err(|TextFault(message)| TextError {
            name,
            message: shown_message(&message).into_owned(),
        })
    }
}

/// The reason why a text cannot be read.
#[derive(Debug)]
pub(crate) struct TextFault(pub(crate) String);

impl fmt::Display for TextFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TextFault {}

impl serde::de::Error for TextFault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

/// The texts of one parameter, at least one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text<'a> {
    values: &'a [String],
    /// The number of types around the value.
    depth: u8,
}

impl<'a> Text<'a> {
    pub(crate) fn new(values: &'a [String]) -> Self {
        Self { values, depth: 0 }
    }

    /// Returns the same text for a type inside of the type that it is read as. One text is read as a
    /// list of one item, as an `Option` and as a newtype, so a type that contains itself would be read
    /// without end.
    fn inner(self) -> Result<Self, TextFault> {
        if self.depth == DEPTH {
            return Err(TextFault(endless()));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }

    fn single(self) -> Result<&'a str, TextFault> {
        match self.values {
            [value] => Ok(value),
            values => Err(TextFault(format!("given {} times, expected once", values.len()))),
        }
    }

    /// Reads the text as JSON.
    fn json<T>(
        self,
        what: &str,
        read: impl FnOnce(Finite<&mut Json<'a>>) -> Read<T>,
    ) -> Result<T, TextFault> {
        let text = self.single()?;
        if !is_json(text) {
            return Err(unfit(text, format_args!("{what} as JSON")));
        }
        json(text, read)
    }
}

/// A deserializer of JSON. It reads bytes, and borrows nothing of them, so that it serves every
/// lifetime.
type Json<'a> = serde_json::Deserializer<serde_json::de::IoRead<&'a [u8]>>;
type Read<T> = Result<T, serde_json::Error>;

fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// Reads JSON right into a type, so that a key that is given twice is an error as in a body.
fn json<'a, T>(
    text: &'a str,
    read: impl FnOnce(Finite<&mut Json<'a>>) -> Read<T>,
) -> Result<T, TextFault> {
    let mut json = serde_json::Deserializer::from_reader(text.as_bytes());
    read(Finite::new(&mut json)).map_err(|error| TextFault(without_position(&error)))
}

/// Returns the message without "at line 1 column 13", which says less than the name of the field.
pub(crate) fn without_position(error: &serde_json::Error) -> String {
    let mut message = error.to_string();
    let position = format!(" at line {} column {}", error.line(), error.column());
    if let Some(bare) = message.strip_suffix(&position) {
        message.truncate(bare.len());
    }
    message
}

fn unfit(text: &str, expected: impl fmt::Display) -> TextFault {
    TextFault(format!("invalid value `{}`, expected {expected}", shown(text)))
}

macro_rules! parsed {
    ($($deserialize:ident $visit:ident $type:ty, $what:literal;)*) => {$(
        fn $deserialize<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TextFault> {
            let text = self.single()?;
            match text.parse::<$type>() {
                Ok(value) => visitor.$visit(value),
                Err(_) => Err(unfit(text, $what)),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Text<'_> {
    type Error = TextFault;

    parsed! {
        deserialize_i8 visit_i8 i8, "an integer from -128 to 127";
        deserialize_i16 visit_i16 i16, "an integer from -32768 to 32767";
        deserialize_i32 visit_i32 i32, "a 32-bit integer";
        deserialize_i64 visit_i64 i64, "an integer";
        deserialize_i128 visit_i128 i128, "an integer";
        deserialize_u8 visit_u8 u8, "an integer from 0 to 255";
        deserialize_u16 visit_u16 u16, "an integer from 0 to 65535";
        deserialize_u32 visit_u32 u32, "a 32-bit integer that is not negative";
        deserialize_u64 visit_u64 u64, "an integer that is not negative";
        deserialize_u128 visit_u128 u128, "an integer that is not negative";
        deserialize_f32 visit_f32 f32, "a number";
        deserialize_f64 visit_f64 f64, "a number";
        deserialize_char visit_char char, "one character";
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TextFault> {
        match self.single()? {
            // A bare key, `?verbose`, is true.
            "true" | "1" | "" => visitor.visit_bool(true),
            "false" | "0" => visitor.visit_bool(false),
            text => Err(unfit(text, "true or false")),
        }
    }

    /// Reads a value for a type that accepts anything: JSON if the text is JSON, else the text.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TextFault> {
        let [text] = self.values else { return self.deserialize_seq(visitor) };
        if is_json(text) {
            json(text, |json| json.deserialize_any(visitor))
        } else {
            visitor.visit_str(text)
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TextFault> {
        visitor.visit_str(self.single()?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TextFault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TextFault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TextFault> {
        visitor.visit_bytes(self.single()?.as_bytes())
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TextFault> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TextFault> {
        visitor.visit_some(self.inner()?)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TextFault> {
        match self.single()? {
            "" | "null" => visitor.visit_unit(),
            text => Err(unfit(text, "nothing")),
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, TextFault> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, TextFault> {
        visitor.visit_newtype_struct(self.inner()?)
    }

    /// Reads a list: from a repeated key, from JSON in brackets, or from one item.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TextFault> {
        if let [text] = self.values
            && text.trim_start().starts_with('[')
        {
            return self.json("a list", |json| json.deserialize_seq(visitor));
        }
        let depth = self.inner()?.depth;
        let items = self
            .values
            .iter()
            .map(|value| TextItem(Text { values: std::slice::from_ref(value), depth }));
        visitor.visit_seq(serde::de::value::SeqDeserializer::new(items))
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

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TextFault> {
        self.json("an object", |json| json.deserialize_map(visitor))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, TextFault> {
        self.json("an object", |json| json.deserialize_struct(name, fields, visitor))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, TextFault> {
        let text = self.single()?;
        if text.trim_start().starts_with('{') {
            return self.json("a variant", |json| json.deserialize_enum(name, variants, visitor));
        }
        visitor.visit_enum(StrDeserializer::<TextFault>::new(text))
    }

    forward_to_deserialize_any! { ignored_any }
}

/// A deserializer of a JSON object whose values may be texts that are read as their types
/// require.
pub(crate) fn json_reads_text(value: serde_json::Value) -> TextObject {
    TextObject(value)
}

/// The deserializer that [`json_reads_text`] returns.
pub(crate) struct TextObject(serde_json::Value);

/// One value of a [`TextObject`].
enum TextOrJson {
    Text(String),
    Json(serde_json::Value),
}

impl<'de> Deserializer<'de> for TextObject {
    type Error = TextFault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TextFault> {
        let serde_json::Value::Object(map) = self.0 else {
            return Err(TextFault("expected arguments by name".to_owned()));
        };
        let entries = map.into_iter().map(|(key, value)| match value {
            serde_json::Value::String(text) => (key, TextOrJson::Text(text)),
            value => (key, TextOrJson::Json(value)),
        });
        visitor.visit_map(serde::de::value::MapDeserializer::new(entries))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de> IntoDeserializer<'de, TextFault> for TextOrJson {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

macro_rules! text_or_json {
    ($($method:ident ($($arg:ident: $type:ty),*);)*) => {$(
        fn $method<V: Visitor<'de>>(self, $($arg: $type,)* visitor: V) -> Result<V::Value, TextFault> {
            match self {
                Self::Text(text) => {
                    Text::new(std::slice::from_ref(&text)).$method($($arg,)* visitor)
                }
                Self::Json(value) => {
                    Finite::new(value).$method($($arg,)* visitor).map_err(TextFault::custom)
                }
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for TextOrJson {
    type Error = TextFault;

    text_or_json! {
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

/// An item of a repeated key.
struct TextItem<'a>(Text<'a>);

impl<'de, 'a> IntoDeserializer<'de, TextFault> for TextItem<'a> {
    type Deserializer = Text<'a>;

    fn into_deserializer(self) -> Text<'a> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    fn read<T: DeserializeOwned>(values: &[&str]) -> Result<T, String> {
        let values: Vec<String> = values.iter().map(|text| (*text).to_owned()).collect();
        T::deserialize(Text::new(&values)).map_err(|error| error.0)
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "lowercase")]
    enum Language {
        Spanish,
        French,
    }

    #[test]
    fn text_is_read_as_the_type_asks() {
        assert_eq!(read::<String>(&["5"]), Ok("5".to_owned()));
        assert_eq!(read::<u8>(&["5"]), Ok(5));
        assert_eq!(read::<Option<f64>>(&["2.5"]), Ok(Some(2.5)));
        assert_eq!(read::<bool>(&[""]), Ok(true));
        assert_eq!(read::<Vec<u32>>(&["1", "2"]), Ok(vec![1, 2]));
        assert_eq!(read::<Vec<u32>>(&["7"]), Ok(vec![7]));
        assert_eq!(read::<Vec<u32>>(&["[1, 2]"]), Ok(vec![1, 2]));
        assert_eq!(read::<Language>(&["french"]), Ok(Language::French));
        assert_eq!(
            read::<serde_json::Value>(&[r#"{"a": [1]}"#]),
            Ok(serde_json::json!({ "a": [1] }))
        );
    }

    #[test]
    fn numbers_keep_their_digits_at_any_depth() {
        #[derive(Debug, Deserialize, PartialEq)]
        struct Extremes {
            large: u128,
            small: i128,
            tiny: f64,
            tenth: f32,
        }
        let (large, small) = (u128::MAX, i128::MIN);
        assert_eq!(read::<u128>(&[&large.to_string()]), Ok(large));
        assert_eq!(read::<Vec<i128>>(&[&format!("[{small}]")]), Ok(vec![small]));
        assert_eq!(read::<Option<f64>>(&["1.7976931348623157e308"]), Ok(Some(f64::MAX)));
        let text =
            format!(r#"{{"large": {large}, "small": {small}, "tiny": 5e-324, "tenth": 0.1}}"#);
        let extremes = Extremes { large, small, tiny: 5e-324, tenth: 0.1 };
        assert_eq!(read::<Extremes>(&[&text]), Ok(extremes));
        assert_eq!(
            read::<Vec<u8>>(&["[300]"]).unwrap_err(),
            "invalid value: integer `300`, expected u8"
        );
        assert_eq!(
            read::<Vec<u8>>(&["[1] 2"]).unwrap_err(),
            "invalid value `[1] 2`, expected a list as JSON"
        );
    }

    #[test]
    fn what_cannot_be_read_says_what_was_expected() {
        assert_eq!(
            read::<u8>(&["-1"]).unwrap_err(),
            "invalid value `-1`, expected an integer from 0 to 255"
        );
        assert_eq!(
            read::<Language>(&["german"]).unwrap_err(),
            "unknown variant `german`, expected `spanish` or `french`"
        );
        assert_eq!(read::<u8>(&["1", "2"]).unwrap_err(), "given 2 times, expected once");
        let none = BTreeMap::new();
        let mut source = TextSource::new(&["name"], &none);
        let error = source.param::<String>(0).unwrap_err();
        assert_eq!(error.to_string(), "`name`: missing field `name`");
        assert_eq!(source.param::<Option<String>>(0).unwrap(), None);
    }
}
