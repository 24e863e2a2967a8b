//! In which order people read the boxes of a page: row by row, each from left to right; and
//! where it is set in columns, one column after the other.

use crate::Corners;

/// Boxes whose middles differ by less than this part of their height stand in one row.
const SAME_ROW: f32 = 0.5;

/// The fewest lines of a column. Less, as of an address beside a date, is read row by row.
const LEAST_LINES: usize = 4;

/// The lines of a column follow each other at no more than so many times their height; the
/// rows of a table, whose cells may be as long, have more air between them.
const PITCH: f32 = 1.47;

/// A long text may have as much, ...
const AIRY_PITCH: f32 = 1.8;

/// ... if it has so many lines, ...
const LONG_TEXT: usize = 10;

/// ... and they are so long: some 28 letters.
const LONG_LINES: f32 = 12.0;

/// How many times as long as high half of a column's lines are: some 14 letters. So the prices
/// of a receipt, or the cells of a table, are no column.
const PROSE: f32 = 6.0;

/// A page lies on its side if the lines that do are together so many times as long as the others.
const MOSTLY: f32 = 3.0;

/// The most rows of a headline: title, subtitle, author.
const HEADLINE: usize = 3;

/// The boxes in reading order.
///
/// A page that lies askew is read along its own rows: what "right" is, most of the boxes say,
/// each as loudly as it is long.
pub fn as_people_read(boxes: Vec<Corners>) -> Vec<Corners> {
    in_order(boxes, |corners| *corners)
}

/// The same for a page that stands on its head.
pub(crate) fn as_people_read_turned(boxes: Vec<Corners>) -> Vec<Corners> {
    in_order(boxes, |corners| {
        let [top_left, top_right, bottom_right, bottom_left] = corners.0;
        Corners([bottom_right, bottom_left, top_left, top_right]).map(|[x, y]| [-x, -y])
    })
}

/// Of a page that was turned as `hold` does after most of its lines run from left to right.
fn in_order(boxes: Vec<Corners>, hold: impl Fn(&Corners) -> Corners) -> Vec<Corners> {
    let sideways = is_sideways(&boxes);
    let hold = |corners: &Corners| hold(&if sideways { turned_left(corners) } else { *corners });
    let held: Vec<_> = boxes.iter().map(hold).collect();
    let (right, down) = directions(&held);
    let both = boxes.into_iter().zip(held);
    let mut placed: Vec<_> =
        both.map(|(corners, held)| Placed::new(corners, &held, right, down)).collect();
    placed.sort_by(|a, b| a.down.total_cmp(&b.down));

    let mut rows = rows_of(placed);
    let mut read = Vec::new();
    while !rows.is_empty() {
        let columns = columns_from(&rows).filter(|columns| !is_headed(&rows, columns));
        let others = rows.split_off(columns.as_ref().map_or(1, |columns| columns.rows));
        let set = rows.into_iter().flatten();
        match columns {
            Some(columns) => {
                for column in columns.sort(set) {
                    read.extend(rows_of(column).into_iter().flatten());
                }
            }
            None => read.extend(set),
        }
        rows = others;
    }
    read.into_iter().map(|line| line.corners).collect()
}

/// Whether a page as a whole runs downwards or upwards, and not a margin or a few labels.
fn is_sideways(boxes: &[Corners]) -> bool {
    let (sideways, others): (Vec<&Corners>, _) =
        boxes.iter().partition(|corners| corners.along_the_line() != **corners);
    let length = |boxes: Vec<&Corners>| -> f32 {
        boxes.into_iter().map(|corners| corners.width().max(corners.height())).sum()
    };
    length(sideways) > MOSTLY * length(others)
}

/// A box on a page that is turned to the left by 90 degrees, as lines that run downwards are.
fn turned_left(corners: &Corners) -> Corners {
    let [top_left, top_right, bottom_right, bottom_left] = corners.0;
    Corners([top_right, bottom_right, bottom_left, top_left]).map(|[x, y]| [y, -x])
}

/// The rows of boxes that come from top to bottom, each from left to right.
fn rows_of(placed: Vec<Placed>) -> Vec<Vec<Placed>> {
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
    rows
}

/// The rows at the top of `rows` that are set in columns: as many as come before one that
/// reaches from one column into another, or stands between them.
fn columns_from(rows: &[Vec<Placed>]) -> Option<Columns> {
    let mut found = None;
    let mut columns = Columns { rows: 0, spans: Vec::new() };
    for row in rows {
        let mut spans = columns.spans.clone();
        if !row.iter().all(|line| take_in(&mut spans, line)) {
            break;
        }
        // What is new beside the columns may be one more, or a page number.
        if spans.len() > columns.spans.len() && columns.are_prose(rows) {
            found = Some(columns.clone());
        }
        columns = Columns { rows: columns.rows + 1, spans };
    }
    if columns.are_prose(rows) { Some(columns) } else { found }
}

