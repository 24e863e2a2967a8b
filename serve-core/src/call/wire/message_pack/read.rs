//! The deserializer.

use rmp::Marker;
use serde::de::value::{BorrowedStrDeserializer, SeqDeserializer};
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, EnumAccess, Error as _, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::error::{Error, MAX_DEPTH, NIL_IN_SOMES};

const NIL: u8 = Marker::Null.to_u8();
/// The beginning of an `i128` or a `u128`.
const SIXTEEN_BYTES: [u8; 2] = [Marker::Bin8.to_u8(), 16];
/// The beginning of a nil inside of `Some`s.
const SOMES: [u8; 2] = [Marker::FixExt1.to_u8(), NIL_IN_SOMES.cast_unsigned()];

/// The bytes that were not read yet.
pub(super) struct Cursor<'de> {
    rest: &'de [u8],
    plain_nil: bool,
    has_met_somes: bool,
}

impl<'de> Cursor<'de> {
    pub(super) fn new(bytes: &'de [u8]) -> Self {
        Self { rest: bytes, plain_nil: false, has_met_somes: false }
    }

    /// A cursor that takes each nil inside of `Some`s for a plain nil.
    pub(super) fn with_plain_nil(bytes: &'de [u8]) -> Self {
        Self { plain_nil: true, ..Self::new(bytes) }
    }

    pub(super) fn has_met_somes(&self) -> bool {
        self.has_met_somes
    }

    pub(super) fn remaining(&self) -> usize {
        self.rest.len()
    }

    fn take(&mut self, length: usize) -> Result<&'de [u8], Error> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Error::EarlyEnd)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(Error::EarlyEnd)?;
        self.rest = rest;
        Ok(*taken)
    }

    /// The number of `Some`s, if a nil inside of `Some`s is next.
    fn somes(&mut self) -> Result<Option<u8>, Error> {
        let Some(rest) = self.rest.strip_prefix(&SOMES) else { return Ok(None) };
        let somes = *rest.first().ok_or(Error::EarlyEnd)?;
        self.has_met_somes = true;
        Ok(Some(if self.plain_nil { 0 } else { somes }))
    }

    fn skip_somes(&mut self) -> Result<(), Error> {
        self.take(SOMES.len() + 1).map(drop)
    }

    fn peek(&self) -> Result<u8, Error> {
        self.rest.first().copied().ok_or(Error::EarlyEnd)
    }

    fn marker(&mut self) -> Result<Marker, Error> {
        self.array().map(|[byte]| Marker::from_u8(byte))
    }

    /// The length that belongs to the marker of a string, bytes, sequence or map.
    fn length(&mut self, marker: Marker) -> Result<usize, Error> {
        Ok(match marker {
            Marker::FixStr(length) | Marker::FixArray(length) | Marker::FixMap(length) => {
                length.into()
            }
            Marker::Str8 | Marker::Bin8 => u8::from_be_bytes(self.array()?).into(),
            Marker::Str16 | Marker::Bin16 | Marker::Array16 | Marker::Map16 => {
                u16::from_be_bytes(self.array()?).into()
            }
            _ => u32::from_be_bytes(self.array()?) as usize,
        })
    }

    fn str(&mut self, marker: Marker) -> Result<&'de str, Error> {
        let length = self.length(marker)?;
        Ok(std::str::from_utf8(self.take(length)?)?)
    }

    fn bytes(&mut self, marker: Marker) -> Result<&'de [u8], Error> {
        let length = self.length(marker)?;
        self.take(length)
    }
}

/// Reads the next value of a [`Cursor`].
pub(super) struct Reader<'a, 'de> {
    cursor: &'a mut Cursor<'de>,
    /// The number of levels that may still be nested in this value.
    depth: u8,
    /// The number of `Some`s directly around this value that were visited already.
    visited_somes: u8,
    /// The number of newtypes directly around this value.
    newtypes: u16,
}

