//! The serializer.

use rmp::{Marker, encode};
use serde::Serialize;
use serde::ser::{
    SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

use super::error::{Error, MAX_DEPTH, NIL_IN_SOMES};

/// Writes one value to the end of `bytes`.
pub(super) struct Writer<'a> {
    bytes: &'a mut Vec<u8>,
    /// The number of levels that may still be nested in this value.
    depth: u8,
    /// The number of `Some`s directly around this value.
    somes: u8,
}

impl<'a> Writer<'a> {
    pub(super) fn new(bytes: &'a mut Vec<u8>) -> Self {
        Self { bytes, depth: MAX_DEPTH, somes: 0 }
    }

    fn nested_depth(&self) -> Result<u8, Error> {
        self.depth.checked_sub(1).ok_or(Error::TooDeep)
    }

    /// Begins a map of one entry, from `variant` to the value that is written next.
    fn variant(self, variant: &str) -> Result<Self, Error> {
        let depth = self.nested_depth()?;
        encode::write_map_len(self.bytes, 1)?;
        write_str(self.bytes, variant)?;
        Ok(Self { bytes: self.bytes, depth, somes: 0 })
    }

    fn sequence(self, length: Option<usize>) -> Result<Elements<'a>, Error> {
        let depth = self.nested_depth()?;
        let length = match length {
            Some(length) => {
                encode::write_array_len(self.bytes, len32(length)?)?;
                Length::Announced(length)
            }
            None => Length::unknown(Marker::Array32, self.bytes),
        };
        Ok(Elements { bytes: self.bytes, depth, length, written: 0 })
    }

    fn map(self, length: Option<usize>) -> Result<Elements<'a>, Error> {
        let depth = self.nested_depth()?;
        let length = match length {
            Some(length) => {
                encode::write_map_len(self.bytes, len32(length)?)?;
                Length::Announced(length)
            }
            None => Length::unknown(Marker::Map32, self.bytes),
        };
        Ok(Elements { bytes: self.bytes, depth, length, written: 0 })
    }
}

fn len32(length: usize) -> Result<u32, Error> {
    u32::try_from(length).map_err(|_| Error::TooLong)
}

fn write_str(bytes: &mut Vec<u8>, value: &str) -> Result<(), Error> {
    encode::write_str_len(bytes, len32(value.len())?)?;
    bytes.extend_from_slice(value.as_bytes());
    Ok(())
}

impl<'a> Serializer for Writer<'a> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Elements<'a>;
    type SerializeTuple = Elements<'a>;
    type SerializeTupleStruct = Elements<'a>;
    type SerializeTupleVariant = Elements<'a>;
    type SerializeMap = Elements<'a>;
    type SerializeStruct = Elements<'a>;
    type SerializeStructVariant = Elements<'a>;

    fn serialize_bool(self, value: bool) -> Result<(), Error> {
        let marker = if value { Marker::True } else { Marker::False };
        self.bytes.push(marker.to_u8());
        Ok(())
    }

    fn serialize_i8(self, value: i8) -> Result<(), Error> {
        self.serialize_i64(value.into())
    }

    fn serialize_i16(self, value: i16) -> Result<(), Error> {
        self.serialize_i64(value.into())
    }

    fn serialize_i32(self, value: i32) -> Result<(), Error> {
        self.serialize_i64(value.into())
    }

    fn serialize_i64(self, value: i64) -> Result<(), Error> {
        encode::write_sint(self.bytes, value)?;
        Ok(())
    }

    fn serialize_i128(self, value: i128) -> Result<(), Error> {
        self.serialize_bytes(&value.to_be_bytes())
    }

    fn serialize_u8(self, value: u8) -> Result<(), Error> {
        self.serialize_u64(value.into())
    }

    fn serialize_u16(self, value: u16) -> Result<(), Error> {
        self.serialize_u64(value.into())
    }

    fn serialize_u32(self, value: u32) -> Result<(), Error> {
        self.serialize_u64(value.into())
    }

    fn serialize_u64(self, value: u64) -> Result<(), Error> {
        encode::write_uint(self.bytes, value)?;
        Ok(())
    }

    fn serialize_u128(self, value: u128) -> Result<(), Error> {
        self.serialize_bytes(&value.to_be_bytes())
    }

    fn serialize_f32(self, value: f32) -> Result<(), Error> {
        encode::write_f32(self.bytes, value)?;
        Ok(())
    }

    fn serialize_f64(self, value: f64) -> Result<(), Error> {
        encode::write_f64(self.bytes, value)?;
        Ok(())
    }

    fn serialize_char(self, value: char) -> Result<(), Error> {
        write_str(self.bytes, value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<(), Error> {
        write_str(self.bytes, value)
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), Error> {
        encode::write_bin_len(self.bytes, len32(value.len())?)?;
        self.bytes.extend_from_slice(value);
        Ok(())
    }

    fn serialize_none(self) -> Result<(), Error> {
        self.serialize_unit()
    }

    fn serialize_some<T: ?Sized + Serialize>(self, value: &T) -> Result<(), Error> {
        let somes = self.somes.checked_add(1).ok_or(Error::TooDeep)?;
        value.serialize(Self { somes, ..self })
    }

    fn serialize_unit(self) -> Result<(), Error> {
        if self.somes == 0 {
            self.bytes.push(Marker::Null.to_u8());
        } else {
            encode::write_ext_meta(self.bytes, 1, NIL_IN_SOMES)?;
            self.bytes.push(self.somes);
        }
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Error> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<(), Error> {
        write_str(self.bytes, variant)
    }

    fn serialize_newtype_struct<T: ?Sized + Serialize>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: ?Sized + Serialize>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        value.serialize(self.variant(variant)?)
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<Elements<'a>, Error> {
        self.sequence(length)
    }

    fn serialize_tuple(self, length: usize) -> Result<Elements<'a>, Error> {
        self.sequence(Some(length))
    }

    fn serialize_tuple_struct(self, _: &'static str, length: usize) -> Result<Elements<'a>, Error> {
        self.sequence(Some(length))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Elements<'a>, Error> {
        self.variant(variant)?.sequence(Some(length))
    }

    fn serialize_map(self, length: Option<usize>) -> Result<Elements<'a>, Error> {
        self.map(length)
    }

    fn serialize_struct(self, _: &'static str, length: usize) -> Result<Elements<'a>, Error> {
        self.map(Some(length))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Elements<'a>, Error> {
        self.variant(variant)?.map(Some(length))
    }
}

/// Writes the elements of a sequence, or the entries of a map.
pub(super) struct Elements<'a> {
    bytes: &'a mut Vec<u8>,
    depth: u8,
    length: Length,
    written: usize,
}

