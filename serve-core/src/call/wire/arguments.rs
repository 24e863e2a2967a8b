//! [`Arguments`]: the parameters of a method as a map by name, read from bytes, from text
//! or from JSON.

use std::any::TypeId;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeOwned, DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserializer, Serialize, Serializer};

use super::payload::{IncomingValue, OutgoingValue, Wire};

/// A source from which the parameters of a call are read one by one: a query, a JSON object, a
/// command line.
pub trait ParamSource {
    /// The error of reading a parameter.
    type Error;
    /// Reads the parameter at this place in the method's signature.
    ///
    /// # Errors
    /// If the parameter is missing, or cannot be read as a `T`.
    fn param<T: DeserializeOwned>(&mut self, index: usize) -> Result<T, Self::Error>;
}

/// The parameters of a method: a tuple of [`Wire`] types.
pub trait Arguments<L>: Send + Sized + 'static {
    /// Writes a map from parameter names to values.
    ///
    /// # Errors
    /// The serializer's error.
    fn encode<S: Serializer>(
        &self,
        names: &[&'static str],
        serializer: S,
    ) -> Result<S::Ok, S::Error>;
    /// Reads a map from parameter names to values. A missing name is read as serde reads a
    /// missing field: `None` for an `Option`, else an error.
    ///
    /// # Errors
    /// The deserializer's error.
    fn decode<'de, D: Deserializer<'de>>(names: Names, deserializer: D) -> Result<Self, D::Error>;
    /// Reads each parameter from `source`.
    ///
    /// # Errors
    /// The first error of `source`.
    fn read<P: ParamSource>(source: &mut P) -> Result<Self, P::Error>;
    /// Facts about the type of each parameter.
    fn traits() -> Vec<ParamTraits>;
}

/// The names of a method's parameters, by which a map of arguments is read.
#[derive(Clone, Copy, Debug)]
pub struct Names {
    /// The names, in the order of the signature.
    pub known: &'static [&'static str],
    /// True if any other name is an error. Between processes other names are ignored, so that
    /// signatures can grow; from people they are refused, because they are misspelt.
    pub refuse_unknown: bool,
}

/// Facts about the type of a parameter.
#[derive(Clone, Copy, Debug)]
pub struct ParamTraits {
    /// The type.
    pub type_id: TypeId,
    /// True if serde reads a missing parameter as a value, such as `None`.
    pub may_be_missing: bool,
}

/// [`Arguments`] with their names, which serde can write.
pub(crate) struct NamedArguments<'a, L, A> {
    pub(crate) names: &'static [&'static str],
    pub(crate) arguments: &'a A,
    pub(crate) locality: PhantomData<L>,
}

impl<L, A: Arguments<L>> Serialize for NamedArguments<'_, L, A> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.arguments.encode(self.names, serializer)
    }
}

/// Reads [`Arguments`] by name.
pub(crate) struct ArgumentsSeed<L, A> {
    pub(crate) names: &'static [&'static str],
    pub(crate) made: PhantomData<(L, A)>,
}

impl<L, A> Clone for ArgumentsSeed<L, A> {
    fn clone(&self) -> Self {
        Self { names: self.names, made: PhantomData }
    }
}

impl<'de, L, A: Arguments<L>> DeserializeSeed<'de> for ArgumentsSeed<L, A> {
    type Value = A;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<A, D::Error> {
        A::decode(Names { known: self.names, refuse_unknown: false }, deserializer)
    }
}

/// Reads a key of an argument map as the parameter's index, or `None` for another name.
struct NameSeed(Names);

impl<'de> DeserializeSeed<'de> for NameSeed {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for NameSeed {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a parameter")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Self::Value, E> {
        let Names { known, refuse_unknown } = self.0;
        let at = known.iter().position(|known| *known == name);
        if at.is_none() && refuse_unknown {
            return Err(E::unknown_field(name, known));
        }
        Ok(at)
    }
}

/// The deserializer of a missing parameter. Behaves as serde's derived code does for a missing
/// field.
pub(crate) struct Missing<E> {
    name: &'static str,
    error: PhantomData<E>,
}

impl<E> Missing<E> {
    pub(crate) fn new(name: &'static str) -> Self {
        Self { name, error: PhantomData }
    }
}