/// True if what seems to be columns are more, below a headline over some of them.
fn is_headed(rows: &[Vec<Placed>], columns: &Columns) -> bool {
    let mut below = (1..=HEADLINE).filter_map(|row| columns_from(rows.get(row..)?));
    below.any(|below| below.spans.len() > columns.spans.len())
}

/// Columns beside each other.
#[derive(Clone)]
struct Columns {
    /// Of how many rows.
    rows: usize,
    /// From where to where each goes, from left to right.
    spans: Vec<[f32; 2]>,
}

impl Columns {
    /// True if each has lines as prose has them, and two or more are columns by all signs.
    fn are_prose(&self, rows: &[Vec<Placed>]) -> bool {
        if self.spans.len() < 2 {
            return false;
        }
        let lines = rows[..self.rows].iter().flatten();
        let (mut slender, mut full) = (0, 0);
        for [left, right] in &self.spans {
            let own = lines.clone().filter(|line| (left..=right).contains(&&line.along));
            let own: Vec<_> = own.collect();
            let slenderness = median(own.iter().map(|line| line.length / line.height));
            let pitch = median(own.windows(2).map(|pair| (pair[1].down - pair[0].down).abs()));
            let height = median(own.iter().map(|line| line.height));
            let is_long = own.len() >= LONG_TEXT && slenderness >= LONG_LINES;
            let most_air = if is_long { AIRY_PITCH } else { PITCH };
            slender += usize::from(slenderness >= PROSE);
            full += usize::from(own.len() >= LEAST_LINES && pitch <= most_air * height);
        }
        slender == self.spans.len() && full > 1
    }

    /// The lines of each column, as they come.
    fn sort(&self, lines: impl Iterator<Item = Placed>) -> Vec<Vec<Placed>> {
        let mut columns: Vec<_> = self.spans.iter().map(|_| Vec::new()).collect();
        for line in lines {
            let column = self.spans.iter().position(|[_, right]| line.along <= *right);
            columns[column.unwrap_or(0)].push(line);
        }
        for column in &mut columns {
            column.sort_by(|a, b| a.down.total_cmp(&b.down));
        }
        columns
    }
}

/// 0 of none.
fn median(values: impl Iterator<Item = f32>) -> f32 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f32::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// Puts a line into the span that it overlaps, or into one of its own; false if it joins two.
fn take_in(spans: &mut Vec<[f32; 2]>, line: &Placed) -> bool {
    // Boxes are somewhat larger than their letters.
    let half = (line.length / 2.0 - line.height / 2.0).max(0.0);
    let (left, right) = (line.along - half, line.along + half);
    let first = spans.partition_point(|span| span[1] < left);
    match spans.get_mut(first) {
        Some(span) if span[0] <= right => {
            *span = [span[0].min(left), span[1].max(right)];
            let right = span[1];
            spans.get(first + 1).is_none_or(|next| right < next[0])
        }
        _ => {
            spans.insert(first, [left, right]);
            true
        }
    }
}

/// A box and where its middle is, seen along the rows.
struct Placed {
    corners: Corners,
    along: f32,
    down: f32,
    /// Along the rows.
    length: f32,
    height: f32,
}

