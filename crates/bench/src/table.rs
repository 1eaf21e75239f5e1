//! The tables of what was measured on the paths.

use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, Table};

use crate::load::Direction;
use crate::measurement::{CLIENTS, CONNECTIONS, DATAGRAMS, Measurement, STREAMS};
use crate::path::Path;
use crate::results::{Quantity, Results};

/// A table whose columns but the first hold numbers.
pub(crate) fn table(header: Vec<String>) -> Table {
    let mut table = Table::new();
    let columns = header.len();
    table.load_style(ASCII_MARKDOWN).set_header(header);
    for column in 1..columns {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// A column's title, and its cell for each path.
type Column<'a> = (String, Box<dyn Fn(Path) -> String + 'a>);

/// A table of all paths; none without a column.
fn of_paths(results: &Results, columns: &[Column<'_>]) -> Option<Table> {
    if columns.is_empty() {
        return None;
    }
    let header = std::iter::once("path".to_owned()).chain(columns.iter().map(|(title, _)| title.clone()));
    let mut table = table(header.collect());
    for path in results.paths() {
        let cells = columns.iter().map(|(_, cell)| cell(path));
        table.add_row(std::iter::once(path.title().to_owned()).chain(cells).collect::<Vec<_>>());
    }
    Some(table)
}

/// The columns of DESIGN §5.
pub(crate) fn overview(results: &Results) -> Option<Table> {
    let [up, down] = [Direction::Up, Direction::Down].map(|direction| Measurement::Tcp(1, direction));
    let http = Measurement::Http(CONNECTIONS[0]);
    let get = |path, measurement, quantity| results.get(path, measurement, quantity);
    let rate = move |path, measurement| get(path, measurement, Quantity::Rate);
    of_paths(
        results,
        &[
            (
                "TCP up / down, Gbit/s".to_owned(),
                Box::new(move |path| format!("{} / {}", number(rate(path, up)), number(rate(path, down)))),
            ),
            (
                format!("HTTP requests/s, {} connections", CONNECTIONS[0]),
                Box::new(move |path| number(rate(path, http))),
            ),
            ("p99, ms".to_owned(), Box::new(move |path| number(get(path, http, Quantity::P99)))),
            (
                "new connections/s".to_owned(),
                Box::new(move |path| with_failures(results, path, Measurement::Connections)),
            ),
            (
                format!("UDP {} B, datagrams/s", DATAGRAMS[1]),
                Box::new(move |path| number(rate(path, Measurement::Udp(DATAGRAMS[1])))),
            ),
        ],
    )
}

/// Throughput of TCP, as far as it was measured.
pub(crate) fn tcp(results: &Results) -> Option<Table> {
    let mut columns: Vec<Column<'_>> = Vec::new();
    for streams in STREAMS {
        for (direction, word) in [(Direction::Up, "up"), (Direction::Down, "down")] {
            let measurement = Measurement::Tcp(streams, direction);
            if !results.has(measurement) {
                continue;
            }
            let cell = move |path| {
                let get = |quantity| number(results.get(path, measurement, quantity));
                format!("{} ({})", get(Quantity::Rate), get(Quantity::Cpu))
            };
            columns.push((format!("{streams} {word}"), Box::new(cell)));
        }
    }
    of_paths(results, &columns)
}

/// Requests over keep-alive connections, as far as they were measured.
pub(crate) fn http(results: &Results) -> Option<Table> {
    let mut columns: Vec<Column<'_>> = Vec::new();
    let measured = |connections: &usize| results.has(Measurement::Http(*connections));
    for connections in CONNECTIONS.into_iter().filter(measured) {
        let measurement = Measurement::Http(connections);
        columns.push((
            format!("{connections}: requests/s"),
            Box::new(move |path| with_failures(results, path, measurement)),
        ));
        for (quantity, word) in [(Quantity::P50, "p50"), (Quantity::P99, "p99"), (Quantity::P999, "p99.9")] {
            columns.push((word.to_owned(), Box::new(move |path| number(results.get(path, measurement, quantity)))));
        }
    }
    of_paths(results, &columns)
}

/// Datagrams, one way and there and back, as far as they were measured.
pub(crate) fn udp(results: &Results) -> Option<Table> {
    let mut columns: Vec<Column<'_>> = Vec::new();
    for size in DATAGRAMS.into_iter().filter(|size| results.has(Measurement::Udp(*size))) {
        let cell = move |path| {
            let get = |quantity| results.get(path, Measurement::Udp(size), quantity);
            let lost = get(Quantity::Loss).map_or_else(|| "-".to_owned(), |loss| format!("{:.0} %", loss * 100.0));
            format!("{} ({lost})", number(get(Quantity::Rate)))
        };
        columns.push((format!("{size} B"), Box::new(cell)));
    }
    if results.has(Measurement::RoundTrips) {
        let trips = format!("{} B there and back, {CLIENTS} clients", DATAGRAMS[1]);
        columns.push((trips, Box::new(move |path| with_failures(results, path, Measurement::RoundTrips))));
        let p99 = move |path| number(results.get(path, Measurement::RoundTrips, Quantity::P99));
        columns.push(("p99, ms".to_owned(), Box::new(p99)));
    }
    of_paths(results, &columns)
}

/// Each of our rates to that of the direct way, and to that of the best peer in the same place.
pub(crate) fn ratios(results: &Results) -> Option<Table> {
    let ours: Vec<Path> = results.paths().into_iter().filter(|path| path.is_ours()).collect();
    if ours.is_empty() {
        return None;
    }
    let titles = ours
        .iter()
        .flat_map(|path| [format!("{} to straight", path.word()), format!("{} to the best peer", path.word())]);
    let mut table = table(std::iter::once("measurement".to_owned()).chain(titles).collect());
    for measurement in Measurement::all().filter(|measurement| results.has(*measurement)) {
        let mut row = vec![measurement.to_string()];
        for &path in &ours {
            let to = |other| results.ratio(path, other, measurement, Quantity::Rate);
            let best = path.peers().iter().filter_map(|&peer| Some((to(peer)?, peer)));
            let best = best.min_by(|a, b| a.0.total_cmp(&b.0));
            row.push(to(Path::Straight).map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}")));
            row.push(best.map_or_else(|| "-".to_owned(), |(ratio, peer)| format!("{ratio:.2} ({})", peer.word())));
        }
        table.add_row(row);
    }
    Some(table)
}

fn with_failures(results: &Results, path: Path, measurement: Measurement) -> String {
    let rate = number(results.get(path, measurement, Quantity::Rate));
    match results.get(path, measurement, Quantity::Failures) {
        Some(failures) if failures > 0.0 => format!("{rate} ({failures:.0} failed)"),
        _ => rate,
    }
}

/// Three digits that count, and thousands apart.
fn number(value: Option<f64>) -> String {
    match value {
        None => "-".to_owned(),
        Some(value) if value >= 10_000.0 => format!("{:.0} k", value / 1e3),
        Some(value) if value >= 1_000.0 => format!("{:.1} k", value / 1e3),
        Some(value) if value >= 100.0 => format!("{value:.0}"),
        Some(value) if value >= 10.0 => format!("{value:.1}"),
        Some(value) => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Reading;

    #[test]
    fn numbers_keep_three_digits() {
        let numbers = [0.123, 12.34, 567.8, 4_321.0, 98_765.0].map(|value| number(Some(value)));
        assert_eq!(numbers, ["0.12", "12.3", "568", "4.3 k", "99 k"]);
        assert_eq!(number(None), "-");
    }

    #[test]
    fn a_table_is_markdown_and_says_what_is_missing() {
        let mut results = Results::default();
        let reading = Reading::from([(Quantity::Rate, 9.5), (Quantity::Cpu, 1.2)]);
        results.add(Path::Relay, Measurement::Tcp(1, Direction::Up), reading.clone());
        results.add(Path::Haproxy, Measurement::Tcp(8, Direction::Up), reading);
        let text = tcp(&results).unwrap().to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "| path                            |        1 up |        8 up |");
        assert_eq!(lines[2], "| portgate relay on the host      | 9.50 (1.20) |       - (-) |");
        assert!(http(&results).is_none());
    }

    #[test]
    fn the_best_peer_is_the_one_that_leaves_the_smallest_ratio() {
        let mut results = Results::default();
        for (path, rate) in [(Path::Relay, 10.0), (Path::Haproxy, 5.0), (Path::Nginx, 8.0)] {
            results.add(path, Measurement::Http(32), Reading::from([(Quantity::Rate, rate)]));
        }
        assert!(ratios(&results).unwrap().to_string().contains("1.25 (nginx)"));
    }
}