impl<'a, 'de> Reader<'a, 'de> {
    pub(super) fn new(cursor: &'a mut Cursor<'de>) -> Self {
        Self::nested(cursor, MAX_DEPTH)
    }

    fn nested(cursor: &'a mut Cursor<'de>, depth: u8) -> Self {
        Self { cursor, depth, visited_somes: 0, newtypes: 0 }
    }

    fn some<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let visited_somes = self.visited_somes.checked_add(1).ok_or(Error::TooDeep)?;
        visitor.visit_some(Self { visited_somes, ..self })
    }

    fn elements(self, marker: Marker) -> Result<Elements<'a, 'de>, Error> {
        let length = self.cursor.length(marker)?;
        let depth = self.depth.checked_sub(1).ok_or(Error::TooDeep)?;
        Ok(Elements { cursor: self.cursor, depth, length, left: length })
    }
}

impl<'de> Deserializer<'de> for Reader<'_, 'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if let Some(somes) = self.cursor.somes()? {
            if self.visited_somes < somes {
                return self.some(visitor);
            }
            self.cursor.skip_somes()?;
            return visitor.visit_unit();
        }
        let marker = self.cursor.marker()?;
        match marker {
            Marker::Null => visitor.visit_unit(),
            Marker::False => visitor.visit_bool(false),
            Marker::True => visitor.visit_bool(true),
            Marker::FixPos(value) => visitor.visit_u8(value),
            Marker::FixNeg(value) => visitor.visit_i8(value),
            Marker::U8 => visitor.visit_u8(u8::from_be_bytes(self.cursor.array()?)),
            Marker::U16 => visitor.visit_u16(u16::from_be_bytes(self.cursor.array()?)),
            Marker::U32 => visitor.visit_u32(u32::from_be_bytes(self.cursor.array()?)),
            Marker::U64 => visitor.visit_u64(u64::from_be_bytes(self.cursor.array()?)),
            Marker::I8 => visitor.visit_i8(i8::from_be_bytes(self.cursor.array()?)),
            Marker::I16 => visitor.visit_i16(i16::from_be_bytes(self.cursor.array()?)),
            Marker::I32 => visitor.visit_i32(i32::from_be_bytes(self.cursor.array()?)),
            Marker::I64 => visitor.visit_i64(i64::from_be_bytes(self.cursor.array()?)),
            Marker::F32 => visitor.visit_f32(f32::from_be_bytes(self.cursor.array()?)),
            Marker::F64 => visitor.visit_f64(f64::from_be_bytes(self.cursor.array()?)),
            Marker::FixStr(_) | Marker::Str8 | Marker::Str16 | Marker::Str32 => {
                visitor.visit_borrowed_str(self.cursor.str(marker)?)
            }
            Marker::Bin8 | Marker::Bin16 | Marker::Bin32 => {
                visitor.visit_borrowed_bytes(self.cursor.bytes(marker)?)
            }
            Marker::FixArray(_) | Marker::Array16 | Marker::Array32 => {
                let mut elements = self.elements(marker)?;
                let value = visitor.visit_seq(&mut elements)?;
                elements.end(value)
            }
            Marker::FixMap(_) | Marker::Map16 | Marker::Map32 => {
                let mut elements = self.elements(marker)?;
                let value = visitor.visit_map(&mut elements)?;
                elements.end(value)
            }
            _ => Err(Error::custom("an extension value that is not known")),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.cursor.somes()? {
            Some(somes) if self.visited_somes < somes => self.some(visitor),
            Some(_) => {
                self.cursor.skip_somes()?;
                visitor.visit_none()
            }
            None if self.cursor.peek()? == NIL => {
                self.cursor.take(1)?;
                visitor.visit_none()
            }
            None => self.some(visitor),
        }
    }

    fn deserialize_i128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.cursor.rest.starts_with(&SIXTEEN_BYTES) {
            self.cursor.take(SIXTEEN_BYTES.len())?;
            return visitor.visit_i128(i128::from_be_bytes(self.cursor.array()?));
        }
        self.deserialize_any(visitor)
    }

    fn deserialize_u128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.cursor.rest.starts_with(&SIXTEEN_BYTES) {
            self.cursor.take(SIXTEEN_BYTES.len())?;
            return visitor.visit_u128(u128::from_be_bytes(self.cursor.array()?));
        }
        self.deserialize_any(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        // An option may be 255 deep, and each level may be a newtype.
        if self.newtypes > 2 * u16::from(u8::MAX) {
            return Err(Error::TooDeep);
        }
        let newtypes = self.newtypes + 1;
        visitor.visit_newtype_struct(Self { newtypes, ..self })
    }

    /// Reads a sequence, or bytes, because some types are written as bytes and read as a sequence.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let marker = Marker::from_u8(self.cursor.peek()?);
        if matches!(marker, Marker::Bin8 | Marker::Bin16 | Marker::Bin32) {
            self.cursor.take(1)?;
            let bytes = self.cursor.bytes(marker)?;
            return visitor.visit_seq(SeqDeserializer::new(bytes.iter().copied()));
        }
        self.deserialize_any(visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let marker = Marker::from_u8(self.cursor.peek()?);
        match marker {
            Marker::FixMap(_) | Marker::Map16 | Marker::Map32 => {
                self.cursor.take(1)?;
                let Elements { cursor, depth, length, .. } = self.elements(marker)?;
                if length != 1 {
                    return Err(Error::WrongLength { announced: 1, actual: length });
                }
                visitor.visit_enum(Variant(Reader::nested(cursor, depth)))
            }
            Marker::FixStr(_) | Marker::Str8 | Marker::Str16 | Marker::Str32 => {
                self.cursor.take(1)?;
                let variant = self.cursor.str(marker)?;
                visitor.visit_enum(BorrowedStrDeserializer::new(variant))
            }
            // The visitor refuses the value with an error that names the expected type.
            _ => self.deserialize_any(visitor),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf unit unit_struct map
        struct identifier ignored_any
    }
}

