//! The report: Markdown for people, JSON for programs.

use std::time::Duration;

use comfy_table::Table;
use serde::{Serialize, Serializer};

use crate::footprint::{Commands, Memory};
use crate::machine::Machine;
use crate::results::Results;
use crate::table::{self, table};
use crate::target::{self, Target};

/// What a run found out.
#[derive(Debug)]
pub(crate) struct Report {
    /// Where.
    pub(crate) machine: Machine,
    /// How often.
    pub(crate) rounds: u32,
    /// How long each time.
    pub(crate) window: Duration,
    /// On the paths.
    pub(crate) results: Results,
    /// Of the gate's memory.
    pub(crate) memory: Option<Memory>,
    /// Of the commands.
    pub(crate) commands: Option<Commands>,
}

impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serde_json::json!({
            "machine": self.machine,
            "rounds": self.rounds,
            "window_seconds": self.window.as_secs_f64(),
            "paths": self.results.series(),
            "memory": self.memory,
            "commands": self.commands,
            "targets": self.targets(),
        })
        .serialize(serializer)
    }
}

impl Report {
    /// As Markdown, which is readable as it is.
    pub(crate) fn text(&self) -> String {
        let Machine { processor, cores, memory, kernel, congestion, engine, load, containers } = &self.machine;
        let mut parts = vec![format!(
            "{cores} cores of {processor}, {memory:.0} GiB; Linux {kernel} with {congestion}; Docker {engine}.\n\
             Load at the start {load:.2}, with {containers} other containers. Medians of {} rounds of {} s.",
            self.rounds,
            self.window.as_secs_f64(),
        )];
        let results = &self.results;
        if !results.paths().is_empty() {
            parts.push(section("All in one", &table::overview(results)));
            parts.push(section("TCP, Gbit/s (and seconds of all processors for each GB)", &table::tcp(results)));
            parts.push(section("HTTP, small answers over keep-alive connections; times in ms", &table::http(results)));
            parts.push(section(
                "UDP, datagrams received a second from one client that floods (and the part lost)",
                &table::udp(results),
            ));
            parts.push(section("portgate's rates as multiples", &table::ratios(results)));
        }
        if let Some(memory) = &self.memory {
            parts.push(section("A gate's size, MiB", &sizes(memory)));
        }
        if let Some(commands) = &self.commands {
            parts.push(section("Commands as whole processes, published placement, ms", &times(commands)));
        }
        parts.push(section("Targets", &targets(&self.targets())));
        parts.join("\n\n")
    }

    fn targets(&self) -> Vec<Target> {
        target::judge(&self.results, self.memory.as_ref())
    }
}

fn section(title: &str, table: &Table) -> String {
    format!("### {title}\n\n{table}")
}

fn sizes(memory: &Memory) -> Table {
    let mut table = table(vec!["what".to_owned(), "MiB".to_owned()]);
    let mut row = |what: String, value: Option<f64>| {
        table.add_row(vec![what, value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1}"))]);
    };
    row("executable on disk".to_owned(), Some(memory.executable));
    row("image".to_owned(), memory.image);
    row("resident, idle, published".to_owned(), memory.published);
    row("resident, idle, process".to_owned(), Some(memory.idle));
    row(format!("resident with {} idle connections", memory.connections), Some(memory.with_connections));
    row("resident after they have gone".to_owned(), Some(memory.after_connections));
    let ports = format!(
        "added by {} further ports (opened in {:.0} ms, {} further threads)",
        crate::footprint::PORTS,
        memory.ports_time,
        memory.ports_threads
    );
    row(ports, Some(memory.ports));
    table
}

fn times(commands: &Commands) -> Table {
    let mut table = table(vec!["command".to_owned(), "ms".to_owned()]);
    let rows = [("open --no-wait", commands.open_no_wait), ("open", commands.open), ("close", commands.close)];
    for (command, time) in rows {
        table.add_row(vec![format!("`portgate {command}` of one more port"), format!("{time:.0}")]);
    }
    table
}

fn targets(targets: &[Target]) -> Table {
    let mut table = table(["target", "measured (the worst)", "verdict"].map(str::to_owned).to_vec());
    for Target { promise, measured, verdict } in targets {
        table.add_row(vec![(*promise).to_owned(), measured.clone(), verdict.to_string()]);
    }
    table
}
