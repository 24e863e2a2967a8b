//! Step 2: a deployment for each stage.

use ocr::{
    Decode, DecodeHandle, Detect, DetectHandle, Line, Orient, OrientHandle, Reading, Recognise,
    RecogniseHandle, as_people_read,
};
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
        let mut lines = Vec::new();
        for corners in boxes {
            let strip = self.orient.upright(page.clone(), corners).await?;
            let Reading { text, confidence } = self.recognise.read(strip).await?;
            lines.push(Line { text, confidence, corners });
        }
        Ok(lines)
    }
}

/// Step 2.
#[application]
pub fn two() -> Application<Reader> {
    Reader::bind(Decode::bind(), Detect::bind(), Orient::bind(), Recognise::bind()).into()
}