impl Placed {
    /// Where it is on the page as that is held to read: `held`.
    fn new(corners: Corners, held: &Corners, right: [f32; 2], down: [f32; 2]) -> Self {
        let [x, y] = held.centre();
        let (width, height) = (held.width(), held.height());
        Self {
            corners,
            along: x * right[0] + y * right[1],
            down: x * down[0] + y * down[1],
            length: width,
            height: height.min(width).max(1.0),
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

    /// Lines of `letters` letters, 20 pixels high and 26 apart.
    fn column(left: f32, top: f32, letters: &[u8]) -> impl Iterator<Item = [f32; 4]> {
        let letters = letters.iter().enumerate();
        letters.map(move |(line, letters)| {
            [left, top + 26.0 * line as f32, 10.0 * f32::from(*letters), 20.0]
        })
    }

    #[test]
    fn columns_of_prose_are_read_one_after_the_other() {
        let headline = [[0.0, 0.0, 500.0, 40.0]];
        let (left, right) = ([24, 26, 25, 9], [26, 22, 25, 24, 23]);
        let footer = [[200.0, 300.0, 200.0, 20.0]];
        let boxes: Vec<_> = headline
            .into_iter()
            // Not on the same heights.
            .chain(column(300.0, 67.0, &right))
            .chain(column(0.0, 60.0, &left))
            .chain(footer)
            .collect();
        assert_eq!(order(&boxes), [0, 6, 7, 8, 9, 1, 2, 3, 4, 5, 10]);
    }

    #[test]
    fn a_headline_over_some_of_the_columns_comes_before_all() {
        let lines = [24, 26, 25, 20, 22];
        let boxes: Vec<_> = [[0.0, 0.0, 450.0, 40.0], [0.0, 45.0, 350.0, 12.0]]
            .into_iter()
            .chain((0..3).flat_map(|at| column(300.0 * at as f32, 70.0, &lines)))
            .collect();
        assert_eq!(order(&boxes), (0..17).collect::<Vec<_>>());
    }

    #[test]
    fn a_headline_of_one_column_is_read_with_it() {
        let boxes: Vec<_> = [[0.0, 0.0, 250.0, 40.0]]
            .into_iter()
            .chain(column(0.0, 60.0, &[24, 26, 25, 20]))
            .chain(column(300.0, 60.0, &[24, 26, 25, 20]))
            .chain(column(600.0, 60.0, &[24, 26, 25, 20, 21]))
            .collect();
        assert_eq!(order(&boxes), (0..14).collect::<Vec<_>>());
    }

    #[test]
    fn a_page_number_between_the_columns_is_read_last_and_a_short_column_is_one() {
        let boxes: Vec<_> = column(0.0, 0.0, &[24, 26, 25, 20])
            .chain(column(300.0, 0.0, &[24, 26, 25, 20]))
            .chain(column(600.0, 0.0, &[24, 14]))
            .chain([[270.0, 130.0, 20.0, 20.0]])
            .collect();
        assert_eq!(order(&boxes), (0..11).collect::<Vec<_>>());
    }

    #[test]
    fn a_page_on_its_head_or_its_side_is_read_as_it_was_written() {
        let page: Vec<_> = [[0.0, 0.0, 400.0, 40.0]]
            .into_iter()
            .chain(column(0.0, 60.0, &[24, 26, 25, 20]))
            .chain(column(300.0, 60.0, &[24, 26, 25, 20]))
            .collect();
        let held = |turn: fn([f32; 2]) -> [f32; 2]| {
            let turned = |&[left, top, width, height]: &[f32; 4]| {
                let ([a, b], [c, d]) = (turn([left, top]), turn([left + width, top + height]));
                Corners::upright(a.min(c), b.min(d), a.max(c), b.max(d))
            };
            page.iter().map(turned).collect::<Vec<_>>()
        };
        let read = |boxes: &[Corners], order: fn(Vec<Corners>) -> Vec<Corners>| {
            let place = |read: &Corners| boxes.iter().position(|corners| corners == read);
            order(boxes.to_vec()).iter().filter_map(place).collect::<Vec<_>>()
        };
        let as_written = (0..9).collect::<Vec<_>>();
        let on_its_head = held(|[x, y]| [900.0 - x, 900.0 - y]);
        assert_eq!(read(&on_its_head, as_people_read_turned), as_written);
        let on_its_right_side = held(|[x, y]| [900.0 - y, x]);
        assert_eq!(read(&on_its_right_side, as_people_read), as_written);
        let on_its_left_side = held(|[x, y]| [y, 900.0 - x]);
        assert_eq!(read(&on_its_left_side, as_people_read_turned), as_written);
    }

    #[test]
    fn prices_cells_and_addresses_are_no_columns() {
        let beside = |left: &[u8], right: &[u8]| {
            let boxes: Vec<_> = column(0.0, 0.0, left).chain(column(300.0, 0.0, right)).collect();
            let rows = left.len();
            let by_rows: Vec<_> = (0..rows).flat_map(|row| [row, rows + row]).collect();
            order(&boxes) == by_rows
        };
        assert!(beside(&[24, 26, 25, 20, 22], &[4, 5, 4, 5, 5]), "prices");
        assert!(beside(&[5, 6, 7, 5], &[8, 8, 10, 7]), "cells");
        assert!(beside(&[24, 26, 25], &[24, 26, 25]), "three lines");
        assert!(!beside(&[24, 26, 25, 20], &[24, 26, 25, 20]), "prose");
        // Questions and answers, with air between the rows.
        let rows = (0..5).flat_map(|row| {
            let top = 40.0 * row as f32;
            [[0.0, top, 240.0, 20.0], [300.0, top, 260.0, 20.0]]
        });
        assert_eq!(order(&rows.collect::<Vec<_>>()), (0..10).collect::<Vec<_>>());
        // Ten lines and more are prose for all that.
        let lines = |left| (0..10).map(move |row| [left, 35.0 * row as f32, 250.0, 20.0]);
        let text: Vec<_> = lines(0.0).chain(lines(300.0)).collect();
        assert_eq!(order(&text), (0..20).collect::<Vec<_>>());
    }
}
