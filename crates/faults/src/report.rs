//! What a run has found.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, Table};

use crate::check::Measured;
use crate::fault::{Fault, Flow, Traffic};
use crate::schedule::Step;

/// What stands for the gates that a fault is not done to.
const OTHERS: &str = "(all other gates)";

/// The longest gaps and the losses of each kind of fault.
#[derive(Debug, Default)]
pub(crate) struct Report {
    rows: BTreeMap<String, Row>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Row {
    times: usize,
    connections: Duration,
    datagrams: Duration,
    lost_connections: usize,
    lost_datagrams: usize,
}

/// A promise that was broken, and all that helps to find out why.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) seed: u64,
    pub(crate) step: Step,
    pub(crate) expected: String,
    pub(crate) seen: String,
    /// The last lines of what the gate said.
    pub(crate) log: String,
}

impl Report {
    /// Adds what was measured of all flows during one fault.
    pub(crate) fn add(&mut self, fault: Fault, measured: &[(Flow, Measured)]) {
        self.rows.entry(fault.kind()).or_default().times += 1;
        self.rows.entry(OTHERS.to_owned()).or_default().times += 1;
        for (flow, measured) in measured {
            let is_its = flow.entrance.subject() == fault.subject();
            let row = self.rows.entry(if is_its { fault.kind() } else { OTHERS.to_owned() }).or_default();
            match flow.traffic {
                Traffic::Connections => {
                    row.connections = row.connections.max(measured.silence);
                    row.lost_connections += measured.failed;
                }
                Traffic::Stream => row.lost_connections += measured.failed,
                Traffic::Datagrams => {
                    row.datagrams = row.datagrams.max(measured.silence);
                    row.lost_datagrams += measured.failed;
                }
            }
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        let header = ["fault", "times", "TCP gap, ms", "UDP gap, ms", "connections lost", "datagrams lost"];
        table.load_style(ASCII_MARKDOWN).set_header(header);
        for column in 1..header.len() {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        for (kind, row) in &self.rows {
            let Row { times, connections, datagrams, lost_connections, lost_datagrams } = row;
            let (connections, datagrams) = (connections.as_millis(), datagrams.as_millis());
            table.add_row([
                kind.clone(),
                times.to_string(),
                connections.to_string(),
                if datagrams == 0 { "-".to_owned() } else { datagrams.to_string() },
                lost_connections.to_string(),
                lost_datagrams.to_string(),
            ]);
        }
        table.fmt(f)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, step, expected, seen, log } = self;
        writeln!(f, "FAILED: step {} of seed {seed}: {}", step.number, step.fault)?;
        writeln!(f, "  expected: {expected}")?;
        writeln!(f, "  seen:     {seen}")?;
        writeln!(f, "  the gate's last lines:")?;
        for line in log.lines().rev().take(15).collect::<Vec<_>>().into_iter().rev() {
            writeln!(f, "    {line}")?;
        }
        write!(f, "hint: `cargo xtask faults --seed {seed} --steps {}` does the same again", step.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Entrance;

    #[test]
    fn a_row_has_the_longest_gaps_and_all_losses_of_a_kind() {
        let flow = |entrance, traffic| Flow { entrance, traffic };
        let measured =
            |milliseconds, failed| Measured { silence: Duration::from_millis(milliseconds), failed, exchanges: 100 };
        let mut report = Report::default();
        for gap in [70, 90, 80] {
            report.add(
                Fault::KillWorker,
                &[
                    (flow(Entrance::Relay, Traffic::Connections), measured(gap, 1)),
                    (flow(Entrance::Relay, Traffic::Stream), measured(500, 1)),
                    (flow(Entrance::Relay, Traffic::Datagrams), measured(gap / 10, 3)),
                    (flow(Entrance::Forward, Traffic::Connections), measured(55, 0)),
                ],
            );
        }
        let milliseconds = Duration::from_millis;
        let row = |times, connections, datagrams, lost_connections, lost_datagrams| Row {
            times,
            connections: milliseconds(connections),
            datagrams: milliseconds(datagrams),
            lost_connections,
            lost_datagrams,
        };
        assert_eq!(report.rows["host: kill the worker"], row(3, 90, 9, 6, 9));
        assert_eq!(report.rows[OTHERS], row(3, 55, 0, 0, 0));
    }
}
