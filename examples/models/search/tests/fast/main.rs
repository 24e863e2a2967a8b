//! `Index` and `Search` with a mocked `Embed`: no weights, and no time passes.
#![expect(clippy::unwrap_used, reason = "a test may")]

mod adding;
mod asking;
mod bad_input;

use std::collections::BTreeSet;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use search::embed::EmbedMock;
use search::ingress::SearchHandle;
use search::vectors::{DIMENSIONS, Embedding, pooled};
use search::{Options, search};
use serve_core::prelude::*;
use serve_core::testing::HttpClient;
use tempfile::TempDir;

/// A runtime with the application over two documents, `fox` and `race`.
struct Bench {
    runtime: MockRuntime,
    search: SearchHandle,
    http: HttpClient,
    _corpus: TempDir,
}

impl Bench {
    async fn start(embed: EmbedMock, max_passages: usize) -> Result<Self> {
        let corpus = tempfile::tempdir()?;
        fs::write(
            corpus.path().join("texts.md"),
            "# Fox\nsour grapes on a vine\n\n# Race\na hare and a tortoise ran\n",
        )?;
        let options =
            Options { corpus: Some(corpus.path().to_owned()), max_passages: Some(max_passages) };
        let runtime = MockRuntime::builder().mock(embed).seed(7).start();
        let search = runtime.run(search(options)).await?;
        let http = runtime.http();
        Ok(Self { runtime, search, http, _corpus: corpus })
    }
}

/// Answers with [`by_words`].
fn embed() -> EmbedMock {
    EmbedMock::new().embed(|text: String| async move { Ok(by_words(&text)) })
}

/// A direction that is the sum of one for each of its words, so that texts which share words are close.
fn by_words(text: &str) -> Embedding {
    let mut numbers = vec![0.0; DIMENSIONS];
    let words: BTreeSet<_> = text.split_whitespace().map(str::to_lowercase).collect();
    for word in words {
        let mut noise = DefaultHasher::new();
        word.hash(&mut noise);
        for number in &mut numbers {
            1.hash(&mut noise);
            *number += if noise.finish().is_multiple_of(2) { 1.0 } else { -1.0 };
        }
    }
    pooled(&numbers)
}
