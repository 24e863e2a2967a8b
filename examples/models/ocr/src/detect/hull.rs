//! The convex hull of a contour.

use rten_imageproc::{Point, PointF};

/// The corners of the smallest convex polygon around the points, in exact arithmetic (Andrew's
/// monotone chain).
///
/// `rten_imageproc::min_area_rect` makes a hull of its own, sorted by the cosines of angles. Of a
/// contour as long as a line of text many are closer to each other than an `f32` can tell, and
/// corners get lost; of the few points of a hull none are.
pub(super) fn of(contour: &[Point]) -> Vec<PointF> {
    let mut points: Vec<_> = contour.iter().map(|point| (point.x, point.y)).collect();
    points.sort_unstable();
    points.dedup();
    let below = half(points.iter().copied());
    let above = half(points.iter().rev().copied());
    // Each half ends where the other begins.
    let ends = |half: &[(i32, i32)]| half.len().saturating_sub(1).max(1);
    let whole = below[..ends(&below).min(below.len())].iter().chain(&above[..ends(&above).min(above.len())]);
    whole.map(|&(x, y)| PointF::from_yx(y as f32, x as f32)).collect()
}

fn half(points: impl Iterator<Item = (i32, i32)>) -> Vec<(i32, i32)> {
    let mut half: Vec<(i32, i32)> = Vec::new();
    for point in points {
        while let [.., a, b] = half[..]
            && !turns(a, b, point)
        {
            half.pop();
        }
        half.push(point);
    }
    half
}

/// Whether the way from `a` over `b` to `c` bends to the one side, and not to the other or not
/// at all.
fn turns(a: (i32, i32), b: (i32, i32), c: (i32, i32)) -> bool {
    let cross = |(ax, ay): (i64, i64), (bx, by): (i64, i64)| ax * by - ay * bx;
    let way = |from: (i32, i32), to: (i32, i32)| {
        (i64::from(to.0) - i64::from(from.0), i64::from(to.1) - i64::from(from.1))
    };
    cross(way(a, b), way(b, c)) > 0
}
