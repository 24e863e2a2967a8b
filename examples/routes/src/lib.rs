//! A shelf of papers over HTTP: parameters from the path, the query and the body, errors
//! with a status of their own, a stream, and a WebSocket.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serve_core::axum::Router;
use serve_core::axum::extract::State;
use serve_core::axum::response::Response;
use serve_core::axum::routing::any;
use serve_core::futures::stream;
use serve_core::http::WebSocketUpgrade;
use serve_core::prelude::*;

/// What the shelf holds.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Paper {
    /// In full.
    pub title: String,
    /// None was written, in most cases.
    #[serde(default)]
    pub summary: Option<String>,
}

/// One word of a title.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Word {
    /// Counted from 0.
    pub at: usize,
    /// The word.
    pub text: String,
}

/// What can go wrong at the shelf.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, thiserror::Error)]
pub enum ShelfError {
    /// There is no such paper.
    #[error("there is no paper {0}")]
    Missing(u32),
    /// Another paper stands there.
    #[error("paper {0} is there already; take it off first")]
    Taken(u32),
}

impl HttpStatus for ShelfError {
    fn status(&self) -> u16 {
        match self {
            Self::Missing(_) => 404,
            Self::Taken(_) => 409,
        }
    }

    fn statuses() -> &'static [(u16, &'static str)] {
        &[(404, "There is no such paper."), (409, "Another paper stands there.")]
    }
}

/// Shortens texts.
#[deployment(num_replicas = 2)]
#[derive(Debug, Default)]
pub struct Summarizer;

#[handle]
impl Summarizer {
    /// The first words of a text, and how many more there are.
    pub async fn summarize(&self, text: String) -> String {
        let words: Vec<_> = text.split_whitespace().collect();
        match words.len() {
            0..=3 => words.join(" "),
            more => format!("{} (and {} more)", words[..3].join(" "), more - 3),
        }
    }
}

/// The ingress. One replica, because the papers are in its memory.
#[deployment]
#[derive(Debug)]
pub struct Shelf {
    summarizer: SummarizerHandle,
    papers: Mutex<BTreeMap<u32, Paper>>,
}

#[handle]
impl Shelf {
    /// An empty shelf.
    pub fn new(summarizer: SummarizerHandle) -> Self {
        Self { summarizer, papers: Mutex::default() }
    }

    /// One paper. Its number is in the path.
    #[get("/papers/{id}")]
    pub async fn paper(&self, id: u32) -> Result<Paper, ShelfError> {
        self.papers.lock().get(&id).cloned().ok_or(ShelfError::Missing(id))
    }

    /// The titles that contain `word`, at most `limit` of them. Both come from the query,
    /// and `limit` may be left out.
    #[get("/papers")]
    pub async fn find(&self, word: String, limit: Option<usize>) -> Vec<String> {
        let papers = self.papers.lock();
        let titles = papers.values().map(|paper| &paper.title);
        let found = titles.filter(|title| title.contains(&word));
        found.take(limit.unwrap_or(10)).cloned().collect()
    }

    /// Puts a paper on the shelf. Its fields are the keys of the JSON object in the body.
    #[post("/papers/{id}")]
    pub async fn add(
        &self,
        id: u32,
        title: String,
        summary: Option<String>,
    ) -> Result<(), ShelfError> {
        let mut papers = self.papers.lock();
        if papers.contains_key(&id) {
            return Err(ShelfError::Taken(id));
        }
        papers.insert(id, Paper { title, summary });
        Ok(())
    }

    /// Puts a paper in the place of what was there. The whole body is the paper; `quiet`
    /// comes from the query, where a bare `?quiet` is `true`.
    #[put("/papers/{id}", body = paper, max_body = "64KiB")]
    pub async fn replace(&self, id: u32, paper: Paper, quiet: Option<bool>) -> Option<Paper> {
        let old = self.papers.lock().insert(id, paper);
        if quiet.unwrap_or_default() { None } else { old }
    }

    /// Takes a paper off.
    #[delete("/papers/{id}")]
    pub async fn remove(&self, id: u32) -> Result<Paper, ShelfError> {
        self.papers.lock().remove(&id).ok_or(ShelfError::Missing(id))
    }

    /// The words of a title, as server-sent events, as one JSON array or as a JSON value
    /// on each line: the client's `Accept` decides.
    #[get("/papers/{id}/words")]
    pub fn words(&self, id: u32) -> Result<impl Stream<Item = Word>, ShelfError> {
        let papers = self.papers.lock();
        let title = papers.get(&id).map(|paper| paper.title.clone());
        let title = title.ok_or(ShelfError::Missing(id))?;
        let words: Vec<_> = title.split_whitespace().map(str::to_owned).collect();
        let words = words.into_iter().enumerate();
        Ok(stream::iter(words.map(|(at, text)| Word { at, text })))
    }

    /// Answers each text that the client sends with its summary.
    #[websocket("/summaries")]
    pub async fn summaries(&self, mut socket: WebSocket<String, String>) -> Result<()> {
        while let Some(text) = socket.next().await {
            socket.send(self.summarizer.summarize(text?).await?).await?;
        }
        Ok(())
    }

    /// What typed endpoints cannot say, in axum's own words.
    #[routes]
    pub fn routes(self: Arc<Self>) -> Router {
        Router::new().route("/old/summaries", any(upgrade)).with_state(self)
    }
}

/// `/old/summaries`: the same as `/summaries`, opened by a handler of axum.
async fn upgrade(upgrade: WebSocketUpgrade, State(shelf): State<Arc<Shelf>>) -> Response {
    upgrade.on_upgrade(async move |socket| shelf.summaries(socket).await)
}

/// The shelf and its summarizer.
#[application]
pub fn routes() -> Application<Shelf> {
    Shelf::bind(Summarizer::bind()).into()
}

#[cfg(test)]
mod tests;
