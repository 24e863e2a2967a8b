//! Step 3: all lines at a time.

use ocr::{
    Corners, Decode, DecodeHandle, Detect, DetectHandle, Line, Orient, OrientHandle, Page, Reading,
    Recognise, RecogniseHandle, as_people_read,
};
use serve_core::futures::future::try_join_all;
use serve_core::prelude::*;

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

    /// The lines of a page.
    ///
    /// # Errors
    /// If it is no PNG, or a model does not run.
    #[post("/read", body = png, max_body = "32MiB")]
    pub async fn read(&self, png: Bytes) -> Result<Vec<Line>> {
        let page = self.decode.page(png).await?;
        let boxes = as_people_read(self.detect.lines(page.clone()).await?);
        try_join_all(boxes.into_iter().map(|corners| self.line(&page, corners))).await
    }

    async fn line(&self, page: &Page, corners: Corners) -> Result<Line> {
        let upright = self.orient.upright(page.clone(), corners);
        let Reading { text, confidence } = self.recognise.read(upright).await?;
        Ok(Line { text, confidence, corners })
    }
}

/// Step 3.
#[application]
pub fn three() -> Application<Reader> {
    Reader::bind(Decode::bind(), Detect::bind(), Orient::bind(), Recognise::bind()).into()
}
