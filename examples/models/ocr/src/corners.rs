//! [`Corners`]: where a line is on its page.

use rten_imageproc::RotatedRect;
use serve_core::prelude::*;

/// A crop at least this many times as high as wide holds a line that runs downwards, or one that
/// was scanned sideways. PaddleOCR's number (`get_rotate_crop_image`).
const SIDEWAYS: f32 = 1.5;

/// The four corners of a box around a line, `[x, y]` each, clockwise, from the one at the top
/// left. Pixels are counted from the page's top left; (0, 0) is the outer corner of the first.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Corners(pub [[f32; 2]; 4]);

impl Corners {
    /// Of an upright box.
    #[must_use]
    pub const fn upright(left: f32, top: f32, right: f32, bottom: f32) -> Self {
        Self([[left, top], [right, top], [right, bottom], [left, bottom]])
    }

    /// Of a rectangle that may lie askew. Of its corners, two are left of the others, and of each
    /// two one is above.
    #[must_use]
    pub(crate) fn around(rectangle: &RotatedRect) -> Self {
        let mut points = rectangle.corners().map(|point| [point.x, point.y]);
        points.sort_by(|a, b| a[0].total_cmp(&b[0]));
        let [a, b, c, d] = points;
        let above = |a: [f32; 2], b: [f32; 2]| if a[1] <= b[1] { (a, b) } else { (b, a) };
        let ((top_left, bottom_left), (top_right, bottom_right)) = (above(a, b), above(c, d));
        Self([top_left, top_right, bottom_right, bottom_left])
    }

    /// How long it is from left to right: the longer of two sides.
    #[must_use]
    pub fn width(&self) -> f32 {
        let [top_left, top_right, bottom_right, bottom_left] = self.0;
        distance(top_left, top_right).max(distance(bottom_left, bottom_right))
    }

    /// How long it is from top to bottom: the longer of two sides.
    #[must_use]
    pub fn height(&self) -> f32 {
        let [top_left, top_right, bottom_right, bottom_left] = self.0;
        distance(top_left, bottom_left).max(distance(top_right, bottom_right))
    }

    /// Its middle.
    #[must_use]
    pub fn centre(&self) -> [f32; 2] {
        let [a, b, c, d] = self.0;
        [0, 1].map(|axis| (a[axis] + b[axis] + c[axis] + d[axis]) / 4.0)
    }

    /// The corners as they are met along the line: for a line that runs downwards the first is
    /// the top right one, so that what is cut out is turned to the left by 90 degrees.
    #[must_use]
    pub(crate) fn along_the_line(&self) -> Self {
        if self.height() < SIDEWAYS * self.width() {
            return *self;
        }
        let [top_left, top_right, bottom_right, bottom_left] = self.0;
        Self([top_right, bottom_right, bottom_left, top_left])
    }

    /// Each corner through `place`.
    #[must_use]
    pub(crate) fn map(self, place: impl FnMut([f32; 2]) -> [f32; 2]) -> Self {
        Self(self.0.map(place))
    }

    /// The point `across` of the way from left to right and `down` from top to bottom.
    #[must_use]
    pub(crate) fn point(&self, across: f32, down: f32) -> [f32; 2] {
        let [top_left, top_right, bottom_right, bottom_left] = self.0;
        [0, 1].map(|axis| {
            let top = top_left[axis] + across * (top_right[axis] - top_left[axis]);
            let bottom = bottom_left[axis] + across * (bottom_right[axis] - bottom_left[axis]);
            top + down * (bottom - top)
        })
    }
}

fn distance(a: [f32; 2], b: [f32; 2]) -> f32 {
    (a[0] - b[0]).hypot(a[1] - b[1])
}

#[cfg(test)]
mod tests {
    use super::*;
    use rten_imageproc::{PointF, Vec2};

    #[test]
    fn a_rectangle_gives_its_corners_clockwise_from_the_top_left() {
        let centre = PointF::from_yx(20.0, 50.0);
        for up in [Vec2::from_yx(1.0, 0.0), Vec2::from_yx(-1.0, 0.0)] {
            let corners = Corners::around(&RotatedRect::new(centre, up, 40.0, 10.0));
            assert_eq!(corners, Corners::upright(30.0, 15.0, 70.0, 25.0));
        }
        let askew = RotatedRect::new(centre, Vec2::from_yx(1.0, 0.1), 40.0, 10.0);
        let Corners([top_left, top_right, bottom_right, bottom_left]) = Corners::around(&askew);
        assert!(top_left[0] < top_right[0] && top_left[1] < bottom_left[1]);
        assert!(bottom_right[0] > bottom_left[0] && bottom_right[1] > top_right[1]);
    }

    #[test]
    fn a_line_that_runs_downwards_is_taken_from_its_top_right() {
        let wide = Corners::upright(0.0, 0.0, 20.0, 29.0);
        assert_eq!(wide.along_the_line(), wide);
        let high = Corners::upright(0.0, 0.0, 20.0, 30.0).along_the_line();
        assert_eq!(high, Corners([[20.0, 0.0], [20.0, 30.0], [0.0, 30.0], [0.0, 0.0]]));
        assert_eq!((high.width(), high.height()), (30.0, 20.0));
    }

    #[test]
    fn points_inside_are_found_by_their_part_of_the_way() {
        let corners = Corners::upright(10.0, 10.0, 30.0, 20.0);
        assert_eq!(corners.point(0.0, 0.0), [10.0, 10.0]);
        assert_eq!(corners.point(0.5, 0.5), corners.centre());
        assert_eq!(corners.point(1.0, 0.5), [30.0, 15.0]);
    }
}
