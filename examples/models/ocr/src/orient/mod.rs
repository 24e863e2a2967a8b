//! [`Orient`]: a box on a page becomes an upright strip of pixels.

mod strip;

use serve_core::prelude::*;

use crate::Corners;
use crate::network::Network;
use crate::page::Page;

pub use strip::Strip;
pub(crate) use strip::tensor;

/// What the model sees at a time, in pixels.
const SEEN_WIDTH: usize = 192;

/// Of a longer line it sees so many pieces. RapidOCR squeezes the line instead, beyond reading:
/// of 640 lines of Alice it takes 138 for turned that are not, and misses 442 that are; in
/// pieces, 1 and 8.
const PIECES: usize = 3;

/// A short line is turned if the model is so sure that it stands on its head. RapidOCR's
/// `cls_thresh`.
const SURE: f32 = 0.9;

/// A long one is turned if its pieces are so sure on average. Of 758 lines of all kinds, 2 are
/// taken for turned at 0.7 that are not, and 4 at 0.5.
const PROBABLE: f32 = 0.7;

/// Cuts lines out and turns those that stand on their heads: ch_ppocr_mobile_v2.0_cls.
#[deployment(max_ongoing_requests = 256)]
#[derive(Debug)]
pub struct Orient {
    network: Network,
}

#[handle]
impl Orient {
    /// Loads the model.
    ///
    /// # Errors
    /// If it cannot be fetched or read.
    #[blocking]
    pub fn new() -> Result<Self> {
        let network = Network::load(
            "rapidocr/models/ch_ppocr_mobile_v2.0_cls_mobile.onnx",
            "e47acedf663230f8863ff1ab0e64dd2d82b838fceb5957146dab185a89d6215c",
        )?;
        Ok(Self { network })
    }

    /// The line in the box, as people hold it to read.
    ///
    /// # Errors
    /// If the model does not run.
    #[blocking]
    #[batch(max_batch_size = 16, batch_wait_timeout = "2ms")]
    pub fn upright(&self, pages: Vec<Page>, boxes: Vec<Corners>) -> Result<Vec<Strip>> {
        let strips: Vec<_> =
            pages.iter().zip(&boxes).map(|(page, corners)| Strip::cut(page, corners)).collect();
        let seen: Vec<_> = strips.iter().map(|strip| strip.windows(SEEN_WIDTH, PIECES)).collect();
        let pieces: Vec<_> = seen.iter().flatten().collect();
        let turned = self.network.run::<2>(tensor(pieces, SEEN_WIDTH))?;
        let mut first = 0;
        let upright = strips.into_iter().zip(&seen).map(|(strip, seen)| {
            let pieces = first..first + seen.len();
            first = pieces.end;
            if stands_on_its_head(pieces.map(|piece| turned[[piece, 1]])) {
                strip.on_its_head()
            } else {
                strip
            }
        });
        Ok(upright.collect())
    }
}

/// By how probably each piece of the line is turned.
fn stands_on_its_head(pieces: impl ExactSizeIterator<Item = f32>) -> bool {
    let count = pieces.len();
    let mean = pieces.sum::<f32>() / count as f32;
    mean > if count == 1 { SURE } else { PROBABLE }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_line_is_turned_if_that_is_sure_and_a_long_one_if_it_is_probable() {
        let turned = |pieces: &[f32]| stands_on_its_head(pieces.iter().copied());
        assert!(turned(&[0.95]) && !turned(&[0.8]));
        assert!(turned(&[0.4, 0.9, 0.9]) && !turned(&[0.1, 0.9, 0.9]));
    }
}
