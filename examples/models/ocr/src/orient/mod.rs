//! [`Orient`]: a box on a page becomes an upright strip of pixels.

mod strip;

use serve_core::prelude::*;

use crate::Corners;
use crate::network::Network;
use crate::page::Page;

pub use strip::Strip;
pub(crate) use strip::tensor;

/// What the model sees of a line, in pixels: the whole of a short one, a long one squeezed.
const SEEN_WIDTH: usize = 192;

/// A line is turned if the model is so sure that it stands on its head. RapidOCR's `cls_thresh`.
const SURE: f32 = 0.9;

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
        let seen: Vec<_> = strips.iter().map(|strip| strip.squeezed(SEEN_WIDTH)).collect();
        let turned = self.network.run::<2>(tensor(&seen, SEEN_WIDTH))?;
        let upright = strips
            .into_iter()
            .enumerate()
            .map(|(line, strip)| if turned[[line, 1]] > SURE { strip.turned() } else { strip });
        Ok(upright.collect())
    }
}
