//! What a client may say, and what it is told. What does not fit is refused while it is read, with
//! 422 and a sentence that names the field.

use std::fmt;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serve_core::prelude::*;
use sha2::{Digest as _, Sha256};

/// How many characters a question may have.
pub const MAX_QUESTION: usize = 1_000;
/// How many documents are found at most.
pub const MAX_LIMIT: u8 = 50;
/// How many bytes the text of a document may have.
pub const MAX_TEXT: usize = 256 << 10;
/// How many documents may be sent at a time.
pub const MAX_DOCUMENTS: usize = 200;
/// How many characters an id and a title may have.
pub const MAX_NAME: usize = 200;

/// What to look for: from 1 to [`MAX_QUESTION`] characters, not all of them blank.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(try_from = "String")]
pub struct Question(#[schemars(length(min = 1, max = 1_000))] String);

/// How many documents to find: from 1 to [`MAX_LIMIT`].
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(try_from = "u64")]
pub struct Limit(#[schemars(range(min = 1, max = 50))] u8);

/// What a document is called: from 1 to [`MAX_NAME`] letters, digits and `-`, `_`, `.`.
#[derive(
    Clone, Debug, Deserialize, Eq, Hash, JsonSchema, Ord, PartialEq, PartialOrd, Serialize,
)]
#[serde(try_from = "String")]
pub struct Id(#[schemars(length(min = 1, max = 200), regex(pattern = r"^[\w.-]+$"))] String);

/// A document's title: at most [`MAX_NAME`] characters, on one line.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(try_from = "String")]
pub struct Title(#[schemars(length(max = 200))] String);

/// A document's text: at most [`MAX_TEXT`] bytes, not all of them blank.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(try_from = "String")]
pub struct Body(#[schemars(length(min = 1, max = 262_144))] String);

/// A document to index.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// What it is called. It takes the place of a document that is called the same. Without one,
    /// it is called by its content, so that the same document is not there twice.
    pub id: Option<Id>,
    /// Shown with what is found, and searched with each passage.
    #[serde(default)]
    pub title: Title,
    /// What is searched. A long text is cut into passages, each of which is found by itself.
    pub text: Body,
}

/// One document, or a list of from 1 to [`MAX_DOCUMENTS`].
#[derive(Clone, Debug, JsonSchema, Serialize)]
#[schemars(untagged)]
#[serde(untagged)]
pub enum Documents {
    /// An object.
    One(Document),
    /// An array.
    Many(#[schemars(length(min = 1, max = 200))] Vec<Document>),
}

/// A document that was indexed.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Added {
    /// What it is called.
    pub id: Id,
    /// In how many passages.
    pub passages: usize,
    /// Whether it took the place of another.
    pub replaced: bool,
}

/// A document that was found.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Hit {
    /// How close it is to the question: 1 is the same, 0 has nothing to do with it.
    pub score: f32,
    /// What it is called.
    pub id: Id,
    /// Its title, which may be empty.
    pub title: Title,
    /// Its passage that is closest.
    pub passage: String,
}

/// A document as it is kept.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Kept {
    /// What it is called.
    pub id: Id,
    /// Its title, which may be empty.
    pub title: Title,
    /// Its passages, which overlap.
    pub passages: Vec<String>,
}

/// How full the index is.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Size {
    /// Documents in it.
    pub documents: usize,
    /// Passages in them.
    pub passages: usize,
    /// How many passages it may hold.
    pub max_passages: usize,
}

impl TryFrom<String> for Question {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Err("the question is empty; say what to look for, as in `q=a race`".to_owned());
        }
        match text.chars().count() {
            0..=MAX_QUESTION => Ok(Self(text)),
            more => {
                Err(format!("a question has at most {MAX_QUESTION} characters, this has {more}"))
            }
        }
    }
}

impl TryFrom<u64> for Limit {
    type Error = String;

    fn try_from(limit: u64) -> Result<Self, String> {
        match u8::try_from(limit) {
            Ok(limit @ 1..=MAX_LIMIT) => Ok(Self(limit)),
            _ => Err(format!("{limit} documents cannot be asked for, only 1 to {MAX_LIMIT}")),
        }
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self(10)
    }
}

impl TryFrom<String> for Id {
    type Error = String;

    fn try_from(id: String) -> Result<Self, String> {
        let strange = |c: &char| !c.is_alphanumeric() && !matches!(c, '-' | '_' | '.');
        if let Some(strange) = id.chars().find(strange) {
            return Err(format!(
                "an id has letters, digits, `-`, `_` and `.`, and not {strange:?}"
            ));
        }
        match id.chars().count() {
            0 => Err("the id is empty; leave it out, and the document gets one".to_owned()),
            1..=MAX_NAME => Ok(Self(id)),
            more => Err(format!("an id has at most {MAX_NAME} characters, this has {more}")),
        }
    }
}

impl TryFrom<String> for Title {
    type Error = String;

    fn try_from(title: String) -> Result<Self, String> {
        match title.chars().count() {
            0..=MAX_NAME => Ok(Self(title.split_whitespace().collect::<Vec<_>>().join(" "))),
            more => Err(format!("a title has at most {MAX_NAME} characters, this has {more}")),
        }
    }
}

impl TryFrom<String> for Body {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Err("the text is empty; there is nothing to find in it".to_owned());
        }
        match text.len() {
            0..=MAX_TEXT => Ok(Self(text)),
            more => Err(format!(
                "the text has {more} bytes, and a document at most {MAX_TEXT}; send its chapters \
                 as documents of their own"
            )),
        }
    }
}

impl Document {
    /// Its id, or one that is made of its content.
    #[must_use]
    pub fn id(&self) -> Id {
        self.id.clone().unwrap_or_else(|| {
            let content = Sha256::new().chain_update(&self.title.0).chain_update([0]);
            let digest = content.chain_update(&self.text.0).finalize();
            Id(digest[..8].iter().map(|byte| format!("{byte:02x}")).collect())
        })
    }
}

impl From<Documents> for Vec<Document> {
    fn from(documents: Documents) -> Self {
        match documents {
            Documents::One(document) => vec![document],
            Documents::Many(documents) => documents,
        }
    }
}

/// By hand, because what serde makes of an untagged enumeration does not say which field is wrong.
impl<'de> Deserialize<'de> for Documents {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMany;

        impl<'de> Visitor<'de> for OneOrMany {
            type Value = Documents;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a document, or a list of documents")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Documents, A::Error> {
                Document::deserialize(MapAccessDeserializer::new(map)).map(Documents::One)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Documents, A::Error> {
                let documents = Vec::deserialize(SeqAccessDeserializer::new(list))?;
                match documents.len() {
                    1..=MAX_DOCUMENTS => Ok(Documents::Many(documents)),
                    count => Err(serde::de::Error::custom(format!(
                        "these are {count} documents, and 1 to {MAX_DOCUMENTS} may be sent at a time"
                    ))),
                }
            }
        }

        deserializer.deserialize_any(OneOrMany)
    }
}

impl From<Question> for String {
    fn from(question: Question) -> Self {
        question.0
    }
}

impl From<Limit> for usize {
    fn from(limit: Limit) -> Self {
        usize::from(limit.0)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Title {
    /// The title, which may be empty.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Body {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
