use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::marker::PhantomData;
use std::net::IpAddr;

use bytes::Bytes;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::ser::SerializeSeq;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};

use super::*;

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    from_bytes(bytes, PhantomData::<T>)
}

fn sent<T: Serialize + DeserializeOwned>(value: &T) -> T {
    read(&to_bytes(value).unwrap()).unwrap()
}

#[track_caller]
fn survives<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) {
    assert_eq!(sent(value), *value);
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
struct UnitStruct;

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Newtype<T>(T);

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Pair<T>(T, Option<T>);

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Named<T> {
    a: T,
    b: Option<T>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Skipping<T> {
    #[serde(default = "Option::default", skip_serializing_if = "Option::is_none")]
    a: Option<Option<T>>,
    #[serde(default = "Option::default", skip_serializing_if = "Option::is_none")]
    b: Option<T>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
enum External<T> {
    Unit,
    Newtype(T),
    Tuple(T, Option<T>),
    Struct { a: T, b: Option<T> },
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "type")]
enum Internal<T> {
    Unit,
    Newtype(Named<T>),
    Struct { a: T, b: Option<T> },
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "type", content = "content")]
enum Adjacent<T> {
    Unit,
    Newtype(T),
    Tuple(T, Option<T>),
    Struct { a: T, b: Option<T> },
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(untagged)]
enum Untagged<T> {
    Struct { a: T, b: Option<T> },
    Tuple(T, Option<T>),
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Flat<T> {
    own: Option<T>,
    #[serde(flatten)]
    named: Named<T>,
    #[serde(flatten)]
    rest: BTreeMap<String, Option<T>>,
}

/// Every shape of serde's data model, with options inside and around each shape.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
enum Zoo {
    Options(Option<Option<Option<u8>>>),
    Unit(Option<Option<()>>),
    UnitStruct(Option<Option<UnitStruct>>),
    Json(Option<Option<Value>>),
    Scalars(Option<bool>, Option<i64>, Option<u64>, Option<char>, Option<f32>, Option<f64>),
    Text(Option<Option<String>>),
    Bytes(Option<Option<Bytes>>),
    Keys(BTreeMap<Option<Option<UnitStruct>>, Option<()>>),
    Boxed(Option<Option<Box<Zoo>>>),
    Sequence(Vec<Option<Zoo>>),
    Array(Box<[Option<Zoo>; 2]>),
    Map(BTreeMap<Option<i8>, Option<Option<Zoo>>>),
    Newtype(Option<Box<Newtype<Option<Zoo>>>>),
    Pair(Option<Box<Pair<Option<Zoo>>>>),
    Named(Box<Named<Option<Zoo>>>),
    Skipping(Box<Skipping<Option<Zoo>>>),
    External(Box<External<Option<Zoo>>>),
    Internal(Option<Box<Internal<Option<Zoo>>>>),
    Adjacent(Option<Box<Adjacent<Option<Zoo>>>>),
    Untagged(Option<Box<Untagged<Option<Zoo>>>>),
    Flat(Option<Box<Flat<Option<Zoo>>>>),
}

fn json_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,40}".prop_map(Value::from),
        Just(json!({ "a": [null, {}, []], "": null })),
    ]
}

fn leaf() -> impl Strategy<Value = Zoo> {
    let float = proptest::num::f64::ANY.prop_filter("a NaN is not itself", |f| !f.is_nan());
    prop_oneof![
        any::<Option<Option<Option<u8>>>>().prop_map(Zoo::Options),
        any::<Option<Option<()>>>().prop_map(Zoo::Unit),
        any::<Option<Option<()>>>()
            .prop_map(|o| Zoo::UnitStruct(o.map(|o| o.map(|()| UnitStruct)))),
        prop::option::of(prop::option::of(json_value())).prop_map(Zoo::Json),
        (any::<Option<bool>>(), any::<Option<i64>>(), any::<Option<u64>>(), any::<Option<char>>())
            .prop_flat_map(move |(a, b, c, d)| {
                prop::option::of(float.clone())
                    .prop_map(move |e| Zoo::Scalars(a, b, c, d, e.map(|_| f32::MIN_POSITIVE), e))
            }),
        any::<Option<Option<String>>>().prop_map(Zoo::Text),
        any::<Option<Option<Vec<u8>>>>().prop_map(|o| Zoo::Bytes(o.map(|o| o.map(Bytes::from)))),
        any::<BTreeMap<Option<Option<()>>, Option<()>>>().prop_map(|map| {
            let unit_struct = |key: Option<Option<()>>| key.map(|key| key.map(|()| UnitStruct));
            Zoo::Keys(map.into_iter().map(|(key, value)| (unit_struct(key), value)).collect())
        }),
    ]
}

