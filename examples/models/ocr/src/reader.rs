//! [`Reader`]: the graph, over HTTP.

use std::sync::Arc;

use async_stream::try_stream;
use serve_core::axum::Router;
use serve_core::axum::response::Html;
use serve_core::axum::routing::get;
use serve_core::futures::future::try_join_all;
use serve_core::futures::stream;
use serve_core::prelude::*;

use crate::detect::MOST_LINES;
use crate::order::as_people_read_turned;
use crate::{
    Corners, DecodeHandle, DetectHandle, OrientHandle, Page, PageError, Reading, RecogniseHandle,
    Strip, as_people_read,
};

/// How many lines of a page are on their way at a time: enough to fill the batches of several
/// replicas, and few enough that a short page need not wait for all of a long one.
const LINES_AT_A_TIME: usize = 32;

/// How many lines say which side of a page is up, ...
const WITNESSES: usize = 9;

/// ... and how many of them must stand on their heads: of two lines, one may do so on purpose.
const LEAST_TURNED: usize = 3;

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
            let boxes = self.detect.lines(&page).await?;
            if boxes.len() > MOST_LINES {
                Err(too_many_lines())?;
            }
            let witnesses = self.upright(&page, longest(&boxes)).await.map_err(unread)?;
            let boxes = if are_of_a_turned_page(&witnesses) {
                as_people_read_turned(boxes)
            } else {
                as_people_read(boxes)
            };
            let lines = stream::iter(boxes).map(|corners| self.line(&page, corners, &witnesses));
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

    /// The strips of some lines.
    async fn upright(
        &self,
        page: &ObjectRef<Page>,
        boxes: Vec<Corners>,
    ) -> Result<Vec<(Corners, Strip)>> {
        let strips = boxes.into_iter().map(|corners| async move {
            Ok::<_, Error>((corners, self.orient.upright(page, corners).await?))
        });
        try_join_all(strips).await
    }

    async fn line(
        &self,
        page: &ObjectRef<Page>,
        corners: Corners,
        witnesses: &[(Corners, Strip)],
    ) -> Result<Line> {
        let witness = witnesses.iter().find(|(known, _)| *known == corners);
        let Reading { text, confidence } = match witness {
            Some((_, strip)) => self.recognise.read(strip.clone()),
            None => self.recognise.read(self.orient.upright(page, corners)),
        }
        .await?;
        let (confidence, corners) =
            (rounded(confidence, 1e4), corners.map(|point| point.map(|at| rounded(at, 10.0))));
        Ok(Line { text, confidence, corners })
    }
}

/// The lines that are asked first which side of the page is up.
fn longest(boxes: &[Corners]) -> Vec<Corners> {
    let length = |corners: &Corners| corners.width().max(corners.height());
    let mut boxes = boxes.to_vec();
    boxes.sort_by(|a, b| length(b).total_cmp(&length(a)));
    boxes.truncate(WITNESSES);
    boxes
}

/// True if nearly all lines stand on their heads: then it is the page that does.
fn are_of_a_turned_page(witnesses: &[(Corners, Strip)]) -> bool {
    let turned = witnesses.iter().filter(|(_, strip)| strip.turned).count();
    turned >= LEAST_TURNED && 5 * turned >= 4 * witnesses.len()
}

fn too_many_lines() -> Error {
    let message = format!("more than {MOST_LINES} lines are on the page; send it in parts");
    Error::msg(message).with_status(422)
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
