//! Step 1: one deployment that does everything.

use ocr::{Decode, Detect, Line, Orient, Reading, Recognise, as_people_read};
use serve_core::prelude::*;

/// Reads pages.
#[deployment]
#[derive(Debug)]
pub struct Reader {
    decode: Decode,
    detect: Detect,
    orient: Orient,
    recognise: Recognise,
}

#[handle]
impl Reader {
    /// Loads the models.
    ///
    /// # Errors
    /// If one cannot be fetched or read.
    #[blocking]
    pub fn new() -> Result<Self> {
        Ok(Self {
            decode: Decode,
            detect: Detect::new()?,
            orient: Orient::new()?,
            recognise: Recognise::new()?,
        })
    }

    /// The lines of a page.
    ///
    /// # Errors
    /// If it is no PNG, or a model does not run.
    #[blocking]
    #[post("/read", body = png, max_body = "32MiB")]
    pub fn read(&self, png: Bytes) -> Result<Vec<Line>> {
        let page = self.decode.page(png)?;
        let boxes = as_people_read(self.detect.lines(page.clone())?);
        let strips = self.orient.upright(vec![page; boxes.len()], boxes.clone())?;
        let readings = self.recognise.read(strips)?;
        let lines = boxes.into_iter().zip(readings).map(|(corners, reading)| {
            let Reading { text, confidence } = reading;
            Line { text, confidence, corners }
        });
        Ok(lines.collect())
    }
}

/// Step 1.
#[application]
pub fn one() -> Application<Reader> {
    Reader::bind().into()
}
