//! Pictures as the models take them: resampled, planes of blue, green and red, from -1 to 1.

use rten_tensor::NdTensor;

use crate::page::Page;

/// A byte from -1 to 1: all three models were trained on (x / 255 - 0.5) / 0.5.
pub(crate) fn normalised(value: f32) -> f32 {
    value / 127.5 - 1.0
}

/// The plane of a colour: the models were trained on OpenCV's order, the reverse of a PNG's.
pub(crate) const fn plane(channel: usize) -> usize {
    2 - channel
}

/// A number of pixels. Never negative, and far below what an `f32` is exact for.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "see above")]
pub(crate) fn whole(pixels: f32) -> usize {
    pixels.max(0.0) as usize
}

/// From which pixels, and with which weights, the pixels of a resized row or column are made.
struct Taps(Vec<(usize, Vec<f32>)>);

impl Taps {
    /// Linear between neighbours; where several pixels become one, each has its part in it, so
    /// that thin strokes do not fall through.
    fn new(from: usize, to: usize) -> Self {
        let scale = from as f32 / to as f32;
        let reach = scale.max(1.0);
        let taps = (0..to).map(|index| {
            let centre = (index as f32 + 0.5) * scale - 0.5;
            let first = whole((centre - reach).ceil().max(0.0));
            let last = whole((centre + reach).floor()).min(from - 1).max(first);
            let weight = |at: usize| (1.0 - (at as f32 - centre).abs() / reach).max(0.0);
            let weights: Vec<f32> = (first..=last).map(weight).collect();
            let sum: f32 = weights.iter().sum();
            (first, weights.iter().map(|weight| weight / sum).collect())
        });
        Self(taps.collect())
    }
}

/// A page of `width` x `height` pixels as a tensor `[1, 3, height, width]`, both sides of which
/// are multiples of `multiple`: what is missing repeats the last column and row.
pub(crate) fn of_page(
    page: &Page,
    width: usize,
    height: usize,
    multiple: usize,
) -> NdTensor<f32, 4> {
    let (across, down) = (Taps::new(page.width, width), Taps::new(page.height, height));
    let (columns, rows) = (width.next_multiple_of(multiple), height.next_multiple_of(multiple));
    let mut tensor = NdTensor::zeros([1, 3, rows, columns]);
    let planes = tensor.data_mut().expect("a new tensor is contiguous");
    // Rows of the page, resized across, that may be wanted again for the next row.
    let mut resized: std::collections::VecDeque<(usize, Vec<f32>)> = [].into();
    for (y, (first, weights)) in down.0.iter().enumerate() {
        while resized.front().is_some_and(|(row, _)| row < first) {
            resized.pop_front();
        }
        for row in *first..first + weights.len() {
            if resized.back().is_none_or(|(last, _)| *last < row) {
                resized.push_back((row, resized_row(page, row, &across)));
            }
        }
        let mut sum = vec![0.0; 3 * width];
        for ((_, row), weight) in resized.iter().zip(weights) {
            for (sum, value) in sum.iter_mut().zip(row) {
                *sum += weight * value;
            }
        }
        for (x, pixel) in sum.chunks_exact(3).enumerate() {
            for (channel, value) in pixel.iter().enumerate() {
                planes[(plane(channel) * rows + y) * columns + x] = normalised(*value);
            }
        }
    }
    for plane in planes.chunks_exact_mut(rows * columns) {
        for row in plane.chunks_exact_mut(columns).take(height) {
            let last = row[width - 1];
            row[width..].fill(last);
        }
        let last = (height - 1) * columns;
        for row in height..rows {
            plane.copy_within(last..last + columns, row * columns);
        }
    }
    tensor
}

fn resized_row(page: &Page, row: usize, across: &Taps) -> Vec<f32> {
    let row = &page.pixels[3 * page.width * row..][..3 * page.width];
    let mut resized = Vec::with_capacity(3 * across.0.len());
    for (first, weights) in &across.0 {
        let mut sum = [0.0; 3];
        for (pixel, weight) in row[3 * first..].chunks_exact(3).zip(weights) {
            for (sum, value) in sum.iter_mut().zip(pixel) {
                *sum += weight * f32::from(*value);
            }
        }
        resized.extend(sum);
    }
    resized
}

#[cfg(test)]
mod tests {
    use super::*;
    use rten_tensor::prelude::*;

    fn page(width: usize, height: usize, gray: impl Fn(usize, usize) -> u8) -> Page {
        let pixels: Vec<u8> =
            (0..width * height).flat_map(|at| [gray(at % width, at / width); 3]).collect();
        Page { width, height, pixels: pixels.into() }
    }

    #[test]
    fn a_page_of_the_right_size_is_taken_as_it_is() {
        let pixels = vec![255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 255];
        let tensor = of_page(&Page { width: 2, height: 2, pixels: pixels.into() }, 2, 2, 2);
        assert_eq!(tensor.shape(), [1, 3, 2, 2]);
        let expected = [
            [-1.0, -1.0, 1.0, 1.0], // blue
            [-1.0, 1.0, -1.0, 1.0], // green
            [1.0, -1.0, -1.0, 1.0], // red
        ];
        assert_eq!(tensor.data().expect("contiguous"), expected.concat());
    }

    #[test]
    fn what_is_missing_to_a_multiple_repeats_the_edge() {
        let tensor = of_page(&page(3, 1, |x, _| [0, 0, 255][x]), 3, 1, 4);
        assert_eq!(tensor.shape(), [1, 3, 4, 4]);
        for row in 0..4 {
            let row: Vec<f32> = (0..4).map(|x| tensor[[0, 0, row, x]]).collect();
            assert_eq!(row, [-1.0, -1.0, 1.0, 1.0]);
        }
    }

    #[test]
    fn every_pixel_counts_when_a_page_shrinks() {
        // One white column in sixteen: a sixteenth of the light.
        let tensor = of_page(&page(1600, 16, |x, _| if x % 16 == 5 { 255 } else { 0 }), 100, 1, 1);
        for x in 1..99 {
            assert!((tensor[[0, 0, 0, x]] - (2.0 / 16.0 - 1.0)).abs() < 0.02);
        }
    }

    #[test]
    fn between_pixels_it_is_linear_and_at_the_edges_flat() {
        let tensor = of_page(&page(2, 1, |x, _| [0, 200][x]), 8, 2, 1);
        let row: Vec<f32> = (0..8).map(|x| (tensor[[0, 0, 1, x]] + 1.0) * 127.5).collect();
        for (found, expected) in row.iter().zip([0.0, 0.0, 25.0, 75.0, 125.0, 175.0, 200.0, 200.0])
        {
            assert!((found - expected).abs() < 0.01, "{row:?}");
        }
    }
}
