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
    if points.len() > 1 {
        let mut above = half(points.iter().rev().copied());
        points = half(points.into_iter());
        // Each half ends where the other begins.
        points.pop();
        above.pop();
        points.append(&mut above);
    }
    points.into_iter().map(|(x, y)| PointF::from_yx(y as f32, x as f32)).collect()
}

/// The hull from the first of the sorted points to the last, on one side.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn hull(points: &[(i32, i32)]) -> Vec<(f32, f32)> {
        let points: Vec<_> = points.iter().map(|&(x, y)| Point::from_yx(y, x)).collect();
        of(&points).into_iter().map(|point| (point.x, point.y)).collect()
    }

    #[test]
    fn only_corners_are_left() {
        let square = [(0, 0), (1, 0), (2, 0), (2, 1), (2, 2), (1, 2), (0, 2), (0, 1), (1, 1)];
        assert_eq!(hull(&square), [(0.0, 0.0), (2.0, 0.0), (2.0, 2.0), (0.0, 2.0)]);
        assert_eq!(hull(&[(3, 1), (0, 0), (6, 2), (3, 1)]), [(0.0, 0.0), (6.0, 2.0)]);
        assert_eq!(hull(&[(3, 1), (3, 1)]), [(3.0, 1.0)]);
        assert_eq!(hull(&[]), []);
    }

    #[test]
    fn no_corner_of_a_long_line_is_lost() {
        let outline = (0..900).flat_map(|x| [(x, i32::from(x == 450)), (x, 20)]);
        let corners = hull(&outline.collect::<Vec<_>>());
        assert_eq!(corners, [(0.0, 0.0), (899.0, 0.0), (899.0, 20.0), (0.0, 20.0)]);
    }
}
