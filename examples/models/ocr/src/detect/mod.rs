//! [`Detect`]: where the lines of a page are.

mod boxes;
mod hull;

use rten_tensor::prelude::*;
use serve_core::prelude::*;

use crate::network::Network;
use crate::page::Page;
use crate::{Corners, tensor};

/// The longest side of what the model sees of a page.
const LONGEST_SIDE: f32 = 960.0;

/// Of a page that is much longer than that, as of a receipt, the shorter side has so many
/// pixels, if it has them, ...
const SHORTER_SIDE: f32 = 480.0;

/// ... and all of it no more than this, for which the model needs a second or two.
const MOST_PIXELS: f32 = 2e6;

/// Small pictures are enlarged, so that the letters of a screenshot are as large as those of a
/// scan, and not more than this many times, beyond which there is nothing more to see.
const MOST_ENLARGED: f32 = 4.0;

/// More lines than that are on no page that is read within the time that a request has.
pub(crate) const MOST_LINES: usize = 5_000;

/// The model halves a picture five times.
const MULTIPLE: usize = 32;

/// Finds lines of text: PP-OCRv6 small, detection.
#[deployment]
#[derive(Debug)]
pub struct Detect {
    network: Network,
}

#[handle]
impl Detect {
    /// Loads the model.
    ///
    /// # Errors
    /// If it cannot be fetched or read.
    #[blocking]
    pub fn new() -> Result<Self> {
        let network = Network::load(
            "rapidocr/models/PP-OCRv6_det_small.onnx",
            "090f04abcd9d9a7498bc4ebf677e4cb9bdce1fe4197ddb7e529f1ef44e1ff94f",
        )?;
        Ok(Self { network })
    }

    /// A box around each line of the page, in no order.
    ///
    /// # Errors
    /// If the model does not run.
    #[blocking]
    pub fn lines(&self, page: Page) -> Result<Vec<Corners>> {
        let (width, height) = seen_size(page.width, page.height);
        let input = tensor::of_page(&page, width, height, MULTIPLE);
        let probabilities = self.network.run::<4>(input)?;
        let found = boxes::in_map(probabilities.slice((0, 0)), width, height);
        Ok(found
            .into_iter()
            .filter_map(|corners| on_page(corners, (width, height), &page))
            .collect())
    }
}

/// The size in which the model sees a page.
fn seen_size(width: usize, height: usize) -> (usize, usize) {
    let (long, short) = (width.max(height) as f32, width.min(height) as f32);
    let of_any_page = (LONGEST_SIDE / long).min(MOST_ENLARGED);
    let of_a_long_one = (SHORTER_SIDE / short).min((MOST_PIXELS / (long * short)).sqrt()).min(1.0);
    let scale = of_any_page.max(of_a_long_one);
    let seen = |side: usize| tensor::whole((side as f32 * scale).round()).max(1);
    (seen(width), seen(height))
}

/// A box in what the model saw as one on the page; none if nothing of it is left there.
fn on_page(corners: Corners, seen: (usize, usize), page: &Page) -> Option<Corners> {
    let (width, height) = (page.width as f32, page.height as f32);
    let (across, down) = (width / seen.0 as f32, height / seen.1 as f32);
    let corners =
        corners.map(|[x, y]| [(x * across).clamp(0.0, width), (y * down).clamp(0.0, height)]);
    let least = corners.width().min(corners.height());
    (least > boxes::LEAST_ON_PAGE).then_some(corners)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longer_side_is_960_pixels_and_the_shorter_one_of_a_long_page_480() {
        assert_eq!(seen_size(640, 480), (960, 720));
        assert_eq!(seen_size(3000, 4000), (720, 960));
        assert_eq!(seen_size(1, 1), (4, 4));
        assert_eq!(seen_size(1_280, 5_120), (480, 1_920));
        assert_eq!(seen_size(200, 5_000), (200, 5_000));
        assert_eq!(seen_size(10_000, 10), (10_000, 10));
        assert_eq!(seen_size(8_000, 800), (4_472, 447));
    }

    #[test]
    fn boxes_are_scaled_to_the_page_and_end_with_it() {
        let page = Page { width: 1920, height: 960, pixels: Bytes::new() };
        let corners = on_page(Corners::upright(-5.0, 10.0, 100.0, 20.0), (960, 480), &page);
        assert_eq!(corners, Some(Corners::upright(0.0, 20.0, 200.0, 40.0)));
        assert_eq!(on_page(Corners::upright(970.0, 0.0, 980.0, 9.0), (960, 480), &page), None);
    }
}
