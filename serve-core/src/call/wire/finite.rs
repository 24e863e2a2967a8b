//! [`Finite`]: a deserializer that refuses a type which contains itself without end.
//!
//! A value is read as an `Option` and as a newtype without any of its text being consumed. A type
//! such as `struct Link(Option<Box<Link>>)` therefore asks for the same text again and again, and
//! `serde_json`, which only counts brackets, would read it until the stack overflows.

use std::fmt;

use serde::Deserializer;
use serde::de::{
    DeserializeSeed, EnumAccess, Error as _, MapAccess, SeqAccess, VariantAccess, Visitor,
};

/// The number of `Option`s and newtypes that may be directly around a value: the depth to which
/// `serde_json` reads brackets.
pub(crate) const DEPTH: u8 = 128;

/// Returns the message for a type that is around itself more than [`DEPTH`] times.
pub(crate) fn endless() -> String {
    format!("the type contains itself more than {DEPTH} times, and the value never ends")
}

/// Reads what `inner` reads, with at most [`DEPTH`] `Option`s and newtypes directly around each
/// value. `inner` itself has to limit the depth of sequences, maps and enums.
///
/// Values that serde reads from its own buffer are not counted: those of untagged and internally
/// tagged enums, and of flattened fields.
pub(crate) struct Finite<D> {
    inner: D,
    /// The number of `Option`s and newtypes that were entered directly around this value.
    around: u8,
}

impl<D> Finite<D> {
    pub(crate) fn new(inner: D) -> Self {
        Self { inner, around: 0 }
    }

    /// Counts one more type around the value.
    fn enter<'de, V>(self, visitor: V) -> Result<(D, Read<V>), D::Error>
    where
        D: Deserializer<'de>,
    {
        if self.around == DEPTH {
            return Err(D::Error::custom(endless()));
        }
        Ok((self.inner, Read { visitor, around: self.around + 1 }))
    }
}