fn zoo() -> impl Strategy<Value = Zoo> {
    leaf().prop_recursive(4, 24, 3, |inner| {
        let a = prop::option::of(inner);
        let b = prop::option::of(a.clone());
        let named = (a.clone(), b.clone()).prop_map(|(a, b)| Named { a, b });
        prop_oneof![
            b.clone().prop_map(|b| Zoo::Boxed(b.map(|b| b.map(Box::new)))),
            vec(a.clone(), 0..3).prop_map(Zoo::Sequence),
            [a.clone(), a.clone()].prop_map(|array| Zoo::Array(Box::new(array))),
            btree_map(any::<Option<i8>>(), b.clone(), 0..3).prop_map(Zoo::Map),
            b.clone().prop_map(|b| Zoo::Newtype(b.map(|b| Box::new(Newtype(b))))),
            (a.clone(), b.clone()).prop_map(|(a, b)| Zoo::Pair(Some(Box::new(Pair(a, b))))),
            named.clone().prop_map(|named| Zoo::Named(Box::new(named))),
            (prop::option::of(b.clone()), b.clone())
                .prop_map(|(a, b)| Zoo::Skipping(Box::new(Skipping { a, b }))),
            prop_oneof![
                Just(External::Unit),
                a.clone().prop_map(External::Newtype),
                (a.clone(), b.clone()).prop_map(|(a, b)| External::Tuple(a, b)),
                (a.clone(), b.clone()).prop_map(|(a, b)| External::Struct { a, b }),
            ]
            .prop_map(|external| Zoo::External(Box::new(external))),
            prop_oneof![
                Just(Internal::Unit),
                named.clone().prop_map(Internal::Newtype),
                (a.clone(), b.clone()).prop_map(|(a, b)| Internal::Struct { a, b }),
            ]
            .prop_map(|internal| Zoo::Internal(Some(Box::new(internal)))),
            prop_oneof![
                Just(Adjacent::Unit),
                a.clone().prop_map(Adjacent::Newtype),
                (a.clone(), b.clone()).prop_map(|(a, b)| Adjacent::Tuple(a, b)),
                (a.clone(), b.clone()).prop_map(|(a, b)| Adjacent::Struct { a, b }),
            ]
            .prop_map(|adjacent| Zoo::Adjacent(Some(Box::new(adjacent)))),
            prop_oneof![
                (a.clone(), b.clone()).prop_map(|(a, b)| Untagged::Struct { a, b }),
                (a, b.clone()).prop_map(|(a, b)| Untagged::Tuple(a, b)),
            ]
            .prop_map(|untagged| Zoo::Untagged(Some(Box::new(untagged)))),
            (b.clone(), named, btree_map("[c-e]", b, 0..3)).prop_map(|(own, named, rest)| {
                Zoo::Flat(Some(Box::new(Flat { own, named, rest })))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn every_shape_arrives_as_it_was_sent(zoo in zoo()) {
        let bytes = to_bytes(&zoo).unwrap();
        prop_assert_eq!(read::<Zoo>(&bytes).unwrap(), zoo);
        // It can be skipped too, as an unknown field is.
        prop_assert!(read::<IgnoredAny>(&bytes).is_ok());
    }

    #[test]
    fn broken_bytes_are_an_error_or_a_value(
        zoo in zoo(),
        cut in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut bytes = to_bytes(&zoo).unwrap();
        let cut = cut.index(bytes.len());
        prop_assert!(read::<Zoo>(&bytes[..cut]).is_err());
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = read::<Zoo>(&bytes);
        let _ = read::<Value>(&bytes);
    }

    #[test]
    fn numbers_keep_every_bit(
        small in any::<(i8, i16, i32, i64, u8, u16, u32, u64)>(),
        large in any::<(i128, u128)>(),
        floats in any::<(u32, u64)>(),
    ) {
        prop_assert_eq!(sent(&small), small);
        prop_assert_eq!(sent(&large), large);
        let (single, double) = sent(&(f32::from_bits(floats.0), f64::from_bits(floats.1)));
        prop_assert_eq!((single.to_bits(), double.to_bits()), floats);
    }
}

#[test]
fn options_around_nil_survive() {
    survives::<[Option<Option<Option<u8>>>; 4]>(&[
        None,
        Some(None),
        Some(Some(None)),
        Some(Some(Some(0))),
    ]);
    survives(&[None, Some(())]);
    survives(&[None, Some(None), Some(Some(UnitStruct))]);
    survives(&[None, Some(Value::Null), Some(json!(1))]);
    survives(&[None, Some(Newtype(None)), Some(Newtype(Some(Newtype(()))))]);
    survives(&HashMap::from([(None, Some(())), (Some(()), None)]));
    survives(&Untagged::Tuple(Some(None), Some(Some(Some(())))));
    survives(&Skipping { a: Some(None), b: Some(None::<u8>) });
}

#[test]
fn a_nil_inside_of_somes_is_one_extension_value() {
    assert_eq!(to_bytes(&None::<Option<u8>>).unwrap(), [0xc0]);
    assert_eq!(to_bytes(&Some(None::<u8>)).unwrap(), [0xd4, b'O', 1]);
    assert_eq!(to_bytes(&Some(Some(()))).unwrap(), [0xd4, b'O', 2]);
    assert_eq!(to_bytes(&Some(Some(7))).unwrap(), [7]);
    // A reader that knows no types sees null.
    assert_eq!(read::<Value>(&[0x92, 0xd4, b'O', 2, 7]).unwrap(), json!([null, 7]));
}

#[test]
fn all_else_is_written_as_rmp_serde_does() {
    #[track_caller]
    fn same(value: &impl Serialize) {
        assert_eq!(to_bytes(value).unwrap(), rmp_serde::to_vec_named(value).unwrap());
    }
    same(&(true, -1i8, 300i32, i64::MIN, u64::MAX, 1i128, u128::MAX, 0.1f32, 0.1f64, 'ß'));
    same(&("text", "x".repeat(300), "x".repeat(70_000), Bytes::from(vec![1; 300]), ()));
    same(&(None::<u8>, Some(1), Newtype(1), Pair(1, None), [1, 2, 3]));
    same(&(vec![0; 20], vec![0; 70_000], BTreeMap::from([(1, "a"), (-2, "b")])));
    same(&[External::Unit, External::Newtype(1), External::Tuple(1, None)]);
    same(&(External::Struct { a: 1, b: Some(2) }, Named { a: 1, b: None }));
    same(&(Internal::Struct { a: 1, b: None }, Adjacent::Tuple(1, None)));
    same(&json!({ "a": [null, 1, -1, 0.5, "x", { "b": {} }] }));
}

/// Types with a human-readable and a compact form are text here: serde reads the buffer of an
/// untagged enum as human-readable.
#[test]
fn addresses_survive_in_every_kind_of_enum() {
    let address = || "127.0.0.1".parse::<IpAddr>().unwrap();
    survives(&Named { a: address(), b: Some(address()) });
    survives(&External::Tuple(address(), None));
    survives(&Internal::Struct { a: address(), b: Some(address()) });
    survives(&Adjacent::Newtype(address()));
    survives(&Untagged::Tuple(address(), None));
    let named = Named { a: address(), b: None };
    survives(&Flat { own: None, named, rest: BTreeMap::from([("c".to_owned(), Some(address()))]) });
}

/// The usual helper to tell null from absent in JSON.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Patch {
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    name: Option<Option<String>>,
}

fn present<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<String>>, D::Error> {
    Deserialize::deserialize(from).map(Some)
}

#[test]
fn a_field_that_reads_an_option_fewer_than_it_writes_survives() {
    for name in [None, Some(None), Some(Some("x".to_owned()))] {
        survives(&Patch { name: name.clone() });
        survives(&vec![Internal::Newtype(Named { a: Patch { name }, b: None })]);
    }
}

/// The types that do not survive, according to `docs/deployments.md`.
#[test]
fn limits_are_as_documented() {
    for value in [1i128, i128::MAX] {
        let bytes = to_bytes(&Untagged::Tuple(value, None)).unwrap();
        assert!(read::<Untagged<i128>>(&bytes).is_err());
    }

    #[derive(Debug, Deserialize, PartialEq, Serialize)]
    struct Flattened {
        #[serde(flatten)]
        options: Option<Option<Named<u8>>>,
    }
    for options in [None, Some(None)] {
        assert_eq!(sent(&Flattened { options }), Flattened { options: Some(None) });
    }

    #[derive(Debug, Deserialize, PartialEq, Serialize)]
    struct PatchOfJson {
        #[serde(deserialize_with = "present_json")]
        json: Option<Option<Value>>,
    }
    fn present_json<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<Value>>, D::Error> {
        Deserialize::deserialize(from).map(Some)
    }
    let patch = sent(&PatchOfJson { json: Some(None) });
    assert_eq!(patch, PatchOfJson { json: Some(Some(Value::Null)) });

    let patch = Patch { name: Some(None) };
    assert_eq!(sent(&(patch.clone(), Some(()))), (patch, None));
}

#[test]
fn a_value_that_cannot_be_read_twice_reports_the_first_error() {
    let bytes = to_bytes(&(Some(()), "no number")).unwrap();
    let error = read::<(Option<()>, u8)>(&bytes).unwrap_err();
    assert_eq!(error.to_string(), "invalid type: string \"no number\", expected u8");
}

#[derive(Debug, Deserialize, Serialize)]
enum List {
    Nil,
    Cons(Box<List>),
}

#[derive(Debug, Default, Deserialize, Serialize)]
struct Node {
    next: Option<Box<Node>>,
}

/// A number of `Some`s around a `None`.
#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct Peano(Option<Box<Peano>>);

/// A type without a value.
#[derive(Debug, Deserialize, Serialize)]
struct Never(Box<Never>);

impl Peano {
    fn new(number: usize) -> Self {
        (0..number).fold(Self(None), |inner, _| Self(Some(Box::new(inner))))
    }
}

#[test]
fn a_deep_value_is_not_written() {
    let mut list = (0..100_000).fold(List::Nil, |list, _| List::Cons(Box::new(list)));
    assert!(matches!(to_bytes(&list), Err(Error::TooDeep)));
    let mut node = Node::default();
    for _ in 0..100_000 {
        node = Node { next: Some(Box::new(node)) };
    }
    assert!(matches!(to_bytes(&node), Err(Error::TooDeep)));
    let mut number = Peano::new(100_000);
    assert!(matches!(to_bytes(&number), Err(Error::TooDeep)));
    // Dropped piece by piece: a drop of all at once would overflow the stack.
    while let List::Cons(next) = list {
        list = *next;
    }
    while let Some(next) = node.next.take() {
        node = *next;
    }
    while let Some(next) = number.0.take() {
        number = *next;
    }
}

#[test]
fn deep_bytes_are_not_read() {
    let deep = |level: &[u8], end: &[u8]| [level.repeat(100_000), end.to_vec()].concat();
    let sequences = deep(&[0x91], &[0xc0]);
    assert!(matches!(read::<Value>(&sequences), Err(Error::TooDeep)));
    assert!(matches!(read::<IgnoredAny>(&sequences), Err(Error::TooDeep)));
    assert!(matches!(read::<Untagged<()>>(&sequences), Err(Error::TooDeep)));
    assert!(matches!(read::<List>(&deep(b"\x81\xa4Cons", b"\xa3Nil")), Err(Error::TooDeep)));
    assert!(matches!(read::<Node>(&deep(b"\x81\xa4next", &[0xc0])), Err(Error::TooDeep)));
    // This type would read an `Option` within an `Option` forever.
    assert!(matches!(read::<Peano>(&[1]), Err(Error::TooDeep)));
    assert!(matches!(read::<Never>(&[1]), Err(Error::TooDeep)));
}

#[test]
fn what_serde_json_reads_can_be_sent() {
    let text = ["[".repeat(127), "]".repeat(127)].concat();
    let value: Value = serde_json::from_str(&text).unwrap();
    survives(&BTreeMap::from([("argument", value)]).into_values().collect::<Vec<_>>());
    survives(&Peano::new(255));
}

#[test]
fn a_value_is_all_of_the_bytes() {
    assert!(matches!(read::<u8>(&[1, 2, 3]), Err(Error::TrailingBytes(2))));
    assert!(matches!(read::<Option<()>>(&[0xd4, b'O', 1, 0]), Err(Error::TrailingBytes(1))));
    for bytes in [&[][..], &[0xd4, b'O'], &[0x92, 1], &[0xcd, 1], &[0xdb, 255, 255, 255, 255]] {
        assert!(matches!(read::<Value>(bytes), Err(Error::EarlyEnd)), "{bytes:?}");
    }
    let of_another_kind = read::<Value>(&[0xd4, 1, 1]).unwrap_err();
    assert_eq!(of_another_kind.to_string(), "an extension value that is not known");
}

#[test]
fn a_length_that_bytes_claim_is_not_allocated() {
    // Four billion elements.
    assert!(matches!(read::<Vec<[u64; 8]>>(&[0xdd, 255, 255, 255, 255]), Err(Error::EarlyEnd)));
}

#[test]
fn a_sequence_that_announces_a_wrong_length_is_not_written() {
    struct Liar;
    impl Serialize for Liar {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut sequence = serializer.serialize_seq(Some(2))?;
            sequence.serialize_element(&1)?;
            sequence.end()
        }
    }
    let error = to_bytes(&Liar).unwrap_err();
    assert!(matches!(error, Error::WrongLength { announced: 2, actual: 1 }));
}
