//! `Search`: what HTTP sees.

use std::sync::Arc;

use serve_core::axum::Router;
use serve_core::axum::response::Html;
use serve_core::axum::routing::get;
use serve_core::prelude::*;

use crate::api::{Added, Document, Documents, Hit, Id, Kept, Limit, Question, Size};
use crate::embed::EmbedHandle;
use crate::index::IndexHandle;

/// The ingress: questions go to `Embed` and from there to `Index`, documents to `Index`.
#[deployment(max_queued_requests = 100)]
#[derive(Debug)]
pub struct Search {
    embed: EmbedHandle,
    index: IndexHandle,
}

#[handle]
impl Search {
    /// Calls `embed` and `index`.
    pub fn new(embed: EmbedHandle, index: IndexHandle) -> Self {
        Self { embed, index }
    }

    /// The documents that are closest in meaning to `q`, the closest first, at most `limit` of
    /// them: 10 if it is not given.
    ///
    /// # Errors
    /// If a call fails.
    #[get("/search")]
    pub async fn search(&self, q: Question, limit: Option<Limit>) -> Result<Vec<Hit>> {
        let question = self.embed.embed(String::from(q));
        let limit = usize::from(limit.unwrap_or_default());
        // The direction goes straight from `Embed` to `Index`; nobody waits for it here.
        Ok(self.index.search(question, limit).await?)
    }

    /// Indexes a document or a list of them, all or none. One with an id that is there already
    /// takes its place.
    ///
    /// # Errors
    /// If there is no room for them, with status 507.
    #[post("/documents", body = documents)]
    pub async fn add(&self, documents: Documents) -> Result<Vec<Added>> {
        match self.index.add(Vec::<Document>::from(documents)).await {
            // What the index says of a client's documents is the client's to read.
            Err(CallError::App(error)) => Err(error),
            added => Ok(added?),
        }
    }

    /// How full the index is.
    ///
    /// # Errors
    /// If the call fails.
    #[get("/documents")]
    pub async fn size(&self) -> Result<Size> {
        Ok(self.index.size().await?)
    }

    /// A document, as the passages that it was cut into.
    ///
    /// # Errors
    /// If there is none, with status 404.
    #[get("/documents/{id}")]
    pub async fn document(&self, id: Id) -> Result<Kept> {
        let document = self.index.document(id.clone()).await?;
        document.ok_or_else(|| missing(&id))
    }

    /// Removes a document, and gives it a last time.
    ///
    /// # Errors
    /// If there is none, with status 404.
    #[delete("/documents/{id}")]
    pub async fn remove(&self, id: Id) -> Result<Kept> {
        let removed = self.index.remove(id.clone()).await?;
        removed.ok_or_else(|| missing(&id))
    }

    /// The page.
    #[routes]
    pub fn routes(self: Arc<Self>) -> Router {
        Router::new().route("/", get(async || Html(include_str!("../web/index.html"))))
    }
}

fn missing(id: &Id) -> Error {
    Error::msg(format!("there is no document `{id}`")).with_status(404)
}
