//! `Index`: adding, finding, removing.
//!
//! It has state, so it has one replica. Calls take `&self` and run side by side: what they share is
//! a list that is changed under a lock for microseconds, and searched without one.
//!
//! What it holds is in memory. When it starts, for the first time or again, it indexes the corpus
//! before it takes calls, so that whoever finds it running finds the corpus in it. What clients had
//! added is lost with a replica.

use std::path::PathBuf;

use parking_lot::Mutex;
use serve_core::futures::stream;
use serve_core::prelude::*;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::api::{Added, Document, Hit, Id, Kept, Size};
use crate::corpus;
use crate::embed::EmbedHandle;
use crate::passages::passages;
use crate::store::{Entry, Store, closest};
use crate::vectors::Embedding;

/// How many passages of all documents are with `Embed` at a time: two batches, so that one gathers
/// while one runs, and a question waits for no more than these.
const EMBEDDED_AT_A_TIME: usize = 16;

/// How many documents of the corpus are embedded between two lines in the log.
const STEP: usize = 40;

/// Holds documents, and finds those that are closest to a question.
#[deployment]
#[derive(Debug)]
pub struct Index {
    embed: EmbedHandle,
    embedding: Semaphore,
    store: Mutex<Store>,
}

#[handle]
impl Index {
    /// Indexes a corpus: that of a file or directory, or the one of the example.
    ///
    /// # Errors
    /// If the corpus cannot be read, or does not fit, or if this is a second replica.
    pub async fn new(
        embed: EmbedHandle,
        corpus: Option<PathBuf>,
        max_passages: usize,
    ) -> Result<Self> {
        if replica_context().is_some_and(|replica| replica.rank() > 0) {
            let two = "`Index` keeps documents in memory: two replicas would hold different ones";
            return Err(Error::msg(two));
        }
        let store = Mutex::new(Store::new(max_passages));
        let index = Self { embed, embedding: Semaphore::new(EMBEDDED_AT_A_TIME), store };
        index.add_corpus(corpus).await?;
        Ok(index)
    }

    /// Adds documents, all of them or none, and says in how many passages. A caller that goes away
    /// before it is told has added nothing.
    ///
    /// # Errors
    /// If there is no room, with status 507.
    pub async fn add(&self, documents: Vec<Document>) -> Result<Vec<Added>> {
        let entries = stream::iter(documents).map(|document| self.embedded(document));
        let entries = entries.buffered(EMBEDDED_AT_A_TIME).try_collect().await?;
        let added = self.store.lock().add(entries);
        added.map_err(|full| Error::from(full).with_status(507))
    }

    /// The documents that are closest to a direction, the closest first, each with the passage that
    /// is.
    #[blocking]
    pub fn search(&self, question: Embedding, limit: usize) -> Vec<Hit> {
        let entries = self.store.lock().entries();
        closest(&entries, &question, limit)
    }

    /// A document, if it is there.
    pub fn document(&self, id: Id) -> Option<Kept> {
        self.store.lock().get(&id)
    }

    /// Takes a document out, and gives it; none if it was not there.
    pub fn remove(&self, id: Id) -> Option<Kept> {
        self.store.lock().remove(&id)
    }

    /// How full it is.
    pub fn size(&self) -> Size {
        self.store.lock().size()
    }

    async fn add_corpus(&self, path: Option<PathBuf>) -> Result<()> {
        let read = move || path.map_or_else(corpus::own, |path| corpus::read(&path));
        let documents = spawn_blocking(read).await??;
        for some in documents.chunks(STEP) {
            self.add(some.to_vec()).await?;
            let Size { documents: so_far, passages, .. } = self.size();
            let all = documents.len();
            tracing::info!("indexed {so_far} of {all} documents, {passages} passages");
        }
        Ok(())
    }

    /// A document's passages with their directions. The title goes before each passage: a passage
    /// from the middle of a text often does not say what it is about.
    async fn embedded(&self, document: Document) -> Result<Entry> {
        let (id, Document { title, text, .. }) = (document.id(), document);
        let passages = passages(text.as_str());
        let about = |passage| match title.as_str() {
            "" => String::clone(passage),
            title => format!("{title}\n{passage}"),
        };
        let texts: Vec<String> = passages.iter().map(about).collect();
        let directions = stream::iter(texts).map(|text| self.direction(text));
        let directions: Vec<_> = directions.buffered(EMBEDDED_AT_A_TIME).try_collect().await?;
        Ok(Entry::new(id, title, passages, &directions))
    }

    async fn direction(&self, text: String) -> Result<Embedding> {
        let _place = self.embedding.acquire().await?;
        Ok(self.embed.embed(text).await?)
    }
}
