//! A graph as an SVG picture, for pages and slides. The picture follows the reader's light or
//! dark scheme and uses only the reader's own fonts.

use std::fmt::Write;

use super::diagram::{Diagram, Node};
use super::layout::{self, Arrow, Place, Size};

const MARGIN: f64 = 24.0;
const TITLE: f64 = 34.0;
/// The space between a text and each side of its box. A box is as wide as the widest text and
/// its padding, and never narrower than `NARROWEST`.
const PADDING: f64 = 18.0;
const NARROWEST: f64 = 120.0;
const BOX_HEIGHT: f64 = 54.0;
const LINE: f64 = 18.0;
/// The distance between the sheets of a stack, which represent replicas.
const SHEET: f64 = 4.0;
/// The number of endpoint lines. If there are more endpoints, the last line counts the rest.
const MOST_ENDPOINTS: usize = 8;

const STYLE: &str = "\
  text { font-family: system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif; fill: #1f2430; }
  .title { font-size: 14px; font-weight: 600; fill: #6b7280; }
  .name { font-size: 14px; font-weight: 600; text-anchor: middle; }
  .about { font-size: 12px; fill: #6b7280; text-anchor: middle; }
  .endpoint { font-size: 12px; font-family: ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace; text-anchor: middle; }
  .paper { fill: #ffffff; }
  .box { fill: #f8fafc; stroke: #94a3b8; stroke-width: 1.25; }
  .ingress { fill: #eef2ff; stroke: #6366f1; }
  .http { fill: none; stroke: #94a3b8; stroke-dasharray: 4 3; }
  .arrow { fill: none; stroke: #64748b; stroke-width: 1.5; }
  .head { fill: #64748b; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e5e7eb; }
    .title, .about { fill: #9ca3af; }
    .paper { fill: #111827; }
    .box { fill: #1f2937; stroke: #64748b; }
    .ingress { fill: #272b52; stroke: #818cf8; }
    .http { fill: none; stroke: #64748b; }
    .arrow { stroke: #94a3b8; }
    .head { fill: #94a3b8; }
  }
";

/// Returns the source of the picture.
pub(super) fn draw(diagram: &Diagram) -> String {
    let endpoints = endpoints(diagram);
    // The endpoints are one more box, before all others.
    let ways_in = usize::from(!endpoints.is_empty());
    let mut sizes = Vec::new();
    if ways_in == 1 {
        sizes.push(endpoints_size(&endpoints));
    }
    let size = node_size(diagram);
    sizes.extend(diagram.nodes.iter().map(|_| size));
    let mut arrows: Vec<(usize, usize)> = (0..ways_in).map(|_| (0, 1)).collect();
    for (index, node) in diagram.nodes.iter().enumerate() {
        arrows.extend(node.calls.iter().map(|callee| (index + ways_in, callee + ways_in)));
    }
    let layout = layout::layout(&sizes, &arrows);

    let width = layout.size.width.max(text_width(&diagram.title, 14.0)) + 2.0 * MARGIN;
    let height = layout.size.height + TITLE + 2.0 * MARGIN;
    let mut svg = String::new();
    let _ = writeln!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\" aria-label=\"The deployments of {}\">",
        escaped(&diagram.title)
    );
    let _ = writeln!(svg, "<style>\n{STYLE}</style>");
    let _ = writeln!(svg, "<rect class=\"paper\" width=\"100%\" height=\"100%\" rx=\"8\"/>");
    let _ = writeln!(
        svg,
        "<text class=\"title\" x=\"{MARGIN:.0}\" y=\"{:.0}\">{}</text>",
        MARGIN + 12.0,
        escaped(&diagram.title)
    );
    let _ = writeln!(svg, "<g transform=\"translate({MARGIN:.0} {:.0})\">", MARGIN + TITLE);
    for arrow in &layout.arrows {
        draw_arrow(&mut svg, arrow);
    }
    let (way_in, boxes) = layout.boxes.split_at(ways_in);
    if let Some(place) = way_in.first() {
        draw_endpoints(&mut svg, &endpoints, *place);
    }
    for (index, (node, place)) in diagram.nodes.iter().zip(boxes).enumerate() {
        draw_node(&mut svg, node, *place, size, index == 0);
    }
    svg.push_str("</g>\n</svg>\n");
    svg
}

fn endpoints(diagram: &Diagram) -> Vec<String> {
    let mut endpoints = diagram.endpoints.clone();
    if endpoints.len() > MOST_ENDPOINTS {
        let more = endpoints.len() - MOST_ENDPOINTS + 1;
        endpoints.truncate(MOST_ENDPOINTS - 1);
        endpoints.push(format!("and {more} more"));
    }
    endpoints
}

/// Returns the size of every node. All nodes have the same size, which makes columns tidier.
fn node_size(diagram: &Diagram) -> Size {
    let texts = diagram.nodes.iter().map(|node| {
        let name = text_width(&node.name, 14.0);
        name.max(text_width(&node.replicas(), 12.0))
    });
    let widest = texts.fold(0.0, f64::max);
    Size { width: (widest + 2.0 * PADDING).max(NARROWEST), height: BOX_HEIGHT }
}

fn endpoints_size(endpoints: &[String]) -> Size {
    // In the monospaced font every character takes 0.6 of its size.
    let widest = endpoints.iter().map(|endpoint| count(endpoint) * 12.0 * 0.61).fold(0.0, f64::max);
    let lines = endpoints.iter().fold(0.0, |height, _| height + LINE);
    Size { width: widest + 2.0 * PADDING, height: lines + 14.0 }
}

fn draw_node(svg: &mut String, node: &Node, place: Place, size: Size, ingress: bool) {
    let Size { width, height } = size;
    let class = if ingress { "box ingress" } else { "box" };
    let _ = writeln!(svg, "<g transform=\"translate({:.1} {:.1})\">", place.x, place.y);
    // The rearmost sheet first.
    for sheet in (0..(*node.replicas.end()).clamp(1, 3)).rev() {
        let back = SHEET
            * if sheet == 2 {
                2.0
            } else if sheet == 1 {
                1.0
            } else {
                0.0
            };
        let _ = writeln!(
            svg,
            "<rect class=\"{class}\" x=\"{back:.0}\" y=\"{:.0}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"8\"/>",
            -back
        );
    }
    let middle = width / 2.0;
    let _ = writeln!(
        svg,
        "<text class=\"name\" x=\"{middle:.1}\" y=\"24\">{}</text>",
        escaped(&node.name)
    );
    let _ = writeln!(
        svg,
        "<text class=\"about\" x=\"{middle:.1}\" y=\"42\">{}</text>",
        node.replicas()
    );
    svg.push_str("</g>\n");
}

fn draw_endpoints(svg: &mut String, endpoints: &[String], place: Place) {
    let Size { width, height } = endpoints_size(endpoints);
    let _ = writeln!(svg, "<g transform=\"translate({:.1} {:.1})\">", place.x, place.y);
    let _ = writeln!(
        svg,
        "<rect class=\"http\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"{:.1}\"/>",
        16.0
    );
    let mut y = 7.0 + LINE / 2.0 + 4.0;
    for endpoint in endpoints {
        let _ = writeln!(
            svg,
            "<text class=\"endpoint\" x=\"{:.1}\" y=\"{y:.1}\">{}</text>",
            width / 2.0,
            escaped(endpoint)
        );
        y += LINE;
    }
    svg.push_str("</g>\n");
}

/// Draws a curve that leaves and arrives horizontally, with a head.
fn draw_arrow(svg: &mut String, arrow: &Arrow) {
    const HEAD: f64 = 8.0;
    let (Some(first), Some(last)) = (arrow.points.first(), arrow.points.last()) else {
        return;
    };
    let mut path = format!("M{:.1} {:.1}", first.x, first.y);
    for pair in arrow.points.windows(2) {
        let [from, to] = pair else { continue };
        let end = if to == last { to.x - HEAD } else { to.x };
        let bend = f64::midpoint(from.x, end);
        let _ =
            write!(path, " C{bend:.1} {:.1} {bend:.1} {:.1} {end:.1} {:.1}", from.y, to.y, to.y);
    }
    let _ = writeln!(svg, "<path class=\"arrow\" d=\"{path}\"/>");
    let _ = writeln!(
        svg,
        "<path class=\"head\" d=\"M{:.1} {:.1} l-{HEAD:.0} -4 v8 z\"/>",
        last.x, last.y
    );
}

/// Estimates the width of a text. Fonts differ, so the estimate is on the wide side.
fn text_width(text: &str, size: f64) -> f64 {
    let em = |character: char| match character {
        'i' | 'j' | 'l' | 'I' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' => 0.34,
        'm' | 'w' | 'M' | 'W' | '@' | '%' => 0.98,
        'A'..='Z' | '&' => 0.76,
        ' '..='~' => 0.64,
        _ => 1.0,
    };
    text.chars().map(em).sum::<f64>() * size
}

fn count(text: &str) -> f64 {
    text.chars().map(|_| 1.0).sum()
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::super::diagram::samples;
    use super::*;

    #[test]
    fn the_picture_of_a_small_graph() {
        insta::assert_snapshot!(draw(&samples::greeter()));
    }

    #[test]
    fn the_picture_of_a_graph_with_shared_deployments() {
        insta::assert_snapshot!(draw(&samples::search()));
    }

    #[test]
    fn many_endpoints_are_counted() {
        let mut diagram = samples::alone();
        diagram.endpoints = (0..12).map(|number| format!("GET /{number}")).collect();
        let shown = endpoints(&diagram);
        assert_eq!(shown.len(), MOST_ENDPOINTS);
        assert_eq!(shown.last().map(String::as_str), Some("and 5 more"));
    }
}
