//! MessagePack that keeps every `Option`.
//!
//! Structs are maps by field name, enums are externally tagged, and `Some(x)` is written as
//! `x`, as [rmp-serde] does with `with_struct_map()`. In that form `None`, `Some(None)` and
//! `Some(())` would all be nil. Therefore a nil inside of one or more `Some`s is written as an
//! extension value, [`NIL_IN_SOMES`](error::NIL_IN_SOMES), whose one byte of data is the number of `Some`s.
//!
//! Two more things differ from rmp-serde, because serde cannot read rmp-serde's form from the
//! buffer of an untagged enum: a unit struct is nil, and a type with a human-readable and a
//! compact form, such as `IpAddr`, is written in the human-readable one.
//!
//! The module has its own [`Writer`] and [`Reader`] because an adaptor around rmp-serde's types
//! cannot look at the next byte when an `Option` is read, and because rmp-serde limits neither the
//! depth of the values that it writes nor the depth of nested enums and `Option`s that it reads.
//!
//! [rmp-serde]: https://docs.rs/rmp-serde

mod error;
mod read;
mod write;

use serde::Serialize;
use serde::de::DeserializeSeed;

pub(crate) use error::Error;
use read::{Cursor, Reader};
use write::Writer;

/// Writes `value` as one MessagePack value.
pub(crate) fn to_bytes(value: &impl Serialize) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::with_capacity(128);
    value.serialize(Writer::new(&mut bytes))?;
    Ok(bytes)
}

/// Reads the one value that `bytes` hold.
///
/// A field whose `deserialize_with` reads `Option<T>` and wraps it in `Some` (the usual way to
/// tell null from absent in JSON) cannot read the `Some(None)` that was written for an
/// `Option<Option<T>>`. If a value cannot be read, it is therefore read once more with each nil
/// inside of `Some`s as a plain nil.
pub(crate) fn from_bytes<'de, S: DeserializeSeed<'de> + Clone>(
    bytes: &'de [u8],
    seed: S,
) -> Result<S::Value, Error> {
    let mut cursor = Cursor::new(bytes);
    match read_whole(&mut cursor, seed.clone()) {
        Err(error) if cursor.has_met_somes() => {
            read_whole(&mut Cursor::with_plain_nil(bytes), seed).map_err(|_| error)
        }
        read => read,
    }
}

fn read_whole<'de, S: DeserializeSeed<'de>>(
    cursor: &mut Cursor<'de>,
    seed: S,
) -> Result<S::Value, Error> {
    let value = seed.deserialize(Reader::new(cursor))?;
    match cursor.remaining() {
        0 => Ok(value),
        trailing => Err(Error::TrailingBytes(trailing)),
    }
}

#[cfg(test)]
mod tests;
