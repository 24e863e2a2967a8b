//! Encodes results as JSON. A number that JSON cannot express is an error: serde_json writes `null`
//! for it, which no schema of a number allows.
//!
//! serde_json's `Formatter` cannot tell such a number from a `None`: for both, it is asked to write
//! `null`. The check is therefore in a serializer around serde_json's, which passes everything on. It
//! costs one comparison for each number, and no second pass.

use std::fmt::Display;

use serde::ser::{
    Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

/// The initial size of an encoded result, as in serde_json.
const INITIAL: usize = 128;

/// Encodes a result as JSON.
///
/// # Errors
/// Returns an error if serde does, or if a number is NaN or infinite.
pub(crate) fn to_vec<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, serde_json::Error> {
    let mut json = Vec::with_capacity(INITIAL);
    value.serialize(Finite(&mut serde_json::Serializer::new(&mut json)))?;
    Ok(json)
}

/// A serializer that refuses numbers which are not finite, and passes everything else on. Its methods
/// are always inlined: otherwise they cost a tenth of the time that serde_json takes.
struct Finite<S>(S);

/// A value inside of a value, which is serialized with [`Finite`] too.
struct Inside<'a, T: ?Sized>(&'a T);

impl<T: Serialize + ?Sized> Serialize for Inside<'_, T> {
    #[inline(always)]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(Finite(serializer))
    }
}

#[cold]
fn not_finite<E: serde::ser::Error>(number: f64) -> E {
    let number = if number.is_nan() {
        "NaN"
    } else if number > 0.0 {
        "infinity"
    } else {
        "-infinity"
    };
    E::custom(format_args!("a number is {number}, which JSON cannot express"))
}

macro_rules! pass_on {
    ($($method:ident($($arg:ident: $type:ty),*);)*) => {$(
        #[inline(always)]
        fn $method(self, $($arg: $type),*) -> Result<S::Ok, S::Error> {
            self.0.$method($($arg),*)
        }
    )*};
}

impl<S: Serializer> Serializer for Finite<S> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = Finite<S::SerializeSeq>;
    type SerializeTuple = Finite<S::SerializeTuple>;
    type SerializeTupleStruct = Finite<S::SerializeTupleStruct>;
    type SerializeTupleVariant = Finite<S::SerializeTupleVariant>;
    type SerializeMap = Finite<S::SerializeMap>;
    type SerializeStruct = Finite<S::SerializeStruct>;
    type SerializeStructVariant = Finite<S::SerializeStructVariant>;

    pass_on! {
        serialize_bool(value: bool);
        serialize_i8(value: i8);
        serialize_i16(value: i16);
        serialize_i32(value: i32);
        serialize_i64(value: i64);
        serialize_i128(value: i128);
        serialize_u8(value: u8);
        serialize_u16(value: u16);
        serialize_u32(value: u32);
        serialize_u64(value: u64);
        serialize_u128(value: u128);
        serialize_char(value: char);
        serialize_str(value: &str);
        serialize_bytes(value: &[u8]);
        serialize_none();
        serialize_unit();
        serialize_unit_struct(name: &'static str);
        serialize_unit_variant(name: &'static str, index: u32, variant: &'static str);
    }

    #[inline(always)]
    fn serialize_f32(self, value: f32) -> Result<S::Ok, S::Error> {
        if value.is_finite() {
            self.0.serialize_f32(value)
        } else {
            Err(not_finite(f64::from(value)))
        }
    }

    #[inline(always)]
    fn serialize_f64(self, value: f64) -> Result<S::Ok, S::Error> {
        if value.is_finite() { self.0.serialize_f64(value) } else { Err(not_finite(value)) }
    }

    #[inline(always)]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.0.serialize_some(&Inside(value))
    }

    #[inline(always)]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        self.0.serialize_newtype_struct(name, &Inside(value))
    }

    #[inline(always)]
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        self.0.serialize_newtype_variant(name, index, variant, &Inside(value))
    }

    #[inline(always)]
    fn serialize_seq(self, length: Option<usize>) -> Result<Self::SerializeSeq, S::Error> {
        self.0.serialize_seq(length).map(Finite)
    }

    #[inline(always)]
    fn serialize_tuple(self, length: usize) -> Result<Self::SerializeTuple, S::Error> {
        self.0.serialize_tuple(length).map(Finite)
    }

    #[inline(always)]
    fn serialize_tuple_struct(
        self,
        name: &'static str,
        length: usize,
    ) -> Result<Self::SerializeTupleStruct, S::Error> {
        self.0.serialize_tuple_struct(name, length).map(Finite)
    }

    #[inline(always)]
    fn serialize_tuple_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Self::SerializeTupleVariant, S::Error> {
        self.0.serialize_tuple_variant(name, index, variant, length).map(Finite)
    }

    #[inline(always)]
    fn serialize_map(self, length: Option<usize>) -> Result<Self::SerializeMap, S::Error> {
        self.0.serialize_map(length).map(Finite)
    }

    #[inline(always)]
    fn serialize_struct(
        self,
        name: &'static str,
        length: usize,
    ) -> Result<Self::SerializeStruct, S::Error> {
        self.0.serialize_struct(name, length).map(Finite)
    }

    #[inline(always)]
    fn serialize_struct_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Self::SerializeStructVariant, S::Error> {
        self.0.serialize_struct_variant(name, index, variant, length).map(Finite)
    }

    #[inline(always)]
    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.0.collect_str(value)
    }

    #[inline(always)]
    fn is_human_readable(&self) -> bool {
        self.0.is_human_readable()
    }
}