/// The elements of a sequence, or the entries of a map.
struct Elements<'a, 'de> {
    cursor: &'a mut Cursor<'de>,
    depth: u8,
    length: usize,
    left: usize,
}

impl<'de> Elements<'_, 'de> {
    fn next<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Error> {
        seed.deserialize(Reader::nested(self.cursor, self.depth))
    }

    fn next_if_left<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Error> {
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                self.next(seed).map(Some)
            }
            None => Ok(None),
        }
    }

    /// Limits what a visitor allocates in advance: each element has one byte at least.
    fn hint(&self) -> Option<usize> {
        Some(self.left.min(self.cursor.remaining()))
    }

    fn end<T>(self, value: T) -> Result<T, Error> {
        match self.left {
            0 => Ok(value),
            left => Err(Error::WrongLength { announced: self.length - left, actual: self.length }),
        }
    }
}

impl<'de> SeqAccess<'de> for Elements<'_, 'de> {
    type Error = Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Error> {
        self.next_if_left(seed)
    }

    fn size_hint(&self) -> Option<usize> {
        self.hint()
    }
}

impl<'de> MapAccess<'de> for Elements<'_, 'de> {
    type Error = Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Error> {
        self.next_if_left(seed)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Error> {
        self.next(seed)
    }

    fn size_hint(&self) -> Option<usize> {
        self.hint()
    }
}

/// The one entry of a map that is an enum: the name of a variant, and its data.
struct Variant<'a, 'de>(Reader<'a, 'de>);

impl<'a, 'de> EnumAccess<'de> for Variant<'a, 'de> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Error> {
        let Self(Reader { cursor, depth, .. }) = self;
        let variant = seed.deserialize(Reader::nested(cursor, depth))?;
        Ok((variant, Self(Reader::nested(cursor, depth))))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_, 'de> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        Deserialize::deserialize(self.0)
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Error> {
        seed.deserialize(self.0)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.0.deserialize_seq(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.0.deserialize_any(visitor)
    }
}
