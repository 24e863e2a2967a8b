//! [`Recognise`]: what a line says.

mod ctc;
mod groups;

use rten_tensor::prelude::*;
use serve_core::prelude::*;

use crate::network::Network;
use crate::orient::{self, Strip};

use ctc::Dictionary;
pub use ctc::Reading;

/// Reads lines: PP-OCRv6 small, recognition. The slowest stage, and so the one that is scaled.
#[deployment(
    max_ongoing_requests = 64,
    autoscaling(min_replicas = 1, max_replicas = 4, target_ongoing_requests = 16)
)]
#[derive(Debug)]
pub struct Recognise {
    network: Network,
    dictionary: Dictionary,
}

/// What a strip weighs in a batch.
fn width(line: &Strip) -> usize {
    line.width
}

#[handle]
impl Recognise {
    /// Loads the model.
    ///
    /// # Errors
    /// If it cannot be fetched or read.
    #[blocking]
    pub fn new() -> Result<Self> {
        let network = Network::load(
            "rapidocr/models/PP-OCRv6_rec_small.onnx",
            "6f327246b50388f3c176ae304bd95767ea6dc0c9ae92153ef8cbe210b3c14884",
        )?;
        let characters = network.metadata("character");
        let characters = characters.ok_or_else(|| Error::msg("the model names no characters"))?;
        let dictionary = Dictionary::new(characters);
        Ok(Self { network, dictionary })
    }

    /// The text of a line.
    ///
    /// # Errors
    /// If the model does not run.
    #[blocking]
    #[batch(max_batch_size = 3840, batch_wait_timeout = "5ms", batch_size_fn = width)]
    pub fn read(&self, lines: Vec<Strip>) -> Result<Vec<Reading>> {
        let mut readings = vec![Reading::default(); lines.len()];
        let widths: Vec<_> = lines.iter().map(width).collect();
        for group in groups::of_similar_width(&widths) {
            let strips: Vec<_> = group.lines.iter().map(|&line| &lines[line]).collect();
            let input = orient::tensor(strips, group.width);
            let probabilities = self.network.run::<3>(input)?;
            for (at, &line) in group.lines.iter().enumerate() {
                readings[line] = self.dictionary.decode(probabilities.slice(at))?;
            }
        }
        Ok(readings)
    }
}
