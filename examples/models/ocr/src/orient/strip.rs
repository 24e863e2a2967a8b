//! [`Strip`]: one line, cut out of its page.

use rten_tensor::NdTensor;
use serve_core::prelude::*;

use crate::tensor::{normalised, plane, whole};
use crate::{Corners, Page};

/// As high as both models want a line.
pub(crate) const HEIGHT: usize = 48;

/// A line longer than this is squeezed: 80 times as long as high, some 200 letters. Its tensor
/// has 2.2 MB, and what the model makes of it meanwhile some hundred.
pub(crate) const MAX_WIDTH: usize = 80 * HEIGHT;

/// The pixels of a line, 48 rows high. A clone shares them.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Strip {
    /// In pixels, at least 1.
    pub width: usize,
    /// Red, green and blue of each pixel, row by row.
    pub pixels: Bytes,
    /// Whether it stood on its head, and was turned.
    pub turned: bool,
}

impl Strip {
    /// What lies in the box, straightened, and turned to the left by 90 degrees if it is much
    /// higher than wide.
    #[must_use]
    pub fn cut(page: &Page, corners: &Corners) -> Self {
        let corners = corners.along_the_line();
        let (length, height) = (corners.width().max(1.0), corners.height().max(1.0));
        let width = whole((HEIGHT as f32 * length / height).ceil()).clamp(1, MAX_WIDTH);
        // Where a pixel of the strip stands for several of the page, it is the mean of so many.
        let across = whole((length / width as f32).ceil()).max(1);
        let down = whole((height / HEIGHT as f32).ceil()).max(1);
        let mut pixels = Vec::with_capacity(3 * HEIGHT * width);
        for y in 0..HEIGHT {
            for x in 0..width {
                let mut sum = [0.0; 3];
                for part in 0..across * down {
                    let (i, j) = (part % across, part / across);
                    let u = (x as f32 + (i as f32 + 0.5) / across as f32) / width as f32;
                    let v = (y as f32 + (j as f32 + 0.5) / down as f32) / HEIGHT as f32;
                    let sample = sample(page, corners.point(u, v));
                    for (sum, value) in sum.iter_mut().zip(sample) {
                        *sum += value;
                    }
                }
                let count = (across * down) as f32;
                pixels.extend(sum.map(|sum| byte(sum / count)));
            }
        }
        Self { width, pixels: pixels.into(), turned: false }
    }

    /// Turned by 180 degrees.
    #[must_use]
    pub(crate) fn on_its_head(&self) -> Self {
        let pixels: Vec<u8> = self.pixels.rchunks_exact(3).flatten().copied().collect();
        Self { width: self.width, pixels: pixels.into(), turned: !self.turned }
    }

    /// What is seen of it through windows of this width: all of a strip that is no wider, else
    /// at most `most` pieces from its beginning to its end.
    pub(crate) fn windows(&self, width: usize, most: usize) -> Vec<Self> {
        if self.width <= width {
            return vec![self.clone()];
        }
        let count = self.width.div_ceil(width).min(most);
        let step = |window: usize| (self.width - width) * window / (count - 1).max(1);
        (0..count).map(|window| self.columns(step(window), width)).collect()
    }

    /// The `width` columns of pixels from `left` on.
    fn columns(&self, left: usize, width: usize) -> Self {
        let rows = self.pixels.chunks_exact(3 * self.width);
        let pixels: Vec<u8> =
            rows.flat_map(|row| &row[3 * left..3 * (left + width)]).copied().collect();
        Self { width, pixels: pixels.into(), turned: self.turned }
    }
}

/// Strips as a tensor `[strips, 3, 48, width]`. None is wider than `width`, and what is right of
/// them is the gray between black and white, which the models learned to ignore.
pub(crate) fn tensor<'s>(
    strips: impl IntoIterator<Item = &'s Strip, IntoIter: ExactSizeIterator>,
    width: usize,
) -> NdTensor<f32, 4> {
    let strips = strips.into_iter();
    let mut tensor = NdTensor::zeros([strips.len(), 3, HEIGHT, width]);
    let values = tensor.data_mut().expect("a new tensor is contiguous");
    for (values, strip) in values.chunks_exact_mut(3 * HEIGHT * width).zip(strips) {
        for (at, pixel) in strip.pixels.chunks_exact(3).enumerate() {
            let (x, y) = (at % strip.width, at / strip.width);
            for (channel, value) in pixel.iter().enumerate() {
                values[(plane(channel) * HEIGHT + y) * width + x] = normalised(f32::from(*value));
            }
        }
    }
    tensor
}