impl<'de, E: serde::de::Error> Deserializer<'de> for Missing<E> {
    type Error = E;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, E> {
        Err(E::missing_field(self.name))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        visitor.visit_none()
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

macro_rules! arguments {
    ($length:literal $($name:ident $index:tt)*) => {
        impl<L, $($name: Wire<L>),*> Arguments<L> for ($($name,)*) {
            #[expect(clippy::allow_attributes, reason = "the empty tuple needs fewer of these")]
            #[allow(unused_variables, reason = "one macro for every length")]
            fn encode<S: Serializer>(
                &self,
                names: &[&'static str],
                serializer: S,
            ) -> Result<S::Ok, S::Error> {
                #[allow(unused_mut, reason = "one macro for every length")]
                let mut map = serializer.serialize_map(Some($length))?;
                $(map.serialize_entry(names[$index], &OutgoingValue::<L, $name>::new(&self.$index))?;)*
                map.end()
            }

            fn decode<'de, D: Deserializer<'de>>(
                names: Names,
                deserializer: D,
            ) -> Result<Self, D::Error> {
                struct Reader<L, $($name),*> {
                    names: Names,
                    made: PhantomData<(L, $($name),*)>,
                }

                impl<'de, L, $($name: Wire<L>),*> Visitor<'de> for Reader<L, $($name),*> {
                    type Value = ($($name,)*);

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("a map of arguments")
                    }

                    #[allow(
                        non_snake_case, unused_mut, clippy::unused_unit,
                        reason = "one macro for every length"
                    )]
                    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                        $(let mut $name: Option<$name> = None;)*
                        while let Some(index) = map.next_key_seed(NameSeed(self.names))? {
                            match index {
                                $(Some($index) => {
                                    if $name.is_some() {
                                        let name = self.names.known[$index];
                                        return Err(serde::de::Error::duplicate_field(name));
                                    }
                                    $name = Some(map.next_value::<IncomingValue<L, $name>>()?.0);
                                })*
                                _ => {
                                    map.next_value::<IgnoredAny>()?;
                                }
                            }
                        }
                        Ok(($(match $name {
                            Some(value) => value,
                            None => $name::decode(Missing::<M::Error>::new(self.names.known[$index]))?,
                        },)*))
                    }
                }

                deserializer.deserialize_map(Reader::<L, $($name),*> { names, made: PhantomData })
            }

            #[allow(unused_variables, reason = "one macro for every length")]
            fn read<P: ParamSource>(source: &mut P) -> Result<Self, P::Error> {
                Ok(($(source.param::<IncomingValue<L, $name>>($index)?.0,)*))
            }

            fn traits() -> Vec<ParamTraits> {
                vec![$(ParamTraits {
                    type_id: TypeId::of::<$name>(),
                    may_be_missing: $name::decode(Missing::<serde::de::value::Error>::new("")).is_ok(),
                }),*]
            }
        }
    };
}

arguments!(0);
arguments!(1 One 0);
arguments!(2 One 0 Two 1);
arguments!(3 One 0 Two 1 Three 2);
arguments!(4 One 0 Two 1 Three 2 Four 3);
arguments!(5 One 0 Two 1 Three 2 Four 3 Five 4);
arguments!(6 One 0 Two 1 Three 2 Four 3 Five 4 Six 5);
arguments!(7 One 0 Two 1 Three 2 Four 3 Five 4 Six 5 Seven 6);
arguments!(8 One 0 Two 1 Three 2 Four 3 Five 4 Six 5 Seven 6 Eight 7);
arguments!(9 One 0 Two 1 Three 2 Four 3 Five 4 Six 5 Seven 6 Eight 7 Nine 8);
arguments!(10 One 0 Two 1 Three 2 Four 3 Five 4 Six 5 Seven 6 Eight 7 Nine 8 Ten 9);
arguments!(11 One 0 Two 1 Three 2 Four 3 Five 4 Six 5 Seven 6 Eight 7 Nine 8 Ten 9 Eleven 10);
arguments!(12 One 0 Two 1 Three 2 Four 3 Five 4 Six 5 Seven 6 Eight 7 Nine 8 Ten 9 Eleven 10 Twelve 11);
