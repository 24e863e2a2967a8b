//! Throughput over time, as a picture.

use std::fmt::Write as _;
use std::time::Duration;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 44.0;

/// Lines are counted over so long.
const BIN: f64 = 2.0;

/// Lines a second over two phases, each with its mean.
pub(super) fn throughput(lines: &[Duration], phase: Duration, means: &[f64]) -> String {
    let seconds = 2.0 * phase.as_secs_f64();
    let mut rates: Vec<f64> = Vec::new();
    let mut from = 0.0;
    while from + BIN <= seconds {
        let inside = |at: &&Duration| (from..from + BIN).contains(&at.as_secs_f64());
        rates.push(lines.iter().filter(inside).count() as f64 / BIN);
        from += BIN;
    }
    let most = rates.iter().copied().fold(1.0, f64::max);
    let step = if most > 12.0 { 5.0 } else { 2.0 };
    let top = (most / step).ceil() * step;
    let x = |second: f64| LEFT + second / seconds * (WIDTH - LEFT - RIGHT);
    let y = |rate: f64| TOP + (1.0 - rate / top) * (HEIGHT - TOP - BOTTOM);

    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
         aria-label=\"Lines read a second with one and with two replicas of Recognise\">\n\
         <style>text{{font:13px system-ui,sans-serif;fill:#667}}.m{{font-weight:600;fill:#c2410c}}\
         .b{{fill:#1473e6;opacity:.55}}.g{{stroke:#8888;stroke-width:.5}}\
         .l{{stroke:#c2410c;stroke-width:2}}</style>\n"
    );
    let mut rate = 0.0;
    while rate <= top {
        let _ = writeln!(
            svg,
            "<line class=\"g\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{rate:.0}</text>",
            WIDTH - RIGHT,
            LEFT - 8.0,
            y(rate) + 4.0,
            at = y(rate),
        );
        rate += step;
    }
    for (bin, rate) in rates.iter().enumerate() {
        let from = bin as f64 * BIN;
        let _ = writeln!(
            svg,
            "<rect class=\"b\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\"/>",
            x(from) + 1.0,
            y(*rate),
            x(BIN) - x(0.0) - 2.0,
            y(0.0) - y(*rate),
        );
    }
    for (number, mean) in means.iter().enumerate() {
        let from = number as f64 * phase.as_secs_f64();
        let to = from + phase.as_secs_f64();
        let _ = writeln!(
            svg,
            "<line class=\"l\" x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
             <text class=\"m\" x=\"{:.1}\" y=\"24\" text-anchor=\"middle\">\
             {} of Recognise: {mean:.1} lines a second</text>",
            x(from),
            x(to),
            x(f64::midpoint(from, to)),
            if number == 0 { "1 replica" } else { "2 replicas" },
            at = y(*mean),
        );
    }
    for second in [0.0, 0.25, 0.5, 0.75, 1.0].map(|part| part * seconds) {
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{second:.0} s</text>",
            x(second),
            HEIGHT - 18.0,
        );
    }
    svg.push_str("</svg>\n");
    svg
}
