//! A picture of the main results: horizontal bars, as SVG.

use std::fmt::Write as _;

use crate::load::Direction;
use crate::measurement::{CONNECTIONS, DATAGRAMS, Measurement};
use crate::path::Path;
use crate::results::{Quantity, Results};

/// Widths and heights, in pixels.
const WIDTH: f64 = 860.0;
const LABELS: f64 = 260.0;
const VALUES: f64 = 90.0;
const BAR: f64 = 18.0;
const ROW: f64 = 24.0;
const TITLE: f64 = 44.0;
const MARGIN: f64 = 16.0;

/// A row of bars, one for each path.
struct Panel {
    title: String,
    measurement: Measurement,
}

/// Draws one panel for each main measurement. The colours suit a light background and a dark one.
pub(crate) fn draw(results: &Results) -> String {
    let panels = [
        ("TCP, one stream to the node, Gbit/s".to_owned(), Measurement::Tcp(1, Direction::Up)),
        (format!("HTTP requests a second, {} connections", CONNECTIONS[0]), Measurement::Http(CONNECTIONS[0])),
        ("New connections a second".to_owned(), Measurement::Connections),
        (format!("UDP, datagrams of {} B received a second", DATAGRAMS[1]), Measurement::Udp(DATAGRAMS[1])),
    ];
    let mut body = String::new();
    let mut top = MARGIN;
    for (title, measurement) in panels {
        top += panel(&mut body, top, &Panel { title, measurement }, results);
    }
    let height = top + MARGIN;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" font-family=\"system-ui, sans-serif\" font-size=\"13\">\n\
         <title>portgate beside other ways to a node</title>\n\
         <style>text {{ fill: #57606a }} .ours {{ fill: #1f883d }} .limit {{ fill: #8c959f }} .peer {{ fill: #bc8c5a }} \
         @media (prefers-color-scheme: dark) {{ text {{ fill: #c9d1d9 }} }}</style>\n{body}</svg>\n"
    )
}

/// Draws a panel below `top`, and returns its height: none if nothing of it was measured.
fn panel(body: &mut String, top: f64, panel: &Panel, results: &Results) -> f64 {
    let rate = |path| Some((path, results.get(path, panel.measurement, Quantity::Rate)?));
    let mut paths = results.paths();
    // The sort is stable: all others keep the order of the tables.
    paths.sort_by_key(|path| *path != Path::Kernel);
    let bars: Vec<(Path, f64)> = paths.into_iter().filter_map(rate).collect();
    let Some(most) = bars.iter().map(|(_, value)| *value).max_by(f64::total_cmp).filter(|most| *most > 0.0) else {
        return 0.0;
    };
    let _ = writeln!(body, "<text x=\"{MARGIN}\" y=\"{}\" font-weight=\"600\">{}</text>", top + 26.0, panel.title);
    for (row, (path, value)) in bars.iter().enumerate() {
        let y = top + TITLE + row as f64 * ROW;
        let length = (WIDTH - LABELS - VALUES) * value / most;
        let class = match path {
            Path::Straight => "limit",
            path if path.is_ours() => "ours",
            _ => "peer",
        };
        let baseline = y + BAR - 5.0;
        let _ = writeln!(
            body,
            "<text x=\"{:.0}\" y=\"{baseline}\" text-anchor=\"end\">{}</text>\
             <rect class=\"{class}\" x=\"{LABELS}\" y=\"{y}\" width=\"{length:.1}\" height=\"{BAR}\" rx=\"2\"/>\
             <text x=\"{:.1}\" y=\"{baseline}\">{}</text>",
            LABELS - 8.0,
            path.title(),
            LABELS + length + 6.0,
            label(*value),
        );
    }
    TITLE + bars.len() as f64 * ROW
}

fn label(value: f64) -> String {
    if value >= 1000.0 { format!("{:.1} k", value / 1e3) } else { format!("{value:.1}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Reading;

    #[test]
    fn the_longest_bar_fills_the_width_and_the_others_are_in_proportion() {
        let mut results = Results::default();
        for (path, rate) in [(Path::Straight, 20.0), (Path::Relay, 10.0)] {
            results.add(path, Measurement::Tcp(1, Direction::Up), Reading::from([(Quantity::Rate, rate)]));
        }
        let svg = draw(&results);
        assert!(svg.contains("class=\"limit\" x=\"260\" y=\"60\" width=\"510.0\""), "{svg}");
        assert!(svg.contains("class=\"ours\" x=\"260\" y=\"84\" width=\"255.0\""), "{svg}");
        assert_eq!(svg.matches("<rect").count(), 2);
    }

    #[test]
    fn the_kernel_path_comes_first() {
        let mut results = Results::default();
        for path in Path::ALL {
            results.add(path, Measurement::Connections, Reading::from([(Quantity::Rate, 1.0)]));
        }
        let svg = draw(&results);
        let at = |path: Path| svg.find(path.title()).unwrap();
        assert!(at(Path::Kernel) < at(Path::Straight) && at(Path::Straight) < at(Path::Relay));
    }

    #[test]
    fn what_was_not_measured_takes_no_room() {
        assert!(!draw(&Results::default()).contains("<rect"));
    }
}