macro_rules! elements {
    ($($trait:ident $method:ident;)*) => {$(
        impl<S: $trait> $trait for Finite<S> {
            type Ok = S::Ok;
            type Error = S::Error;

            #[inline(always)]
            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), S::Error> {
                self.0.$method(&Inside(value))
            }

            #[inline(always)]
            fn end(self) -> Result<S::Ok, S::Error> {
                self.0.end()
            }
        }
    )*};
}

elements! {
    SerializeSeq serialize_element;
    SerializeTuple serialize_element;
    SerializeTupleStruct serialize_field;
    SerializeTupleVariant serialize_field;
}

macro_rules! fields {
    ($($trait:ident;)*) => {$(
        impl<S: $trait> $trait for Finite<S> {
            type Ok = S::Ok;
            type Error = S::Error;

            #[inline(always)]
            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                key: &'static str,
                value: &T,
            ) -> Result<(), S::Error> {
                self.0.serialize_field(key, &Inside(value))
            }

            #[inline(always)]
            fn skip_field(&mut self, key: &'static str) -> Result<(), S::Error> {
                self.0.skip_field(key)
            }

            #[inline(always)]
            fn end(self) -> Result<S::Ok, S::Error> {
                self.0.end()
            }
        }
    )*};
}

fields! {
    SerializeStruct;
    SerializeStructVariant;
}

impl<S: SerializeMap> SerializeMap for Finite<S> {
    type Ok = S::Ok;
    type Error = S::Error;

    #[inline(always)]
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), S::Error> {
        self.0.serialize_key(&Inside(key))
    }

    #[inline(always)]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), S::Error> {
        self.0.serialize_value(&Inside(value))
    }

    #[inline(always)]
    fn serialize_entry<K: Serialize + ?Sized, V: Serialize + ?Sized>(
        &mut self,
        key: &K,
        value: &V,
    ) -> Result<(), S::Error> {
        self.0.serialize_entry(&Inside(key), &Inside(value))
    }

    #[inline(always)]
    fn end(self) -> Result<S::Ok, S::Error> {
        self.0.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Serialize;
    use std::collections::BTreeMap;

    use serde_json::json;
    use serde_json::value::RawValue;

    #[derive(serde::Serialize)]
    enum Shape {
        Unit,
        New(f64),
        Tuple(f32, f64),
        Struct { at: f64 },
    }

    #[derive(serde::Serialize)]
    #[serde(tag = "kind")]
    enum Tagged {
        Point { x: f64 },
    }

    #[derive(serde::Serialize)]
    #[serde(untagged)]
    enum Untagged {
        Number(f64),
    }

    #[derive(serde::Serialize)]
    struct Pair(f64, u8);

    #[derive(serde::Serialize)]
    struct New(f64);

    #[derive(serde::Serialize)]
    struct Flat {
        #[serde(flatten)]
        point: BTreeMap<String, f64>,
        big: u128,
        #[serde(skip_serializing_if = "Option::is_none")]
        none: Option<f64>,
    }

    /// A key that is a number.
    #[derive(serde::Serialize)]
    struct Keyed<'a>(#[serde(serialize_with = "as_map")] &'a [(f64, u8)]);

    fn as_map<S: Serializer>(pairs: &[(f64, u8)], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(pairs.iter().map(|(key, value)| (key, value)))
    }

    fn flat(x: f64) -> Flat {
        Flat { point: BTreeMap::from([("x".to_owned(), x)]), big: u128::MAX, none: None }
    }

    #[test]
    fn everything_else_is_written_as_serde_json_writes_it() {
        fn same(value: &(impl Serialize + ?Sized)) {
            assert_eq!(to_vec(value).unwrap(), serde_json::to_vec(value).unwrap());
        }
        let shapes =
            [Shape::Unit, Shape::New(1.5), Shape::Tuple(0.1, 1e300), Shape::Struct { at: 2.0 }];
        same(&shapes);
        same(&(Tagged::Point { x: 1.0 }, Untagged::Number(0.1), Pair(0.5, 1), New(-0.0)));
        same(&flat(1.0));
        same(&json!({"a": [null, 1, 0.1, "x\n", {"b": {}}], "c": true}));
        same(&RawValue::from_string("{\"raw\" : 1.0}".to_owned()).unwrap());
        same(&(None::<f64>, Some(1.0), (), 'c', i128::MIN, "text", b"bytes", f64::MAX, f32::MIN));
        same(&BTreeMap::from([(1, Some(0.1)), (2, None)]));
        same(&Keyed(&[(0.5, 1)]));
        same(&std::net::Ipv4Addr::LOCALHOST);
        same(&std::time::Duration::from_millis(1));
    }

    #[test]
    fn a_number_that_is_not_finite_is_refused_wherever_it_stands() {
        fn refused(value: &impl Serialize) {
            let error = to_vec(value).unwrap_err().to_string();
            assert!(error.contains("which JSON cannot express"), "{error}");
        }
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            refused(&bad);
            #[expect(clippy::cast_possible_truncation, reason = "it is no number")]
            refused(&(bad as f32));
            refused(&Some(bad));
            refused(&vec![(1, bad)]);
            refused(&[Shape::New(bad)]);
            refused(&Shape::Tuple(1.0, bad));
            refused(&Shape::Struct { at: bad });
            refused(&Tagged::Point { x: bad });
            refused(&Untagged::Number(bad));
            refused(&Pair(bad, 1));
            refused(&New(bad));
            refused(&flat(bad));
            refused(&BTreeMap::from([("a", bad)]));
            refused(&Keyed(&[(bad, 1)]));
        }
    }
}