/// The length of a sequence or map, which stands before its elements.
enum Length {
    Announced(usize),
    /// The length is not known yet, and is written into the four bytes from this position on.
    Unknown(usize),
}

impl Length {
    fn unknown(marker: Marker, bytes: &mut Vec<u8>) -> Self {
        bytes.extend_from_slice(&[marker.to_u8(), 0, 0, 0, 0]);
        Self::Unknown(bytes.len() - 4)
    }
}

impl Elements<'_> {
    fn value<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), Error> {
        value.serialize(Writer { bytes: self.bytes, depth: self.depth, somes: 0 })
    }

    fn element<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), Error> {
        self.written += 1;
        self.value(value)
    }

    fn field<T: ?Sized + Serialize>(&mut self, name: &str, value: &T) -> Result<(), Error> {
        self.written += 1;
        write_str(self.bytes, name)?;
        self.value(value)
    }

    fn finish(self) -> Result<(), Error> {
        match self.length {
            // Otherwise the next value would be read as an element, or an element as the next
            // value.
            Length::Announced(announced) if announced != self.written => {
                Err(Error::WrongLength { announced, actual: self.written })
            }
            Length::Announced(_) => Ok(()),
            Length::Unknown(at) => {
                let length = len32(self.written)?;
                self.bytes[at..at + 4].copy_from_slice(&length.to_be_bytes());
                Ok(())
            }
        }
    }
}

macro_rules! elements {
    ($($kind:ident $element:ident),*) => {$(
        impl $kind for Elements<'_> {
            type Ok = ();
            type Error = Error;

            fn $element<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), Error> {
                self.element(value)
            }

            fn end(self) -> Result<(), Error> {
                self.finish()
            }
        }
    )*};
}

elements!(
    SerializeSeq serialize_element,
    SerializeTuple serialize_element,
    SerializeTupleStruct serialize_field,
    SerializeTupleVariant serialize_field
);

macro_rules! fields {
    ($($kind:ident),*) => {$(
        impl $kind for Elements<'_> {
            type Ok = ();
            type Error = Error;

            fn serialize_field<T: ?Sized + Serialize>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Result<(), Error> {
                self.field(name, value)
            }

            fn end(self) -> Result<(), Error> {
                self.finish()
            }
        }
    )*};
}

fields!(SerializeStruct, SerializeStructVariant);

impl SerializeMap for Elements<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_key<T: ?Sized + Serialize>(&mut self, key: &T) -> Result<(), Error> {
        self.element(key)
    }

    fn serialize_value<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), Error> {
        self.value(value)
    }

    fn end(self) -> Result<(), Error> {
        self.finish()
    }
}
