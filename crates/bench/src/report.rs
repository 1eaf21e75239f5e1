//! The report: Markdown for people, JSON for programs.

use std::time::Duration;

use comfy_table::Table;
use serde::{Serialize, Serializer};

use crate::commands::Commands;
use crate::footprint::{Memory, PORTS};
use crate::machine::Machine;
use crate::noise::Noise;
use crate::process::Footprint;
use crate::results::Results;
use crate::table::{self, table};
use crate::target::{self, Target};

/// What a run found out.
#[derive(Debug)]
pub(crate) struct Report {
    /// Where.
    pub(crate) machine: Machine,
    /// How quiet it was.
    pub(crate) noise: Noise,
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
            "noise": self.noise,
            "quiet": self.noise.is_quiet(),
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
        let Machine { processor, cores, memory, kernel, congestion, engine, containers } = &self.machine;
        let mut parts = vec![format!(
            "{cores} cores of {processor}, {memory:.0} GiB; Linux {kernel} with {congestion}; Docker {engine}.\n\
             {} {containers} other containers were there.\n\
             Medians of {} rounds of {} s.",
            self.noise,
            self.rounds,
            self.window.as_secs_f64(),
        )];
        let results = &self.results;
        let of_paths = [
            ("All in one", table::overview(results)),
            ("TCP, Gbit/s (and seconds of all processors for each GB)", table::tcp(results)),
            ("HTTP, small answers over keep-alive connections; times in ms", table::http(results)),
            ("UDP, datagrams received a second from one client that floods (and the part lost)", table::udp(results)),
            ("portgate's rates as multiples", table::ratios(results)),
        ];
        if !results.paths().is_empty() {
            parts.extend(of_paths.iter().filter_map(|(title, table)| Some(section(title, table.as_ref()?))));
        }
        if let Some(memory) = &self.memory {
            parts.push(section(
                "A gate's size (MiB: what processes share counts once; resident: for each of them)",
                &sizes(memory),
            ));
        }
        if let Some(commands) = &self.commands {
            parts.push(section("Commands as whole processes, ms", &times(commands)));
        }
        parts.push(section("Targets", &targets(&self.targets())));
        parts.join("\n\n")
    }

    fn targets(&self) -> Vec<Target> {
        target::judge(&self.results, self.memory.as_ref(), self.commands.as_ref())
    }
}

fn section(title: &str, table: &Table) -> String {
    format!("### {title}\n\n{table}")
}

fn sizes(memory: &Memory) -> Table {
    let header = ["what", "MiB", "resident, MiB", "processes", "threads"];
    let mut table = table(header.map(str::to_owned).to_vec());
    let dash = || "-".to_owned();
    for (what, size) in [("executable on disk", memory.executable), ("image", memory.image)] {
        table.add_row(vec![what.to_owned(), format!("{size:.1}"), dash(), dash(), dash()]);
    }
    let mut row = |what: String, footprint: &Footprint| {
        let Footprint { resident, proportional, threads, processes } = footprint;
        let proportional = proportional.map_or_else(dash, |size| format!("{size:.1}"));
        table.add_row(vec![what, proportional, format!("{resident:.1}"), processes.to_string(), threads.to_string()]);
    };
    row("gate on the host, idle".to_owned(), &memory.host);
    row(format!("gate on the host, {PORTS} further ports"), &memory.host_with_ports);
    row(format!("gate on the host, {} idle connections by the relay", memory.connections), &memory.with_connections);
    row("the same after they have gone".to_owned(), &memory.after_connections);
    row("gate in published placement, idle".to_owned(), &memory.published);
    table
}

fn times(commands: &Commands) -> Table {
    let Commands { host, published, open_range, ls_range, close_range } = commands;
    let mut table = table(["command", "on the host", "published"].map(str::to_owned).to_vec());
    let mut row = |command: String, host: f64, published: Option<f64>| {
        let published = published.map_or_else(|| "-".to_owned(), |time| format!("{time:.0}"));
        table.add_row(vec![command, format!("{host:.0}"), published]);
    };
    row("`portgate open --no-wait` of one more port".to_owned(), host.open_no_wait, Some(published.open_no_wait));
    row("`portgate open` of one more port, with its test".to_owned(), host.open, Some(published.open));
    row("`portgate close` of one port".to_owned(), host.close, Some(published.close));
    row(format!("`portgate open --no-wait` of {PORTS} more ports, one range"), *open_range, None);
    row(format!("`portgate ls` with {PORTS} ports"), *ls_range, None);
    row(format!("`portgate close` of {PORTS} ports"), *close_range, None);
    table
}

fn targets(targets: &[Target]) -> Table {
    let mut table = table(["target", "measured (the worst)", "verdict"].map(str::to_owned).to_vec());
    for Target { promise, measured, verdict } in targets {
        table.add_row(vec![(*promise).to_owned(), measured.clone(), verdict.to_string()]);
    }
    table
}
