//! The positions of boxes and arrows in a layered drawing, with callers left of callees.
//!
//! The layout follows the three steps of Sugiyama, Tagawa and Toda (1981): each box goes as
//! far right as its longest chain of callers requires; an arrow across several layers gets a
//! waypoint in each of them; the order within a layer follows the neighbours, which removes
//! crossings. Then each box moves as near to the height of its neighbours as the order allows.
//!
//! The same input always produces the same drawing.

/// The size of a box or of the drawing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Size {
    pub(super) width: f64,
    pub(super) height: f64,
}

/// A point: the upper left corner of a box, or a point of an arrow.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Place {
    pub(super) x: f64,
    pub(super) y: f64,
}

/// An arrow from the right side of one box, through waypoints, to the left side of another.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Arrow {
    pub(super) points: Vec<Place>,
}

/// The whole drawing.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Layout {
    pub(super) boxes: Vec<Place>,
    pub(super) arrows: Vec<Arrow>,
    pub(super) size: Size,
}

/// The distance between layers, which leaves room for an arrow to bend.
const ACROSS: f64 = 72.0;
/// The distance between the boxes of a layer.
const DOWN: f64 = 28.0;
/// The number of passes that improve order and heights. Small graphs settle in two or three.
const SWEEPS: usize = 8;

/// A box, or a waypoint of an arrow that passes its layer.
struct Vertex {
    layer: usize,
    size: Size,
    left: Vec<usize>,
    right: Vec<usize>,
    /// The height of the middle of the box.
    y: f64,
}

/// Places boxes of the given sizes. Each of `arrows` leads from an earlier box to a later one.
pub(super) fn layout(sizes: &[Size], arrows: &[(usize, usize)]) -> Layout {
    let mut vertices = boxes(sizes, arrows);
    let chains = connect(&mut vertices, arrows);
    let mut layers = layers(&vertices);
    for sweep in 0..SWEEPS {
        order(&mut layers, &vertices, sweep % 2 == 0);
    }
    stack(&layers, &mut vertices);
    for sweep in 0..SWEEPS {
        align(&layers, &mut vertices, sweep % 2 == 0);
    }
    draw(sizes.len(), &layers, &vertices, &chains)
}

fn boxes(sizes: &[Size], arrows: &[(usize, usize)]) -> Vec<Vertex> {
    let mut layer = vec![0; sizes.len()];
    let mut sorted = arrows.to_vec();
    sorted.sort_unstable();
    for (from, to) in sorted {
        layer[to] = layer[to].max(layer[from] + 1);
    }
    let boxes = sizes.iter().zip(layer);
    boxes
        .map(|(size, layer)| Vertex {
            layer,
            size: *size,
            left: Vec::new(),
            right: Vec::new(),
            y: 0.0,
        })
        .collect()
}

/// Connects the ends of each arrow, with a waypoint in each layer between them.
fn connect(vertices: &mut Vec<Vertex>, arrows: &[(usize, usize)]) -> Vec<Vec<usize>> {
    let mut chains = Vec::with_capacity(arrows.len());
    for (from, to) in arrows {
        let mut chain = vec![*from];
        for layer in vertices[*from].layer + 1..vertices[*to].layer {
            let size = Size { width: 0.0, height: 0.0 };
            vertices.push(Vertex { layer, size, left: Vec::new(), right: Vec::new(), y: 0.0 });
            chain.push(vertices.len() - 1);
        }
        chain.push(*to);
        for pair in chain.windows(2) {
            vertices[pair[0]].right.push(pair[1]);
            vertices[pair[1]].left.push(pair[0]);
        }
        chains.push(chain);
    }
    chains
}

fn layers(vertices: &[Vertex]) -> Vec<Vec<usize>> {
    let count = vertices.iter().map(|vertex| vertex.layer + 1).max().unwrap_or_default();
    let mut layers = vec![Vec::new(); count];
    for (index, vertex) in vertices.iter().enumerate() {
        layers[vertex.layer].push(index);
    }
    layers
}

/// Sorts each layer by the mean position of its neighbours on one side.
fn order(layers: &mut [Vec<usize>], vertices: &[Vertex], rightwards: bool) {
    let count = layers.len();
    for step in 1..count {
        let (layer, beside) =
            if rightwards { (step, step - 1) } else { (count - 1 - step, count - step) };
        let position = |vertex: usize| layers[beside].iter().position(|other| *other == vertex);
        let mut keyed: Vec<(f64, usize)> = layers[layer]
            .iter()
            .enumerate()
            .map(|(now, vertex)| {
                let neighbours =
                    if rightwards { &vertices[*vertex].left } else { &vertices[*vertex].right };
                let positions = neighbours.iter().filter_map(|neighbour| position(*neighbour));
                (mean(positions.map(as_number)).unwrap_or_else(|| as_number(now)), *vertex)
            })
            .collect();
        keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
        layers[layer] = keyed.into_iter().map(|(_, vertex)| vertex).collect();
    }
}

/// Sets the initial heights by stacking each layer from the top.
fn stack(layers: &[Vec<usize>], vertices: &mut [Vertex]) {
    for layer in layers {
        let mut y = 0.0;
        for index in layer {
            vertices[*index].y = y + vertices[*index].size.height / 2.0;
            y += vertices[*index].size.height + DOWN;
        }
    }
}

