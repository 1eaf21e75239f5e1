//! The rows of `portgate ls`.

use portgate_core::cluster::ClusterId;
use portgate_core::port::Protocol;
use portgate_core::status::{Counters, MappingState, MappingStatus, Placement};
use serde::Serialize;

use super::Row;
use crate::gates::Report;

/// A mapping, and the gate that carries it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct MappingRow {
    /// The cluster.
    pub(crate) cluster: ClusterId,
    /// The gate's name: for a container, the container's.
    pub(crate) gate: String,
    /// Where the gate runs.
    pub(crate) placement: Placement,
    /// The rest.
    #[serde(flatten)]
    pub(crate) mapping: MappingStatus,
}

/// The rows of one gate.
pub(crate) fn rows(report: &Report) -> Vec<MappingRow> {
    let gate = &report.gate;
    let row = |mapping| MappingRow {
        cluster: gate.cluster().clone(),
        gate: gate.name().to_owned(),
        placement: gate.placement(),
        mapping,
    };
    report.mappings().into_iter().map(row).collect()
}

impl Row for MappingRow {
    fn titles(wide: bool) -> Vec<&'static str> {
        let mut titles = vec!["CLUSTER", "LOCAL", "TARGET", "BACKENDS", "DATAPATH", "STATE", "IN", "OUT"];
        if wide {
            titles.extend(["OPEN", "TOTAL", "FAILED", "GATE", "PLACEMENT", "LAST ERROR"]);
        }
        titles
    }

    fn cells(&self, wide: bool) -> Vec<String> {
        let MappingStatus { local, target, backends, datapath, relay_because, state, counters } = &self.mapping;
        let backends: Vec<String> = backends.iter().map(|backend| backend.address.to_string()).collect();
        let mut cells = vec![
            self.cluster.to_string(),
            local.to_string(),
            target.to_string(),
            if backends.is_empty() { "-".to_owned() } else { backends.join(",") },
            match relay_because.as_ref().filter(|_| wide) {
                Some(why) => format!("{} ({why})", datapath.name()),
                None => datapath.name().to_owned(),
            },
            describe(state),
            bytes(counters.bytes_in),
            bytes(counters.bytes_out),
        ];
        if wide {
            let (open, total, failed) = flows(local.protocol, counters);
            let error = counters.last_error.as_ref();
            let error = error.map_or_else(|| "-".to_owned(), |error| format!("{} ({:.0})", error.message, error.at));
            cells.extend([open, total, failed].map(|count| count.to_string()));
            cells.extend([self.gate.clone(), self.placement.name().to_owned(), error]);
        }
        cells
    }

    fn name(&self) -> String {
        self.mapping.local.to_string()
    }
}

fn describe(state: &MappingState) -> String {
    match state {
        MappingState::Open => "open".to_owned(),
        MappingState::NoBackend { why } => why.to_string(),
        MappingState::NotListening { message } | MappingState::Unknown { message } => message.clone(),
        MappingState::Stopped => "gate stopped".to_owned(),
    }
}

/// Connections of TCP, sessions of UDP: open now, in all, failed.
fn flows(protocol: Protocol, counters: &Counters) -> (u64, u64, u64) {
    match protocol {
        Protocol::Tcp => (counters.connections_open, counters.connections_total, counters.connections_failed),
        Protocol::Udp => (counters.sessions_open, counters.sessions_total, counters.sessions_refused),
    }
}

/// `1.2 MiB`
fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let (mut whole, mut tenths, mut unit) = (count, 0, "B");
    for larger in UNITS {
        if whole < 1024 {
            break;
        }
        (tenths, whole, unit) = (whole % 1024 * 10 / 1024, whole / 1024, larger);
    }
    format!("{whole}.{tenths} {unit}")
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use portgate_core::cluster::Provider;
    use portgate_core::kubernetes::{Kind, ObjectKey, PortName};
    use portgate_core::mapping::{HostAddresses, Local, Target};
    use portgate_core::port::Port;
    use portgate_core::status::{Datapath, LastError, RelayReason};
    use portgate_core::table::{Backend, Reach};

    use super::*;
    use crate::view::hostile::check_row;

    #[test]
    fn what_a_gate_says_cannot_reach_the_terminal() {
        let port = Port::new(80).unwrap();
        check_row(|text| {
            let object = ObjectKey { kind: Kind::Service, namespace: text.to_owned(), name: text.to_owned() };
            let last_error = LastError { at: Timestamp::UNIX_EPOCH, message: text.to_owned() };
            let backend =
                Backend { node: text.to_owned(), address: "127.0.0.1:80".parse().unwrap(), reach: Reach::Node };
            MappingRow {
                cluster: ClusterId { provider: Provider::Network, name: text.to_owned() },
                gate: text.to_owned(),
                placement: Placement::Host,
                mapping: MappingStatus {
                    local: Local { addresses: HostAddresses::loopback(), port, protocol: Protocol::Tcp },
                    target: Target::Object { object, port: PortName::Name(text.to_owned()) },
                    backends: vec![backend],
                    datapath: Datapath::Relay,
                    relay_because: Some(RelayReason::Refused { message: text.to_owned() }),
                    state: MappingState::NotListening { message: text.to_owned() },
                    counters: Counters { last_error: Some(last_error), ..Counters::default() },
                },
            }
        });
    }

    #[test]
    fn sizes_have_binary_units() {
        assert_eq!(
            [0, 1023, 1024, 1536, 5 << 20, u64::MAX].map(bytes),
            ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "5.0 MiB", "16383.9 PiB"]
        );
    }
}
