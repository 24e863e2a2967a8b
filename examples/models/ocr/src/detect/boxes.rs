//! From the map of the detection model to boxes: the post-processing of "Real-time Scene Text
//! Detection with Differentiable Binarization" (Liao et al., 2019), with RapidOCR's numbers.
//!
//! The model says for each pixel how likely it is inside a line. The lines of that map are
//! thinner than those of the page, so that neighbours do not touch: what is found is made larger
//! again.

use rten_imageproc::{PointF, RetrievalMode, RotatedRect, find_contours, min_area_rect};
use rten_tensor::prelude::*;
use rten_tensor::{NdTensor, NdTensorView};

use super::MOST_LINES;
use super::hull;
use crate::Corners;
use crate::tensor::whole;

/// A pixel that is more likely than this is inside a line.
const THRESHOLD: f32 = 0.3;

/// The pixels of a line are this likely on average, or it is none.
const BOX_THRESHOLD: f32 = 0.5;

/// How much larger than its core a line is: times area by circumference.
const UNCLIP: f32 = 1.6;

/// The shorter side of a core, and of a line, in pixels of the map.
const LEAST: (f32, f32) = (3.0, 5.0);

/// The shorter side of a line on the page, in pixels.
pub(super) const LEAST_ON_PAGE: f32 = 3.0;

/// The boxes in a map, as far as it shows the page: what was added to fill it up does not count.
pub(super) fn in_map(map: NdTensorView<f32, 2>, width: usize, height: usize) -> Vec<Corners> {
    let map = map.slice((..height, ..width));
    let contours = find_contours(likely(map).view(), RetrievalMode::List);
    let boxes = contours.iter().filter_map(|contour| {
        let core = min_area_rect(&hull::of(contour))?;
        let is_line =
            core.width().min(core.height()) >= LEAST.0 && mean_inside(map, &core) >= BOX_THRESHOLD;
        let line = unclipped(&core);
        (is_line && line.width().min(line.height()) >= LEAST.1).then(|| outline(&line))
    });
    // One more, to be told from a page that has just so many.
    boxes.take(MOST_LINES + 1).collect()
}

/// The pixels above the threshold, each made two by two, which closes gaps.
fn likely(map: NdTensorView<f32, 2>) -> NdTensor<bool, 2> {
    let is = |y: usize, x: usize| map[[y, x]] > THRESHOLD;
    NdTensor::from_fn(map.shape(), |[y, x]| {
        let (above, left) = (y.saturating_sub(1), x.saturating_sub(1));
        is(y, x) || is(above, x) || is(y, left) || is(above, left)
    })
}

/// The mean of the pixels whose centres are inside.
fn mean_inside(map: NdTensorView<f32, 2>, rectangle: &RotatedRect) -> f32 {
    let corners = rectangle.corners();
    let [rows, columns] = map.shape();
    let (top, bottom) = bounds(corners.iter().map(|corner| corner.y), rows);
    let (mut sum, mut count) = (0.0, 0.0);
    for y in top..bottom {
        let Some((left, right)) = span(&corners, y as f32) else { continue };
        let (left, right) = bounds([left, right].into_iter(), columns);
        for x in left..right {
            sum += map[[y, x]];
            count += 1.0;
        }
    }
    if count > 0.0 { sum / count } else { 0.0 }
}

/// Of whole numbers below `limit`, those from the least to the greatest of `values`.
fn bounds(values: impl Iterator<Item = f32>, limit: usize) -> (usize, usize) {
    let (least, greatest) = values
        .fold((f32::MAX, f32::MIN), |(least, most), value| (least.min(value), most.max(value)));
    // A rectangle that is as thin as a pixel has it inside.
    const HAIR: f32 = 1e-3;
    (whole((least - HAIR).ceil()), whole((greatest + HAIR).floor() + 1.0).min(limit))
}

