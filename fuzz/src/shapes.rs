//! Types of every shape that serde knows, many of which contain themselves.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Unit;

#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Newtype<T>(pub T);

#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Tree(pub Vec<Tree>);

/// A type that contains itself without a bracket between the two.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Link(pub Option<Box<Link>>);

/// A type that has no value at all.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Never(pub Box<Never>);

#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Pair(pub i64, pub Option<Box<Pair>>);

#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Named {
    pub number: i64,
    pub text: Option<String>,
    #[serde(default)]
    pub list: Vec<Named>,
    #[serde(default)]
    pub map: BTreeMap<String, Named>,
    pub next: Option<Box<Named>>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub enum External {
    #[default]
    Unit,
    Newtype(Box<External>),
    Tuple(u8, Option<String>),
    Struct {
        a: Option<Box<External>>,
        b: Vec<External>,
    },
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Internal {
    #[default]
    Unit,
    Newtype(Named),
    Struct {
        next: Option<Box<Internal>>,
        list: Vec<Internal>,
    },
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(tag = "t", content = "c")]
pub enum Adjacent {
    #[default]
    Unit,
    Newtype(Box<Adjacent>),
    Tuple(i8, Option<u16>),
    Struct {
        list: Vec<Adjacent>,
    },
}

#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Untagged {
    Number(i64),
    Text(String),
    List(Vec<Untagged>),
    Map(BTreeMap<String, Untagged>),
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Flat {
    pub id: u8,
    #[serde(flatten)]
    pub rest: BTreeMap<String, Value>,
}
