//! [`Reader`]: the graph, over HTTP.

use std::sync::Arc;

use async_stream::try_stream;
use serve_core::axum::Router;
use serve_core::axum::response::Html;
use serve_core::axum::routing::get;
use serve_core::futures::stream;
use serve_core::prelude::*;

use crate::{
    Corners, DecodeHandle, DetectHandle, OrientHandle, Page, PageError, Reading, RecogniseHandle,
    as_people_read,
};

/// How many lines of a page are on their way at a time: enough to fill the batches of several
/// replicas, and few enough that a short page need not wait for all of a long one.
const LINES_AT_A_TIME: usize = 32;

/// What is read with less confidence is no text: a speck, a picture. RapidOCR's `text_score`.
const LEAST_CONFIDENCE: f32 = 0.5;

/// One line of a page.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Line {
    /// What it says.
    pub text: String,
    /// How sure that is, from 0 to 1.
    pub confidence: f32,
    /// Where it is on the page.
    #[serde(rename = "box")]
    pub corners: Corners,
}

/// The ingress. Four pages at a time keep every stage busy; twelve more may wait, and beyond
/// that a client is told to come back.
#[deployment(max_ongoing_requests = 4, max_queued_requests = 12, request_timeout = "5m")]
#[derive(Debug)]
pub struct Reader {
    decode: DecodeHandle,
    detect: DetectHandle,
    orient: OrientHandle,
    recognise: RecogniseHandle,
}

#[handle]
impl Reader {
    /// A handle for each stage.
    pub fn new(
        decode: DecodeHandle,
        detect: DetectHandle,
        orient: OrientHandle,
        recognise: RecogniseHandle,
    ) -> Self {
        Self { decode, detect, orient, recognise }
    }

    /// The lines of a page in reading order, each as soon as it and those before it are read.
    /// The body is a PNG. If one line fails, the page does.
    #[post("/read", body = png, max_body = "32MiB")]
    pub fn read(&self, png: Bytes) -> impl Stream<Item = Result<Line>> {
        try_stream! {
            let page = self.decode.page(png).await.map_err(refused)?;
            let page = ObjectRef::put(page);
            let boxes = as_people_read(self.detect.lines(&page).await?);
            let lines = stream::iter(boxes).map(|corners| self.line(&page, corners));
            let mut lines = lines.buffered(LINES_AT_A_TIME);
            while let Some(line) = lines.next().await {
                let line = line.map_err(unread)?;
                if !line.text.is_empty() && line.confidence >= LEAST_CONFIDENCE {
                    yield line;
                }
            }
        }
    }

    /// The page that shows it.
    #[routes]
    pub fn routes(self: Arc<Self>) -> Router {
        Router::new().route("/", get(Html(include_str!("page.html"))))
    }

    async fn line(&self, page: &ObjectRef<Page>, corners: Corners) -> Result<Line> {
        let upright = self.orient.upright(page, corners);
        let Reading { text, confidence } = self.recognise.read(upright).await?;
        let (confidence, corners) =
            (rounded(confidence, 1e4), corners.map(|point| point.map(|at| rounded(at, 10.0))));
        Ok(Line { text, confidence, corners })
    }
}

/// A number as people like to read it: more digits than that say nothing.
fn rounded(value: f32, parts: f32) -> f32 {
    (value * parts).round() / parts
}

/// A line that failed, to its client. A stage that is overloaded or out of time says so itself.
fn unread(error: Error) -> Error {
    let status = error.status().unwrap_or(500);
    error.context("a line of the page could not be read").with_status(status)
}

/// What is wrong with a page is the client's to know; the rest is not.
fn refused(error: CallError<PageError>) -> Error {
    match error {
        CallError::App(error) => Error::msg(&error).with_status(error.status()),
        other => other.into(),
    }
}