/// From where to where a row crosses a convex polygon.
fn span(corners: &[PointF; 4], y: f32) -> Option<(f32, f32)> {
    let mut crossings: Option<(f32, f32)> = None;
    for (from, to) in corners.iter().zip(corners.iter().cycle().skip(1)) {
        let inside = from.y.min(to.y) - 1e-3 <= y && y <= from.y.max(to.y) + 1e-3;
        if !inside {
            continue;
        }
        let is_level = (to.y - from.y).abs() < 1e-3;
        let part = |y: f32| ((y - from.y) / (to.y - from.y)).clamp(0.0, 1.0);
        let ends = if is_level { [from.x, to.x] } else { [from.x + part(y) * (to.x - from.x); 2] };
        for x in ends {
            crossings = Some(crossings.map_or((x, x), |(left, right)| (left.min(x), right.max(x))));
        }
    }
    crossings
}

/// The line around a core.
fn unclipped(core: &RotatedRect) -> RotatedRect {
    let circumference = 2.0 * (core.width() + core.height());
    let distance = core.area() * UNCLIP / circumference;
    core.expanded(2.0 * distance, 2.0 * distance)
}

/// Contours go through the centres of pixels, and a pixel's centre is half a pixel from its
/// corner, from which everybody else counts.
fn outline(line: &RotatedRect) -> Corners {
    Corners::around(line).map(|[x, y]| [x + 0.5, y + 0.5])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A map of 100 x 60 with the given rectangles, each from left, top to right, bottom.
    fn map(lines: &[([usize; 4], f32)]) -> NdTensor<f32, 2> {
        let mut map = NdTensor::zeros([60, 100]);
        for ([left, top, right, bottom], value) in lines {
            for y in *top..*bottom {
                for x in *left..*right {
                    map[[y, x]] = *value;
                }
            }
        }
        map
    }

    fn boxes(lines: &[([usize; 4], f32)]) -> Vec<Corners> {
        in_map(map(lines).view(), 100, 60)
    }

    #[test]
    fn a_line_is_larger_than_its_core() {
        let [found] = boxes(&[([20, 20, 60, 30], 0.9)])[..] else { panic!("one line") };
        // The core has 40 x 10 pixels from centre to centre, with the two by two of each pixel.
        let distance = 40.0 * 10.0 * 1.6 / 100.0;
        let expected =
            Corners::upright(20.5 - distance, 20.5 - distance, 60.5 + distance, 30.5 + distance);
        for (found, expected) in found.0.iter().flatten().zip(expected.0.iter().flatten()) {
            assert!((found - expected).abs() < 0.01, "{found} {expected}");
        }
    }

    #[test]
    fn what_is_unlikely_or_small_is_no_line() {
        assert_eq!(boxes(&[]), []);
        assert_eq!(boxes(&[([20, 20, 60, 30], 0.29)]), []);
        assert_eq!(boxes(&[([20, 20, 60, 30], 0.4)]), []);
        assert_eq!(boxes(&[([20, 20, 60, 22], 0.9)]), []);
        assert_eq!(boxes(&[([20, 20, 60, 30], 0.9), ([70, 50, 72, 52], 0.9)]).len(), 1);
    }

    #[test]
    fn a_hole_is_no_line_and_neighbours_are_two() {
        let ring = ([10, 10, 90, 50], 0.9);
        let hole = ([40, 25, 60, 35], 0.0);
        assert_eq!(boxes(&[ring, hole]).len(), 1);
        assert_eq!(boxes(&[([10, 10, 40, 20], 0.9), ([44, 10, 90, 20], 0.9)]).len(), 2);
    }

    #[test]
    fn what_fills_the_map_up_does_not_count() {
        let map = map(&[([20, 20, 60, 30], 0.9)]);
        assert_eq!(in_map(map.view(), 100, 18), []);
        assert_eq!(in_map(map.view(), 19, 60), []);
    }

    #[test]
    fn a_line_askew_has_a_box_askew() {
        let mut map = NdTensor::zeros([60, 100]);
        for x in 10..90 {
            for y in 0..8 {
                map[[10 + x / 4 + y, x]] = 0.9;
            }
        }
        let [found] = in_map(map.view(), 100, 60)[..] else { panic!("one line") };
        let [top_left, top_right, ..] = found.0;
        let slope = (top_right[1] - top_left[1]) / (top_right[0] - top_left[0]);
        assert!((slope - 0.25).abs() < 0.03, "{slope}");
        // Nearly all its pixels are likely: an upright box would have half of that.
        assert!(found.height() < 25.0, "{}", found.height());
    }
}