/// The colour at a point, linear between the centres of pixels.
fn sample(page: &Page, [x, y]: [f32; 2]) -> [f32; 3] {
    let (x, y) = ((x - 0.5).max(0.0), (y - 0.5).max(0.0));
    let (left, top) = (whole(x), whole(y));
    let (right_part, bottom_part) = (x - left as f32, y - top as f32);
    let [a, b] = [page.pixel(left, top), page.pixel(left + 1, top)];
    let [c, d] = [page.pixel(left, top + 1), page.pixel(left + 1, top + 1)];
    [0, 1, 2].map(|channel| {
        let top = a[channel] + right_part * (b[channel] - a[channel]);
        let bottom = c[channel] + right_part * (d[channel] - c[channel]);
        top + bottom_part * (bottom - top)
    })
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 255")]
fn byte(value: f32) -> u8 {
    value.round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use rten_tensor::prelude::*;

    /// 192 x 96 pixels: red grows to the right, green downwards.
    fn page() -> Page {
        let pixel =
            |at: usize| [at % 192, 2 * (at / 192), 7].map(|value| u8::try_from(value).unwrap());
        let pixels: Vec<u8> = (0..192 * 96).flat_map(pixel).collect();
        Page { width: 192, height: 96, pixels: pixels.into() }
    }

    fn at(strip: &Strip, x: usize, y: usize) -> [u8; 3] {
        let at = 3 * (y * strip.width + x);
        [strip.pixels[at], strip.pixels[at + 1], strip.pixels[at + 2]]
    }

    #[test]
    fn a_box_of_the_right_height_is_cut_as_it_is() {
        let strip = Strip::cut(&page(), &Corners::upright(10.0, 20.0, 110.0, 68.0));
        assert_eq!((strip.width, strip.pixels.len()), (100, 3 * 48 * 100));
        assert_eq!(at(&strip, 0, 0), [10, 40, 7]);
        assert_eq!(at(&strip, 99, 47), [109, 134, 7]);
    }

    #[test]
    fn a_larger_box_is_the_mean_of_its_pixels() {
        let strip = Strip::cut(&page(), &Corners::upright(0.0, 0.0, 192.0, 96.0));
        assert_eq!(strip.width, 96);
        assert_eq!(at(&strip, 40, 20), [81, 81, 7]);
    }

    #[test]
    fn a_high_box_is_turned_to_the_left() {
        let strip = Strip::cut(&page(), &Corners::upright(50.0, 0.0, 98.0, 96.0));
        assert_eq!(strip.width, 96);
        // What was at the top right is at the top left.
        assert_eq!(at(&strip, 0, 0), [97, 0, 7]);
        assert_eq!(at(&strip, 95, 0), [97, 190, 7]);
        assert_eq!(at(&strip, 0, 47), [50, 0, 7]);
    }

    #[test]
    fn turned_twice_it_is_as_it_was() {
        let strip = Strip::cut(&page(), &Corners::upright(10.0, 20.0, 110.0, 68.0));
        assert_eq!(at(&strip.on_its_head(), 99, 47), at(&strip, 0, 0));
        assert_eq!(strip.on_its_head().on_its_head(), strip);
    }

    #[test]
    fn no_box_is_too_thin_or_too_long() {
        let page = page();
        let dot = Strip::cut(&page, &Corners::upright(5.0, 5.0, 5.0, 5.0));
        assert_eq!(dot.width, 48);
        let long = Strip::cut(&page, &Corners::upright(0.0, 5.0, 192.0, 6.0));
        assert_eq!(long.width, MAX_WIDTH);
    }

    #[test]
    fn a_long_strip_is_seen_in_pieces_from_its_beginning_to_its_end() {
        let strip = Strip::cut(&page(), &Corners::upright(10.0, 20.0, 110.0, 68.0));
        let lefts = |width, most| {
            let windows = strip.windows(width, most);
            assert!(windows.iter().all(|window| window.width == width.min(100)));
            let left = |window| at(window, 0, 0)[0] - 10;
            windows.iter().map(left).collect::<Vec<_>>()
        };
        assert_eq!(lefts(100, 3), [0]);
        assert_eq!(lefts(120, 3), [0]);
        assert_eq!(lefts(90, 3), [0, 10]);
        assert_eq!(lefts(20, 3), [0, 40, 80]);
        assert_eq!(lefts(20, 1), [0]);
        let last = &strip.windows(20, 3)[2];
        assert_eq!(at(last, 19, 47), at(&strip, 99, 47));
    }

    #[test]
    fn strips_share_a_tensor_and_end_in_gray() {
        let strip = Strip::cut(&page(), &Corners::upright(10.0, 20.0, 110.0, 68.0));
        let narrow = strip.columns(21, 50);
        let tensor = tensor(&[strip, narrow], 120);
        assert_eq!(tensor.shape(), [2, 3, 48, 120]);
        let red = |byte: f32| byte / 127.5 - 1.0;
        assert_eq!((tensor[[0, 2, 0, 99]], tensor[[0, 2, 0, 100]]), (red(109.0), 0.0));
        assert_eq!((tensor[[1, 2, 0, 10]], tensor[[1, 2, 0, 50]]), (red(41.0), 0.0));
    }
}
