//! Which lines of a batch run together.
//!
//! The lines of one run are as wide as the widest of them, and the rest is wasted time. So
//! lines of a batch are sorted by width, and those that differ much run apart.

/// Narrower strips than that are filled up, as RapidOCR does: the model has seen few so short.
const LEAST_WIDTH: usize = 320;

/// The most of a run that may be filling.
const MOST_FILLING: f32 = 0.2;

/// Lines that run together.
#[derive(Debug, PartialEq)]
pub(super) struct Group {
    /// Their places in the batch.
    pub(super) lines: Vec<usize>,
    /// As wide as all of them are made.
    pub(super) width: usize,
}

/// Each line in one group.
pub(super) fn of_similar_width(widths: &[usize]) -> Vec<Group> {
    let mut lines: Vec<_> = (0..widths.len()).collect();
    lines.sort_by_key(|&line| std::cmp::Reverse(widths[line]));
    let mut groups: Vec<Group> = Vec::new();
    for line in lines {
        let width = widths[line].max(LEAST_WIDTH);
        match groups.last_mut() {
            Some(group) if width as f32 >= (1.0 - MOST_FILLING) * group.width as f32 => {
                group.lines.push(line);
            }
            _ => groups.push(Group { lines: vec![line], width }),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(widths: &[usize]) -> Vec<(Vec<usize>, usize)> {
        of_similar_width(widths).into_iter().map(|group| (group.lines, group.width)).collect()
    }

    #[test]
    fn lines_of_similar_width_run_together() {
        assert_eq!(
            groups(&[600, 1000, 900, 799, 500]),
            [(vec![1, 2], 1000), (vec![3], 799), (vec![0, 4], 600)]
        );
        assert_eq!(groups(&[]), []);
    }

    #[test]
    fn short_lines_are_filled_up() {
        assert_eq!(groups(&[10, 320, 48]), [(vec![1, 2, 0], 320)]);
    }
}