macro_rules! read {
    ($($method:ident ($($arg:ident: $type:ty),*);)*) => {$(
        fn $method<V: Visitor<'de>>(self, $($arg: $type,)* visitor: V) -> Result<V::Value, D::Error> {
            self.inner.$method($($arg,)* Read { visitor, around: self.around })
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Finite<D> {
    type Error = D::Error;

    read! {
        deserialize_any(); deserialize_bool(); deserialize_i8(); deserialize_i16();
        deserialize_i32(); deserialize_i64(); deserialize_i128(); deserialize_u8();
        deserialize_u16(); deserialize_u32(); deserialize_u64(); deserialize_u128();
        deserialize_f32(); deserialize_f64(); deserialize_char(); deserialize_str();
        deserialize_string(); deserialize_bytes(); deserialize_byte_buf();
        deserialize_unit(); deserialize_unit_struct(name: &'static str);
        deserialize_seq(); deserialize_tuple(len: usize);
        deserialize_tuple_struct(name: &'static str, len: usize); deserialize_map();
        deserialize_struct(name: &'static str, fields: &'static [&'static str]);
        deserialize_enum(name: &'static str, variants: &'static [&'static str]);
        deserialize_identifier(); deserialize_ignored_any();
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        let (inner, visitor) = self.enter(visitor)?;
        inner.deserialize_option(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let (inner, visitor) = self.enter(visitor)?;
        inner.deserialize_newtype_struct(name, visitor)
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

/// A visitor that passes [`Finite`] deserializers on.
struct Read<V> {
    visitor: V,
    around: u8,
}

macro_rules! visit {
    ($($method:ident $type:ty;)*) => {$(
        fn $method<E: serde::de::Error>(self, value: $type) -> Result<V::Value, E> {
            self.visitor.$method(value)
        }
    )*};
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Read<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(f)
    }

    visit! {
        visit_bool bool; visit_i8 i8; visit_i16 i16; visit_i32 i32; visit_i64 i64; visit_i128 i128;
        visit_u8 u8; visit_u16 u16; visit_u32 u32; visit_u64 u64; visit_u128 u128; visit_f32 f32;
        visit_f64 f64; visit_char char; visit_str &str; visit_borrowed_str &'de str;
        visit_string String; visit_bytes &[u8]; visit_borrowed_bytes &'de [u8];
        visit_byte_buf Vec<u8>;
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<V::Value, E> {
        self.visitor.visit_none()
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<V::Value, E> {
        self.visitor.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.visitor.visit_some(Finite { inner, around: self.around })
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.visitor.visit_newtype_struct(Finite { inner, around: self.around })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_seq(Parts(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_map(Parts(entries))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, variant: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_enum(Parts(variant))
    }
}

/// The parts of a value: each is counted on its own.
struct Parts<A>(A);

/// The seed of a part.
struct Part<S>(S);

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Part<S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        self.0.deserialize(Finite::new(deserializer))
    }
}

fn part<V>(visitor: V) -> Read<V> {
    Read { visitor, around: 0 }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Parts<A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        self.0.next_element_seed(Part(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Parts<A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        self.0.next_key_seed(Part(seed))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.0.next_value_seed(Part(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

impl<'de, A: EnumAccess<'de>> EnumAccess<'de> for Parts<A> {
    type Error = A::Error;
    type Variant = Parts<A::Variant>;

    fn variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<(S::Value, Self::Variant), A::Error> {
        let (name, variant) = self.0.variant_seed(Part(seed))?;
        Ok((name, Parts(variant)))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Parts<A> {
    type Error = A::Error;

    fn unit_variant(self) -> Result<(), A::Error> {
        self.0.unit_variant()
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, A::Error> {
        self.0.newtype_variant_seed(Part(seed))
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, A::Error> {
        self.0.tuple_variant(len, part(visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        self.0.struct_variant(fields, part(visitor))
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::collections::BTreeMap;
    use std::fmt::Debug;

    use super::*;
    use serde::Deserialize;
    use serde::de::DeserializeOwned;
    use serde_json::value::RawValue;
    use serde_json::{Value, json};

    #[derive(Debug, Deserialize, PartialEq)]
    struct Link(Option<Box<Link>>);

    #[derive(Debug, Deserialize, PartialEq)]
    struct Never(Box<Never>);

    #[derive(Debug, Deserialize, PartialEq)]
    struct Ring(Option<Box<Back>>);

    #[derive(Debug, Deserialize, PartialEq)]
    struct Back(Box<Ring>);

    #[derive(Debug, Deserialize, PartialEq)]
    enum Variant {
        Unit,
        Newtype(Link),
        Tuple(u8, Link),
        Struct { link: Link },
    }

    #[derive(Debug, Deserialize, PartialEq)]
    struct Tree(Vec<Tree>);

    fn read<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, String> {
        let mut json = serde_json::Deserializer::from_str(json);
        T::deserialize(Finite::new(&mut json)).map_err(|error| error.to_string())
    }

    #[test]
    fn a_type_that_contains_itself_without_end_is_refused() {
        #[track_caller]
        fn refused<T: DeserializeOwned + Debug>(json: &str) {
            let error = read::<T>(json).unwrap_err();
            assert!(error.contains(&endless()), "{json}: {error}");
            let value: Value = serde_json::from_str(json).unwrap();
            let error = T::deserialize(Finite::new(&value)).unwrap_err();
            assert!(error.to_string().contains(&endless()), "{json}: {error}");
        }
        for json in ["1", "\"a\"", "[]", "{}", "true"] {
            refused::<Link>(json);
            refused::<Never>(json);
            refused::<Ring>(json);
        }
        refused::<Never>("null");
        refused::<Vec<Link>>("[null, 1]");
        refused::<(u8, Link)>("[1, 1]");
        refused::<BTreeMap<String, Link>>(r#"{"a": 1}"#);
        refused::<Variant>(r#"{"Newtype": 1}"#);
        refused::<Variant>(r#"{"Tuple": [1, 1]}"#);
        refused::<Variant>(r#"{"Struct": {"link": 1}}"#);
    }

    #[test]
    fn what_ends_is_read_as_without_a_guard() {
        assert_eq!(read("null"), Ok(Link(None)));
        assert_eq!(read("null"), Ok(Ring(None)));
        assert_eq!(read("\"Unit\""), Ok(Variant::Unit));
        assert_eq!(read(r#"{"Tuple": [1, null]}"#), Ok(Variant::Tuple(1, Link(None))));
        let brackets = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(read::<Tree>(&brackets(127)).is_ok());
        assert!(read::<Tree>(&brackets(128)).unwrap_err().contains("recursion limit"));
        let text = r#"{"a": [1, -2, 0.5, null, true, "\u00e9"]}"#;
        assert_eq!(read(text), Ok(json!({ "a": [1, -2, 0.5, null, true, "é"] })));
        assert_eq!(read(&u128::MAX.to_string()), Ok(u128::MAX));
        assert_eq!(read("[3, null]"), Ok((3, None::<u8>)));
        // Text is borrowed, and raw JSON is kept as it is.
        assert_eq!(read("\"borrowed\""), Ok("borrowed"));
        assert_eq!(read::<&RawValue>("[1,  2]").unwrap().get(), "[1,  2]");
        assert_eq!(read("\"owned\""), Ok(Cow::<str>::Owned("owned".to_owned())));
        // The messages are those of the deserializer.
        assert_eq!(
            read::<Vec<u8>>("[1, 300]").unwrap_err(),
            serde_json::from_str::<Vec<u8>>("[1, 300]").unwrap_err().to_string()
        );
    }
}
