//! Finds passages by what they mean.
//!
//! `Embed` turns a text into a direction in a space of 384 dimensions, in which texts that mean the
//! same lie close together. `Index` holds the passages of all documents with their directions, and
//! finds those closest to a question's. `Search` is what HTTP sees.
//!
//! ```text
//! Search ── question ──> Embed ── direction ──> Index
//!    └───── documents ─────────────────────────> Index ── passages ──> Embed
//! ```
//!
//! | module | owns |
//! |---|---|
//! | `ingress` | `Search`: the endpoints and the page |
//! | `index` | `Index`: adding, finding, removing; what is indexed at the start |
//! | `embed` | `Embed`: batches of texts on a thread of its own |
//! | `api` | what a client may say, and what it is told |
//! | `store` | the documents in memory, and which are closest |
//! | `passages` | cutting a text into passages |
//! | `corpus` | reading documents from files |
//! | `encoder` | the model: tokens in, directions out |
//! | `vectors` | the arithmetic around it |
//! | `tokens` | the tokenizer |

pub mod api;
pub mod corpus;
pub mod embed;
pub mod encoder;
pub mod index;
pub mod ingress;
pub mod passages;
pub mod store;
pub mod tokens;
pub mod vectors;

use std::path::PathBuf;

use serve_core::prelude::*;

use crate::embed::Embed;
use crate::index::Index;
use crate::ingress::Search;

/// What `cargo serve run search` may be told, as `key=value`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// A text file, or a directory of `.md` and `.txt` files, to index at the start instead of the
    /// texts that come with the example. A line `# Title` begins a document.
    pub corpus: Option<PathBuf>,
    /// How many passages the index may hold; 100,000 if not given, which need some 250 MB.
    pub max_passages: Option<usize>,
}

/// Embeds and finds: all-MiniLM-L6-v2, and an index in memory.
#[application]
pub fn search(options: Options) -> Application<Search> {
    let embed = Embed::bind();
    let max_passages = options.max_passages.unwrap_or(store::MAX_PASSAGES);
    let index = Index::bind(embed.clone(), options.corpus, max_passages);
    Search::bind(embed, index).into()
}