/// Moves each layer towards the heights of its neighbours on one side.
fn align(layers: &[Vec<usize>], vertices: &mut [Vertex], rightwards: bool) {
    let count = layers.len();
    for step in 1..count {
        let layer = if rightwards { &layers[step] } else { &layers[count - 1 - step] };
        // Distances from the first box of the layer if all boxes are as close as possible.
        let mut offset = 0.0;
        let mut offsets = Vec::with_capacity(layer.len());
        for (index, vertex) in layer.iter().enumerate() {
            if let Some(above) = index.checked_sub(1).map(|above| layer[above]) {
                offset +=
                    (vertices[above].size.height + vertices[*vertex].size.height) / 2.0 + DOWN;
            }
            offsets.push(offset);
        }
        let wanted = layer.iter().zip(&offsets).map(|(vertex, offset)| {
            let vertex = &vertices[*vertex];
            let neighbours = if rightwards { &vertex.left } else { &vertex.right };
            let height = mean(neighbours.iter().map(|neighbour| vertices[*neighbour].y));
            height.unwrap_or(vertex.y) - offset
        });
        let placed = nearest_rising(wanted.collect());
        for ((vertex, offset), y) in layer.iter().zip(&offsets).zip(placed) {
            vertices[*vertex].y = y + offset;
        }
    }
}

/// Returns the rising sequence that is nearest to `wanted` in least squares: neighbours in
/// the wrong order are pooled at their mean (isotonic regression).
fn nearest_rising(wanted: Vec<f64>) -> Vec<f64> {
    let mut pools: Vec<(f64, usize)> = Vec::new();
    for value in wanted {
        let (mut sum, mut count) = (value, 1);
        while let Some((above, many)) = pools.last().copied() {
            if above / as_number(many) <= sum / as_number(count) {
                break;
            }
            pools.pop();
            sum += above;
            count += many;
        }
        pools.push((sum, count));
    }
    pools
        .into_iter()
        .flat_map(|(sum, count)| std::iter::repeat_n(sum / as_number(count), count))
        .collect()
}

fn draw(boxes: usize, layers: &[Vec<usize>], vertices: &[Vertex], chains: &[Vec<usize>]) -> Layout {
    let top = vertices
        .iter()
        .map(|vertex| vertex.y - vertex.size.height / 2.0)
        .fold(f64::INFINITY, f64::min);
    let bottom =
        vertices.iter().map(|vertex| vertex.y + vertex.size.height / 2.0).fold(0.0, f64::max);
    let mut columns = Vec::with_capacity(layers.len());
    let mut x = 0.0;
    for layer in layers {
        let width = layer.iter().map(|vertex| vertices[*vertex].size.width).fold(0.0, f64::max);
        columns.push((x, width));
        x += width + ACROSS;
    }
    let place = |index: usize| {
        let vertex = &vertices[index];
        let (x, width) = columns[vertex.layer];
        Place {
            x: x + (width - vertex.size.width) / 2.0,
            y: vertex.y - vertex.size.height / 2.0 - top,
        }
    };
    let arrows = chains.iter().map(|chain| {
        let last = chain.len() - 1;
        let points = chain.iter().enumerate().flat_map(|(position, index)| {
            let vertex = &vertices[*index];
            let y = vertex.y - top;
            let (left, width) = columns[vertex.layer];
            // An arrow crosses a layer in a straight line, so that it touches no box there.
            let ends = match position {
                0 => vec![place(*index).x + vertex.size.width],
                at if at == last => vec![place(*index).x],
                _ => vec![left, left + width],
            };
            ends.into_iter().map(move |x| Place { x, y })
        });
        Arrow { points: points.collect() }
    });
    Layout {
        boxes: (0..boxes).map(place).collect(),
        arrows: arrows.collect(),
        size: Size { width: (x - ACROSS).max(0.0), height: (bottom - top).max(0.0) },
    }
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / as_number(count))
}

/// Converts a count to a float. Counts of boxes are small, so the conversion is exact.
fn as_number(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::MAX, f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOX: Size = Size { width: 100.0, height: 40.0 };

    #[test]
    fn callers_are_left_of_callees_however_long_the_chain() {
        let placed = layout(&[BOX; 4], &[(0, 1), (1, 2), (0, 3), (2, 3)]).boxes;
        assert!(
            placed[0].x < placed[1].x && placed[1].x < placed[2].x && placed[2].x < placed[3].x
        );
    }

    #[test]
    fn boxes_of_a_layer_do_not_overlap() {
        let placed = layout(&[BOX; 5], &[(0, 1), (0, 2), (0, 3), (0, 4)]).boxes;
        let mut heights: Vec<f64> = placed[1..].iter().map(|place| place.y).collect();
        heights.sort_by(f64::total_cmp);
        assert!(
            heights.windows(2).all(|pair| pair[1] - pair[0] >= BOX.height + DOWN - 1e-9),
            "{heights:?}"
        );
    }

    #[test]
    fn a_caller_is_level_with_the_middle_of_its_callees() {
        let placed = layout(&[BOX; 3], &[(0, 1), (0, 2)]).boxes;
        assert!((placed[0].y - (placed[1].y + placed[2].y) / 2.0).abs() < 1e-9);
    }

    #[test]
    fn crossings_that_can_be_avoided_are() {
        // 1 calls 4 and 2 calls 3: the arrows would cross if drawn in the order of the numbers.
        let placed = layout(&[BOX; 5], &[(0, 1), (0, 2), (1, 4), (2, 3)]).boxes;
        assert_eq!(placed[1].y < placed[2].y, placed[4].y < placed[3].y);
    }

    #[test]
    fn one_box_is_a_drawing_too() {
        let layout = layout(&[BOX], &[]);
        assert_eq!(layout.boxes, [Place { x: 0.0, y: 0.0 }]);
        assert_eq!(layout.size, BOX);
    }
}
