//! `docs/autoscaling-day.svg`: days as a picture, light or dark as its reader's page is.

use std::fmt::Write as _;

use super::{BOUNDS, Day};

const WIDTH: f64 = 760.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = WIDTH - 24.0;
/// Where the first panel's plot begins, and from one panel's to the next one's.
const TOP: f64 = 108.0;
const PANEL: f64 = 250.0;
const PLOT: f64 = 176.0;
/// Replicas at the top of a panel.
const MOST: f64 = 18.0;
/// Calls that are wanted on each replica.
const TARGET: f64 = 2.0;

const STYLE: &str = "\
text { font-family: system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif; font-size: 12px; fill: #4b5563; }
  .title { font-size: 16px; font-weight: 600; fill: #1f2430; }
  .panel { font-size: 13px; font-weight: 600; fill: #1f2430; }
  .x { text-anchor: middle; }
  .y { text-anchor: end; }
  .paper { fill: #ffffff; }
  .grid { stroke: #e5e7eb; stroke-width: 1; }
  .axis { stroke: #9ca3af; stroke-width: 1; }
  .bound { stroke: #b45309; stroke-width: 1.25; stroke-dasharray: 5 4; fill: none; }
  .load { stroke: #0d9488; stroke-width: 1; fill: none; stroke-linejoin: round; }
  .replicas { stroke: #4f46e5; stroke-width: 2.5; fill: none; stroke-linejoin: round; }
  @media (prefers-color-scheme: dark) {
    text { fill: #b6bcc8; }
    .title, .panel { fill: #e5e7eb; }
    .paper { fill: #111827; }
    .grid { stroke: #1f2937; }
    .axis { stroke: #4b5563; }
    .bound { stroke: #f59e0b; }
    .load { stroke: #2dd4bf; }
    .replicas { stroke: #a5b4fc; }
  }";

/// The picture of some days, one below the other.
pub(super) fn draw(days: &[(&str, &Day)]) -> String {
    let height = TOP + PANEL * days.len() as f64 - 26.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-labelledby=\"title about\">\n\
         <title id=\"title\">Autoscaling over a virtual day</title>\n\
         <desc id=\"about\">{}</desc>\n\
         <style>\n{STYLE}\n</style>\n\
         <rect class=\"paper\" width=\"100%\" height=\"100%\" rx=\"8\"/>\n\
         <text class=\"title\" x=\"24\" y=\"34\">Autoscaling over a virtual day</text>\n",
        about(days)
    );
    svg += &legend();
    for (place, (title, day)) in days.iter().enumerate() {
        let top = TOP + PANEL * place as f64;
        svg += &panel(title, day, top);
    }
    svg += "</svg>\n";
    svg
}

/// What the lines show, in words.
fn about(days: &[(&str, &Day)]) -> String {
    let mut about = String::from("Replicas follow the calls in flight.");
    for (title, day) in days {
        let _ = write!(about, " {title}; hour and replicas:");
        for (at, replicas) in &day.replicas {
            let _ = write!(about, " {:.2} {replicas},", at / 3_600.0);
        }
        about.pop();
        about.push('.');
    }
    about
}

fn legend() -> String {
    let mut legend = String::new();
    for (x, class, text) in [
        (24.0, "replicas", "replicas"),
        (140.0, "load", "calls in flight ÷ 2, the replicas that they ask for"),
        (486.0, "bound", "min_replicas, max_replicas"),
    ] {
        let _ = writeln!(
            legend,
            "<path class=\"{class}\" d=\"M{x} 58h28\"/><text x=\"{}\" y=\"62\">{text}</text>",
            x + 36.0
        );
    }
    legend
}

fn panel(title: &str, day: &Day, top: f64) -> String {
    let bottom = top + PLOT;
    let y = |replicas: f64| bottom - replicas / MOST * PLOT;
    let x = |hours: f64| LEFT + hours / 24.0 * (RIGHT - LEFT);
    let mut panel =
        format!("<text class=\"panel\" x=\"{LEFT}\" y=\"{}\">{title}</text>\n", top - 8.0);
    for replicas in [0, 3, 6, 9, 12, 15, 18].map(f64::from) {
        let class = if replicas == 0.0 { "axis" } else { "grid" };
        let _ = writeln!(
            panel,
            "<path class=\"{class}\" d=\"M{LEFT} {:.1}H{RIGHT}\"/>\
             <text class=\"y\" x=\"{}\" y=\"{:.1}\">{replicas}</text>",
            y(replicas),
            LEFT - 8.0,
            y(replicas) + 4.0
        );
    }
    for hour in (0..=24).step_by(3) {
        let at = x(f64::from(hour));
        let _ = writeln!(
            panel,
            "<path class=\"axis\" d=\"M{at:.1} {bottom}v5\"/>\
             <text class=\"x\" x=\"{at:.1}\" y=\"{}\">{hour}</text>",
            bottom + 19.0
        );
    }
    let middle = f64::midpoint(LEFT, RIGHT);
    let _ = writeln!(
        panel,
        "<text class=\"x\" x=\"{middle}\" y=\"{}\">time of day (hours)</text>\n\
         <text class=\"x\" transform=\"translate(24 {}) rotate(-90)\">replicas</text>",
        bottom + 37.0,
        top + PLOT / 2.0
    );
    for bound in [BOUNDS.0, BOUNDS.1] {
        let _ =
            writeln!(panel, "<path class=\"bound\" d=\"M{LEFT} {:.1}H{RIGHT}\"/>", y(bound as f64));
    }
    let mut load = String::new();
    for (minute, calls) in day.calls.iter().enumerate().step_by(3) {
        let start = if minute == 0 { 'M' } else { 'L' };
        let (x, y) = (x(minute as f64 / 60.0), y(*calls as f64 / TARGET));
        let _ = write!(load, "{start}{x:.1} {y:.1}");
    }
    let mut replicas = String::new();
    for (at, count) in &day.replicas {
        let (x, y) = (x(at / 3_600.0), y(*count as f64));
        let _ = match replicas.is_empty() {
            true => write!(replicas, "M{x:.1} {y:.1}"),
            false => write!(replicas, "H{x:.1}V{y:.1}"),
        };
    }
    let _ = writeln!(
        panel,
        "<path class=\"load\" d=\"{load}\"/>\n<path class=\"replicas\" d=\"{replicas}H{RIGHT}\"/>"
    );
    panel
}
