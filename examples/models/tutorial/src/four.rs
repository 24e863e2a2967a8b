//! Step 4: each line as soon as it is read.

use async_stream::try_stream;
use ocr::{
    Corners, Decode, DecodeHandle, Detect, DetectHandle, Line, Orient, OrientHandle, Page,
    PageError, Reading, Recognise, RecogniseHandle, as_people_read,
};
use serve_core::futures::stream;
use serve_core::prelude::*;

/// How many lines are on their way at a time.
const LINES_AT_A_TIME: usize = 32;

/// Reads pages, by what the stages do.
#[deployment]
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

    /// The lines of a page, each as soon as it and those before it are read.
    #[post("/read", body = png, max_body = "32MiB")]
    pub fn read(&self, png: Bytes) -> impl Stream<Item = Result<Line>> {
        try_stream! {
            let page = self.decode.page(png).await.map_err(refused)?;
            let boxes = as_people_read(self.detect.lines(page.clone()).await?);
            let lines = stream::iter(boxes).map(|corners| self.line(&page, corners));
            let mut lines = lines.buffered(LINES_AT_A_TIME);
            while let Some(line) = lines.next().await {
                yield line?;
            }
        }
    }

    async fn line(&self, page: &Page, corners: Corners) -> Result<Line> {
        let upright = self.orient.upright(page.clone(), corners);
        let Reading { text, confidence } = self.recognise.read(upright).await?;
        Ok(Line { text, confidence, corners })
    }
}

/// What is wrong with a page is the client's to know; the rest is not.
fn refused(error: CallError<PageError>) -> Error {
    match error {
        CallError::App(error) => Error::msg(&error).with_status(error.status()),
        other => other.into(),
    }
}

/// Step 4.
#[application]
pub fn four() -> Application<Reader> {
    Reader::bind(Decode::bind(), Detect::bind(), Orient::bind(), Recognise::bind()).into()
}
