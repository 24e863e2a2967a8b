//! In which order people read the boxes of a page: row by row, each from left to right.

use crate::Corners;

/// Boxes whose middles differ by less than this part of their height stand in one row.
const SAME_ROW: f32 = 0.5;

/// The boxes in reading order.
///
/// A page that lies askew is read along its own rows: what "right" is, most of the boxes say,
/// each as loudly as it is long.
pub fn as_people_read(boxes: Vec<Corners>) -> Vec<Corners> {
    let (right, down) = directions(&boxes);
    let mut placed: Vec<_> =
        boxes.into_iter().map(|corners| Placed::new(corners, right, down)).collect();
    placed.sort_by(|a, b| a.down.total_cmp(&b.down));

    let mut rows: Vec<Vec<Placed>> = Vec::new();
    for line in placed {
        match rows.last_mut() {
            Some(row) if line.is_in_row(row) => row.push(line),
            _ => rows.push(vec![line]),
        }
    }
    for row in &mut rows {
        row.sort_by(|a, b| a.along.total_cmp(&b.along));
    }
    rows.into_iter().flatten().map(|line| line.corners).collect()
}

/// A box and where its middle is, seen along the rows.
struct Placed {
    corners: Corners,
    along: f32,
    down: f32,
    height: f32,
}

impl Placed {
    fn new(corners: Corners, right: [f32; 2], down: [f32; 2]) -> Self {
        let [x, y] = corners.centre();
        let (width, height) = (corners.width(), corners.height());
        Self {
            corners,
            along: x * right[0] + y * right[1],
            down: x * down[0] + y * down[1],
            height: height.min(width),
        }
    }

    /// Whether it stands as high as those of a row do on average.
    fn is_in_row(&self, row: &[Self]) -> bool {
        let count = row.len() as f32;
        let down = row.iter().map(|line| line.down).sum::<f32>() / count;
        let height = row.iter().map(|line| line.height).sum::<f32>() / count;
        self.down - down < SAME_ROW * height.min(self.height)
    }
}

/// The directions in which the rows of a page run, and in which they follow each other: the
/// median of the boxes' own, weighed by their lengths.
fn directions(boxes: &[Corners]) -> ([f32; 2], [f32; 2]) {
    let mut slopes: Vec<(f32, f32)> = boxes
        .iter()
        .filter(|corners| corners.width() > 2.0 * corners.height())
        .map(|corners| {
            let [left, right, ..] = corners.0;
            ((right[1] - left[1]).atan2(right[0] - left[0]), corners.width())
        })
        .collect();
    slopes.sort_by(|a, b| a.0.total_cmp(&b.0));
    let half = slopes.iter().map(|(_, length)| length).sum::<f32>() / 2.0;
    let mut so_far = 0.0;
    let median = slopes.iter().find(|(_, length)| {
        so_far += length;
        so_far >= half
    });
    let angle = median.map_or(0.0, |(slope, _)| *slope);
    let (sin, cos) = angle.sin_cos();
    ([cos, sin], [-sin, cos])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The order of boxes that are given as left, top, width and height.
    fn order(boxes: &[[f32; 4]]) -> Vec<usize> {
        let corners = |&[left, top, width, height]: &[f32; 4]| {
            Corners::upright(left, top, left + width, top + height)
        };
        places(&boxes.iter().map(corners).collect::<Vec<_>>())
    }

    fn places(boxes: &[Corners]) -> Vec<usize> {
        let place = |read: &Corners| boxes.iter().position(|corners| corners == read);
        as_people_read(boxes.to_vec()).iter().filter_map(place).collect()
    }

    #[test]
    fn rows_come_from_top_to_bottom_and_each_from_left_to_right() {
        let boxes = [[200.0, 52.0, 60.0, 20.0], [0.0, 0.0, 90.0, 20.0], [0.0, 50.0, 90.0, 20.0]];
        assert_eq!(order(&boxes), [1, 2, 0]);
        assert_eq!(order(&[]), Vec::<usize>::new());
    }

    #[test]
    fn what_is_a_row_depends_on_how_high_its_letters_are() {
        // 15 pixels lower: the same row for a headline, the next one for a footnote.
        assert_eq!(order(&[[200.0, 0.0, 90.0, 60.0], [0.0, 15.0, 90.0, 60.0]]), [1, 0]);
        assert_eq!(order(&[[200.0, 0.0, 90.0, 12.0], [0.0, 15.0, 90.0, 12.0]]), [0, 1]);
        // A small line beside the lower half of a large one is not in its row.
        assert_eq!(order(&[[200.0, 0.0, 200.0, 60.0], [0.0, 45.0, 90.0, 12.0]]), [0, 1]);
    }

    #[test]
    fn a_staircase_is_no_single_row() {
        let boxes = (0..6).map(|n| [500.0 - 100.0 * n as f32, 9.0 * n as f32, 90.0, 20.0]);
        assert_eq!(order(&boxes.collect::<Vec<_>>()), [1, 0, 3, 2, 5, 4]);
    }

    #[test]
    fn a_page_askew_is_read_along_its_own_rows() {
        // Two rows of three, turned by 8 degrees: the end of the first is lower than the
        // beginning of the second.
        let (sin, cos) = 8.0_f32.to_radians().sin_cos();
        let turn = |[x, y]: [f32; 2]| [x * cos - y * sin, x * sin + y * cos];
        let boxes: Vec<_> = [0.0, 30.0]
            .into_iter()
            .flat_map(|top| [0.0, 150.0, 300.0].map(|left| (left, top)))
            .map(|(left, top)| Corners::upright(left, top, left + 120.0, top + 20.0).map(turn))
            .collect();
        assert_eq!(places(&boxes), [0, 1, 2, 3, 4, 5]);
    }
}
